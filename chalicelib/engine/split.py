"""Where records begin and end: exact for any bytes, vectorised where every quote is well formed.

CSV is a small automaton. A quote opens a quoted cell only at the start of a cell; inside one, a doubled quote is a
literal quote and line breaks are text; LF, CR LF and a lone CR end a record. A byte range cut out of the middle of a
file cannot know which state it starts in, so it speculates (Ge et al., "Speculative Distributed CSV Data Parsing",
SIGMOD 2019): see ``speculate``. What makes the result provable is that every range also says where the next record
after it begins, for each state that it could have started in; ``ledger`` chains these from the known first record.

A quoted cell that is never closed would swallow the rest of the file. So a record whose quoted cell runs on over a line
break more than ``limit`` bytes after the record's start is cut at that line break: its first line is rejected
(``unclosed-quote``), each further line that is whole by itself is a record again, and the next record begins after the
cut. The rule looks only at bytes after the record's start, so a serial read and a parallel one agree on it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from chalicelib.engine.dialect import Dialect

LF, CR = 10, 13
_TERMINATOR = re.compile(rb"\r\n|\n|\r")

Offsets = NDArray[np.int64]


class Shape(IntEnum):
    """What the automaton saw of a record."""

    REGULAR = 0
    TEXT_AFTER_QUOTE = 1
    UNCLOSED_QUOTE = 2


class NeedMore(Exception):
    """The record goes on beyond the bytes at hand, and the object has more."""


class Tape(Protocol):
    """A stretch of the object that can grow at its end."""

    @property
    def data(self) -> bytes: ...

    @property
    def at_end(self) -> bool:
        """Whether ``data`` reaches the object's end."""

    def extend(self) -> None:
        """Append more bytes; only called while not ``at_end``."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """The bytes that the automaton knows, and the limit (bytes) that it cuts unclosed quotes at."""

    delimiter: int
    quote: int
    """-1 where the dialect has no quotes."""
    double_quote: bool
    limit: int
    cell_end: re.Pattern[bytes]

    @classmethod
    def of(cls, dialect: Dialect, limit: int) -> Grammar:
        delimiter = dialect.delimiter.encode("ascii")
        quote = ord(dialect.quote_char) if dialect.quote_char else -1
        return cls(delimiter[0], quote, dialect.double_quote, limit, re.compile(b"[\r\n" + re.escape(delimiter) + b"]"))


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive whole records of a tape."""

    starts: Offsets
    """Offsets in the tape: of each record, and at last the end of the final one (so one longer than the records)."""
    odd: dict[int, Shape]
    """Position in the block → shape, for the records that are not ``REGULAR``."""
    fresh: Offsets
    """``starts`` without the lines recovered out of an unclosed stretch: where two runs meet in one of these, they
    agree from there on."""

    @property
    def count(self) -> int:
        return len(self.starts) - 1


class State(StrEnum):
    """Where the automaton stands before a byte."""

    RECORD = "record start"
    CELL = "cell start"
    UNQUOTED = "unquoted"
    QUOTED = "quoted"
    QUOTE = "quote in quoted"
    RETURN = "after CR"


def scan_record(data: bytes, start: int, grammar: Grammar, at_end: bool) -> tuple[int, Shape]:
    """End (exclusive, after its line break) and shape of the record that begins at ``start``, byte by byte in effect.

    For ``UNCLOSED_QUOTE`` the end is that of the whole stretch to recover. Errors: ``NeedMore``.
    """
    return scan_rest(data, start, start, State.CELL, grammar, at_end)


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
        if state is State.CELL and position < size and data[position] == grammar.quote:
            state = State.QUOTED
            position += 1
        if state is State.QUOTED:
            closed = _closing_quote(data, record, position, grammar, at_end)
            if closed < 0:
                return -closed, Shape.UNCLOSED_QUOTE
            position = closed + 1
            if position < size and data[position] not in (grammar.delimiter, LF, CR):
                shape = Shape.TEXT_AFTER_QUOTE
        found = grammar.cell_end.search(data, position)
        if found is None:
            if not at_end:
                raise NeedMore
            return size, shape
        position, state = found.end(), State.CELL
        if data[position - 1] == grammar.delimiter:
            continue
        if data[position - 1] == CR:
            if position == size and not at_end:
                raise NeedMore
            position += data[position : position + 1] == b"\n"
        return position, shape


