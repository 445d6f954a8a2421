"""From a block's records to columns of text.

Well-formed records go to Arrow's CSV reader as one buffer (``arrowcsv``), and once more those with too many or too few
cells (``ragged``); the few that are not (bytes that are not UTF-8, NULs, text after a closing quote, an unclosed quote,
a leading byte order mark, which it would drop) are read one by one (``lenient``). All read a cell alike.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chalicelib import errors
from chalicelib.engine import arrays, coding
from chalicelib.engine.arrays import ArrowArray, Mask
from chalicelib.engine.records import ragged
from chalicelib.engine.records.arrowcsv import read_texts
from chalicelib.engine.records.automaton import CR, LF, Shape
from chalicelib.engine.records.lenient import Layout, Lenient, Note, Origin, record_bytes
from chalicelib.engine.records.ragged import Ragged
from chalicelib.engine.records.split import Block, Offsets

_BOM: Final = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Parsed:
    """The cells of a block's records that are not blank, as text."""

    columns: list[ArrowArray]
    """One per column of the file, each with one text per row, coded or not; a cell that could not be read is null."""
    records: Offsets
    """Position in the block of each row, ascending."""
    blank: int
    """Number of blank records, which have no row."""
    apart: Offsets
    """The rows that were read one by one, ascending."""
    ragged: Ragged
    """The rows with another number of cells than the layout, so far as they were read together."""
    notes: dict[int, list[Note]] = field(default_factory=dict)
    """Row → what is wrong with its structure, of those that were read one by one."""
    unread: dict[int, list[int]] = field(default_factory=dict)
    """Column → rows whose cell there one of these notes accounts for."""

    @property
    def cells(self) -> Offsets:
        """How many cells each row has in the file; 0 for one that was read by itself."""
        cells = np.full(len(self.records), self.ragged.layout.width)
        cells[self.ragged.rows], cells[self.apart] = self.ragged.cells, 0
        return cells

    @property
    def rejected(self) -> int:
        """Number of the rows whose structure is wrong."""
        return len(self.notes) + len(self.ragged.rows)

    def accounted_for(self, column: int) -> Offsets:
        """The rows whose cell in this column is not checked: what is wrong with the structure says what is with it."""
        return np.concatenate((np.array(self.unread.get(column, []), np.int64), self.ragged.lacking(column)))


def parse(
    data: bytes, origin: Origin, block: Block, layout: Layout, coded: Collection[int] = frozenset()
) -> Parsed:  # fmt: skip
    """The rows of ``block``, whose offsets point into ``data``; ``coded``: the columns to read as codes."""
    starts = block.starts
    first_bytes = np.frombuffer(data, np.uint8)[starts[:-1]]
    blank = (first_bytes == LF) | (first_bytes == CR)
    blank[[at for at, shape in block.odd.items() if shape is Shape.COMMENT]] = True
    apart = _set_apart(data, block, first_bytes, layout) & ~blank
    left_out = apart | blank if layout.dialect.comment_char else apart
    buffer = arrays.laid_out(data, starts, None if not left_out.any() else ~left_out)
    dialect = layout.dialect
    if dialect.quote_char and data.find(dialect.quote_char.encode(), int(starts[0]), int(starts[-1])) < 0:
        dialect = replace(dialect, quote_char=None)  # Arrow is 5 % faster where it need not look for quotes
    columns, miscounted = read_texts(buffer, dialect, layout.width, coded)
    records = np.flatnonzero(~(blank | apart))
    by_cells = {cells: records[rows] for cells, rows in miscounted.items()}
    if by_cells:
        records = np.delete(records, np.concatenate(list(miscounted.values())))
    if len(records) != len(columns[0]):
        at = origin(int(starts[0]))
        raise errors.Terminal(
            "parser-disagrees", f"{len(records)} records were found but {len(columns[0])} rows parsed at byte {at}"
        )
    groups = {cells: each for cells, each in by_cells.items() if len(each) >= ragged.MANY}
    alone = np.flatnonzero(apart)
    if len(groups) < len(by_cells):
        alone = np.sort(np.concatenate([alone, *(each for cells, each in by_cells.items() if cells not in groups)]))
    others = list(ragged.read(data, starts, groups, layout))
    read = list(_one_by_one(data, origin, block, alone, layout))
    if read:
        others.append((alone, [arrays.strings(texts) for texts in zip(*(one.texts for one in read), strict=True)]))
    if others:
        records, columns = _merged(records, columns, others)
    rows = np.searchsorted(records, alone)
    parsed = Parsed(columns, records, int(blank.sum()), rows, Ragged.of(groups, records, layout))
    for row, one in zip(rows.tolist(), read, strict=True):
        if one.notes:
            parsed.notes[row] = one.notes
        for column in one.unread:
            parsed.unread.setdefault(column, []).append(row)
    return parsed


