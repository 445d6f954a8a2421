"""Writes what is raced: a file, its contract, the truth about it; always the same bytes for a shape, rows and share.

    python -m benchmarks.generate SHAPE FOLDER [--rows N] [--bad SHARE]

``data.csv`` and ``contract.json`` are for everyone. ``truth.json`` and ``rejects.npz`` are for the judge: they are
computed from the numbers that the cells were made of, before there was any text: no reader of CSV had a part in them.
Everything is made in numpy and Arrow, a column at a time, so ten million rows take seconds.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.shapes import SHAPES, Cells, Shape

SEED: Final = 20_261_101
BAD: Final = 0.001
SECOND_FAULT: Final = 0.125
"""Share of the bad rows that are broken in a second place too."""

Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass
class Truth:
    """What every right answer says."""

    shape: Shape
    read: int = 0
    rejects: dict[str, list[np.ndarray[Any, Any]]] = field(default_factory=dict)
    """Of each field, the records (from 1) whose cell is broken."""
    rejected: int = 0
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of the valid rows: how many cells are empty, and the sum of the values (``Cells.values``)."""
    groups: np.ndarray[Any, Any] | None = None
    """Count and sum of ``amount``, of each pair of keys."""

    def add(self, cells: dict[str, Cells], broken: dict[str, Flags]) -> None:
        rows = len(cells[self.shape.keys[0]].texts)
        bad = np.logical_or.reduce(list(broken.values()))
        for name, where in broken.items():
            self.rejects.setdefault(name, []).append(self.read + 1 + np.flatnonzero(where))
        self.read += rows
        self.rejected += int(bad.sum())
        good = ~bad
        amount = cells["quantity"].values * cells["unit_price"].values * (1 - cells["discount"].values)
        for name, column in cells.items():
            self._add(name, column.values[good], int(column.empty[good].sum()))
        self._add("amount", amount[good], 0)
        self._group(cells, amount, good)

    def _add(self, name: str, values: np.ndarray[Any, Any], empty: int) -> None:
        column = self.columns.setdefault(name, {"sum": 0, "empty": 0})
        column["sum"] += values.sum().item()
        column["empty"] += empty

    def _group(self, cells: dict[str, Cells], amount: np.ndarray[Any, Any], good: Flags) -> None:
        first, second = (cells[key].codes for key in self.shape.keys)
        assert first is not None and second is not None  # noqa: PT018
        sizes = [len(column.words) for key in self.shape.keys for column in self.shape.columns if column.name == key]
        code = (first * sizes[1] + second)[good]
        size = sizes[0] * sizes[1]
        found = np.stack([np.bincount(code, minlength=size), np.bincount(code, amount[good], size)])
        self.groups = found if self.groups is None else self.groups + found

    def write(self, folder: Path) -> None:
        words = {column.name: column.words for column in self.shape.columns}
        pairs = [(one, two) for one in words[self.shape.keys[0]] for two in words[self.shape.keys[1]]]
        assert self.groups is not None
        document = {
            "shape": self.shape.name,
            "rows": {"read": self.read, "valid": self.read - self.rejected, "rejected": self.rejected},
            "columns": self.columns,
            "groups": [
                [*pair, int(count), total]
                for pair, count, total in zip(pairs, *self.groups.tolist(), strict=True)
                if count
            ],
        }
        (folder / "truth.json").write_text(json.dumps(document, indent=1))
        rejects: dict[str, Any] = {name: np.concatenate(found) for name, found in self.rejects.items()}
        np.savez(folder / "rejects.npz", **rejects)


def write(shape: Shape, folder: Path, rows: int, bad: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    truth = Truth(shape)
    header = pa.array([column.name for column in shape.columns])
    with open(folder / "data.csv", "wb") as sink:
        sink.write(b",".join(str(name).encode() for name in _quoted(header, shape.quote)) + b"\n")
        for first in range(0, rows, shape.piece_rows):
            rng = np.random.default_rng((SEED, first))
            count = min(shape.piece_rows, rows - first)
            cells = {column.name: column.make(rng, first, count) for column in shape.columns}
            texts, broken = _break(shape, cells, rng, count, bad)
            truth.add(cells, broken)
            sink.write(_lines([_quoted(column, shape.quote) for column in texts.values()]))
    write_contract(shape, folder)
    truth.write(folder)


def write_contract(shape: Shape, folder: Path) -> None:
    (folder / "contract.json").write_text(json.dumps(shape.contract(), indent=2))


def _break(
    shape: Shape, cells: dict[str, Cells], rng: np.random.Generator, rows: int, bad: float
) -> tuple[dict[str, pa.Array], dict[str, Flags]]:
    """The cells with a fault put into a share of the rows, and of each field that can be broken, where it is."""
    faults = [(column.name, fault) for column in shape.columns for fault in column.faults]
    first, second = rng.random(rows) < bad, rng.random(rows) < SECOND_FAULT
    texts = {name: column.texts for name, column in cells.items()}
    broken = {name: np.zeros(rows, np.bool_) for name, _ in faults}
    for chosen in (first, first & second):
        which = rng.integers(0, len(faults), rows)
        for number, (name, fault) in enumerate(faults):
            where = chosen & (which == number)
            broken[name] |= where
            texts[name] = pc.if_else(pa.array(where), fault, texts[name])
    return texts, broken


def _quoted(texts: pa.Array, quote: str) -> pa.Array:
    if quote == "none":
        return texts
    quoted = pc.binary_join_element_wise("", pc.replace_substring(texts, '"', '""'), "", '"')
    if quote == "all":
        return quoted
    return pc.if_else(pc.match_substring_regex(texts, '[",\r\n]'), quoted, texts)


def _lines(columns: list[pa.Array]) -> memoryview:
    *others, last = columns
    lines = pc.binary_join_element_wise(*others, pc.binary_join_element_wise(last, "", "\n"), ",")
    _, _, data = lines.buffers()
    return memoryview(data)[: pc.sum(pc.binary_length(lines)).as_py()]


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a file to race with, its contract, and the truth about it.")
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--bad", type=float, default=BAD)
    given = parser.parse_args()
    shape = SHAPES[given.shape]
    write(shape, given.folder, given.rows or shape.rows, given.bad)


if __name__ == "__main__":
    main()
