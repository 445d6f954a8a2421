"""Where the files are that are raced, and everything that runs leaves behind; made once, kept for the next time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from benchmarks.generate import BAD, write, write_contract
from benchmarks.shapes import SHAPES, STRAY

ROOT: Final = Path(__file__).resolve().parent.parent
WORK: Final = ROOT / ".sluice" / "benchmarks"
"""The folder that ``make clean`` removes."""
OUT: Final = WORK / "out"
"""Where whoever runs leaves its answer; each starts with none."""
DATASET: Final = "benchmark"
"""Of which every file is one. It has no transform: what is derived, the contract derives."""


def folder(shape: str, rows: int | None = None, bad: float = BAD) -> Path:
    """The folder with ``data.csv``, its contract and the truth about it."""
    known = STRAY if shape == STRAY.name else SHAPES[shape]
    rows = rows or known.rows
    place = WORK / "data" / f"{shape}-{rows}-{bad:g}"
    if not (place / "truth.json").exists():
        write(known, place, rows, bad)
    write_contract(known, place)  # it may have changed since the file was written
    return place


def megabytes(place: Path) -> float:
    return (place / "data.csv").stat().st_size / 1e6


def warm(place: Path) -> None:
    """Read the file once, so that every run finds it in the page cache."""
    with (place / "data.csv").open("rb") as file:
        while file.read(1 << 24):
            pass


def rows_of(place: Path) -> dict[str, int]:
    rows: dict[str, int] = json.loads((place / "truth.json").read_bytes())["rows"]
    return rows
