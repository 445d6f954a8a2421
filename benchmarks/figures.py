"""What is measured of Sluice alone: memory, dirty data, scaling. All on one core, whole processes, interleaved."""

from __future__ import annotations

import shutil
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import data, measure
from benchmarks.competitors import check
from benchmarks.measure import Run

BAD_SHARES: Final = {"orders": (0, 0.001, 0.05, 0.5), "stray": (0.001, 0.05, 0.5)}
"""By shape: what is wrong with the bad rows is a cell's value, or a quote."""
SCALE_ROWS: Final = (215_000, 645_000, 2_000_000, 6_000_000, 10_700_000)
"""20 MB to 1 GB of ``orders``."""
CHUNKS: Final = (1, 3, 10, 30, 100)
GROWN_ROWS: Final = {1: 107_000, 10: 1_070_000, 100: 10_700_000}
"""Number of chunks of 10 MB → rows that fill them."""
TEN_ROWS: Final = 10
CHUNK_BYTES: Final = 128 * 1024 * 1024


def memory(quick: bool) -> dict[str, Any]:
    """Peaks of ``check`` on one core and on two, of a small and a large file; and of a 128 MiB chunk of 200 columns."""
    sizes = (200_000, 1_000_000) if quick else (2_000_000, 10_000_000)
    peaks: list[dict[str, Any]] = []
    for rows in sizes:
        place = data.folder("orders", rows)
        for cores in sorted({1, min(2, len(measure.allowed()))}):
            run = _check(place, cores, with_memory=True)
            peaks.append({"size_mb": data.megabytes(place), "cores": cores, "peak_mb": run.peak_mb})
    place = data.folder("wide", 9_000 if quick else None)
    chunk = measure.run([sys.executable, "-m", "benchmarks.chunk", str(place), str(CHUNK_BYTES)], 1, data.WORK)
    size_mb = min(data.megabytes(place), CHUNK_BYTES / 1e6)
    return {"check": peaks, "chunk": {"columns": 200, "size_mb": size_mb, "peak_mb": chunk.peak_mb}}


def dirty(quick: bool) -> list[dict[str, Any]]:
    """Seconds of ``check`` by what is wrong and the share of bad rows."""
    rows = 200_000 if quick else 2_000_000
    kinds = [(shape, share) for shape, shares in BAD_SHARES.items() for share in shares]
    places = {(shape, share): data.folder(shape, rows, share) for shape, share in kinds}
    runs = _interleaved({kind: (place, ()) for kind, place in places.items()}, 1 if quick else 3)
    return [{"shape": shape, "bad_share": share, **_seconds(found)} for (shape, share), found in runs.items()]


def scaling(quick: bool) -> dict[str, Any]:
    """Seconds by size of the file, by number of chunks of one file, and by number of chunks of one size.

    ``fixed_seconds`` is what a file of ten rows takes; ``per_mb`` is all of a file's seconds by its size,
    ``slope_per_mb`` what is left of them without the fixed ones.
    """
    rounds = 1 if quick else 3
    rows = SCALE_ROWS[:2] if quick else SCALE_ROWS
    places = {count: data.folder("orders", count) for count in (TEN_ROWS, *rows)}
    by_size = _interleaved({count: (place, ()) for count, place in places.items()}, rounds)
    fixed = statistics.median(run.wall_seconds for run in by_size.pop(TEN_ROWS))
    sizes = [_sized(places[count], found, fixed) for count, found in by_size.items()]
    place = places[rows[0] if quick else SCALE_ROWS[2]]
    options = {count: (place, _cut(place, count)) for count in CHUNKS}
    chunks = [{"chunks": count, **_seconds(found)} for count, found in _interleaved(options, rounds).items()]
    grown = {count: data.folder("orders", rows) for count, rows in list(GROWN_ROWS.items())[: 2 if quick else None]}
    cut = {count: (place, _cut(place, count)) for count, place in grown.items()}
    by_count = [
        {"chunks": count, **_sized(grown[count], found, fixed)} for count, found in _interleaved(cut, rounds).items()
    ]
    slope, start = np.polyfit([each["size_mb"] for each in sizes], [each["wall_seconds"] for each in sizes], 1)
    return {
        "fixed_seconds": fixed,
        "sizes": sizes,
        "fit": {"seconds_per_mb": float(slope), "start_seconds": float(start)},
        "chunks": chunks,
        "chunked_mb": data.megabytes(place),
        "grown": by_count,
    }


def _cut(place: Path, chunks: int) -> tuple[str, str]:
    return "--chunk-size", str(-(-(place / "data.csv").stat().st_size // chunks))


def _sized(place: Path, runs: Sequence[Run], fixed: float) -> dict[str, float]:
    size_mb, seconds = data.megabytes(place), _seconds(runs)
    wall = seconds["wall_seconds"]
    return {"size_mb": size_mb, **seconds, "per_mb": wall / size_mb, "slope_per_mb": (wall - fixed) / size_mb}


def _interleaved(what: Mapping[Any, tuple[Path, Sequence[str]]], rounds: int) -> dict[Any, list[Run]]:
    for place, _ in what.values():
        data.warm(place)
    runs: dict[Any, list[Run]] = defaultdict(list)
    for _ in range(rounds):
        for key, (place, options) in what.items():
            runs[key].append(_check(place, 1, *options))
    return runs


def _check(place: Path, cores: int, *options: str, with_memory: bool = False) -> Run:
    shutil.rmtree(data.OUT, ignore_errors=True)
    return measure.run(check(place, data.OUT, *options), cores, data.WORK, with_memory=with_memory)


def _seconds(runs: Sequence[Run]) -> dict[str, float]:
    walls = [run.wall_seconds for run in runs]
    return {
        "wall_seconds": statistics.median(walls),
        "min": min(walls),
        "max": max(walls),
        "cpu_seconds": statistics.median(run.cpu_seconds for run in runs),
    }
