"""From a block's records to columns of text.

Well-formed records go to Arrow's CSV reader as one buffer; the few that are not (bytes that are not UTF-8, NULs,
text after a closing quote, an unclosed quote, too many or too few cells, a leading byte order mark, which it would
drop) are read one by one, leniently, so that all their other cells can still be checked. Both read a cell alike.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from chalicelib import errors
from chalicelib.engine import arrays, coding
from chalicelib.engine.arrays import ArrowArray
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.records.automaton import CR, LF, Shape
from chalicelib.engine.records.split import Block, Offsets

_BOM: Final = b"\xef\xbb\xbf"
_NULS: Final = re.compile(rb"\0+")
_BAD_BYTES: Final = re.compile("[\udc80-\udcff]+")
# The csv module's limit on a cell is global and far below the limit on a record that is enforced here.
csv.field_size_limit(2**31 - 1)


@dataclass(frozen=True, slots=True)
class Note:
    """A finding before it has a record number."""

    code: str
    field: str
    """Empty where the finding is about the record as a whole."""
    note: str
    first: tuple[int, int] | None = None
    """For a repeated key: the chunk, and the record in it, that hold the key first. ``note`` then has a place
    ``{first}`` for that record's number in the file, known once all chunks are."""


@dataclass(slots=True)
class Parsed:
    """The cells of a block's records that are not blank, as text."""

    columns: list[ArrowArray]
    """One per column of the file, each with one text per row, coded or not; a cell that could not be read is null."""
    records: Offsets
    """Position in the block of each row, ascending."""
    blank: int
    """Number of blank records, which have no row."""
    notes: dict[int, list[Note]] = field(default_factory=dict)
    """Row → what is wrong with its structure."""
    exempt: set[tuple[int, int]] = field(default_factory=set)
    """(row, column) of the cells that a note accounts for: they are not checked any further."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a record should look like."""

    labels: tuple[str, ...]
    """One per column, as findings name them."""
    dialect: Dialect
    encoding: str
    limit: int
    """Longest record in bytes."""

    @property
    def width(self) -> int:
        return len(self.labels)


Origin = Callable[[int], int]
"""Position in a chunk's data → offset in the file."""


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
    table, ragged = _read(_joined(data, starts, sorted(left_out)), layout, coded)
    columns = [column.combine_chunks() for column in table.columns]
    if layout.dialect.skip_initial_space:
        columns = [coding.mapped(column, lambda texts: pc.ascii_ltrim(texts, characters=" ")) for column in columns]
    if len(ragged):
        apart |= set(records[ragged].tolist())
        records = np.delete(records, ragged)
    if len(records) != table.num_rows:
        at = origin(int(starts[0]))
        raise errors.Terminal(
            "parser-disagrees", f"{len(records)} records were found but {table.num_rows} rows parsed at byte {at}"
        )
    parsed = Parsed(columns, records, int(blank.sum()))
    return _with_apart(parsed, data, origin, block, sorted(apart), layout) if apart else parsed


def cells(text: str, dialect: Dialect) -> list[str]:
    """The cells of one record, read leniently: a quote is special only at the start of a cell, text after a closing
    quote is part of the cell, a quote that is never closed ends with the record, and an escape character at the end is
    itself.
    """
    if dialect.escape_char is not None and dialect.escape_char in text:
        return _escaped_cells(text, dialect)
    reader = csv.reader(
        [text],
        delimiter=dialect.delimiter,
        quotechar=dialect.quote_char,
        doublequote=dialect.double_quote,
        escapechar=dialect.escape_char,
        skipinitialspace=dialect.skip_initial_space,
        quoting=csv.QUOTE_MINIMAL if dialect.quote_char else csv.QUOTE_NONE,
    )
    return next(reader, [""])


