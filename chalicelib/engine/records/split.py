"""Where records begin and end in a stretch of bytes, vectorised wherever every quote is well formed.

With quotes well formed, an odd number of them before a line break means that it is inside a cell; so record ends are
found by counting, in numpy. A record with a stray quote, a comment, or one longer than the limit is left to the
automaton, one at a time, and counting goes on behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chalicelib.engine.records.automaton import (
    CR,
    LF,
    SPACE,
    Grammar,
    NeedMore,
    Shape,
    line_starts,
    lines,
    scan_record,
)
from chalicelib.engine.records.tape import LOOKAHEAD_BYTES, Tape

Offsets = NDArray[np.int64]
Bytes = NDArray[np.uint8]
_NONE: Offsets = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive whole records of a tape, and the bytes that they are in."""

    base: int
    """Offset in the object of ``data``."""
    data: bytes
    """The window of the tape that holds the records; all offsets below point into it."""
    starts: Offsets
    """Offset of each record, and at last the end of the final one (so one longer than the records)."""
    odd: dict[int, Shape]
    """Position in the block → shape, for the records that are not ``REGULAR``."""
    fresh: Offsets
    """``starts`` without the lines recovered out of an unclosed stretch: where two runs meet in one of these, they
    agree from there on."""
    breaks: Offsets
    """Offset after each physical line break of the block, whether it ends a record or is inside a cell."""

    @property
    def count(self) -> int:
        return len(self.starts) - 1

    @property
    def end(self) -> int:
        """Offset in the object of the record after the block."""
        return self.base + int(self.starts[-1])

    def head(self, count: int) -> Block:
        """The first so many records alone."""
        odd = {at: shape for at, shape in self.odd.items() if at < count}
        return replace(self, starts=self.starts[: count + 1], odd=odd)

    def lines_before(self, records: Offsets) -> Offsets:
        """Line breaks of the block before each of these records (from 0)."""
        return np.searchsorted(self.breaks, self.starts[records], "right")


