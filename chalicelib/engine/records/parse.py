"""From a block's records to columns of text.

Well-formed records go to Arrow's CSV reader as one buffer; the few that are not (bytes that are not UTF-8, NULs,
text after a closing quote, an unclosed quote, too many or too few cells, a leading byte order mark, which it would
drop) are read one by one (``lenient``). Both read a cell alike.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from chalicelib import errors
from chalicelib.engine import arrays, coding
from chalicelib.engine.arrays import ArrowArray
from chalicelib.engine.records.automaton import CR, LF, Shape
from chalicelib.engine.records.lenient import Layout, Lenient, Note, Origin, record_bytes
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
    apart: Offsets = field(default_factory=lambda: np.zeros(0, np.int64))
    """The rows that were read one by one, ascending."""
    notes: dict[int, list[Note]] = field(default_factory=dict)
    """Row → what is wrong with its structure."""
    exempt: set[tuple[int, int]] = field(default_factory=set)
    """(row, column) of the cells that a note accounts for: they are not checked any further."""


def parse(
    data: bytes, origin: Origin, block: Block, layout: Layout, coded: Collection[int] = frozenset()
) -> Parsed:  # fmt: skip
    """The rows of ``block``, whose offsets point into ``data``; ``coded``: the columns to read as codes."""
    starts = block.starts
    sizes = np.diff(starts)
    first_bytes = np.frombuffer(data, np.uint8)[starts[:-1]]
    blank = (first_bytes == LF) | (first_bytes == CR)
    blank[[at for at, shape in block.odd.items() if shape is Shape.COMMENT]] = True
    apart = set(block.odd) | set(np.flatnonzero(sizes > layout.limit).tolist())
    apart |= _not_utf8(data, starts)
    apart |= set(np.flatnonzero(first_bytes == _BOM[0]).tolist())
    if data.find(0, int(starts[0]), int(starts[-1])) >= 0:
        apart |= _holding(data, starts, "\0")
    if layout.dialect.skip_initial_space and layout.dialect.quote_char:
        apart |= _holding(data, starts, layout.dialect.quote_char)  # Arrow sees no quote behind a space
    if apart:
        apart -= set(np.flatnonzero(blank).tolist())
    kept = ~blank
    if apart:
        kept[list(apart)] = False
    records = np.flatnonzero(kept)
    left_out = apart | set(np.flatnonzero(blank).tolist()) if layout.dialect.comment_char else apart
    columns, ragged = read_texts(_joined(data, starts, sorted(left_out)), layout, coded)
    if len(ragged):
        apart |= set(records[ragged].tolist())
        records = np.delete(records, ragged)
    if len(records) != len(columns[0]):
        at = origin(int(starts[0]))
        raise errors.Terminal(
            "parser-disagrees", f"{len(records)} records were found but {len(columns[0])} rows parsed at byte {at}"
        )
    parsed = Parsed(columns, records, int(blank.sum()))
    return _with_apart(parsed, data, origin, block, sorted(apart), layout) if apart else parsed


def _holding(data: bytes, starts: Offsets, char: str) -> set[int]:
    """Positions of the records that hold an ASCII character."""
    start, end = int(starts[0]), int(starts[-1])
    places = np.flatnonzero(np.frombuffer(data, np.uint8, end - start, start) == ord(char)) + start
    return set(np.unique(np.searchsorted(starts, places, "right") - 1).tolist())


def _not_utf8(data: bytes, starts: Offsets) -> set[int]:
    """Positions of the records whose bytes are not UTF-8."""
    start, end = int(starts[0]), int(starts[-1])
    window = np.frombuffer(data, np.uint8, end - start, start)
    if window.max(initial=0) < 128:
        return set()
    edges = pa.py_buffer(np.array([start, end], np.int32))
    whole = pa.BinaryArray.from_buffers(pa.binary(), 1, [None, edges, pa.py_buffer(data)])
    try:
        whole.cast(pa.string())
    except pa.ArrowInvalid:
        suspects = np.unique(np.searchsorted(starts, np.flatnonzero(window >= 128) + start, "right") - 1)
        return {int(at) for at in suspects if not _is_utf8(data[starts[at] : starts[at + 1]])}
    return set()


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _joined(data: bytes, starts: Offsets, apart: Sequence[int]) -> pa.Buffer:
    """The block's bytes without the records set apart; without a copy where there are none."""
    if not apart:
        return pa.py_buffer(data).slice(int(starts[0]), int(starts[-1] - starts[0]))
    pieces, taken = [], int(starts[0])
    for at in apart:
        pieces.append(data[taken : starts[at]])
        taken = int(starts[at + 1])
    pieces.append(data[taken : starts[-1]])
    return pa.py_buffer(b"".join(pieces))


