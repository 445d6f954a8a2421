"""From a block's records to columns of text.

Well-formed records go to Arrow's CSV reader as one buffer (``arrowcsv``), or are taken apart where their delimiters are
if no cell has a quote (``unquoted``), and once more those with too many or too few cells (``ragged``). So do those with
text after a closing quote, which to Arrow is part of the cell, too; the few that are not well formed otherwise (an
unclosed quote, a leading byte order mark, which it would drop) are read one by one (``lenient``). All read a cell
alike. Bytes that no cell may have (``spoilt``) are marked before that, and the cells that hold them cleared after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np
import pyarrow as pa

from chalicelib import errors
from chalicelib.engine import arrays, coding
from chalicelib.engine.arrays import ArrowArray, Mask
from chalicelib.engine.codebook import Codebook
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.records import arrowcsv, ragged, spoilt, unquoted
from chalicelib.engine.records.automaton import CR, LF, SPACE, Shape
from chalicelib.engine.records.chunk import Origin
from chalicelib.engine.records.lenient import Layout, cells, record_bytes
from chalicelib.engine.records.split import Block, Offsets
from chalicelib.engine.records.structure import Structure
from chalicelib.frozen import frozen

_BOM: Final = b"\xef\xbb\xbf"
_NONE: Final[Offsets] = np.empty(0, np.int64)


@dataclass(slots=True)
class Parsed:
    """The cells of a block's records that are not blank, as text."""

    columns: list[ArrowArray]
    """One per column of the file, each with one text per row, coded or not; a cell that could not be read is null."""
    records: Offsets
    """Position in the block of each row, ascending."""
    blank: int
    """Number of blank records, which have no row."""
    cells: Offsets
    """How many cells each row has in the file; 0 for one that was read by itself."""
    structure: Structure
    """What is wrong with the rows as such."""
    unread: Mapping[int, Offsets]
    """Column → rows whose cell there holds bytes that it may not."""

    def accounted_for(self, column: int) -> Offsets:
        """The rows whose cell in this column is not checked: what is wrong with the structure says what is with it."""
        wrong = self.structure
        unread, unmended = self.unread.get(column, _NONE), wrong.unmended.get(column, _NONE)
        return np.concatenate((unread, unmended, wrong.long, wrong.ragged.lacking(column)))


def parse(block: Block, origin: Origin, layout: Layout, coded: Mapping[int, Codebook] = MappingProxyType({})) -> Parsed:
    """The rows of a block; ``coded``: the columns to read as codes."""
    edges = int(block.starts[0]), int(block.starts[-1])
    is_ascii = spoilt.is_ascii(block.data, *edges)
    bad = _NONE if is_ascii else spoilt.not_utf8(block.data, *edges)
    nuls = spoilt.nuls(block.data, *edges)
    marked = replace(block, data=spoilt.marked(block.data, bad)) if len(bad) else block
    blank = _blank(block)
    apart = _set_apart(block, layout, is_ascii) & ~blank
    read, by_cells = _together(marked, origin, layout, blank, apart, coded)
    groups = {count: each for count, each in by_cells.items() if len(each) >= ragged.MANY}
    alone = np.flatnonzero(apart)
    if len(groups) < len(by_cells):
        alone = np.sort(np.concatenate([alone, *(each for count, each in by_cells.items() if count not in groups)]))
    others = [
        _Read(records, columns, np.full(len(records), count))
        for count, records, columns in ragged.read(marked.data, block.starts, groups, layout)
    ]
    if len(alone):
        others.append(_one_by_one(marked, alone, layout))
    if others:
        read = _merged(read, others)
    structure = Structure.of(block, origin, layout, read.records, read.cells, bad, nuls)
    spoilt_rows = arrays.distinct(np.concatenate((structure.bad.at, structure.nuls.at)))
    unread = clear(read.columns, spoilt_rows, lambda texts: arrays.holding(texts, spoilt.MARK))
    as_told = read.cells.copy() if len(alone) else read.cells  # the structure had them as they are
    as_told[np.searchsorted(read.records, alone)] = 0
    return Parsed(read.columns, read.records, int(blank.sum()), as_told, structure, unread)


@frozen
class _Read:
    """Some records, by their positions in the block, column by column."""

    records: Offsets
    columns: list[ArrowArray]
    cells: Offsets
    """How many each record has in the file."""


def _together(
    block: Block, origin: Origin, layout: Layout, blank: Mask, apart: Mask, coded: Mapping[int, Codebook]
) -> tuple[_Read, dict[int, Offsets]]:
    """The records that are as they should be, and by their number of cells those with another one."""
    regular, layout = ~(blank | apart), _needed(block, layout)
    if unquoted.is_worth(block, layout):
        columns, miscounted = unquoted.read_texts(block, regular, layout, coded)
    else:
        left_out = apart | blank if layout.dialect.comment_char else apart
        buffer = arrays.laid_out(block.data, block.starts, None if not left_out.any() else ~left_out)
        columns, miscounted = arrowcsv.read_texts(
            buffer, layout.dialect, layout.width, coded, piece_bytes=arrowcsv.piece_size(block, layout)
        )
    records = np.flatnonzero(regular)
    parsed = len(columns[0]) + sum(len(rows) for rows in miscounted.values())
    if len(records) != parsed:
        (at,) = origin.of(block.starts[:1]).tolist()
        raise errors.Terminal(
            "parser-disagrees", f"{len(records)} records were found but {parsed} rows parsed at byte {at}"
        )
    by_cells = {count: records[rows] for count, rows in miscounted.items()}
    if by_cells:
        records = np.delete(records, np.concatenate(list(miscounted.values())))
    return _Read(records, columns, np.full(len(records), layout.width)), by_cells


