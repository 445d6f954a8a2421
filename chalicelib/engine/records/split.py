"""Where records begin and end in a stretch of bytes, vectorised wherever every quote is well formed.

With quotes well formed, an odd number of them before a line break means that it is inside a cell; so record ends are
found by counting (``marks``). A record with a stray quote, a comment, or one longer than the limit is left to the
automaton, one at a time, and counting goes on behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chalicelib.engine.records.automaton import Grammar, NeedMore, Shape, line_starts, lines, scan_record
from chalicelib.engine.records.marks import Marks
from chalicelib.engine.records.tape import LOOKAHEAD_BYTES, Tape
from chalicelib.frozen import frozen

Offsets = NDArray[np.int64]
_NONE: Offsets = np.empty(0, np.int64)
PIECE_BYTES: Final = 4 << 20
"""What is found of so many bytes, a bit each, stays in the processor's cache: quoted cells take a fifth less time."""


@frozen
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


@frozen
class _Found:
    """The records of a stretch of bytes."""

    ends: Offsets
    odd: dict[int, Shape]
    breaks: Offsets
    """Ends of all physical lines up to the last record's end."""
    cut: bool
    """Whether the bytes at hand end within the record that comes next, which the automaton has to read."""


_NOTHING: Final = _Found(_NONE, {}, _NONE, cut=False)


def _find(data: bytes, base: int, end: int, grammar: Grammar, at_end: bool, most_lines: int) -> _Found:
    """The whole records between ``base`` (a record start) and about ``end``, the first of them where there are more
    lines.
    """
    pieces: list[_Found] = []
    at, size, lines_left = base, PIECE_BYTES, most_lines
    while at < end:
        stop = min(at + size, end)
        found = _find_at_once(data, at, stop, grammar, at_end)
        pieces.append(found)
        lines_left -= len(found.breaks)
        if found.cut or stop == end or lines_left < 0:
            break
        # A record that is longer than a piece, as the limit could let it be, takes a larger one.
        at, size = (int(found.ends[-1]), PIECE_BYTES) if len(found.ends) else (at, 2 * size)
    return _first(_joined(pieces), most_lines)


def _first(found: _Found, most_lines: int) -> _Found:
    """As many of the records as have no more lines together, and one at the least."""
    if len(found.breaks) <= most_lines:
        return found
    count = max(int(np.searchsorted(found.ends, found.breaks[most_lines - 1], "right")), 1)
    ends, odd = found.ends[:count], {at: shape for at, shape in found.odd.items() if at < count}
    return _Found(ends, odd, found.breaks[: np.searchsorted(found.breaks, ends[-1], "right")], cut=False)


def _joined(pieces: Sequence[_Found]) -> _Found:
    if len(pieces) == 1:
        return pieces[0]
    odd: dict[int, Shape] = {}
    count = 0
    for each in pieces:
        odd |= {count + at: shape for at, shape in each.odd.items()}
        count += len(each.ends)
    ends, breaks = (np.concatenate(found) for found in zip(*((each.ends, each.breaks) for each in pieces), strict=True))
    return _Found(ends, odd, breaks, pieces[-1].cut)


def _find_at_once(data: bytes, base: int, end: int, grammar: Grammar, at_end: bool) -> _Found:
    """Likewise, by the marks of all the bytes between."""
    marks = Marks(data, base, end, grammar, at_end)
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


def blocks(
    tape: Tape, start: int, stop: int, grammar: Grammar, block_bytes: int, most_lines: int | None = None
) -> Iterator[Block]:
    """The records that begin in ``[start, stop)`` of the object, in as few blocks of about ``block_bytes`` as hold
    them, of much the same size; in more of them where one would have more than ``most_lines``, at least one, that it
    could do without.

    ``start`` must be a record start. The last record may end beyond ``stop``; the tape is extended as it needs. How
    much of it is at hand at a time makes no difference to the blocks. A block that its user has let go of is nowhere
    held while the next is read, so that this comes into memory that is in the processor's cache.
    """
    most = block_bytes + block_bytes // 8  # a little more, so that what is left over is no block by itself
    parts = max(divided(stop - start, most), 1)
    position, window_bytes = start, divided(stop - start, parts)
    while position < stop:
        # The last record mostly ends beyond ``stop``; it is to be no block of its own.
        ahead = LOOKAHEAD_BYTES if position + window_bytes >= stop else 0
        tape.reach(position, position + window_bytes + ahead + LOOKAHEAD_BYTES)
        data, at = tape.data, position - tape.base
        end = min(at + window_bytes + ahead, len(data))
        if end <= at and tape.at_end:
            return
        found = _find(data, at, end, grammar, tape.at_end, most_lines or end - at) if end > at else _NOTHING
        following = tape.base + (int(found.ends[-1]) if len(found.ends) else at)
        if found.cut and following < stop and tape.reach(position, position + 2 * (len(data) - at)):
            continue
        if not len(found.ends):
            window_bytes *= 2
            if end == len(data):
                tape.extend()
            continue
        block = _owned(tape.base, data, at, stop, found, grammar)
        position = block.end
        # Each block falls short by the record that its window cuts: the last may be somewhat larger.
        parts = max(parts - 1, divided(stop - position, most + most // 4), 1)
        window_bytes = divided(stop - position, parts)
        del data, found
        yield block
        del block


def divided(number: int, divisor: int) -> int:
    """The quotient, rounded up."""
    return -(-number // divisor)


def _owned(base: int, data: bytes, at: int, stop: int, found: _Found, grammar: Grammar) -> Block:
    """The records from ``at`` in ``data`` on that begin before ``stop``."""
    starts = np.concatenate((np.array([at], np.int64), found.ends))
    owned = int(np.searchsorted(starts[:-1] + base, stop))
    breaks = found.breaks[: np.searchsorted(found.breaks, starts[owned], "right")]
    return _recovered(base, data, starts[: owned + 1], found.odd, breaks, grammar)


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
