"""The rejected records of a block, cut out of its bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chalicelib.engine import arrays
from chalicelib.engine.arrays import Mask
from chalicelib.engine.checks.findings import Findings
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.records.automaton import CR, LF
from chalicelib.engine.records.lenient import record_bytes
from chalicelib.engine.records.split import Offsets
from chalicelib.frozen import frozen


@frozen
class Rejected:
    """Rejected records, in order. An entry per record in each array."""

    rows: Offsets
    """The row of its block that the record is."""
    numbers: Offsets
    """Number in the chunk, from 1."""
    lines: Offsets
    """Number of its first line, counted from the chunk's first record, from 1."""
    byte_offsets: Offsets
    """Offset in the object."""
    cells: Offsets
    """How many it has; 0 for those that were read one by one."""
    is_text: Mask
    """Whether all of its bytes are known to be characters."""
    texts: pa.BinaryArray
    """The records without their line breaks."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> Rejected:
        return self._of(lambda column: column[part], self.texts[part])

    def filter(self, chosen: Mask) -> Rejected:
        if chosen.all():  # a record may have a hundred megabytes
            return self
        return self._of(lambda column: column[chosen], self.texts.filter(arrays.booleans(chosen)))

    def each(self, chosen: Mask) -> list[bytes]:
        """The texts of the chosen ones."""
        texts: list[bytes] = self.filter(chosen).texts.to_pylist()
        return texts

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Of several blocks: ``rows`` says nothing any more."""
        if len(parts) == 1:
            return parts[0]
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
        return cls(**columns, texts=pa.concat_arrays([part.texts for part in parts]))

    def _of(self, change: Callable[[NDArray[Any]], NDArray[Any]], texts: pa.BinaryArray) -> Rejected:
        return Rejected(**{name: change(getattr(self, name)) for name in _COLUMNS}, texts=texts)


_COLUMNS: Final = ("rows", "numbers", "lines", "byte_offsets", "cells", "is_text")


def texts_of(data: bytes, starts: Offsets, ends: Offsets, dialect: Dialect) -> pa.BinaryArray:
    """The records between these offsets, at least one, without their line breaks."""
    stops = ends.copy()
    window = np.frombuffer(data, np.uint8)
    for byte in (LF, CR):
        stops -= (stops > starts) & (window[stops - 1] == byte)
    if dialect.escape_char is not None:  # a line break at a record's end may be a cell's
        doubtful = np.flatnonzero((stops > starts) & (window[stops - 1] == ord(dialect.escape_char)))
        each = zip(starts[doubtful].tolist(), ends[doubtful].tolist(), strict=True)
        stops[doubtful] = [start + len(record_bytes(data, start, end, dialect)) for start, end in each]
    first = int(starts[0])
    edges = np.empty(2 * len(starts), np.int32)
    edges[0::2], edges[1::2] = starts - first, stops - first
    pieces = arrays.spans(window[first : int(stops[-1])], edges)
    return pieces.take(arrays.from_values(np.arange(0, len(pieces), 2), pa.int64()))


def slices(rejected: Rejected, findings: Findings, size_bytes: int) -> Iterator[tuple[Rejected, int]]:
    """The records of a block in parts of about so many bytes of text and notes, and how many each part has."""
    sizes = np.diff(arrays.offsets(rejected.texts)).astype(np.int64)
    whole = int(sizes.sum()) + findings.note_bytes
    if whole <= size_bytes:
        yield rejected, whole
        return
    weights = np.concatenate(([0], np.cumsum(sizes + _note_bytes(rejected.rows, findings))))
    start = 0
    while start < len(rejected):
        stop = max(int(np.searchsorted(weights, weights[start] + size_bytes, "right")) - 1, start + 1)
        yield rejected[start:stop], int(weights[stop] - weights[start])
        start = stop


def _note_bytes(rows: Offsets, findings: Findings) -> Offsets:
    sizes, places = np.zeros(len(rows), np.int64), Places(rows)
    for found in findings.checks:
        np.add.at(sizes, places.of(found.rows), found.notes.sizes)
    return sizes


class Places:
    """Where some rows, ascending, stand: ``searchsorted``, in a tenth of the time where it is asked for many."""

    def __init__(self, rows: Offsets) -> None:
        self._first = int(rows[0])
        self._places = np.empty(int(rows[-1]) + 1 - self._first, np.int64)
        self._places[rows - self._first] = np.arange(len(rows))

    def of(self, rows: Offsets) -> Offsets:
        """The places of rows that are among them."""
        return self._places[rows - self._first]