def _merged(
    records: Offsets, columns: Sequence[ArrowArray], others: Sequence[tuple[Offsets, Sequence[ArrowArray]]]
) -> tuple[Offsets, list[ArrowArray]]:
    """Columns of some records and of others, in the order of the records."""
    places = [records, *(more for more, _ in others)]
    order = arrays.in_order(places)
    late = [pa.concat_arrays(each) for each in zip(*(texts for _, texts in others), strict=True)]
    merged = [coding.joined(column, more).take(order) for column, more in zip(columns, late, strict=True)]
    return np.sort(np.concatenate(places)), merged


def _set_apart(data: bytes, block: Block, first_bytes: NDArray[np.uint8], layout: Layout) -> Mask:
    """The records that Arrow's reader would refuse, or read otherwise."""
    starts = block.starts
    apart: Mask = (np.diff(starts) > layout.limit) | (first_bytes == _BOM[0])
    apart[list(block.odd)] = True
    apart[_not_utf8(data, starts)] = True
    if data.find(0, int(starts[0]), int(starts[-1])) >= 0:
        apart[_holding(data, starts, "\0")] = True
    if layout.dialect.skip_initial_space and layout.dialect.quote_char:
        apart[_holding(data, starts, layout.dialect.quote_char)] = True  # Arrow sees no quote behind a space
    return apart


def _holding(data: bytes, starts: Offsets, char: str) -> Offsets:
    """Positions of the records that hold an ASCII character."""
    start, end = int(starts[0]), int(starts[-1])
    return _records_at(starts, np.flatnonzero(np.frombuffer(data, np.uint8, end - start, start) == ord(char)) + start)


def _records_at(starts: Offsets, places: Offsets) -> Offsets:
    """Positions of the records that these offsets in the data lie in."""
    return np.unique(np.searchsorted(starts, places, "right") - 1)


def _not_utf8(data: bytes, starts: Offsets) -> list[int]:
    """Positions of the records whose bytes are not UTF-8."""
    start, end = int(starts[0]), int(starts[-1])
    window = np.frombuffer(data, np.uint8, end - start, start)
    if window.max(initial=0) < 128:
        return []
    edges = pa.py_buffer(np.array([start, end], np.int32))
    whole = pa.BinaryArray.from_buffers(pa.binary(), 1, [None, edges, pa.py_buffer(data)])
    try:
        whole.cast(pa.string())
    except pa.ArrowInvalid:
        suspects = _records_at(starts, np.flatnonzero(window >= 128) + start)
        return [at for at in suspects.tolist() if not _is_utf8(data[starts[at] : starts[at + 1]])]
    return []


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _one_by_one(data: bytes, origin: Origin, block: Block, alone: Offsets, layout: Layout) -> Iterator[Lenient]:
    for at in alone.tolist():
        start, end = int(block.starts[at]), int(block.starts[at + 1])
        raw = record_bytes(data, start, end, layout.dialect)
        yield Lenient(raw, start, origin, end - start, block.odd.get(at, Shape.REGULAR), layout)
