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
    workers = parser.parse_args().workers
    began = time.monotonic()
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        shares = [pool.submit(_share, number, workers) for number in range(workers)]
        results = [result for share in shares for result in share.result()]
    report.write(results)
    wrong = [result for result in results if result.outcome not in (matrix.Outcome.SUCCEEDED, matrix.Outcome.FAILED)]
    print(report.table(results))
    for result in wrong:
        print(f"{result.outcome}: {result.what}", file=sys.stderr)
    print(f"{len(results):,} runs in {time.monotonic() - began:,.0f} s", file=sys.stderr)
    return 1 if wrong else 0


def _share(number: int, of: int) -> list[Result]:
    """Every ``of``-th case, from ``number`` on. What the functions log and print is left out."""
    logging.disable(logging.CRITICAL)
    results = []
    with world.opened() as here:
        for scenario in scenarios.ALL:
            with contextlib.redirect_stdout(io.StringIO()):
                plain = here.run(scenario)
                share = list(matrix.cases(scenario, plain))[number::of]
                for done, case in enumerate(share, start=1):
                    results.append(matrix.run(here, case, plain))
                    if done % 50 == 0:
                        print(
                            f"process {number}: {done} of {len(share)} [{scenario.name}]", file=sys.stderr, flush=True
                        )
    return results


if __name__ == "__main__":
    sys.exit(main())
