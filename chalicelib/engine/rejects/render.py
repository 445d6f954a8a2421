"""Rejected records, a slice of a block at a time, as drafts of their lines in both outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from chalicelib.engine import arrays
from chalicelib.engine.arrays import Mask
from chalicelib.engine.checks.findings import GAP, Findings, Reasons
from chalicelib.engine.checks.formulas import is_rejects, own_labels
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.plan import Plan
from chalicelib.engine.records import ragged
from chalicelib.engine.records.arrowcsv import read_texts
from chalicelib.engine.records.lenient import record_bytes
from chalicelib.engine.records.split import Offsets
from chalicelib.engine.rejects import single
from chalicelib.engine.rejects.drafts import Draft
from chalicelib.engine.rejects.escape import constants, csv_cells, joined, json_texts
from chalicelib.engine.rejects.told import Told

SLICE_BYTES: Final = 4 << 20
"""Text and notes rendered at a time: enough that the steps' fixed cost is small, and little memory."""
_LF, _CR = 10, 13


def csv_header(labels: Sequence[str]) -> bytes:
    """The first line of ``rejects.csv``."""
    return single.csv_line(["_record", "_line", "_errors", *own_labels(labels)])


@dataclass(frozen=True, slots=True)
class Rejected:
    """The rejected records of a block, in order. An entry per record in each array."""

    rows: Offsets
    """The row of the block that the record is."""
    numbers: Offsets
    """Number in the chunk, from 1."""
    lines: Offsets
    """Number of its first line, counted from the chunk's first record, from 1."""
    byte_offsets: Offsets
    """Offset in the object."""
    starts: Offsets
    """Offset in the tape."""
    ends: Offsets
    cells: Offsets
    """How many it has; 0 for those that were read one by one."""

    def __getitem__(self, part: slice) -> Rejected:
        return Rejected(*(getattr(self, name)[part] for name in self.__slots__))

    def texts(self, data: bytes, dialect: Dialect, chosen: Mask) -> Iterator[bytes]:
        """The chosen records without their line breaks."""
        for start, end in zip(self.starts[chosen].tolist(), self.ends[chosen].tolist(), strict=True):
            yield record_bytes(data, start, end, dialect)


class Renderer:
    """Drafts a chunk's parts of ``rejects.csv`` and ``rejects.jsonl``, and counts the reasons."""

    def __init__(self, plan: Plan, chunk: int) -> None:
        self._layout, self._chunk, self._original = plan.layout, chunk, plan.text.original
        self._is_rejects = is_rejects(plan.labels)
        self._added = len(plan.labels) - len(own_labels(plan.labels))
        self._csv, self._json = Draft(), Draft()
        self.reasons = Reasons()

    def add(self, data: bytes, rejected: Rejected, findings: Findings) -> None:
        """The next block's records, whose offsets point into ``data``."""
        for part in _slices(rejected, findings):
            told = Told.of(part.rows, findings)
            gaps = told.gaps(self._chunk, part.numbers, part.lines)
            raw = _Raw.of(data, part)
            cells = self._csv_tails(raw, part, data)
            self._csv.add(joined(_GAPS, csv_cells(told.csv()), cells), gaps)
            texts = self._json_tails(raw, part, data)
            places = arrays.from_values(part.byte_offsets, pa.int64()).cast(pa.string()).cast(pa.binary())
            self._json.add(joined(_RECORD, places, _ERRORS, told.json(), _END, texts), gaps)

    def finish(self) -> tuple[bytes, bytes]:
        """The drafts, each empty where nothing was rejected."""
        return self._csv.finish(), self._json.finish()

    def _csv_tails(self, raw: _Raw, part: Rejected, data: bytes) -> pa.BinaryArray:
        dialect = self._layout.dialect
        alone = part.cells == 0
        if self._is_rejects or dialect.escape_char is not None:
            alone[:] = True
        tails: list[tuple[Offsets, pa.BinaryArray]] = []
        for cells in np.unique(part.cells[~alone]).tolist():
            of_these = part.cells == cells
            if cells != self._layout.width and np.count_nonzero(of_these) < ragged.MANY:
                alone |= of_these
                continue
            columns, _ = read_texts(raw.whole(of_these), dialect, cells)
            texts = joined(*(csv_cells(column.cast(pa.binary())) for column in columns), by=_COMMA)
            tails.append((np.flatnonzero(of_these), joined(_COMMA, texts, _BREAK)))
        late = [
            single.csv_tail(text, dialect, self._added, self._is_rejects) for text in part.texts(data, dialect, alone)
        ]
        return _merged([*tails, (np.flatnonzero(alone), arrays.binaries(late))])

    def _json_tails(self, raw: _Raw, part: Rejected, data: bytes) -> pa.BinaryArray:
        alone = part.cells == 0
        if self._original.variants or self._layout.dialect.escape_char is not None:
            alone[:] = True
        late = [single.json_tail(text, self._original) for text in part.texts(data, self._layout.dialect, alone)]
        usual = joined(_RAW, json_texts(raw.bare(~alone)), _RAW_END)
        return _merged([(np.flatnonzero(~alone), usual), (np.flatnonzero(alone), arrays.binaries(late))])


