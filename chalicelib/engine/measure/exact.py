"""Sums that are exact, so that they do not depend on how rows were grouped into blocks, chunks and merges.

A double is an integer multiple of 2^-1074. The values of a block are cut into pieces at places of the binary grid; the
pieces of one place are small integers in units of that place, so their sums over the block are exact in float64. They
are carried in int64 "limbs", 32 bits apart, on a grid that is fixed, not chosen from the data. So nothing is lost, and
additions commute. Only the result is rounded, once, to the nearest double (ties to even), as ``math.fsum`` does.

This is the reproducible summation of Demmel and Nguyen ("Fast Reproducible Floating-Point Summation", ARITH 2013;
"Parallel Reproducible Summation", IEEE ToC 2015), with all places kept instead of the highest few: the exact form is
Kulisch's long accumulator. Cutting by adding and subtracting a large constant is from Rump, Ogita and Oishi ("Accurate
Floating-Point Summation", SIAM J. Sci. Comput. 2008).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chalicelib.engine.measure import grouping
from chalicelib.engine.measure.canonical import from_numpy, view
from chalicelib.engine.measure.columns import Column

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

LIMB_BITS: Final = 32
MAX_ROWS: Final = 1 << 20
"""Rows of one call: 2^20 pieces below 2^32 sum to less than 2^53, exactly, in float64."""
_EXACT_BITS: Final = 53
"""Integers of so many bits are exact in float64 (IEEE 754's binary64)."""
_FINEST_BIT: Final = -1074
"""Exponent of the least double above zero, of which all are multiples."""

_HUGE: Final = 2.0**900
"""From here on the cutting constants would overflow; such values are scaled by 2^-256, exactly, before the cut."""
_HUGE_LIMBS: Final = 8
_MASK: Final = np.int64((1 << LIMB_BITS) - 1)
_ROOM: Final = 1 << 60
"""The largest limb that is left as it is: two such add up without overflow."""
_HALF: Final = 1 << (LIMB_BITS - 1)

NAN, POSITIVE_INFINITY, NEGATIVE_INFINITY = 0, 1, 2
"""Rows of ``Sums.special``."""


@dataclass(slots=True)
class Sums:
    """One exact sum per group: ``sum(limbs[i] * 2**(32 * (base + i))) * 10**-scale``."""

    limbs: Ints
    """Shape (places, groups); none is beyond ``_ROOM``."""
    base: int
    kind: str
    """``integer``, ``decimal`` or ``float``: the kind of the column that was summed."""
    scale: int
    """Digits after the decimal point; 0 but for decimals."""
    special: Ints
    """Shape (3, groups): how many NaN, +inf and -inf a group has."""

    @classmethod
    def zeros(cls, groups: int, kind: str = "integer") -> Sums:
        return cls(np.zeros((0, groups), np.int64), 0, kind, 0, np.zeros((3, groups), np.int64))

    @property
    def groups(self) -> int:
        return int(self.limbs.shape[1])

    def add_at(self, other: Sums, mapping: Ints) -> None:
        """Add the sums of ``other`` to the groups ``mapping`` of this one (no group twice).

        Errors: ``ValueError`` where one sums decimals and the other floats, which share no exact grid.
        """
        kinds = {self.kind, other.kind}
        if kinds == {"decimal", "float"}:
            raise ValueError("decimal and floating-point numbers in one column")
        if len(kinds) == 2:
            self.kind = next(kind for kind in kinds if kind != "integer")
        if self.scale != other.scale:
            scale = max(self.scale, other.scale)
            self._rescale(scale)
            other = Sums(other.limbs.copy(), other.base, other.kind, other.scale, other.special)
            other._rescale(scale)
        self._cover(other.base, other.base + len(other.limbs))
        first = other.base - self.base
        self.limbs[first : first + len(other.limbs), mapping] += other.limbs
        self.special[:, mapping] += other.special
        if np.abs(self.limbs).max(initial=0) > _ROOM:
            self._carry()

    def _cover(self, low: int, high: int) -> None:
        if low == high:
            return
        if not len(self.limbs):
            self.base = low
        before = max(0, self.base - low)
        after = max(0, high - self.base - len(self.limbs))
        if before or after:
            wider = np.zeros((before + len(self.limbs) + after, self.groups), np.int64)
            wider[before : before + len(self.limbs)] = self.limbs
            self.limbs = wider
            self.base -= before

    def _carry(self) -> None:
        """Bring every limb back to [-2^31, 2^31)."""
        carry = np.zeros(self.groups, np.int64)
        for limb in self.limbs:
            limb += carry
            carry = (limb + _HALF) >> np.int64(LIMB_BITS)
            limb -= carry << np.int64(LIMB_BITS)
        if carry.any():
            self.limbs = np.vstack([self.limbs, carry])
            self._carry()

    def _rescale(self, scale: int) -> None:
        self._carry()
        for _ in range(scale - self.scale):
            self.limbs *= 10
            self._carry()
        self.scale = scale

    def integers(self) -> tuple[list[int], int]:
        """The sum of each group as a Python integer, in units of ``2**exponent``, and the exponent."""
        totals = [0] * self.groups
        for limb in self.limbs[::-1].tolist():
            totals = [(total << LIMB_BITS) + piece for total, piece in zip(totals, limb, strict=True)]
        return totals, LIMB_BITS * self.base

    def fractions(self) -> list[Fraction]:
        """The finite part of each sum, exactly."""
        totals, exponent = self.integers()
        unit = Fraction(2) ** exponent / 10**self.scale
        return [total * unit for total in totals]


def sums(array: Any, groups: Ints, count: int) -> Sums:
    """The sum per group of a canonical numeric array without nulls; ``groups`` holds one group number per row.

    At most ``MAX_ROWS`` rows. Errors: ``TypeError`` where the type is not numeric.
    """
    kind = array.type
    if pa.types.is_null(kind):
        return Sums.zeros(count)
    if pa.types.is_int64(kind):
        return _sum_integers(view(array), groups, count)
    if pa.types.is_float64(kind):
        return sum_floats(view(array), groups, count)
    if pa.types.is_decimal(kind):
        return _sum_decimals(array, groups, count)
    raise TypeError(f"{kind} is not a number")


def _total(values: NDArray[Any], groups: Ints, count: int) -> NDArray[Any]:
    # one group needs no scatter; the pieces are integers of one grid, so the order of a plain sum is no matter
    return np.array([values.sum()]) if count == 1 else np.bincount(groups, values, count).astype(np.float64, copy=False)


def _sum_integers(values: Ints, groups: Ints, count: int) -> Sums:
    result = Sums.zeros(count)
    if not len(values):
        return result
    largest = max(abs(int(values.min())), abs(int(values.max())))
    pieces = [values] if largest * len(values) < 2**53 else [values & _MASK, values >> np.int64(LIMB_BITS)]
    result.limbs = np.array([_total(piece, groups, count) for piece in pieces]).astype(np.int64)
    return result


def _sum_decimals(array: Any, groups: Ints, count: int) -> Sums:
    places = array.type.byte_width // 4
    data = array.buffers()[1]
    result = Sums.zeros(count, "decimal")
    result.scale = array.type.scale
    if len(array):
        words = np.frombuffer(data, "<u4", len(array) * places, array.offset * places * 4).reshape(-1, places)
        pieces = [_total(words[:, place].astype(np.float64), groups, count) for place in range(places - 1)]
        pieces.append(_total(words[:, -1].view(np.int32).astype(np.float64), groups, count))
        result.limbs = np.array(pieces).astype(np.int64)
    return result


def sum_floats(values: Floats, groups: Ints, count: int) -> Sums:
    """The sum per group of doubles. Not finite ones are counted apart."""
    if not len(values):
        return Sums.zeros(count, "float")
    # min and max show NaN and infinities in two passes without a temporary
    lowest, highest = values.min(), values.max()
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        finite = np.isfinite(values)
        result = sum_floats(np.where(finite, values, 0.0), groups, count)
        for row, odd in enumerate((np.isnan(values), values == np.inf, values == -np.inf)):
            result.special[row] = np.bincount(groups[odd], minlength=count)
        return result
    if max(-lowest, highest) < _HUGE:
        return _cut(values, lowest, highest, groups, count)
    huge = np.abs(values) >= _HUGE
    scaled = np.where(huge, values, 0.0) * 2.0**-256
    result = _cut(scaled, scaled.min(), scaled.max(), groups, count)
    result.base += _HUGE_LIMBS
    result.add_at(sum_floats(np.where(huge, 0.0, values), groups, count), np.arange(count))
    return result


def _cut(values: Floats, lowest: float, highest: float, groups: Ints, count: int) -> Sums:
    if lowest == highest == 0.0:
        return Sums.zeros(count, "float")
    # of pieces so wide the sum of all is exact; two bits less than a double has, so that the cut is (below)
    width = _EXACT_BITS - max(len(values).bit_length(), 2)
    # values < 2^top; where all are on one side of zero, the one nearest to it tells how fine their bits are
    top = math.frexp(max(-lowest, highest))[1]
    nearest = max(lowest, -highest)
    finest = max(math.frexp(nearest)[1] - _EXACT_BITS, _FINEST_BIT) if nearest > 0.0 else _FINEST_BIT
    totals: list[tuple[int, Floats]] = []
    place = top - width
    while place > finest:
        # values < 2^(place+51): adding 1.5 * 2^(place+52) rounds them to whole multiples of 2^place; the rest is exact
        # and at most half a unit
        constant = math.ldexp(1.5, place + 52)
        high = values + constant
        high -= constant
        totals.append((place, _total(high, groups, count)))
        values = np.subtract(values, high, out=high)
        if not values.any():
            break
        place -= width
    else:  # all that is left are multiples of 2^place
        totals.append((place, _total(values, groups, count)))
    return _placed(totals, count)


def _placed(totals: Sequence[tuple[int, Floats]], count: int) -> Sums:
    """The sum of numbers below 2^53 in units of ``2**place`` each, the highest place first."""
    base = totals[-1][0] // LIMB_BITS
    limbs = np.zeros((totals[0][0] // LIMB_BITS - base + 2, count), np.int64)
    for place, total in totals:
        units = np.ldexp(total, -place).astype(np.int64)
        at, shift = divmod(place - base * LIMB_BITS, LIMB_BITS)
        limbs[at] += units << np.int64(shift) & _MASK
        limbs[at + 1] += units >> np.int64(LIMB_BITS - shift)
    return Sums(limbs, base, "float", 0, np.zeros((3, count), np.int64))


def weighted(array: Any, counts: Ints) -> Sums:
    """The sum of a canonical numeric array without nulls, each value taken as often as its count says, as one group.

    Values of one count are summed first, and then multiplied by it: few counts differ.
    """
    groups, keys = grouping.group([Column("", from_numpy(counts))], len(counts))
    every, parts = view(keys[0]), sums(array, groups.owners, len(groups))
    totals, _ = parts.integers()
    limbs = _limbs(sum(count * total for count, total in zip(every.tolist(), totals, strict=True)))
    return Sums(limbs, parts.base, parts.kind, parts.scale, (parts.special @ every).reshape(-1, 1))


def _limbs(number: int) -> Ints:
    """An integer as the limbs of one group."""
    limbs: list[int] = []
    while number:
        limbs.append((number + _HALF) % (1 << LIMB_BITS) - _HALF)
        number = (number - limbs[-1]) >> LIMB_BITS
    return np.array(limbs, np.int64).reshape(-1, 1)


def divided(number: int, divisor: int) -> int:
    """The integer nearest to ``number / divisor``, ties to even; ``divisor`` is positive."""
    quotient, rest = divmod(number, divisor)
    return quotient + (2 * rest > divisor or (2 * rest == divisor and quotient % 2 == 1))