def _escaped_cells(text: str, dialect: Dialect) -> list[str]:
    """``cells`` of a text with escapes: the csv module knows none behind a closing quote, and makes a line feed of one
    at the end.
    """
    found: list[str] = []
    cell: list[str] = []
    is_start, is_quoted = True, False
    characters = iter(range(len(text)))
    for at in characters:
        char, following = text[at], text[at + 1 : at + 2]
        if char == dialect.escape_char:
            cell.append(following or char)
            next(characters, None)
        elif char == dialect.quote_char and is_quoted:
            is_quoted = dialect.double_quote and following == char
            if is_quoted:
                cell.append(char)
                next(characters)
        elif is_quoted:
            cell.append(char)
        elif char == dialect.delimiter:
            found.append("".join(cell))
            cell.clear()
            is_start = True
            continue
        elif char == dialect.quote_char and is_start:
            is_quoted = True
        elif is_start and char == " " and dialect.skip_initial_space:
            continue
        else:
            cell.append(char)
        is_start = False
    return [*found, "".join(cell)]


def record_bytes(data: bytes, start: int, end: int, dialect: Dialect) -> bytes:
    """A record without its line break; one that the dialect's escape character makes part of a cell stays."""
    raw = data[start:end]
    if raw.endswith(b"\n") and not _escaped_end(raw[:-1], dialect):
        raw = raw[:-1]
    if raw.endswith(b"\r") and not _escaped_end(raw[:-1], dialect):
        raw = raw[:-1]
    return raw


def _escaped_end(before: bytes, dialect: Dialect) -> bool:
    """Whether what follows ``before`` is escaped: an odd number of escape characters ends it."""
    if dialect.escape_char is None:
        return False
    return (len(before) - len(before.rstrip(dialect.escape_char.encode()))) % 2 == 1


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
        row = _Lenient(raw, start, origin, end - start, shape, layout)
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
    result = Parsed(merged, records[order], parsed.blank)
    regular = len(parsed.records)
    for number, found in enumerate(notes):
        row_at = int(place[regular + number])
        if found:
            result.notes[row_at] = found
        result.exempt |= {(row_at, column) for column in unread[number]}
    return result


class _Lenient:
    """One record read cell by cell, with what is wrong with it."""

    def __init__(self, raw: bytes, start: int, origin: Origin, size: int, shape: Shape, layout: Layout) -> None:
        self.notes: list[Note] = []
        self.texts: list[str | None] = [None] * layout.width
        self.unread: set[int] = set()
        if shape is Shape.TEXT_AFTER_QUOTE:
            self._note("text-after-quote", "")
        elif shape is Shape.UNCLOSED_QUOTE:
            self._note("unclosed-quote", "")
        elif shape is Shape.DANGLING_ESCAPE:
            self._note("dangling-escape", "")
        if size > layout.limit:
            self._note("record-too-long", "", size_bytes=size, limit_bytes=layout.limit)
            self.unread = set(range(layout.width))
            return
        text = raw.decode("utf-8", "surrogateescape")
        for bad in _bad_byte_offsets(text):
            self._note("encoding-error", "", byte=origin(start + bad), encoding=layout.encoding)
        for nuls in _NULS.finditer(raw):
            self._note("nul-byte", "", byte=origin(start + nuls.start()))
        found = cells(text, layout.dialect)
        for column, text in zip(range(layout.width), found, strict=False):
            self._cell(column, text)
        for column in range(len(found), layout.width):
            self._note("missing-cell", layout.labels[column], field=layout.labels[column], position=column + 1)
            self.unread.add(column)
        for position in range(layout.width, len(found)):
            self._note("extra-cell", "", position=position + 1)

    def _note(self, code: str, label: str, **values: object) -> None:
        self.notes.append(Note(code, label, errors.FINDINGS[code].format(**values)))

    def _cell(self, column: int, text: str) -> None:
        if "\0" in text:
            self.unread.add(column)
            return
        try:
            text.encode()
        except UnicodeEncodeError:
            self.unread.add(column)
        else:
            self.texts[column] = text


def _bad_byte_offsets(text: str) -> Iterator[int]:
    """Byte offset of each run of bytes that are not UTF-8, in a text decoded with ``surrogateescape``."""
    position, offset = 0, 0
    for found in _BAD_BYTES.finditer(text):
        offset += len(text[position : found.start()].encode("utf-8", "surrogateescape"))
        position = found.start()
        yield offset
