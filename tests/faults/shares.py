"""The matrix in shares, one per process: an hour's work, whose results are kept as they come."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import logging
import shutil
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Final

from tests.faults import matrix, scenarios, world
from tests.faults.matrix import GOOD, Case, Outcome, Result
from tests.faults.world import Ended, World
from tests.infrastructure.documents import ROOT

KEPT: Final = ROOT / ".sluice" / "faults"
"""A file per share, with a result in each line."""
_TOLD_EVERY: Final = 50


def begin(*, resume: bool) -> set[str]:
    """The cases that need not be run; with ``resume`` those that the last run found good."""
    good = [result for result in kept() if result.outcome in GOOD] if resume else []
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(parents=True)
    _keep(KEPT / "earlier.jsonl", *good)
    return {result.case for result in good}


def run(first: int, step: int, known: set[str]) -> int:
    """Run every ``step``-th case that is not known; gives how many cases there are. What the functions log and print is
    left out.
    """
    logging.disable(logging.CRITICAL)
    began = time.monotonic()
    with world.opened() as here:
        with contextlib.redirect_stdout(io.StringIO()):
            plain = {scenario.name: here.run(scenario) for scenario in scenarios.ALL}
        every = [case for scenario in scenarios.ALL for case in matrix.cases(scenario, plain[scenario.name])]
        assert len({str(case) for case in every}) == len(every)
        share = [case for case in every[first::step] if str(case) not in known]
        gc.collect()
        gc.freeze()  # a million objects of botocore, moto and pandas: no collection need look at them again
        for number, case in enumerate(share, 1):
            with contextlib.redirect_stdout(io.StringIO()):
                result = _result(here, case, plain[case.scenario.name])
            _keep(KEPT / f"{first}.jsonl", result)
            if result.outcome not in GOOD:
                print(result, file=sys.stderr, flush=True)
            if number % _TOLD_EVERY == 0 or number == len(share):
                at = f"share {first}: {number:,} of {len(share):,}, {time.monotonic() - began:,.0f} s"
                print(at, file=sys.stderr, flush=True)
    return len(every)


def kept() -> list[Result]:
    lines = (line for path in KEPT.glob("*.jsonl") for line in path.read_text(encoding="utf-8").splitlines())
    return [Result(**fields | {"outcome": Outcome(fields["outcome"])}) for fields in map(json.loads, lines)]


def _keep(path: Path, *results: Result) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(result)) + "\n" for result in results)


def _result(here: World, case: Case, plain: Ended) -> Result:
    """A run that breaks off is a result too, and the others are run all the same."""
    try:
        return matrix.run(here, case, plain)
    except Exception:  # noqa: BLE001 - whatever it is: it is told, and the matrix fails
        wrong = traceback.format_exc()
        return Result(str(case), case.order.fault.name, case.order.call.operation, Outcome.UNKNOWN, wrong)