def _needed(block: Block, layout: Layout) -> Layout:
    """The layout without quotes and escapes where the block has none: Arrow's reader is 5 % faster so, too."""
    edges, dialect = (int(block.starts[0]), int(block.starts[-1])), layout.dialect

    def if_held(char: str | None) -> str | None:
        return char if char and block.data.find(char.encode(), *edges) >= 0 else None

    needed = replace(dialect, quote_char=if_held(dialect.quote_char), escape_char=if_held(dialect.escape_char))
    return replace(layout, dialect=needed)


def _one_by_one(block: Block, alone: Offsets, layout: Layout) -> _Read:
    """Records whatever is wrong with them; of one beyond the limit no cell is read, and none is said to lack."""
    rows: list[Sequence[str | None]] = []
    counts: list[int] = []
    nothing = [None] * layout.width
    for start, end in zip(block.starts[alone].tolist(), block.starts[alone + 1].tolist(), strict=True):
        if end - start > layout.limit:
            rows.append(nothing)
            counts.append(layout.width)
            continue
        texts = cells(record_bytes(block.data, start, end, layout.dialect).decode(), layout.dialect)
        rows.append([*texts[: layout.width], *nothing[len(texts) :]])
        counts.append(len(texts))
    columns = [arrays.strings(texts) for texts in zip(*rows, strict=True)]
    return _Read(alone, columns, np.array(counts, np.int64))


def _merged(read: _Read, others: Sequence[_Read]) -> _Read:
    """All of them, in the order of the records; coded where ``read`` is."""
    order = arrays.in_order([read.records, *(more.records for more in others)])
    late = [pa.concat_arrays(each) for each in zip(*(more.columns for more in others), strict=True)]
    columns = [coding.joined(column, more).take(order) for column, more in zip(read.columns, late, strict=True)]
    at = arrays.values_of(order, np.int64)
    records = np.concatenate([read.records, *(more.records for more in others)])
    counts = np.concatenate([read.cells, *(more.cells for more in others)])
    return _Read(records[at], columns, counts[at])


def clear(columns: list[ArrowArray], rows: Offsets, is_spoilt: Callable[[ArrowArray], Mask]) -> dict[int, Offsets]:
    """Make spoilt cells null, in rows that may have some; which rows they were, column by column."""
    cleared: dict[int, Offsets] = {}
    if not len(rows):
        return cleared
    chosen = arrays.from_values(rows, pa.int64())
    for place, column in enumerate(columns):
        cleared[place] = rows[is_spoilt(coding.decoded(column.take(chosen)))]
        kept = np.ones(len(column), np.bool_)
        kept[cleared[place]] = False
        columns[place] = coding.with_only(column, kept)
    return cleared


def _blank(block: Block) -> Mask:
    """The records that are a line break or a comment alone."""
    blank: Mask = np.zeros(block.count, np.bool_)
    short = np.flatnonzero(np.diff(block.starts) <= len(b"\r\n"))
    first_bytes = np.frombuffer(block.data, np.uint8)[block.starts[short]]
    blank[short] = (first_bytes == LF) | (first_bytes == CR)
    blank |= block.shapes == Shape.COMMENT
    return blank


def _set_apart(block: Block, layout: Layout, is_ascii: bool) -> Mask:
    """The records that Arrow's reader would refuse, or read otherwise."""
    starts = block.starts
    apart: Mask = np.diff(starts) > layout.limit
    apart |= (block.shapes != Shape.REGULAR) & (block.shapes != Shape.TEXT_AFTER_QUOTE)
    if not is_ascii:
        apart |= np.frombuffer(block.data, np.uint8)[starts[:-1]] == _BOM[0]
    if layout.dialect.skip_initial_space:
        apart[np.searchsorted(starts, _behind_spaces(block, layout.dialect), "right") - 1] = True
    return apart


def _behind_spaces(block: Block, dialect: Dialect) -> Offsets:
    """The quotes, for Arrow sees none behind a space, and the escaped spaces, which would be skipped like others."""
    first, last = int(block.starts[0]), int(block.starts[-1])
    window = np.frombuffer(block.data, np.uint8, last - first, first)
    found = np.zeros(len(window), np.bool_)
    if dialect.quote_char:
        found |= window == ord(dialect.quote_char)
    if dialect.escape_char:
        found[:-1] |= (window[:-1] == ord(dialect.escape_char)) & (window[1:] == SPACE)
    return np.flatnonzero(found) + first
