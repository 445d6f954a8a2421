"""The measures of an aggregate: each holds one partial result per group, all groups in numpy or Arrow arrays.

``of`` makes the partial result of a block, ``combine`` joins partial results whose groups are renumbered by a mapping,
``results`` gives the JSON values. ``pack`` and ``unpack`` turn them into named arrays and back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, Protocol, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chalicelib.engine.measure import exact, plain
from chalicelib.engine.measure.canonical import view
from chalicelib.engine.measure.columns import Column
from chalicelib.engine.measure.exact import NAN, NEGATIVE_INFINITY, POSITIVE_INFINITY, Sums, divided
from chalicelib.engine.measure.extremes import Extreme
from chalicelib.engine.measure.grouping import Groups
from chalicelib.engine.measure.packing import Packed
from chalicelib.engine.measure.sketches import REGISTERS, Bins, Distinct, bounds_of, middle_of

Ints = NDArray[np.int64]

MEAN_DIGITS: Final = 6
"""Digits after the point that the mean of an exact decimal has beyond those of its column."""


class State(Protocol):
    """The partial results of one measure for all groups."""

    @property
    def weight(self) -> int:
        """Entries held, a measure of memory."""

    @classmethod
    def combine(cls, parts: Sequence[tuple[Self, Ints]], groups: int) -> Self: ...

    def results(self) -> list[plain.Plain]: ...

    def pack(self) -> Packed: ...

    @classmethod
    def unpack(cls, packed: Packed) -> Self: ...


@dataclass(slots=True)
class Counts:
    """How many rows, or values that are not null."""

    counts: Ints

    @classmethod
    def of(cls, column: Column | None, groups: Groups) -> Self:
        return cls((groups if column is None else groups.of_valid(column)).sizes)

    @property
    def weight(self) -> int:
        return len(self.counts)

    @classmethod
    def combine(cls, parts: Sequence[tuple[Self, Ints]], groups: int) -> Self:
        counts = np.zeros(groups, np.int64)
        for part, mapping in parts:
            counts[mapping] += part.counts
        return cls(counts)

    def results(self) -> list[plain.Plain]:
        return list(self.counts.tolist())

    def pack(self) -> Packed:
        return {}, {"counts": self.counts}

    @classmethod
    def unpack(cls, packed: Packed) -> Self:
        return cls(view(packed[1]["counts"]))


@dataclass(slots=True)
class Total:
    """Exact sums; an integer column's sum is an integer, a decimal column's text, a float column's the nearest float.

    A group without values has no sum (null), as in SQL.
    """

    sums: Sums
    counts: Ints

    @classmethod
    def of(cls, column: Column, groups: Groups) -> Self:
        groups = groups.of_valid(column)
        return cls(exact.sums(column.present, groups.owners, len(groups)), groups.sizes)

    @property
    def weight(self) -> int:
        return self.sums.limbs.size + len(self.counts)

    @classmethod
    def combine(cls, parts: Sequence[tuple[Self, Ints]], groups: int) -> Self:
        sums, counts = Sums.zeros(groups), np.zeros(groups, np.int64)
        for part, mapping in parts:
            sums.add_at(part.sums, mapping)
            counts[mapping] += part.counts
        return cls(sums, counts)

    def results(self) -> list[plain.Plain]:
        return self._rounded(mean=False)

    def _rounded(self, mean: bool) -> list[plain.Plain]:
        totals, exponent = self.sums.integers()
        odd = self.sums.special.T.tolist()
        return [
            self._one(total, exponent, count, special, mean) if count else None
            for total, count, special in zip(totals, self.counts.tolist(), odd, strict=True)
        ]

    def _one(self, total: int, exponent: int, count: int, special: list[int], mean: bool) -> plain.Plain:
        kind = self.sums.kind
        if special[NAN] or (special[POSITIVE_INFINITY] and special[NEGATIVE_INFINITY]):
            return "NaN"
        if special[POSITIVE_INFINITY] or special[NEGATIVE_INFINITY]:
            return "INF" if special[POSITIVE_INFINITY] else "-INF"
        if kind == "decimal":
            units = total << exponent
            if not mean:
                return plain.decimal(units, self.sums.scale)
            return plain.decimal(divided(units * 10**MEAN_DIGITS, count), self.sums.scale + MEAN_DIGITS)
        if kind == "integer" and not mean:
            return total << exponent
        return plain.number(nearest(total, exponent, count if mean else 1))

    def pack(self) -> Packed:
        sums = self.sums
        meta = {"base": sums.base, "kind": sums.kind, "scale": sums.scale}
        return meta, {"counts": self.counts, "limbs": sums.limbs.ravel(), "special": sums.special.ravel()}

    @classmethod
    def unpack(cls, packed: Packed) -> Self:
        meta, arrays = packed
        counts = view(arrays["counts"])
        limbs = view(arrays["limbs"]).reshape(-1, len(counts)) if len(counts) else np.zeros((0, 0), np.int64)
        special = view(arrays["special"]).reshape(3, len(counts))
        return cls(Sums(limbs, meta["base"], meta["kind"], meta["scale"], special), counts)


class Mean(Total):
    """The exact sum divided by the count, rounded once to the nearest float (decimals: see ``MEAN_DIGITS``)."""

    __slots__ = ()

    def results(self) -> list[plain.Plain]:
        return self._rounded(mean=True)


def nearest(total: int, exponent: int, divisor: int) -> float:
    """The double nearest to ``total * 2**exponent / divisor``, ties to even; an infinity beyond the doubles.

    Python divides integers with correct rounding.
    """
    try:
        return (total << exponent) / divisor if exponent >= 0 else total / (divisor << -exponent)
    except OverflowError:
        return math.inf if total > 0 else -math.inf


@dataclass(slots=True)
class ApproxDistinct:
    """Distinct values that are not null: exact up to ``sketches.EXACT_LIMIT``, beyond it HyperLogLog."""

    distinct: Distinct

    @classmethod
    def of(cls, column: Column, groups: Groups) -> Self:
        hashes = column.hashes if column.valid is None else column.hashes[column.valid]
        return cls(Distinct.of(groups.of_valid(column).owners, hashes, len(groups)))

    @property
    def weight(self) -> int:
        # registers do not grow: a group of them costs as much to hold as to merge, and is no reason to merge early
        return len(self.distinct.hashes) + len(self.distinct.dense)

    @classmethod
    def combine(cls, parts: Sequence[tuple[Self, Ints]], groups: int) -> Self:
        return cls(Distinct.combine([(part.distinct, mapping) for part, mapping in parts], groups))

    def results(self) -> list[plain.Plain]:
        return list(self.distinct.estimates())

    def pack(self) -> Packed:
        held = self.distinct
        arrays = {"owners": held.owners, "hashes": held.hashes, "dense": held.dense}
        return {"groups": held.groups}, {**arrays, "registers": held.registers.ravel().view(np.int64)}

    @classmethod
    def unpack(cls, packed: Packed) -> Self:
        meta, arrays = packed
        owners, hashes, dense = (view(arrays[name]) for name in ("owners", "hashes", "dense"))
        registers = view(arrays["registers"]).view(np.uint8).reshape(-1, REGISTERS)
        return cls(Distinct(meta["groups"], owners, hashes, dense, registers))


@dataclass(slots=True)
class Quantile:
    """The q-quantile within ``sketches.RELATIVE_ACCURACY`` (0.39 %) of the value of rank ``floor(q * (n - 1))``.

    Exact for q 0 and 1 and for integers of magnitude up to 256. An integer column gives an integer, a decimal column
    text with the column's scale (and half a unit of its last digit is added to the tolerance). Null and NaN are passed
    over.
    """

    q: float
    bins: Bins
    low: Extreme
    high: Extreme

    @classmethod
    def of(cls, column: Column, groups: Groups, q: float) -> Self:
        low = Extreme.of(column, groups, largest=False)
        high = Extreme.of(column, groups, largest=True)
        owners = groups.of_valid(column).owners
        array = column.present
        if pa.types.is_null(array.type):
            numbers = np.zeros(0)
        else:
            numbers = view(array.cast(pa.float64(), safe=False))
        real = ~np.isnan(numbers)
        if not real.all():
            owners, numbers = owners[real], numbers[real]
        return cls(q, Bins.of(owners, numbers, len(groups)), low, high)

    @property
    def weight(self) -> int:
        return len(self.bins.keys) + self.low.weight + self.high.weight

    @classmethod
    def combine(cls, parts: Sequence[tuple[Self, Ints]], groups: int) -> Self:
        return cls(
            parts[0][0].q,
            Bins.combine([(part.bins, mapping) for part, mapping in parts], groups),
            Extreme.combine([(part.low, mapping) for part, mapping in parts], groups),
            Extreme.combine([(part.high, mapping) for part, mapping in parts], groups),
        )

    def results(self) -> list[plain.Plain]:
        if self.q in (0, 1):
            return (self.high if self.q else self.low).results()
        kind = self.low.values.type
        keys = self.bins.quantiles(self.q, len(self.low.values))
        ends = zip(keys, self.low.values.to_pylist(), self.high.values.to_pylist(), strict=True)
        return [None if key is None else _representative(kind, key, low, high) for key, low, high in ends]

    def pack(self) -> Packed:
        meta = {"q": self.q}
        bins = self.bins
        arrays = {"owners": bins.owners, "keys": bins.keys, "counts": bins.counts}
        return meta, {**arrays, "low": self.low.values, "high": self.high.values}

    @classmethod
    def unpack(cls, packed: Packed) -> Self:
        meta, arrays = packed
        bins = Bins(*(view(arrays[name]) for name in ("owners", "keys", "counts")))
        return cls(meta["q"], bins, Extreme(arrays["low"], False), Extreme(arrays["high"], True))


def _representative(kind: Any, key: int, low: Any, high: Any) -> plain.Plain:
    """The middle of a bin in a column's own kind of number, kept between the group's least and greatest."""
    if pa.types.is_int64(kind):
        return int(max(low, min(high, _middle_integer(key))))
    if pa.types.is_decimal(kind):
        least, greatest = (int(Fraction(end) * 10**kind.scale) for end in (low, high))
        return plain.decimal(max(least, min(greatest, _middle_integer(key, kind.scale))), kind.scale)
    return plain.number(max(low, min(high, middle_of(key))))


def _middle_integer(key: int, scale: int = 0) -> int:
    """The middle one of the multiples of ``10**-scale`` in a bin, in that unit."""
    if key < 0:
        return -_middle_integer(~key, scale)
    low, high = (math.ceil(Fraction(bound) * 10**scale) for bound in bounds_of(key))
    # a decimal may be nearer to the next bin's edge than doubles can tell: then the bin holds no multiple
    middle: int = (low + max(low, high - 1)) // 2
    return middle


def is_number(kind: Any) -> bool:
    """Whether sums, means and quantiles of a canonical type are defined (a column of nothing but null is one)."""
    types = pa.types
    return bool(types.is_int64(kind) or types.is_float64(kind) or types.is_decimal(kind) or types.is_null(kind))
