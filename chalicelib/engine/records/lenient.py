"""One record read cell by cell, whatever is wrong with it, so that all its other cells can still be checked."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from typing import Final

from chalicelib import errors
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.records.automaton import Shape
from chalicelib.frozen import frozen

_NULS: Final = re.compile(rb"\0+")
_BAD_BYTES: Final = re.compile("[\udc80-\udcff]+")
# The csv module's limit on a cell is global and far below the limit on a record that is enforced here.
csv.field_size_limit(2**31 - 1)


@frozen
class Note:
    """A finding on one record's structure, before it has a record number."""

    code: str
    field: str
    """Empty where the finding is about the record as a whole."""
    note: str


@frozen
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


class Lenient:
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
        for position in range(min(len(found), layout.width), max(len(found), layout.width)):
            self.notes.append(miscounted(layout, position))
        self.unread |= set(range(len(found), layout.width))

    def _note(self, code: str, label: str, **values: object) -> None:
        self.notes.append(_note_of(code, label, **values))

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


def miscounted(layout: Layout, position: int) -> Note:
    """On a record that lacks the cell in this position (from 0), or has one there though the layout has none."""
    if position >= layout.width:
        return _note_of("extra-cell", "", position=position + 1)
    return _note_of("missing-cell", layout.labels[position], field=layout.labels[position], position=position + 1)


def _note_of(code: str, label: str, **values: object) -> Note:
    return Note(code, label, errors.FINDINGS[code].format(**values))


def _bad_byte_offsets(text: str) -> Iterator[int]:
    """Byte offset of each run of bytes that are not UTF-8, in a text decoded with ``surrogateescape``."""
    position, offset = 0, 0
    for found in _BAD_BYTES.finditer(text):
        offset += len(text[position : found.start()].encode("utf-8", "surrogateescape"))
        position = found.start()
        yield offset


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
