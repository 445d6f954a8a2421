"""``make test-faults``: every call of every scenario × every fault; the table goes to docs/faults.md.

Exit status 1 where a run ended neither SUCCEEDED with the right outputs nor FAILED with nothing published.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import tests.conftest  # noqa: F401 - credentials that open nothing, before any client is made
from tests.faults import matrix, report, scenarios, world
from tests.faults.matrix import Result


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="of the cases, every Nth only")
    given = parser.parse_args()
    began = time.monotonic()
    with ProcessPoolExecutor(given.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        step = given.workers * given.every
        shares = [pool.submit(_share, number * given.every, step) for number in range(given.workers)]
        done = [share.result() for share in shares]
    results = [result for _, share in done for result in share]
    wrong = [result for result in results if result.outcome not in (matrix.Outcome.SUCCEEDED, matrix.Outcome.FAILED)]
    print(report.table(results))
    for result in wrong:
        print(f"{result.outcome}: {result.what}", file=sys.stderr)
    print(f"{len(results):,} runs in {time.monotonic() - began:,.0f} s", file=sys.stderr)
    report.write(results, cases=done[0][0])
    return 1 if wrong else 0


def _share(first: int, step: int) -> tuple[int, list[Result]]:
    """How many cases there are; and every ``step``-th of them, run. What the functions log and print is left out."""
    logging.disable(logging.CRITICAL)
    cases, results = 0, []
    with world.opened() as here:
        for scenario in scenarios.ALL:
            with contextlib.redirect_stdout(io.StringIO()):
                plain = here.run(scenario)
                every = list(matrix.cases(scenario, plain))
                cases += len(every)
                results += [matrix.run(here, case, plain) for case in every[first::step]]
            print(f"{scenario.name}: {len(every[first::step])} of {len(every)} done", file=sys.stderr, flush=True)
    return cases, results


if __name__ == "__main__":
    sys.exit(main())