_COMMA, _BREAK, _GAPS = constants(",", "\r\n", f"{GAP},{GAP},")
_RECORD, _ERRORS, _END = constants(f'{{"record": {GAP}, "line": {GAP}, "byte": ', ', "errors": [', "]")
_RAW, _RAW_END = constants(', "raw": "', '"}\n')


def _merged(parts: Sequence[tuple[Offsets, pa.BinaryArray]]) -> pa.BinaryArray:
    """One array of several, each with the places of its entries in it."""
    given = [(places, texts) for places, texts in parts if len(places)]
    if len(given) == 1:
        return given[0][1]
    return pa.concat_arrays([texts for _, texts in given]).take(arrays.in_order([places for places, _ in given]))


def _slices(rejected: Rejected, findings: Findings) -> Iterator[Rejected]:
    """The records in parts of about ``SLICE_BYTES`` of text and notes."""
    weights = np.cumsum(rejected.ends - rejected.starts + _note_bytes(rejected.rows, findings))
    start = 0
    while start < len(weights):
        before = weights[start - 1] if start else 0
        stop = max(int(np.searchsorted(weights, before + SLICE_BYTES, "right")), start + 1)
        yield rejected[start:stop]
        start = stop


def _note_bytes(rows: Offsets, findings: Findings) -> Offsets:
    sizes = np.zeros(len(rows), np.int64)
    for row, notes in findings.structure.items():
        sizes[np.searchsorted(rows, row)] += sum(len(note.note) for note in notes)
    for found in findings.checks:
        sizes[np.searchsorted(rows, found.rows)] += np.diff(arrays.offsets(found.notes))
    return sizes


@dataclass(frozen=True, slots=True)
class _Raw:
    """The text of some records, each with its line break: one array, in which the two lie by turns."""

    pieces: pa.BinaryArray

    @classmethod
    def of(cls, data: bytes, part: Rejected) -> _Raw:
        """Of a dialect without an escape character: every line break at a record's end is none of a cell's."""
        ends = part.ends.copy()
        window = np.frombuffer(data, np.uint8)
        for byte in (_LF, _CR):
            ends -= (ends > part.starts) & (window[ends - 1] == byte)
        first = int(part.starts[0])
        edges = np.empty(3 * len(ends) + 1, np.int32)
        edges[0:-1:3], edges[1:-1:3], edges[2:-1:3] = part.starts - first, ends - first, part.ends - first
        edges[-1] = edges[-2]
        return cls(arrays.spans(window[first : int(part.ends[-1])], edges))

    def bare(self, chosen: Mask) -> pa.BinaryArray:
        """The records without their line breaks."""
        return self.pieces.take(arrays.from_values(3 * np.flatnonzero(chosen), pa.int64()))

    def whole(self, chosen: Mask) -> pa.Buffer:
        """The records with their line breaks, one after the other."""
        at = 3 * np.flatnonzero(chosen)
        taken = self.pieces.take(arrays.from_values(np.stack((at, at + 1), 1).ravel(), pa.int64()))
        edges = arrays.offsets(taken)
        return taken.buffers()[2].slice(int(edges[0]), int(edges[-1] - edges[0]))