def _closing_quote(data: bytes, record: int, position: int, grammar: Grammar, at_end: bool) -> int:
    """Offset of the quote that closes the cell whose text is at ``position``; the negated end of the stretch to recover
    where the cell is not closed in time. Errors: ``NeedMore``.
    """
    quote, size = bytes((grammar.quote,)), len(data)
    while True:
        closing = data.find(quote, position)
        horizon = max(position, record + grammar.limit + 1)
        cut = _TERMINATOR.search(data, horizon, size if closing < 0 else closing)
        if cut is not None:
            # A CR as the last byte at hand may be half of a CR LF.
            if cut.end() == size and data[size - 1] == CR and not at_end:
                raise NeedMore
            return -cut.end()
        if not at_end and (closing < 0 or closing + 1 == size):
            raise NeedMore
        if closing < 0:
            return -size
        if grammar.double_quote and closing + 1 < size and data[closing + 1] == grammar.quote:
            position = closing + 2
            continue
        return closing


class _Marks:
    """Positions of line breaks and quotes in one window, and where the quotes stop being well formed."""

    def __init__(self, data: bytes, base: int, end: int, grammar: Grammar, at_end: bool) -> None:
        window = np.frombuffer(data, np.uint8, end - base, base)
        self.breaks = _line_breaks(data, window, end, at_end)
        """Offset after each line break, relative to ``base``."""
        has_quotes = grammar.quote >= 0 and data.find(bytes((grammar.quote,)), base, end) >= 0
        self.quotes: Offsets = np.flatnonzero(window == grammar.quote) if has_quotes else np.empty(0, np.int64)
        self.violations: tuple[Offsets, Offsets] = (np.empty(0, np.int64),) * 2
        if has_quotes:
            # Quotes before each line break: with every quote well formed, an odd number means "inside a cell".
            self.before = np.searchsorted(self.quotes, self.breaks)
            self._find_violations(data, window, base, end, grammar, at_end)

    def _find_violations(
        self, data: bytes, window: NDArray[np.uint8], base: int, end: int, grammar: Grammar, at_end: bool
    ) -> None:
        separator = np.zeros(256, bool)
        separator[[grammar.delimiter, LF, CR]] = True
        quotes = self.quotes
        previous_is_separator = separator[window[quotes - 1]]
        if quotes[0] == 0:
            previous_is_separator[0] = True
        following = np.minimum(quotes + 1, len(window) - 1)
        next_is_separator = separator[window[following]]
        if quotes[-1] == len(window) - 1:
            next_is_separator[-1] = bool(separator[data[end]]) if end < len(data) else at_end
        adjacent = (np.diff(quotes) == 1) & grammar.double_quote
        bad_opening = ~previous_is_separator
        bad_opening[1:] &= ~adjacent
        bad_closing = ~next_is_separator
        bad_closing[:-1] &= ~adjacent
        even = np.arange(len(quotes)) % 2 == 0
        # By the parity of the quote that the count starts from: even ones open and odd ones close, or the reverse.
        self.violations = (
            np.flatnonzero(np.where(even, bad_opening, bad_closing)),
            np.flatnonzero(np.where(even, bad_closing, bad_opening)),
        )

    def record_ends(self, start: int, window_size: int) -> tuple[Offsets, bool]:
        """Ends of the well-formed records from the record start ``start`` on, and whether they stop at a violation."""
        first_break = int(np.searchsorted(self.breaks, start, "right"))
        if not len(self.quotes):
            return self.breaks[first_break:], False
        first_quote = int(np.searchsorted(self.quotes, start))
        violations = self.violations[first_quote & 1]
        at = int(np.searchsorted(violations, first_quote))
        violated = at < len(violations)
        bound = int(self.quotes[violations[at]]) if violated else window_size
        last_break = int(np.searchsorted(self.breaks, bound, "right"))
        outside = (self.before[first_break:last_break] - first_quote) & 1 == 0
        return self.breaks[first_break:last_break][outside], violated


def _line_breaks(data: bytes, window: NDArray[np.uint8], end: int, at_end: bool) -> Offsets:
    """Offset after each LF, CR LF and lone CR of the window. A CR that may be half of a CR LF is left out."""
    feeds = np.flatnonzero(window == LF) + 1
    if data.find(b"\r", end - len(window), end) < 0:
        return feeds
    returns = np.flatnonzero(window == CR)
    following = window[np.minimum(returns + 1, len(window) - 1)]
    lone = following != LF
    if returns[-1] == len(window) - 1:
        lone[-1] = data[end] != LF if end < len(data) else at_end
    return np.sort(np.concatenate((feeds, returns[lone] + 1)))


