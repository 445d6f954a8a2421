"""Through the whole pipeline in the emulator: from the upload to SUCCEEDED, once the workers are warm."""

from __future__ import annotations

import shutil
import statistics
import time
from pathlib import Path
from typing import Any, Final

from benchmarks import data, measure
from benchmarks.competitors import check
from chalicelib.model import Status
from ops.emulation import laptop
from ops.emulation.laptop import Stack
from ops.jobs.uploads import Upload

POLL_SECONDS: Final = 0.02
DEADLINE_SECONDS: Final = 300


def pipeline(quick: bool) -> dict[str, Any]:
    """Seconds of a small and a large file, and of ``check`` on the large one with the same cores."""
    small = data.folder("orders", 10)
    large = data.folder("orders", 200_000 if quick else None)
    data.warm(large)
    cores = min(2, len(measure.allowed()))
    rounds = 1 if quick else 3
    with laptop.started() as stack:
        _through(stack, small)
        _through(stack, large)  # as many workers as there are chunks at a time are warm after it
        smalls = [_through(stack, small) for _ in range(5)]
        larges, checks = [], []
        for _ in range(rounds):
            larges.append(_through(stack, large))
            checks.append(_check(large, cores))
    return {
        "size_mb": data.megabytes(large),
        "cores": cores,
        "small": _medians(smalls),
        "large": _medians(larges),
        "check_seconds": statistics.median(checks),
    }


def _through(stack: Stack, place: Path) -> dict[str, float]:
    """Seconds of the upload itself, and from its end to SUCCEEDED."""
    upload = Upload(place / "data.csv", data.DATASET, place / "contract.json")
    stack.upload(upload.contract_key, place / "contract.json")
    started = time.perf_counter()
    source = stack.upload(upload.key, upload.path)
    uploaded = time.perf_counter()
    while True:
        job = stack.jobs.get(source.job_id)
        if job is not None and job.status in (Status.SUCCEEDED, Status.FAILED):
            break
        if time.perf_counter() - uploaded > DEADLINE_SECONDS:
            raise TimeoutError(f"{source.job_id} has not ended after {DEADLINE_SECONDS} s")
        laptop.pause(stack, POLL_SECONDS)
    ended = time.perf_counter()
    if job.status is Status.FAILED:
        raise measure.Failed(f"{source.job_id}: {job.error}")
    return {"upload": uploaded - started, "processing": ended - uploaded, "all": ended - started}


def _check(place: Path, cores: int) -> float:
    shutil.rmtree(data.OUT, ignore_errors=True)
    return measure.run(check(place, data.OUT), cores, data.WORK).wall_seconds


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}