class _Marks:
    """Positions of line breaks and quotes in one window, and where counting quotes stops being enough."""

    def __init__(self, data: bytes, base: int, end: int, grammar: Grammar, at_end: bool) -> None:
        self._window = np.frombuffer(data, np.uint8, end - base, base)
        self._grammar = grammar
        self._after: int | None = data[end] if end < len(data) else None
        self._at_end = at_end
        escaped = self._escaped() if _holds(data, base, end, grammar.escape) else None
        self.breaks = self._breaks(escaped, has_returns=_holds(data, base, end, CR))
        """Offset after each line break, relative to ``base``, like all offsets here."""
        self.physical = self.breaks if escaped is None else self._breaks(None, has_returns=_holds(data, base, end, CR))
        """Likewise, with those that are escaped."""
        self.quotes = self._positions(grammar.quote, escaped) if _holds(data, base, end, grammar.quote) else _NONE
        # With every quote well formed, an odd number of them before a place means that it is inside a cell.
        self._quotes_before = np.searchsorted(self.quotes, self.breaks)
        self._escapes = escaped
        self._violations: dict[int, Offsets] = {}
        self._comments = self._find_comments() if _holds(data, base, end, grammar.comment) else _NONE

    def record_ends(self, start: int) -> tuple[Offsets, bool]:
        """Ends of the well-formed records from the record start ``start`` on, and whether something else follows."""
        first_break = int(np.searchsorted(self.breaks, start, "right"))
        first_quote = int(np.searchsorted(self.quotes, start))
        bound = min(self._first_violation(first_quote), self._first_comment(start, first_quote))
        if not len(self.quotes) and bound > len(self._window):
            return self.breaks[first_break:], False
        last_break = int(np.searchsorted(self.breaks, bound, "right"))
        outside = (self._quotes_before[first_break:last_break] - first_quote) & 1 == 0
        return self.breaks[first_break:last_break][outside], bound <= len(self._window)

    def _first_violation(self, first_quote: int) -> int:
        parity = first_quote & 1
        if parity not in self._violations:  # rarely are both asked for
            self._violations[parity] = self._find_violations(parity)
        violations = self._violations[parity]
        at = int(np.searchsorted(violations, first_quote))
        return int(self.quotes[violations[at]]) if at < len(violations) else len(self._window) + 1

    def _first_comment(self, start: int, first_quote: int) -> int:
        comments = self._comments[int(np.searchsorted(self._comments, start)) :]
        outside = np.flatnonzero((np.searchsorted(self.quotes, comments) - first_quote) & 1 == 0)
        return int(comments[outside[0]]) if len(outside) else len(self._window) + 1

    def _escaped(self) -> NDArray[np.bool_]:
        """Which bytes an escape character makes literal: in a run of escapes every second one is itself escaped."""
        escapes = np.flatnonzero(self._window == self._grammar.escape)
        first_of_run = np.diff(escapes, prepend=-2) != 1
        run_start = np.maximum.accumulate(np.where(first_of_run, np.arange(len(escapes)), 0))
        targets = escapes[(np.arange(len(escapes)) - run_start) % 2 == 0] + 1
        escaped = np.zeros(len(self._window), np.bool_)
        escaped[targets[targets < len(escaped)]] = True
        return escaped

    def _positions(self, byte: int, escaped: NDArray[np.bool_] | None) -> Offsets:
        hits = self._window == byte
        return np.flatnonzero(hits if escaped is None else hits & ~escaped)

    def _breaks(self, escaped: NDArray[np.bool_] | None, *, has_returns: bool) -> Offsets:
        """Offset after each LF, CR LF and lone CR. A CR that may be half of a CR LF is left out."""
        feeds = self._positions(LF, escaped) + 1
        if not has_returns:
            return feeds
        returns = self._positions(CR, escaped)
        lone = self._following(returns) != LF
        if len(returns) and returns[-1] == len(self._window) - 1 and self._after is None:
            lone[-1] = self._at_end
        return np.sort(np.concatenate((feeds, returns[lone] + 1)))

    def _following(self, positions: Offsets) -> Bytes:
        """The byte after each position; 0 after the last one at hand."""
        following = self._window[np.minimum(positions + 1, len(self._window) - 1)]
        if len(positions) and positions[-1] == len(self._window) - 1:
            following[-1] = self._after or 0
        return following

    def _find_violations(self, parity: int) -> Offsets:
        """Quotes (by their place among the quotes) that are not well formed: an opening one not at the start of a
        cell, a closing one not at the end of one; those at places of this parity open, the others close.
        """
        grammar = self._grammar
        opening, closing = self.quotes[parity::2], self.quotes[1 - parity :: 2]
        before = self._previous_text(opening) if grammar.skip_space else opening - 1
        starts_cell = self._separates(self._window[before])
        if self._escapes is not None:
            starts_cell &= ~self._escapes[before]
        starts_cell |= before < 0
        ends_cell = self._separates(self._following(closing))
        if len(closing) and closing[-1] == len(self._window) - 1 and self._after is None:
            ends_cell[-1] = self._at_end
        if grammar.double_quote:
            after = opening[1 - parity :]  # the quotes after the closing ones
            doubled = after - closing[: len(after)] == 1
            starts_cell[1 - parity :] |= doubled
            ends_cell[: len(after)] |= doubled
        bad = 2 * np.flatnonzero(~starts_cell) + parity, 2 * np.flatnonzero(~ends_cell) + (1 - parity)
        return np.sort(np.concatenate(bad))

    def _separates(self, text: Bytes) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (text == self._grammar.delimiter) | (text == LF) | (text == CR)
        return found

    def _previous_text(self, positions: Offsets) -> Offsets:
        """The last byte before each position that is no space; -1 where there is none."""
        places = np.arange(len(self._window))
        last = np.maximum.accumulate(np.where(self._window == SPACE, -1, places))
        found: Offsets = np.where(positions > 0, last[positions - 1], -1)
        return found

    def _find_comments(self) -> Offsets:
        """Comment characters at the start of a line."""
        found = np.flatnonzero(self._window == self._grammar.comment)
        previous = self._window[found - 1]
        at_line_start: Offsets = found[(found == 0) | (previous == LF) | (previous == CR)]
        return at_line_start


def _holds(data: bytes, start: int, end: int, byte: int) -> bool:
    return byte >= 0 and data.find(bytes((byte,)), start, end) >= 0


@dataclass(frozen=True, slots=True)
class _Found:
    """The records of a stretch of bytes."""

    ends: Offsets
    odd: dict[int, Shape]
    breaks: Offsets
    """Ends of all physical lines up to the last record's end."""
    cut: bool
    """Whether the bytes at hand end within the record that comes next, which the automaton has to read."""


_NOTHING: Final = _Found(_NONE, {}, _NONE, cut=False)