def _window(data: bytes, base: int, end: int, grammar: Grammar, at_end: bool) -> tuple[Offsets, dict[int, Shape]]:
    """Ends of the whole records between ``base`` (a record start) and about ``end``, with the odd ones' shapes."""
    marks = _Marks(data, base, end, grammar, at_end)
    pieces: list[Offsets] = []
    odd: dict[int, Shape] = {}
    count, start, size = 0, 0, end - base
    reaches_end = at_end and end == len(data)
    while start < size:
        ends, violated = marks.record_ends(start, size)
        lengths = np.diff(ends, prepend=start)
        overlong = np.flatnonzero(lengths > grammar.limit)
        if len(overlong):
            ends = ends[: overlong[0]]
        if len(ends):
            pieces.append(ends)
            count += len(ends)
            start = int(ends[-1])
        unfinished = size - start > grammar.limit
        if start >= size or not (violated or len(overlong) or unfinished or reaches_end):
            break
        try:
            record_end, shape = scan_record(data, base + start, grammar, at_end)
        except NeedMore:
            break
        if shape is not Shape.REGULAR:
            odd[count] = shape
        pieces.append(np.array([record_end - base], np.int64))
        count += 1
        start = record_end - base
    return (np.concatenate(pieces) + base if pieces else np.empty(0, np.int64)), odd


def blocks(tape: Tape, start: int, stop: int, grammar: Grammar, block_bytes: int) -> Iterator[Block]:
    """The records that begin in ``[start, stop)`` of the tape, in blocks of about ``block_bytes``.

    ``start`` must be a record start. The last record may end beyond ``stop``; the tape is extended as it needs.
    """
    position, window_bytes = start, block_bytes
    while position < min(stop, len(tape.data)) or (position < stop and not tape.at_end):
        end = min(position + window_bytes, len(tape.data))
        ends, odd = _window(tape.data, position, end, grammar, tape.at_end) if end > position else (_NONE, {})
        if not len(ends):
            window_bytes *= 2
            if end == len(tape.data):
                tape.extend()
            continue
        starts = np.concatenate((np.array([position], np.int64), ends))
        owned = int(np.searchsorted(starts[:-1], stop))
        yield _recovered(tape.data, starts[: owned + 1], odd, grammar)
        position, window_bytes = int(starts[owned]), block_bytes


_NONE: Offsets = np.empty(0, np.int64)


def _recovered(data: bytes, starts: Offsets, odd: dict[int, Shape], grammar: Grammar) -> Block:
    """The block with the lines of each unclosed stretch as records of their own."""
    odd = {at: shape for at, shape in odd.items() if at < len(starts) - 1}
    unclosed = [at for at in sorted(odd) if odd[at] is Shape.UNCLOSED_QUOTE]
    if not unclosed:
        return Block(starts, odd, starts)
    pieces: list[Offsets] = []
    shapes: dict[int, Shape] = {}
    taken, shift = 0, 0
    for at in unclosed:
        pieces.append(starts[taken:at])
        stretch_start, stretch_end = int(starts[at]), int(starts[at + 1])
        shapes |= {other + shift: odd[other] for other in odd if taken <= other < at}
        lines = list(_lines(data, stretch_start, stretch_end))
        for number, (line_start, line_end) in enumerate(lines):
            shape = Shape.UNCLOSED_QUOTE
            if number:
                _, shape = scan_record(data[line_start:line_end], 0, grammar, at_end=True)
            if shape is not Shape.REGULAR:
                shapes[at + shift + number] = shape
        pieces.append(np.array([line_start for line_start, _ in lines], np.int64))
        shift += len(lines) - 1
        taken = at + 1
    shapes |= {other + shift: odd[other] for other in odd if other >= taken}
    return Block(np.concatenate((*pieces, starts[taken:])), shapes, starts)


def _lines(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        found = _TERMINATOR.search(data, start, end)
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
    return [found.end() for found in _TERMINATOR.finditer(data, start, end)]


def line_of(starts: list[int], offset: int) -> int:
    """Number (from 0) of the physical line that holds ``offset``, given ``line_starts``."""
    return bisect_right(starts, offset)
