"""Sketches of many groups at once: how many distinct values a group has, and how its numbers are distributed.

Both are functions of the *set* (distinct) or *multiset* (distribution) of values alone: how rows were split into blocks
and chunks, and in which order those were merged, leaves no trace in them. Both use integer operations only, so two
machines with different floating-point units agree to the last bit.

* ``Distinct``: exact up to ``EXACT_LIMIT`` distinct values in a group, then HyperLogLog (Flajolet, Fusy, Gandouet,
  Meunier, AofA 2007) with 64-bit hashes and Ertl's improved estimator, which needs no bias tables ("New cardinality
  estimation algorithms for HyperLogLog sketches", 2017, https://arxiv.org/abs/1702.01284, algorithm 6).
* ``Bins``: DDSketch (Masson, Rim, Lee, PVLDB 12(12), 2019) with linearly interpolated bins: a double's exponent and its
  first 7 fraction bits *are* its bin. A bin is at most 1/128 of its value wide, so its middle is within 1/256 = 0.39 %
  of every value in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Hashes = NDArray[np.uint64]

PRECISION: Final = 12
"""2^12 registers of one byte: standard error 1.04 / sqrt(2^12) = 1.6 %."""
REGISTERS: Final = 1 << PRECISION
EXACT_LIMIT: Final = 2048
"""Distinct values that a group counts exactly: in 8 bytes each they take at most four times what registers take."""

RELATIVE_ACCURACY: Final = 1 / 256
_DROPPED_BITS: Final = np.int64(52 - 7)
_COLD_HASHES: Final = 1 << 15
"""So many hashes go into empty registers at once: it takes longer to see that one raises nothing."""
_MAX_TABLE: Final = 1 << 21
"""Cells up to which counting in a table of all (group, bin) pairs is cheaper than sorting the pairs."""


def update_registers(registers: NDArray[np.uint8], hashes: Hashes, rows: Ints | None = None) -> None:
    """Take hashes into HyperLogLog registers, in place. ``registers`` is (n, 2^precision), contiguous, with a
    precision of 12 to 16; ``rows`` says which sketch each hash belongs to (None: all to the only one).
    """
    precision = _precision(registers)
    rest_bits = 64 - precision
    flat = registers.reshape(-1)
    places = (hashes >> np.uint64(rest_bits)).view(np.int64)
    if rows is not None:
        places += rows << np.int64(precision)
        _raise(flat, places, hashes, rest_bits)
        return
    start = 0 if flat.any() else _COLD_HASHES
    _raise(flat, places[:start], hashes[:start], rest_bits)
    places, hashes = places[start:], hashes[start:]
    if len(hashes):
        # most raise nothing, which one comparison tells: with the largest hash that would raise its register
        largest = (np.uint64(1 << rest_bits) >> flat) - np.uint64(1)
        largest += np.arange(len(flat), dtype=np.uint64) << np.uint64(rest_bits)
        hopeful = np.flatnonzero(hashes <= largest.take(places))
        _raise(flat, places[hopeful], hashes[hopeful], rest_bits)


def _raise(flat: NDArray[np.uint8], places: Ints, hashes: Hashes, rest_bits: int) -> None:
    """Raise each place to the position of the first 1, from 1, in the last ``rest_bits`` of its hash."""
    # a double's exponent tells it, exactly, up to 2^53; half more, so that it does of nothing but zeros, too
    rest = (hashes & np.uint64((1 << rest_bits) - 1)).view(np.int64) + 0.5
    exponents = rest.view(np.int64) >> np.int64(52)
    np.maximum.at(flat, places, (np.int64(rest_bits + 1023) - exponents).astype(np.uint8))


def estimate(registers: NDArray[np.uint8]) -> int:
    """How many distinct hashes one sketch has seen (Ertl 2017, algorithm 6), rounded."""
    size = registers.shape[-1]
    rest_bits = 64 - _precision(registers)
    histogram = np.bincount(registers, minlength=rest_bits + 2)
    z = size * _tau(1 - int(histogram[rest_bits + 1]) / size)
    for rank in range(rest_bits, 0, -1):
        z = 0.5 * (z + int(histogram[rank]))
    z += size * _sigma(int(histogram[0]) / size)
    expected: float = size / (2 * math.log(2)) * size / z
    return round(expected)


def _precision(registers: NDArray[np.uint8]) -> int:
    return int(registers.shape[-1]).bit_length() - 1


def _sigma(x: float) -> float:
    if x == 1.0:
        return math.inf
    y, z = 1.0, x
    while True:
        x, previous = x * x, z
        z, y = z + x * y, y + y
        if z == previous:
            return z


def _tau(x: float) -> float:
    if x in (0.0, 1.0):
        return 0.0
    y, z = 1.0, 1 - x
    while True:
        x, previous, y = math.sqrt(x), z, 0.5 * y
        z -= (1 - x) ** 2 * y
        if z == previous:
            return z / 3


@dataclass(slots=True)
class Distinct:
    """The distinct hashes of each group, or its HyperLogLog registers."""

    groups: int
    owners: Ints
    """Group of each entry of ``hashes``."""
    hashes: Hashes
    dense: Ints
    """The groups that have gone over to registers, ascending."""
    registers: NDArray[np.uint8]
    """Shape (len(dense), REGISTERS)."""

    @classmethod
    def of(cls, owners: Ints, hashes: Hashes, groups: int) -> Distinct:
        """From (group, hash) pairs, which may come more than once.

        They are made distinct by ``combine``: a block's own would be sorted for nothing where the group has registers.
        """
        return cls(groups, owners, hashes, np.zeros(0, np.int64), np.zeros((0, REGISTERS), np.uint8))

    @classmethod
    def combine(cls, parts: Sequence[tuple[Distinct, Ints]], groups: int) -> Distinct:
        """The union: part by part, its groups become the groups that its mapping names."""
        rows = np.full(groups, -1, np.int64)
        for part, mapping in parts:
            rows[mapping[part.dense]] = 0
        owners = np.concatenate([mapping[part.owners] for part, mapping in parts])
        hashes = np.concatenate([part.hashes for part, _ in parts])
        settled = rows[owners] >= 0
        kept_owners, kept_hashes = _unique_pairs(owners[~settled], hashes[~settled])
        rows[np.bincount(kept_owners, minlength=groups) > EXACT_LIMIT] = 0
        dense = np.flatnonzero(rows >= 0)
        rows[dense] = np.arange(len(dense))
        registers = np.zeros((len(dense), REGISTERS), np.uint8)
        for part, mapping in parts:
            targets = rows[mapping[part.dense]]
            registers[targets] = np.maximum(registers[targets], part.registers)
        if len(dense):
            moved = rows[owners] >= 0
            update_registers(registers, hashes[moved], rows[owners[moved]])
            stays = rows[kept_owners] < 0
            kept_owners, kept_hashes = kept_owners[stays], kept_hashes[stays]
        return cls(groups, kept_owners, kept_hashes, dense, registers)

    def estimates(self) -> list[int]:
        """Exact for the groups that still hold their hashes. Call on what ``combine`` made: its pairs are distinct."""
        counts: list[int] = np.bincount(self.owners, minlength=self.groups).tolist()
        for group, registers in zip(self.dense.tolist(), self.registers, strict=True):
            counts[group] = estimate(registers)
        return counts


def _unique_pairs(owners: Ints, hashes: Hashes) -> tuple[Ints, Hashes]:
    if not len(owners):
        return owners, hashes
    if (owners == owners[0]).all():
        ordered = np.sort(hashes)
        fresh = np.append(True, ordered[1:] != ordered[:-1])
        return owners[: int(fresh.sum())], ordered[fresh]
    # numpy sorts 16-bit numbers by radix: 16 bits of the owners at a time is several times as fast as lexsort
    order = np.argsort(hashes)
    for shift in range(0, int(owners.max()).bit_length(), 16):
        digits = (owners[order] >> np.int64(shift)).astype(np.uint16)
        order = order[np.argsort(digits, kind="stable")]
    owners, hashes = owners[order], hashes[order]
    fresh = np.append(True, (owners[1:] != owners[:-1]) | (hashes[1:] != hashes[:-1]))
    return owners[fresh], hashes[fresh]


def bin_of(values: Floats) -> Ints:
    """The bin of each double (not NaN), in the order of the values; zero has bin 0."""
    keys = (values + 0.0).view(np.int64) >> _DROPPED_BITS
    # a double's bits without the sign grow with its magnitude: mirror the negative ones
    return np.where(keys < 0, ~(keys & np.int64((1 << 18) - 1)), keys)


def bounds_of(key: int) -> tuple[float, float]:
    """The least value of a bin and the value that ends it: ``[low, high)``, mirrored ``(low, high]`` below zero."""
    if key < 0:
        low, high = bounds_of(~key)
        return -high, -low
    low, high = (np.array([key, key + 1], np.int64) << _DROPPED_BITS).view(np.float64).tolist()
    return low, low if math.isnan(high) else high


def middle_of(key: int) -> float:
    """The middle of a bin, no farther than ``RELATIVE_ACCURACY`` of any normal number in it."""
    low, high = bounds_of(key)
    if key in (0, -1):
        return 0.0
    return low if math.isinf(high) or math.isinf(low) else low / 2 + high / 2


@dataclass(slots=True)
class Bins:
    """How many values each bin of each group holds: sorted by group, then by bin."""

    owners: Ints
    keys: Ints
    counts: Ints

    @classmethod
    def of(cls, owners: Ints, values: Floats, groups: int) -> Bins:
        """The bins of a block's doubles (no NaN); ``owners`` holds one group number per value."""
        return cls._count(owners, bin_of(values), None, groups)

    @classmethod
    def combine(cls, parts: Sequence[tuple[Bins, Ints]], groups: int) -> Bins:
        owners = np.concatenate([mapping[part.owners] for part, mapping in parts])
        keys = np.concatenate([part.keys for part, _ in parts])
        return cls._count(owners, keys, np.concatenate([part.counts for part, _ in parts]), groups)

    @classmethod
    def _count(cls, owners: Ints, keys: Ints, counts: Ints | None, groups: int) -> Bins:
        if not len(keys):
            return cls(owners[:0], keys[:0], np.zeros(0, np.int64))
        lowest = int(keys.min())
        width = int(keys.max()) - lowest + 1
        pairs = owners * width + (keys - lowest)
        if groups * width <= _MAX_TABLE:
            # counts below 2^53 are exact as bincount's float weights
            table = np.bincount(pairs, counts, groups * width)
            used = np.flatnonzero(table)
            totals = table[used].astype(np.int64)
        else:
            order = np.argsort(pairs)
            ordered = pairs[order]
            starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
            used = ordered[starts]
            each = np.ones(len(pairs), np.int64) if counts is None else counts[order]
            totals = np.add.reduceat(each, starts)
        return cls(used // width, used % width + lowest, totals)

    def quantiles(self, q: float, groups: int) -> list[int | None]:
        """For each group the bin that holds the value of rank ``floor(q * (n - 1))`` (from 0) among its
        ``n`` values: the paper's lower quantile. None where the group has no value.
        """
        sizes = np.bincount(self.owners, self.counts, groups).astype(np.int64)
        ends = np.cumsum(self.counts)
        before = np.cumsum(sizes) - sizes
        ranks = before + np.floor(q * np.maximum(sizes - 1, 0)).astype(np.int64)
        found = np.searchsorted(ends, ranks, side="right")
        return [
            int(self.keys[place]) if size else None for place, size in zip(found.tolist(), sizes.tolist(), strict=True)
        ]
