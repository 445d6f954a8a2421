"""Findings: a column of them per check, and counted by reason with a few examples.

A worker numbers records and lines from its own chunk's start. Whoever knows all chunks adds ``Base`` and so gets the
numbers in the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from operator import attrgetter
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chalicelib import errors
from chalicelib.engine import arrays
from chalicelib.engine.arrays import Mask
from chalicelib.engine.records.split import Offsets
from chalicelib.frozen import frozen

EXAMPLES: Final = 5
"""Examples kept of each reason: those with the lowest record numbers."""
SHOWN_CHARACTERS: Final = 100
"""How much of a cell a note shows."""
GAP: Final = "\udcff"
"""Stands in a note where the number of a record in the file belongs; no text of a file has it."""


@frozen
class Base:
    """What stands in the file before a chunk's first record."""

    records: int
    lines: int


@frozen
class Firsts:
    """For findings on repeated keys: the chunks, and the records in them, that hold the keys first."""

    chunks: NDArray[np.int32]
    records: Offsets

    def __getitem__(self, part: slice | Mask | Offsets) -> Firsts:
        return Firsts(self.chunks[part], self.records[part])

    @classmethod
    def concat(cls, parts: Sequence[Firsts]) -> Firsts:
        return cls(np.concatenate([part.chunks for part in parts]), np.concatenate([part.records for part in parts]))


@frozen
class Notes:
    """The notes of one check, kept apart from the cells that they show: what is the same in all is rendered once."""

    before: str
    cells: pa.BinaryArray
    """As they are shown; without nulls."""
    after: str

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, part: slice) -> Notes:
        return Notes(self.before, self.cells[part], self.after)

    def take(self, places: Offsets) -> Notes:
        return Notes(self.before, self.cells.take(arrays.from_values(places, pa.int64())), self.after)

    def filter(self, kept: Mask) -> Notes:
        return Notes(self.before, self.cells.filter(arrays.booleans(kept)), self.after)

    @property
    def sizes(self) -> Offsets:
        """About how many bytes each has."""
        return np.diff(arrays.offsets(self.cells)).astype(np.int64) + len(self.before + self.after)

    def texts(self) -> list[str]:
        return [f"{self.before}{cell.decode()}{self.after}" for cell in self.cells.to_pylist()]


@frozen
class Found:
    """What one check found in a block."""

    code: str
    field: str
    """Empty where the findings are about records as a whole."""
    rows: Offsets
    """The rows of the block, ascending; one that has the same fault in several places stands here as often."""
    notes: Notes
    """One for each."""
    firsts: Firsts | None = None
    """Not None: each note has a ``GAP`` for the number of such a record."""

    def between(self, start: int, stop: int) -> Found:
        """Those of a stretch of rows, counted from its start."""
        first, last = np.searchsorted(self.rows, (start, stop)).tolist()
        return replace(self, rows=self.rows[first:last] - start, notes=self.notes[first:last])

    def without(self, rows: Offsets) -> Found:
        kept = np.isin(self.rows, rows, invert=True)
        return replace(self, rows=self.rows[kept], notes=self.notes.filter(kept))


@dataclass(slots=True)
class Findings:
    """All findings of a block. Those of a row are told in this order: first the ones on its structure."""

    checks: list[Found] = field(default_factory=list)

    def add(self, found: Found) -> None:
        if len(found.rows):
            self.checks.append(found)

    @property
    def count(self) -> int:
        return sum(len(found.rows) for found in self.checks)

    @property
    def note_bytes(self) -> int:
        """About how many bytes the notes have."""
        return sum(int(found.notes.sizes.sum()) for found in self.checks)

    def rejected(self, rows: int) -> Mask:
        """Which of so many rows have a finding."""
        mask = np.zeros(rows, np.bool_)
        for found in self.checks:
            mask[found.rows] = True
        return mask


def shown_column(texts: pa.StringArray) -> pa.StringArray:
    """The texts of cells as notes show them: cut where they are long, and an empty one for null."""
    texts = pc.fill_null(texts, _EMPTY) if texts.null_count else texts
    if np.diff(arrays.offsets(texts)).max(initial=0) <= SHOWN_CHARACTERS:
        return texts
    long = arrays.values_of(pc.utf8_length(texts), np.int32) > SHOWN_CHARACTERS
    if not long.any():
        return texts
    cut = pc.utf8_slice_codeunits(texts.filter(arrays.booleans(long)), 0, SHOWN_CHARACTERS)
    return pc.replace_with_mask(texts, arrays.booleans(long), pc.binary_join_element_wise(cut, _ELLIPSIS, _EMPTY))


_EMPTY, _ELLIPSIS = arrays.strings(["", "…"])


def digits(numbers: Offsets) -> pa.StringArray:
    """Whole numbers as texts."""
    return arrays.from_values(numbers, pa.int64()).cast(pa.string())


