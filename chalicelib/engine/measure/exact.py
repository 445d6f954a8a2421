"""Sums that are exact, so that they do not depend on how rows were grouped into blocks, chunks and merges.

A double is an integer multiple of 2^-1074. Every value is cut at fixed places of the binary grid, 32 bits apart, into
pieces; the pieces of one place are small integers in units of that place, so their sums over a block are exact in
float64 and are carried in int64 "limbs". The grid is fixed, not chosen from the data, so additions commute. Only the
result is rounded, once, to the nearest double (ties to even), as ``math.fsum`` does.

This is the reproducible summation of Demmel and Nguyen ("Fast Reproducible Floating-Point Summation", ARITH 2013;
"Parallel Reproducible Summation", IEEE ToC 2015), with all places kept instead of the highest few: the exact form is
Kulisch's long accumulator. Cutting by adding and subtracting a large constant is from Rump, Ogita and Oishi ("Accurate
Floating-Point Summation", SIAM J. Sci. Comput. 2008).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chalicelib.engine.measure.columns import from_numpy, view

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

LIMB_BITS: Final = 32
MAX_ROWS: Final = 1 << 20
"""Rows of one call: 2^20 pieces below 2^32 sum to less than 2^53, exactly, in float64."""

_HUGE: Final = 2.0**900
"""From here on the cutting constants would overflow; such values are scaled by 2^-256, exactly, before the cut."""
_HUGE_LIMBS: Final = 8
_MASK: Final = np.int64((1 << LIMB_BITS) - 1)
_HALF: Final = np.int64(1 << (LIMB_BITS - 1))

NAN, POSITIVE_INFINITY, NEGATIVE_INFINITY = 0, 1, 2
"""Rows of ``Sums.special``."""


@dataclass(slots=True)
class Sums:
    """One exact sum per group: ``sum(limbs[i] * 2**(32 * (base + i))) * 10**-scale``."""

    limbs: Ints
    """Shape (places, groups)."""
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
        for place, limb in enumerate(other.limbs, other.base - self.base):
            self.limbs[place, mapping] += limb
        self.special[:, mapping] += other.special
        self._carry()

    def _cover(self, low: int, high: int) -> None:
        if low == high:
            return
        if not len(self.limbs):
            self.base = low
        before = max(0, self.base - low)
        after = max(0, high - self.base - len(self.limbs))
        if before or after:
            self.limbs = np.pad(self.limbs, ((before, after), (0, 0)))
            self.base -= before

    def _carry(self) -> None:
        """Bring every limb back to [-2^31, 2^31), so that 2^31 additions fit before the next carry."""
        carry = np.zeros(self.groups, np.int64)
        for limb in self.limbs:
            limb += carry
            carry = (limb + _HALF) >> np.int64(LIMB_BITS)
            limb -= carry << np.int64(LIMB_BITS)
        if carry.any():
            self.limbs = np.vstack([self.limbs, carry])
            self._carry()

    def _rescale(self, scale: int) -> None:
        for _ in range(scale - self.scale):
            self.limbs *= 10
            self._carry()
        self.scale = scale

    def shift(self, bits: int) -> None:
        """Multiply by ``2**bits``."""
        self.special <<= np.int64(bits)
        while bits:
            step = min(bits, LIMB_BITS - 2)
            self.limbs <<= np.int64(step)
            self._carry()
            bits -= step

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


def _total(values: Floats, groups: Ints, count: int) -> Floats:
    # one group needs no scatter; the pieces are integers of one grid, so the order of a plain sum is no matter
    return np.array([values.sum()]) if count == 1 else np.bincount(groups, values, count).astype(np.float64, copy=False)


def _sum_integers(values: Ints, groups: Ints, count: int) -> Sums:
    result = Sums.zeros(count)
    if not len(values):
        return result
    largest = max(abs(int(values.min())), abs(int(values.max())))
    if largest * len(values) < 2**53:
        pieces = [_total(values.astype(np.float64), groups, count)]
    else:
        pieces = [
            _total((values & _MASK).astype(np.float64), groups, count),
            _total((values >> np.int64(LIMB_BITS)).astype(np.float64), groups, count),
        ]
    result.limbs = np.array(pieces).astype(np.int64)
    result._carry()
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
        result._carry()
    return result


def sum_floats(values: Floats, groups: Ints, count: int) -> Sums:
    """The sum per group of doubles. Not finite ones are counted apart."""
    result = Sums.zeros(count, "float")
    if not len(values):
        return result
    # min and max show NaN and infinities in two passes without a temporary
    lowest, highest = values.min(), values.max()
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        for row, odd in enumerate((np.isnan(values), values == np.inf, values == -np.inf)):
            result.special[row] = np.bincount(groups[odd], minlength=count)
        values = np.where(np.isfinite(values), values, 0.0)
        lowest, highest = values.min(), values.max()
    largest = max(-lowest, highest)
    everyone = np.arange(count)
    if largest >= _HUGE:
        huge = np.abs(values) >= _HUGE
        part = _cut(np.where(huge, values, 0.0) * 2.0**-256, largest * 2.0**-256, groups, count)
        part.base += _HUGE_LIMBS
        result.add_at(part, everyone)
        values = np.where(huge, 0.0, values)
        largest = float(np.abs(values).max())
    result.add_at(_cut(values, float(largest), groups, count), everyone)
    return result


def _cut(values: Floats, largest: float, groups: Ints, count: int) -> Sums:
    result = Sums.zeros(count, "float")
    if largest == 0.0:
        return result
    place = int(np.frexp(largest)[1]) // LIMB_BITS
    pieces: list[Ints] = []
    while True:
        unit = LIMB_BITS * place
        # values < 2^(unit+32): adding 1.5 * 2^(unit+52) rounds them to whole multiples of 2^unit (or leaves them as
        # they are, below the subnormals' own grid); the rest is exact and at most half a unit
        constant = np.ldexp(1.5, unit + 52)
        high = values + constant
        high -= constant
        pieces.append(np.ldexp(_total(high, groups, count), -unit).astype(np.int64))
        values = values - high
        place -= 1
        if not values.any():
            break
    result.limbs = np.array(pieces[::-1])
    result.base = place + 1
    result._carry()
    return result


def weighted(array: Any, counts: Ints) -> Sums:
    """The sum of a canonical numeric array without nulls, each value taken as often as its count says, as one group."""
    one = np.zeros(len(array), np.int64)
    total = Sums.zeros(1)
    for bit in range(int(counts.max()).bit_length() if len(counts) else 0):
        chosen = np.flatnonzero(counts >> np.int64(bit) & 1)
        part = sums(array.take(from_numpy(chosen)), one[chosen], 1)
        part.shift(bit)
        total.add_at(part, one[:1])
    return total