def read_texts(
    buffer: pa.Buffer, layout: Layout, coded: Collection[int] = frozenset()
) -> tuple[list[ArrowArray], list[int]]:
    """The columns of regular records, and which rows (from 0, blank ones not counted) have another number of cells."""
    table, ragged = _read(buffer, layout, coded)
    columns = [column.combine_chunks() for column in table.columns]
    if layout.dialect.skip_initial_space:
        columns = [coding.mapped(column, lambda texts: pc.ascii_ltrim(texts, characters=" ")) for column in columns]
    return columns, ragged


def _read(buffer: pa.Buffer, layout: Layout, coded: Collection[int]) -> tuple[pa.Table, list[int]]:
    """The regular rows, and which rows (from 0, blank ones not counted) have another number of cells."""
    names = [str(position) for position in range(layout.width)]
    ragged: list[int] = []

    def skip(row: pacsv.InvalidRow) -> str:
        ragged.append(row.number - 1)
        return "skip"

    if _is_blank(buffer):
        return pa.table({name: pa.nulls(0, pa.string()) for name in names}), ragged
    table = pacsv.read_csv(
        buffer,
        # One block, whole: Arrow's reader loses the LF of a quoted CR LF that straddles a block's edge.
        read_options=pacsv.ReadOptions(use_threads=False, block_size=buffer.size + 1, column_names=names),
        parse_options=pacsv.ParseOptions(
            delimiter=layout.dialect.delimiter,
            quote_char=layout.dialect.quote_char or False,
            double_quote=layout.dialect.double_quote,
            escape_char=layout.dialect.escape_char or False,
            newlines_in_values=layout.dialect.quote_char is not None,
            ignore_empty_lines=True,
            invalid_row_handler=skip,
        ),
        convert_options=pacsv.ConvertOptions(
            column_types={
                name: coding.CODED_TEXT if place in coded else pa.string() for place, name in enumerate(names)
            },
            strings_can_be_null=False,
            check_utf8=False,
        ),
    )
    return table, ragged


def _is_blank(buffer: pa.Buffer) -> bool:
    text = memoryview(buffer)
    return not bytes(text[:64]).strip(b"\r\n") and not bytes(text).strip(b"\r\n")


def _with_apart(
    parsed: Parsed, data: bytes, origin: Origin, block: Block, apart: Sequence[int], layout: Layout
) -> Parsed:
    """Merge the records that were set apart, read one by one, into the rows."""
    texts: list[list[str | None]] = []
    notes: list[list[Note]] = []
    unread: list[set[int]] = []
    for at in apart:
        start, end = int(block.starts[at]), int(block.starts[at + 1])
        shape = block.odd.get(at, Shape.REGULAR)
        raw = record_bytes(data, start, end, layout.dialect)
        row = Lenient(raw, start, origin, end - start, shape, layout)
        texts.append(row.texts)
        notes.append(row.notes)
        unread.append(row.unread)
    slow = [arrays.strings(column) for column in zip(*texts, strict=True)]
    records = np.concatenate((parsed.records, np.array(apart, np.int64)))
    order = np.argsort(records, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    take = arrays.from_values(order, pa.int64())
    merged = [coding.joined(fast, late).take(take) for fast, late in zip(parsed.columns, slow, strict=True)]
    regular = len(parsed.records)
    result = Parsed(merged, records[order], parsed.blank, place[regular:])
    for number, found in enumerate(notes):
        row_at = int(place[regular + number])
        if found:
            result.notes[row_at] = found
        result.exempt |= {(row_at, column) for column in unread[number]}
    return result
