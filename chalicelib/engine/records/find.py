"""Which records are in a stretch of bytes, vectorised wherever every quote is well formed, and mostly where one is not.

With quotes well formed, an odd number of them before a line break means that it is inside a cell; so record ends are
found by counting (``marks``). A record with a stray quote, a comment, or one longer than the limit is left to the
automaton, one at a time, and counting goes on behind it; where there are many such, all lines are judged side by side
(``lines``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from chalicelib.engine.bits import Offsets
from chalicelib.engine.records.automaton import Grammar, NeedMore, Shape, line_starts, scan_record
from chalicelib.engine.records.marks import Marks
from chalicelib.frozen import frozen

_NONE: Offsets = np.empty(0, np.int64)
_REGULAR: Final[Mapping[int, Shape]] = MappingProxyType({})
PIECE_BYTES: Final = 4 << 20
"""What is found of so many bytes, a bit each, stays in the processor's cache: quoted cells take a fifth less time."""
_ALONE_SHARE: Final = 1 / 512
"""A record takes the automaton as long as it takes to judge so many lines and quotes side by side. Once a piece's
records have taken it as long as all of the piece would take, all of it is judged."""


@frozen
class Found:
    """The records of a stretch of bytes."""

    ends: Offsets
    odd: dict[int, Shape]
    breaks: Offsets
    """Ends of all physical lines up to the last record's end."""
    cut: bool
    """Whether the bytes at hand end within the record that comes next, which the automaton has to read."""


NOTHING: Final = Found(_NONE, {}, _NONE, cut=False)


def find(data: bytes, base: int, end: int, grammar: Grammar, at_end: bool, most_lines: int) -> Found:
    """The whole records between ``base`` (a record start) and about ``end``, the first of them where there are more
    lines.
    """
    pieces: list[Found] = []
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


def _first(found: Found, most_lines: int) -> Found:
    """As many of the records as have no more lines together, and one at the least."""
    if len(found.breaks) <= most_lines:
        return found
    count = max(int(np.searchsorted(found.ends, found.breaks[most_lines - 1], "right")), 1)
    ends, odd = found.ends[:count], {at: shape for at, shape in found.odd.items() if at < count}
    return Found(ends, odd, found.breaks[: np.searchsorted(found.breaks, ends[-1], "right")], cut=False)


def _joined(pieces: Sequence[Found]) -> Found:
    if len(pieces) == 1:
        return pieces[0]
    odd: dict[int, Shape] = {}
    count = 0
    for each in pieces:
        odd |= {count + at: shape for at, shape in each.odd.items()}
        count += len(each.ends)
    ends, breaks = (np.concatenate(found) for found in zip(*((each.ends, each.breaks) for each in pieces), strict=True))
    return Found(ends, odd, breaks, pieces[-1].cut)


def _find_at_once(data: bytes, base: int, end: int, grammar: Grammar, at_end: bool) -> Found:
    """Likewise, by the marks of all the bytes between."""
    marks = Marks(data, base, end, grammar, at_end)
    records, size, cut = _Records(), end - base, False
    alone, most_alone, lines = 0, marks.size * _ALONE_SHARE, None
    while records.end < size:
        ends, interrupted = _counted(marks, records.end, grammar.limit)
        records.add(ends)
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
        records.add(np.array([record_end - base], np.int64), _REGULAR if shape is Shape.REGULAR else {0: shape})
    ends = records.ends + base
    breaks = _lines_up_to(int(ends[-1]), marks.physical + base, data, base) if len(ends) else _NONE
    return Found(ends, records.odd, breaks, cut)


class _Records:
    """The records of a piece, found in one way or another, by offsets from its start."""

    def __init__(self) -> None:
        self._ends = [_NONE]
        self._count = 0
        self.odd: dict[int, Shape] = {}
        self.end = 0
        """Where the last one ends."""

    def add(self, ends: Offsets, odd: Mapping[int, Shape] = _REGULAR) -> bool:
        """The next ones, and the shapes of those that are not ``REGULAR``; tells whether there are any."""
        if len(ends):
            self.odd |= {self._count + at: shape for at, shape in odd.items()}
            self._ends.append(ends)
            self._count += len(ends)
            self.end = int(ends[-1])
        return len(ends) > 0

    @property
    def ends(self) -> Offsets:
        return np.concatenate(self._ends)


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