def _find(data: bytes, base: int, end: int, grammar: Grammar, at_end: bool) -> _Found:
    """The whole records between ``base`` (a record start) and about ``end``."""
    marks = _Marks(data, base, end, grammar, at_end)
    pieces: list[Offsets] = []
    odd: dict[int, Shape] = {}
    count, start, size, cut = 0, 0, end - base, False
    reaches_end = at_end and end == len(data)
    while start < size:
        ends, interrupted = marks.record_ends(start)
        lengths = np.diff(ends, prepend=start)
        overlong = np.flatnonzero(lengths > grammar.limit)
        if len(overlong):
            ends = ends[: overlong[0]]
        if len(ends):
            pieces.append(ends)
            count += len(ends)
            start = int(ends[-1])
        unfinished = size - start > grammar.limit
        if start >= size or not (interrupted or len(overlong) or unfinished or reaches_end):
            break
        try:
            record_end, shape = scan_record(data, base + start, grammar, at_end)
        except NeedMore:
            cut = True
            break
        if shape is not Shape.REGULAR:
            odd[count] = shape
        pieces.append(np.array([record_end - base], np.int64))
        count += 1
        start = record_end - base
    ends = np.concatenate(pieces) + base if pieces else _NONE
    breaks = _lines_up_to(int(ends[-1]), marks.physical + base, data, base) if len(ends) else _NONE
    return _Found(ends, odd, breaks, cut)


def _lines_up_to(end: int, known: Offsets, data: bytes, base: int) -> Offsets:
    """The line ends up to ``end``; ``known``: those of the window, which the last record may reach beyond."""
    within = known[: np.searchsorted(known, end, "right")]
    last = int(within[-1]) if len(within) else base
    if last == end:
        return within
    return np.concatenate((within, np.array(line_starts(data, last, end), np.int64)))


def blocks(tape: Tape, start: int, stop: int, grammar: Grammar, block_bytes: int) -> Iterator[Block]:
    """The records that begin in ``[start, stop)`` of the object, in blocks of about ``block_bytes``.

    ``start`` must be a record start. The last record may end beyond ``stop``; the tape is extended as it needs. How
    much of it is at hand at a time makes no difference to the blocks.
    """
    position, window_bytes = start, block_bytes
    while position < stop:
        tape.reach(position, position + window_bytes + LOOKAHEAD_BYTES)
        data, at = tape.data, position - tape.base
        end = min(at + window_bytes, len(data))
        if end <= at and tape.at_end:
            return
        found = _find(data, at, end, grammar, tape.at_end) if end > at else _NOTHING
        if found.cut and tape.reach(position, position + 2 * (len(data) - at)):
            continue
        if not len(found.ends):
            window_bytes *= 2
            if end == len(data):
                tape.extend()
            continue
        starts = np.concatenate((np.array([at], np.int64), found.ends))
        owned = int(np.searchsorted(starts[:-1] + tape.base, stop))
        breaks = found.breaks[: np.searchsorted(found.breaks, starts[owned], "right")]
        block = _recovered(tape.base, data, starts[: owned + 1], found.odd, breaks, grammar)
        yield block
        position, window_bytes = block.end, block_bytes


def _recovered(
    base: int, data: bytes, starts: Offsets, odd: dict[int, Shape], breaks: Offsets, grammar: Grammar
) -> Block:
    """The block with the lines of each unclosed stretch as records of their own."""
    odd = {at: shape for at, shape in odd.items() if at < len(starts) - 1}
    unclosed = [at for at in sorted(odd) if odd[at] is Shape.UNCLOSED_QUOTE]
    if not unclosed:
        return Block(base, data, starts, odd, starts, breaks)
    pieces: list[Offsets] = []
    shapes: dict[int, Shape] = {}
    taken, shift = 0, 0
    for at in unclosed:
        pieces.append(starts[taken:at])
        stretch_start, stretch_end = int(starts[at]), int(starts[at + 1])
        shapes |= {other + shift: odd[other] for other in odd if taken <= other < at}
        within = list(lines(data, stretch_start, stretch_end))
        for number, (line_start, line_end) in enumerate(within):
            shape = Shape.UNCLOSED_QUOTE
            if number:
                _, shape = scan_record(data[line_start:line_end], 0, grammar, at_end=True)
            if shape is not Shape.REGULAR:
                shapes[at + shift + number] = shape
        pieces.append(np.array([line_start for line_start, _ in within], np.int64))
        shift += len(within) - 1
        taken = at + 1
    shapes |= {other + shift: odd[other] for other in odd if other >= taken}
    return Block(base, data, np.concatenate((*pieces, starts[taken:])), shapes, starts, breaks)
