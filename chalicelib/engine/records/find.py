"""Which records are in a stretch of bytes, vectorised wherever every quote is well formed, and mostly where one is not.

With quotes well formed, an odd number of them before a line break means that it is inside a cell; so record ends are
found by counting (``marks``). A record with a stray quote, a comment, or one longer than the limit is left to the
automaton, one at a time, and counting goes on behind it; where there are many such, all lines are judged side by side
(``lines``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from chalicelib.engine.bits import Offsets
from chalicelib.engine.records.automaton import CR, LF, Grammar, NeedMore, Shape, Shapes, line_starts, scan_record
from chalicelib.engine.records.marks import Marks
from chalicelib.frozen import frozen

_NONE: Offsets = np.empty(0, np.int64)
_SHAPELESS: Shapes = np.empty(0, np.uint8)
PIECE_BYTES: Final = 4 << 20
"""What is found of so many bytes, a bit each, stays in the processor's cache: quoted cells take a fifth less time."""
MOST_LINES: Final = 1 << 20
"""Where a block ends in any case: of a line, be it blank, some tens of bytes are kept."""
_ALONE_SHARE: Final = 1 / 512
"""A record takes the automaton as long as it takes to judge so many lines and quotes side by side. Once a piece's
records have taken it as long as all of the piece would take, all of it is judged."""
_ALONE_SHARE_NEXT: Final = _ALONE_SHARE / 16
"""Behind such a piece the next is mostly alike."""


@frozen
class Found:
    """The records of a stretch of bytes."""

    ends: Offsets
    shapes: Shapes
    breaks: Offsets
    """Ends of all physical lines up to the last record's end."""
    cut: bool
    """Whether the bytes at hand end within the record that comes next, which the automaton has to read."""
    is_full: bool = False
    """Whether there are as many as were asked for, and more behind them."""

    def rows(self, data: bytes, base: int) -> Offsets:
        """How many rows there may be up to the end of each record; the first one begins at ``base``. A blank line and a
        comment are none, and of an unclosed quote each line may be one.
        """
        starts = np.concatenate((np.array([base]), self.ends))[:-1]
        first_bytes = np.frombuffer(data, np.uint8)[starts]
        counts = ((first_bytes != LF) & (first_bytes != CR) & (self.shapes != Shape.COMMENT)).astype(np.int64)
        unclosed = np.flatnonzero(self.shapes == Shape.UNCLOSED_QUOTE)
        first, last = (np.searchsorted(self.breaks, each[unclosed], "right") for each in (starts, self.ends))
        counts[unclosed] = last - first + 1  # the object's last line may end without a break
        return np.cumsum(counts)


NOTHING: Final = Found(_NONE, _SHAPELESS, _NONE, cut=False)


def find(data: bytes, base: int, end: int, grammar: Grammar, at_end: bool, most_rows: int) -> Found:
    """The whole records between ``base`` (a record start) and about ``end``, the first of them where more than
    ``most_rows`` are rows, or there are more than ``MOST_LINES``.
    """
    pieces: list[Found] = []
    at, size, alone_share = base, PIECE_BYTES, _ALONE_SHARE
    rows_left, lines_left = most_rows, MOST_LINES
    while at < end:
        stop = min(at + size, end)
        found, is_judged = _find_at_once(data, at, stop, grammar, at_end, alone_share)
        alone_share = _ALONE_SHARE_NEXT if is_judged else _ALONE_SHARE
        pieces.append(found)
        lines = len(found.breaks)
        lines_left -= lines
        rows_left -= lines + 1 if lines < rows_left else found.rows(data, at).max(initial=0)
        if found.cut or stop == end or min(rows_left, lines_left) < 0:
            break
        # A record that is longer than a piece, as the limit could let it be, takes a larger one.
        at, size = (int(found.ends[-1]), PIECE_BYTES) if len(found.ends) else (at, 2 * size)
    return _first(_joined(pieces), data, base, most_rows)


def _first(found: Found, data: bytes, base: int, most_rows: int) -> Found:
    """As many of the records as there may be, and one at the least."""
    if len(found.breaks) < min(most_rows, MOST_LINES):  # the last record may end without one
        return found
    rows, lines = found.rows(data, base), np.searchsorted(found.breaks, found.ends, "right")
    least = min(np.searchsorted(rows, most_rows, "right").item(), np.searchsorted(lines, MOST_LINES, "right").item())
    count = max(least, 1)
    if count >= len(found.ends):
        return found
    return Found(found.ends[:count], found.shapes[:count], found.breaks[: lines[count - 1]], cut=False, is_full=True)


def _joined(pieces: Sequence[Found]) -> Found:
    if len(pieces) == 1:
        return pieces[0]
    ends = np.concatenate([each.ends for each in pieces])
    shapes = np.concatenate([each.shapes for each in pieces])
    return Found(ends, shapes, np.concatenate([each.breaks for each in pieces]), pieces[-1].cut)


def _find_at_once(
    data: bytes, base: int, end: int, grammar: Grammar, at_end: bool, alone_share: float
) -> tuple[Found, bool]:
    """Likewise, by the marks of all the bytes between; and whether its lines were judged."""
    marks = Marks(data, base, end, grammar, at_end)
    records, size, cut = _Records(), end - base, False
    alone, most_alone, lines = 0, marks.size * alone_share, None
    while records.end < size:
        ends, interrupted = _counted(marks, records.end, grammar.limit)
        records.add(ends, np.zeros(len(ends), np.uint8))
        unfinished = size - records.end > grammar.limit or (at_end and end == len(data))
        if records.end >= size or not (interrupted or unfinished):
            break
        alone += 1
        if lines is None and alone > most_alone:
            lines = marks.lines()
        if lines is not None and records.add(*lines.records(records.end)):
            continue
        try:
            record_end, shape = scan_record(data, base + records.end, grammar, at_end)
        except NeedMore:
            cut = True
            break
        records.add(np.array([record_end - base], np.int64), np.array([shape], np.uint8))
    ends, shapes = records.all()
    ends += base
    breaks = _lines_up_to(int(ends[-1]), marks.physical + base, data, base) if len(ends) else _NONE
    return Found(ends, shapes, breaks, cut), lines is not None


class _Records:
    """The records of a piece, found in one way or another, by offsets from its start."""

    def __init__(self) -> None:
        self._ends, self._shapes = [_NONE], [_SHAPELESS]
        self.end = 0
        """Where the last one ends."""

    def add(self, ends: Offsets, shapes: Shapes) -> bool:
        """The next ones; tells whether there are any."""
        if len(ends):
            self._ends.append(ends)
            self._shapes.append(shapes)
            self.end = int(ends[-1])
        return len(ends) > 0

    def all(self) -> tuple[Offsets, Shapes]:
        return np.concatenate(self._ends), np.concatenate(self._shapes)


def _counted(marks: Marks, start: int, limit: int) -> tuple[Offsets, bool]:
    """The ends of the records from ``start`` on that counting finds, and whether something else follows."""
    ends, interrupted = marks.record_ends(start)
    overlong = np.flatnonzero(np.diff(ends, prepend=start) > limit)
    return (ends[: overlong[0]], True) if len(overlong) else (ends, interrupted)


def _lines_up_to(end: int, known: Offsets, data: bytes, base: int) -> Offsets:
    """The line ends up to ``end``; ``known``: those of the window, which the last record may reach beyond."""
    within = known[: np.searchsorted(known, end, "right")]
    last = int(within[-1]) if len(within) else base
    if last == end:
        return within
    return np.concatenate((within, np.array(line_starts(data, last, end), np.int64)))
