"""``make test-faults``: every call of every scenario × every fault; the table goes to docs/faults.md.

Exit status 1 where a run ended neither SUCCEEDED with the right outputs nor FAILED with nothing published.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import tests.conftest  # noqa: F401 - credentials that open nothing, before any client is made
from tests.faults import report, shares
from tests.faults.matrix import GOOD


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="of the cases, every Nth only")
    parser.add_argument("--resume", action="store_true", help="only what the last run did not reach or found wrong")
    given = parser.parse_args()
    began = time.monotonic()
    known = shares.begin(resume=given.resume)
    with ProcessPoolExecutor(given.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        step = given.workers * given.every
        firsts = [number * given.every for number in range(given.workers)]
        cases = [running.result() for running in [pool.submit(shares.run, first, step, known) for first in firsts]]
    results = shares.kept()
    wrong = [result for result in results if result.outcome not in GOOD]
    print(report.table(results))
    for result in wrong:
        print(result, file=sys.stderr)
    print(f"{len(results):,} runs, {len(known):,} of them earlier; {time.monotonic() - began:,.0f} s", file=sys.stderr)
    report.write(results, cases=cases[0])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
