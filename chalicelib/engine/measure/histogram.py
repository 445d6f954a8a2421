"""Counts on a grid that grows coarser as the range of the values grows; from it, a histogram of equal-width bins.

The grid's cells are ``[k * 2^level, (k + 1) * 2^level)``. The level is the least at which the values between the least
and the greatest so far fall into fewer than ``CELLS`` cells: a function of those two alone. A coarser grid is had from
a finer one by halving cell numbers, exactly; so the counts do not depend on the order of the values, on blocks or
merges. All arithmetic is exact: shifts of integers, and products of doubles with powers of two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from chalicelib.engine.measure.exact import divided

Ints = NDArray[np.int64]

CELLS: Final = 4096
"""2,048 cells or more across the range (fewer only of single integers): a bin edge divides 0.05 % of it at most."""
BINS: Final = 20
_KEY_BITS: Final = 62


@dataclass(slots=True)
class Grid:
    """``low`` and ``high`` are the least and greatest value; both int for a grid of integers, both float otherwise."""

    low: int | float | None = None
    high: int | float | None = None
    level: int = 0
    first: int = 0
    """Number of the first cell of ``counts``."""
    counts: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    def add(self, values: NDArray[Any], weights: Ints | None = None) -> None:
        """Count int64 or float64 values, each as often as its weight says (below 2^53 in all); what is not finite is
        passed over.
        """
        if not len(values):
            return
        low, high = values.min().item(), values.max().item()
        if not (math.isfinite(low) and math.isfinite(high)):
            finite = np.isfinite(values)
            self.add(values[finite], None if weights is None else weights[finite])
            return
        self._cover(low, high)
        keys = _keys(values, self.level, low < 0)
        keys -= self.first
        counted = np.bincount(keys, weights, len(self.counts))
        self.counts += counted if weights is None else counted.astype(np.int64)

    def merge(self, others: Sequence[Grid]) -> None:
        for other in others:
            if other.low is not None and other.high is not None:
                self._cover(other.low, other.high)
        for other in others:
            held = np.flatnonzero(other.counts)
            keys = _moved(held + other.first, self.level - other.level) - self.first
            self.counts += np.bincount(keys, other.counts[held], len(self.counts)).astype(np.int64)

    def _cover(self, low: int | float, high: int | float) -> None:
        """Take a wider range, and the level that goes with it."""
        if self.low is not None and self.high is not None:
            if self.low <= low and self.high >= high and isinstance(low, type(self.low)):
                return
            mixed = isinstance(self.low, float) or isinstance(low, float)
            low, high = min(self.low, low), max(self.high, high)
            if mixed:
                low, high = float(low), float(high)
        level = _level(low, high)
        held = np.flatnonzero(self.counts)
        keys = _moved(held + self.first, level - self.level)
        weights = self.counts[held]
        self.first = _cell(low, level)
        self.counts = np.zeros(_cell(high, level) - self.first + 1, np.int64)
        np.add.at(self.counts, keys - self.first, weights)
        self.low, self.high, self.level = low, high, level

    def bins(self, grain: int = 1) -> tuple[list[int | float], list[int]]:
        """Edges and counts of at most ``BINS`` bins of one width from ``low`` to ``high``; a bin holds its lower edge,
        the last float bin its upper one too.

        Integers have bins of whole ``grain`` s (days in microseconds, say), so that every bin spans equally many of
        them; the last edge is past ``high``.
        """
        if self.low is None or self.high is None:
            return [], []
        low, high = self.low, self.high
        edges: list[int | float]
        if isinstance(low, int) and isinstance(high, int):
            start, span = low // grain, high // grain - low // grain + 1
            width = -(-span // BINS)
            edges = [(start + position * width) * grain for position in range(-(-span // width) + 1)]
        elif low == high:
            edges = [low, high]
        else:
            # in fractions: nothing overflows, and rounded edges still ascend
            span_of_all = Fraction(high) - Fraction(low)
            edges = [low, *(float(Fraction(low) + span_of_all * each / BINS) for each in range(1, BINS)), high]
        below = [0, *(self._below(edge) for edge in edges[1:-1]), int(self.counts.sum())]
        return edges, np.diff(below).tolist()

    def _below(self, edge: int | float) -> int:
        """How many values are less than an edge: by proportion, rounded, in the cell that the edge divides."""
        key = _cell(edge, self.level)
        place = min(max(key - self.first, 0), len(self.counts) - 1)
        if isinstance(edge, int):
            part, cell = edge - (key << self.level), 1 << self.level
        else:
            part, cell = math.ldexp(edge, -self.level).as_integer_ratio()
            part -= key * cell
        return int(self.counts[:place].sum()) + divided(int(self.counts[place]) * part, cell)


def _level(low: int | float, high: int | float) -> int:
    """The least level at which the range has fewer than ``CELLS`` cells, and every cell's number fits 62 bits."""
    if isinstance(low, int) and isinstance(high, int):
        level = max(0, (high - low).bit_length() - CELLS.bit_length())
    else:
        span = math.frexp(high / 2 - low / 2)[1] - CELLS.bit_length() - 1
        level = max(span if high > low else -2000, math.frexp(max(-low, high))[1] - _KEY_BITS, -1074)
    while _cell(high, level) - _cell(low, level) >= CELLS:
        level += 1
    return level


def _cell(value: int | float, level: int) -> int:
    if isinstance(value, int):
        return value >> level
    key = math.floor(math.ldexp(value, -level))
    return -1 if value < 0 and key == 0 else key  # a product below the subnormals is lost, its sign is not


def _keys(values: NDArray[Any], level: int, signed: bool) -> Ints:
    """The cell of each value, in memory of their own; ``signed``: some may be less than zero."""
    if values.dtype == np.int64:
        if level < 0:  # integers in a column that elsewhere holds floats
            return _keys(values.astype(np.float64), level, signed)
        shifted: Ints = values >> np.int64(level)
        return shifted
    scaled = values * math.ldexp(1.0, -level) if abs(level) < 1000 else np.ldexp(values, -level)
    if not signed:  # to truncate is to round down
        return scaled.astype(np.int64)
    keys = np.floor(scaled).astype(np.int64)
    keys[(values < 0) & (keys == 0)] = -1
    return keys


def _moved(keys: Ints, levels: int) -> Ints:
    """Cell numbers on a grid coarser by so many levels (finer, where the cells are single integers)."""
    if levels < 0:
        return keys << np.int64(-levels)
    return keys >> np.int64(min(levels, 63))
