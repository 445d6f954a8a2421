"""The lines of a window judged side by side, whatever quotes they hold: which of them end a record.

Counting quotes tells nothing of what comes behind one that is not well formed (``marks``). But what a line does depends
on it alone and on whether it begins within a quoted cell: both are worked out for all lines at once, a quote of each at
a time. Which of the two holds follows line by line from where a record is known to begin.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from chalicelib.engine.arrays import Mask
from chalicelib.engine.bits import Offsets
from chalicelib.engine.records.automaton import Shape, Shapes
from chalicelib.frozen import frozen

_QUOTES_PER_LINE: Final = 32
"""Lines with many quotes are gone on with up to so many for each of them that are left: of few lines a quote of each
takes as long as of a hundred, and they are better left to counting, or to the automaton."""


@frozen
class Quotes:
    """The quotes of a window that are not escaped, in order."""

    places: Offsets
    may_open: Mask
    """Whether each is where a cell may begin."""
    may_close: Mask
    """Whether a cell may end behind it."""
    may_double: bool
    """Whether two next to each other stand for a quote within a quoted cell."""


@frozen
class _Verdicts:
    """What each line does that begins outside a quoted cell, or inside one."""

    is_open: Mask
    """Whether it ends inside one."""
    is_odd: Mask
    """Whether text follows a closing quote."""
    is_unknown: Mask


@frozen
class Lines:
    """The lines of a window."""

    ends: Offsets
    """Offset after each, ascending; the next one begins there."""
    limit: int
    """In bytes: a record that is longer is not told."""
    is_comment: Mask
    """Which are comments if they begin outside."""
    outside: _Verdicts
    inside: _Verdicts
    unknown: Offsets
    """Those that the automaton has to read."""

    @classmethod
    def of(cls, ends: Offsets, limit: int, quotes: Quotes | None, is_comment: Mask, is_folded: Mask) -> Lines:
        """``is_folded``: which have an escaped line break within, where a comment ends all the same."""
        outside = _judged(ends, quotes, False)
        outside.is_open[is_comment] = outside.is_odd[is_comment] = False
        outside.is_unknown[is_comment] = is_folded[is_comment]
        inside = _judged(ends, quotes, True) if outside.is_open.any() else outside
        unknown = np.flatnonzero(outside.is_unknown | inside.is_unknown)
        return cls(ends, limit, is_comment, outside, inside, unknown)

    def records(self, start: int) -> tuple[Offsets, Shapes]:
        """Ends and shapes of the records from the record start ``start`` on, up to one that is left to the automaton or
        that the window cuts.
        """
        first = int(np.searchsorted(self.ends, start, "right"))
        if start != (int(self.ends[first - 1]) if first else 0):  # the end of one that is cut at an escaped line break
            return self.ends[:0], np.empty(0, np.uint8)
        at = int(np.searchsorted(self.unknown, first))
        part = slice(first, int(self.unknown[at]) if at < len(self.unknown) else None)
        is_open = _states(self.outside.is_open[part], self.inside.is_open[part])
        lasts = np.flatnonzero(~is_open)
        ends = self.ends[part][lasts]
        overlong = np.flatnonzero(np.diff(ends, prepend=start) > self.limit)
        if len(overlong):
            lasts, ends = lasts[: overlong[0]], ends[: overlong[0]]
        shapes = np.zeros(len(lasts), np.uint8)
        if len(lasts):
            was_open = np.append(False, is_open)[:-1]
            is_odd = np.where(was_open, self.inside.is_odd[part], self.outside.is_odd[part])
            firsts = np.append(0, lasts[:-1] + 1)
            shapes[np.logical_or.reduceat(is_odd[: lasts[-1] + 1], firsts)] = Shape.TEXT_AFTER_QUOTE
            shapes[self.is_comment[part][firsts]] = Shape.COMMENT
        return ends, shapes


def _states(from_outside: Mask, from_inside: Mask) -> Mask:
    """Whether each line ends inside a quoted cell, the first of which begins outside, the next as that ends, and so on;
    given is how each ends that begins outside, or inside.
    """
    if not from_outside.any():
        return from_outside
    settles = from_outside == from_inside  # a line that ends so however it begins; others keep the state, or turn it
    turns = np.cumsum(~settles & from_outside)
    settled = np.maximum.accumulate(np.where(settles, np.arange(len(settles)), -1))
    state = np.append(from_outside, False)[settled]  # that of no line is the last: outside
    is_turned: Mask = (turns - np.append(turns, 0)[settled] & 1).astype(np.bool_)
    return state ^ is_turned


def _judged(ends: Offsets, quotes: Quotes | None, begins_inside: bool) -> _Verdicts:
    """What each line does, as the automaton goes from quote to quote, in all lines at once."""
    is_open = np.full(len(ends), begins_inside)
    is_odd, is_unknown = np.zeros(len(ends), np.bool_), np.zeros(len(ends), np.bool_)
    if quotes is None:
        return _Verdicts(is_open, is_odd, is_unknown)
    doubled = np.zeros(len(quotes.places), np.bool_)
    if quotes.may_double:
        doubled[:-1] = np.diff(quotes.places) == 1
    stops = np.searchsorted(quotes.places, ends)
    lines = np.flatnonzero(np.diff(stops, prepend=0))
    at, stop = np.append(0, stops)[lines], stops[lines]
    inside = np.full(len(lines), begins_inside)
    rounds = 0
    while rounds < _QUOTES_PER_LINE * len(lines):
        rounds += 1
        stays = inside & doubled[at]
        is_odd[lines[inside & ~stays & ~quotes.may_close[at]]] = True
        inside = stays | ~inside & quotes.may_open[at]
        at = at + 1 + stays
        left = at < stop
        is_open[lines[~left]] = inside[~left]
        lines, at, stop, inside = (each[left] for each in (lines, at, stop, inside))
    is_unknown[lines] = True
    return _Verdicts(is_open, is_odd, is_unknown)
