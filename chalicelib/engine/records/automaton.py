"""The automaton that CSV is: where a record ends, byte by byte in effect.

A quote opens a quoted cell only at the start of a cell; inside one, a doubled quote is a literal quote and line breaks
are text. LF, CR LF and a lone CR end a record. By dialect, an escape character makes the byte after it literal wherever
it stands, spaces at the start of a cell are skipped, and a record that begins with the comment character is a comment
up to its line break.

A quoted cell that is never closed would swallow the rest of the file. So a record whose quoted cell runs on over a line
break more than ``limit`` bytes after the record's start is cut at that line break: its first line is rejected
(``unclosed-quote``), each further line that is whole by itself is a record again, and the next record begins after the
cut. The rule looks only at bytes after the record's start, so a serial read and a parallel one agree on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum, StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chalicelib.engine.contract.dialect import Dialect
from chalicelib.frozen import frozen

LF, CR, SPACE = 10, 13, 32
TERMINATOR: Final = re.compile(rb"\r\n|\n|\r")
_BREAKS: Final = (LF, CR)
_FIRST_STEP_BYTES: Final = 1 << 16


class Shape(IntEnum):
    """What the automaton saw of a record."""

    REGULAR = 0
    TEXT_AFTER_QUOTE = 1
    UNCLOSED_QUOTE = 2
    DANGLING_ESCAPE = 3
    """The last byte of the object, or of a recovered line, is escaped or escapes nothing."""
    COMMENT = 4
    """No record at all, but a line of its own."""


Shapes = NDArray[np.uint8]
"""Of each record its ``Shape``."""


class State(StrEnum):
    """Where the automaton stands before a byte."""

    RECORD = "record start"
    CELL = "cell start"
    UNQUOTED = "unquoted"
    QUOTED = "quoted"
    QUOTE = "quote in quoted"
    RETURN = "after CR"
    COMMENT = "comment"
    ESCAPED = "escaped"
    QUOTED_ESCAPED = "escaped in quoted"


class NeedMore(Exception):
    """The record goes on beyond the bytes at hand, and the object has more."""


@frozen
class Grammar:
    """The bytes that the automaton knows (-1: the dialect has none), and the limit that it cuts unclosed quotes at."""

    delimiter: int
    quote: int
    double_quote: bool
    escape: int
    comment: int
    skip_space: bool
    limit: int
    """In bytes."""
    cell_end: re.Pattern[bytes]
    """What ends an unquoted cell, or escapes its next byte."""
    quoted_end: re.Pattern[bytes]
    """What ends a quoted cell, or escapes its next byte."""

    @classmethod
    def of(cls, dialect: Dialect, limit: int) -> Grammar:
        delimiter, quote, escape, comment = (
            -1 if char is None else ord(char)
            for char in (dialect.delimiter, dialect.quote_char, dialect.escape_char, dialect.comment_char)
        )
        return cls(
            delimiter,
            quote,
            dialect.double_quote,
            escape,
            comment,
            dialect.skip_initial_space,
            limit,
            _one_of(LF, CR, delimiter, escape),
            _one_of(quote, escape),
        )

    def is_separator(self, byte: int) -> bool:
        return byte in (self.delimiter, LF, CR)


def _one_of(*chars: int) -> re.Pattern[bytes]:
    known = [re.escape(bytes((char,))) for char in chars if char >= 0]
    return re.compile(b"[" + b"".join(known) + b"]" if known else b"(?!)")


def scan_record(data: bytes, start: int, grammar: Grammar, at_end: bool) -> tuple[int, Shape]:
    """End (exclusive, after its line break) and shape of the record that begins at ``start``.

    For ``UNCLOSED_QUOTE`` the end is that of the whole stretch to recover. Errors: ``NeedMore``.
    """
    if grammar.comment >= 0 and start < len(data) and data[start] == grammar.comment:
        return line_end(data, start, at_end), Shape.COMMENT
    return scan_rest(data, start, start, State.CELL, grammar, at_end)


def line_end(data: bytes, start: int, at_end: bool) -> int:
    """End of the physical line at ``start``, after its line break. Errors: ``NeedMore``."""
    found = TERMINATOR.search(data, start)
    # A CR as the last byte at hand may be half of a CR LF.
    if not at_end and (found is None or (found.end() == len(data) and data[-1] == CR)):
        raise NeedMore
    return found.end() if found else len(data)


def scan_rest(
    data: bytes, record: int, position: int, state: State, grammar: Grammar, at_end: bool
) -> tuple[int, Shape]:
    """As ``scan_record``, for a record that began at ``record`` and whose automaton is in ``state`` at ``position``:
    ``CELL``, ``UNQUOTED``, ``QUOTED`` or ``QUOTE``.
    """
    shape, size = Shape.REGULAR, len(data)
    if state is State.QUOTE:
        doubled = grammar.double_quote and position < size and data[position] == grammar.quote
        state = State.QUOTED if doubled else State.UNQUOTED
        position += doubled
    while True:
        if state is State.CELL:
            if grammar.skip_space:
                position = _after_spaces(data, position)
            if position < size and data[position] == grammar.quote:
                state = State.QUOTED
                position += 1
        if state is State.QUOTED:
            closed = _closing_quote(data, record, position, grammar, at_end)
            if closed < 0:
                return -closed, Shape.UNCLOSED_QUOTE
            position = closed + 1
            if position < size and not grammar.is_separator(data[position]):
                shape = Shape.TEXT_AFTER_QUOTE
        found = grammar.cell_end.search(data, position)
        if found is None:
            if not at_end:
                raise NeedMore
            return size, shape
        position, ending = found.end(), data[found.start()]
        if ending == grammar.delimiter:
            state = State.CELL
        elif ending == grammar.escape:
            state = State.UNQUOTED
            position += 1
            if position >= size:
                if not at_end:
                    raise NeedMore
                if position > size or data[size - 1] in _BREAKS:
                    return size, Shape.DANGLING_ESCAPE
        elif ending == CR and position == size and not at_end:
            raise NeedMore
        else:
            return position + (ending == CR and data[position : position + 1] == b"\n"), shape


def _after_spaces(data: bytes, position: int) -> int:
    while position < len(data) and data[position] == SPACE:
        position += 1
    return position


def _closing_quote(data: bytes, record: int, position: int, grammar: Grammar, at_end: bool) -> int:
    """Offset of the quote that closes the cell whose text is at ``position``; the negated end of the stretch to recover
    where the cell is not closed in time. Errors: ``NeedMore``.
    """
    size, horizon = len(data), record + grammar.limit + 1
    while True:
        found = _next_in_time(grammar.quoted_end, data, position, horizon)
        ending = found.start() if found else size
        escapes = found is not None and data[ending] == grammar.escape
        # An escaped line break is one all the same: here an unclosed cell is cut.
        cut = TERMINATOR.search(data, max(position, horizon), min(ending + 2, size) if escapes else ending)
        if cut is not None:
            return -_whole_break(data, cut.end(), at_end)
        if not at_end and ending + 1 >= size:
            raise NeedMore
        if found is None or (escapes and ending + 1 == size):
            return -size
        if escapes or (grammar.double_quote and ending + 1 < size and data[ending + 1] == grammar.quote):
            position = ending + 2
            continue
        return ending


def _next_in_time(sought: re.Pattern[bytes], data: bytes, start: int, horizon: int) -> re.Match[bytes] | None:
    """The first byte sought from ``start`` on; None also where a line break at or after ``horizon`` comes before it.
    Reads about twice as far as the first of the two is, not as far as the data.
    """
    step = _FIRST_STEP_BYTES
    while start < len(data):
        end = start + step
        found = sought.search(data, start, end)
        if found is not None or TERMINATOR.search(data, max(start, horizon), end):
            return found
        start, step = end, 2 * step
    return None


def _whole_break(data: bytes, end: int, at_end: bool) -> int:
    """The end of the line break that ends at ``end``, or one further where that is between CR and LF."""
    if data[end - 1] != CR:
        return end
    if end == len(data) and not at_end:
        raise NeedMore
    return end + (data[end : end + 1] == b"\n")


def lines(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Start and end (after its line break) of each physical line of ``data[start:end]``."""
    while start < end:
        found = TERMINATOR.search(data, start, end)
        line_end = found.end() if found else end
        yield start, line_end
        start = line_end


def count_line_breaks(data: bytes, start: int, end: int) -> int:
    """Physical line breaks (LF, CR LF, lone CR) in ``data[start:end]``, whether quoted or not."""
    feeds = data.count(b"\n", start, end)
    returns = data.count(b"\r", start, end)
    return feeds + returns - data.count(b"\r\n", start, end) if returns else feeds


def line_starts(data: bytes, start: int, end: int) -> list[int]:
    """Offset of each physical line of ``data[start:end]`` after the first."""
    return [found.end() for found in TERMINATOR.finditer(data, start, end)]