def notes_on(code: str, cells: pa.StringArray, name: str = "cell", reason: str = "", **values: str) -> Notes:
    """The code's note on each cell, as ``shown_column`` gives them, or on what else its template has under this name,
    and the ``reason`` after it; ``values``: what the template takes besides.
    """
    before, after = (part.format(**values) for part in errors.FINDINGS[code].split(f"{{{name}}}"))
    return Notes(before, arrays.retyped(cells, pa.binary()), after + reason)


def same_note(note: str, count: int) -> Notes:
    """One note so many times."""
    return Notes(note, arrays.spans(np.zeros(0, np.uint8), np.zeros(count + 1, np.int32)), "")


@frozen
class Example:
    """What is told of a finding."""

    record: int
    line: int
    note: str
    first: tuple[int, int] | None = field(default=None, compare=False)
    """Chunk and record in it, whose number belongs into the note's ``GAP``."""


_PLACE: Final = attrgetter("record", "line", "note")


class Reasons:
    """How often each (code, field) was found, with the first examples; merging is order-independent."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self._examples: dict[tuple[str, str], list[Example]] = {}

    def add(self, code: str, label: str, count: int, examples: Iterable[Example]) -> None:
        """``examples``: at least the first ``EXAMPLES`` findings in each of the first so many records; none where as
        many are known of records before them.
        """
        reason = (code, label)
        self._counts[reason] = self._counts.get(reason, 0) + count
        known = sorted((*self._examples.get(reason, ()), *examples), key=_PLACE)
        last = known[:EXAMPLES][-1].record
        whole = [each for each in known if each.first is None and each.record <= last][:EXAMPLES]
        # A note's order may depend on what will stand in its gap: of the last record all those are kept.
        gaping = [each for each in known if each.first is not None and each.record <= last]
        self._examples[reason] = sorted((*whole, *gaping), key=_PLACE)

    def count(self, findings: Findings, numbers: Offsets, lines: Offsets) -> None:
        """Count a block's findings; ``numbers``, ``lines``: of the record of each row."""
        for found in findings.checks:
            known = self._examples.get((found.code, found.field), ())
            enough = len(known) >= EXAMPLES and known[EXAMPLES - 1].record < numbers[found.rows[0]]
            examples = () if enough else _examples(found, numbers, lines)
            self.add(found.code, found.field, len(found.rows), examples)

    def to_json(self) -> list[Any]:
        return [
            [
                code,
                label,
                count,
                [[each.record, each.line, each.note, each.first] for each in self._examples[code, label]],
            ]
            for (code, label), count in self._counts.items()
        ]

    def merge(self, document: Sequence[Any], chunk: int, bases: Mapping[int, Base]) -> None:
        """Add a chunk's ``to_json``, with the file's numbers."""
        base = bases[chunk]
        for code, label, count, examples in document:
            told = []
            for record, line, note, first in examples:
                text = note if first is None else note.replace(GAP, str(bases[first[0]].records + first[1]))
                told.append(Example(base.records + record, base.lines + line, text))
            self.add(code, label, count, told)

    @property
    def total(self) -> int:
        return sum(self._counts.values())

    def ranked(self) -> list[dict[str, Any]]:
        """The reasons, most frequent first, as they stand in summary.json."""
        ranked = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        return [
            {
                "code": code,
                "field": field,
                "count": count,
                "examples": [
                    {"record": each.record, "line": each.line, "note": each.note}
                    for each in self._examples[(code, field)][:EXAMPLES]
                ],
            }
            for (code, field), count in ranked
        ]


def _examples(found: Found, numbers: Offsets, lines: Offsets) -> list[Example]:
    chosen = _first_ones(found.rows)
    rows = found.rows[chosen].tolist()
    notes = (found.notes[chosen] if isinstance(chosen, slice) else found.notes.take(chosen)).texts()
    firsts: list[tuple[int, int] | None] = [None] * len(rows)
    if found.firsts is not None:
        told = found.firsts[chosen]
        firsts = list(zip(told.chunks.tolist(), told.records.tolist(), strict=True))
    return [
        Example(int(numbers[row]), int(lines[row]), note, first)
        for row, note, first in zip(rows, notes, firsts, strict=True)
    ]


def _first_ones(rows: Offsets) -> slice | Offsets:
    """The places of the first ``EXAMPLES`` findings in each of the first so many rows."""
    head = rows[: EXAMPLES + 1].tolist()
    if len(set(head)) == len(head):
        return slice(EXAMPLES)
    edges = [*np.flatnonzero(np.diff(rows, prepend=-1))[: EXAMPLES + 1].tolist(), len(rows)]
    spans = [np.arange(start, min(end, start + EXAMPLES)) for start, end in pairwise(edges[: EXAMPLES + 1])]
    return np.concatenate(spans)
