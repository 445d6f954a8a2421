"""The vectorised parts of the measures agree with what Python says row by row."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine.measure import exact, grouping, sketches
from chalicelib.engine.measure.canonical import canonical, from_numpy, view
from chalicelib.engine.measure.columns import Column

FINITE = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = st.one_of(
    st.lists(FINITE, max_size=40),
    st.lists(st.floats(0.01, 1000), max_size=40),
    st.lists(st.integers(-(10**6), 10**6).map(lambda cents: cents / 100), max_size=40),
    st.lists(st.floats(-5e-310, 5e-310), max_size=40),
)


@given(NUMBERS, st.integers(1, 5))
def test_sums_of_doubles_are_exact(numbers, count):
    owners = np.arange(len(numbers)) % count
    found = exact.sum_floats(np.array(numbers, np.float64), owners, count).fractions()
    assert found == [sum(map(Fraction, numbers[group::count])) for group in range(count)]


@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.integers(1, 5))
def test_sums_of_integers_are_exact(numbers, count):
    owners = np.arange(len(numbers)) % count
    found = exact.sums(from_numpy(np.array(numbers, np.int64)), owners, count).fractions()
    assert found == [sum(numbers[group::count]) for group in range(count)]


@given(st.lists(st.tuples(FINITE, st.integers(1, 2**40))))
def test_weighted_sums_are_exact(pairs):
    values, counts = np.array([each for each, _ in pairs], np.float64), np.array([each for _, each in pairs], np.int64)
    [found] = exact.weighted(from_numpy(values), counts).fractions()
    assert found == sum((Fraction(value) * count for value, count in pairs), Fraction(0))


@given(FINITE, st.integers(-(2**63), 2**63 - 1))
def test_sums_do_not_outgrow_their_limbs(real, whole):
    one = np.zeros(1, np.int64)
    for array in (from_numpy(np.array([real])), from_numpy(np.array([whole]))):
        total = exact.sums(array, one, 1)
        value = total.fractions()[0]
        for _ in range(100):
            total.add_at(exact.Sums(total.limbs.copy(), total.base, total.kind, 0, total.special), one)
        assert total.fractions() == [value * 2**100]


def ranked(registers: np.ndarray, hashes: list[int], rest_bits: int) -> np.ndarray:
    """HyperLogLog, hash by hash."""
    for each in hashes:
        rest = each & ((1 << rest_bits) - 1)
        place = each >> rest_bits
        registers[place] = max(registers[place], rest_bits + 1 - rest.bit_length())
    return registers


@given(
    st.lists(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3) | st.integers(2**64 - 4, 2**64 - 1)), max_size=4),
    st.integers(12, 16),
    st.integers(0, 30),
)
def test_registers_hold_the_highest_rank(parts, precision, cold):
    expected, found = np.zeros(1 << precision, np.uint8), np.zeros((1, 1 << precision), np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sketches, "_COLD_HASHES", cold)
        for part in parts:
            sketches.update_registers(found, np.array(part, np.uint64))
            ranked(expected, part, 64 - precision)
    assert np.array_equal(found[0], expected)


SOME: dict[pa.DataType, list[Any]] = {
    pa.string(): ["", "a", "b"],
    pa.int64(): [0, -1, 7],
    pa.float64(): [0.0, -0.0, 1.5, math.nan, -math.nan],
    pa.null(): [],
}
INDICES = [pa.int8(), pa.uint16(), pa.int32(), pa.int64()]


@st.composite
def key_columns(draw: st.DrawFn) -> list[Any]:
    """Columns of one length: plain, or as codes into values that may be unused, repeated or null."""
    rows = draw(st.integers(0, 20))
    columns: list[Any] = []
    for kind in draw(st.lists(st.sampled_from(list(SOME)), min_size=1, max_size=4)):
        values = st.sampled_from([None, *SOME[kind]])
        if pa.types.is_null(kind) or draw(st.booleans()):
            columns.append(pa.array(draw(st.lists(values, min_size=rows, max_size=rows)), kind))
            continue
        known = draw(st.lists(values, min_size=1, max_size=6))
        index = st.none() | st.integers(0, len(known) - 1)
        codes = pa.array(draw(st.lists(index, min_size=rows, max_size=rows)), draw(st.sampled_from(INDICES)))
        columns.append(pa.DictionaryArray.from_arrays(codes, pa.array(known, kind)))
    return columns


@given(key_columns(), st.sampled_from([0, 5, 1 << 40]))
def test_groups_are_those_of_equal_keys(arrays, space):
    columns = [Column("", array) for array in arrays]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouping, "_MAX_SPACE", space)
        groups, keys = grouping.group(columns, len(arrays[0]))
    rows = list(zip(*(column.array.to_pylist() for column in columns), strict=True))
    rows = [tuple(map(repr, row)) for row in rows]  # a NaN is not equal to itself
    named = [tuple(map(repr, key)) for key in zip(*(key.to_pylist() for key in keys), strict=True)]
    assert [named[owner] for owner in groups.owners.tolist()] == rows
    assert dict(zip(named, groups.sizes.tolist(), strict=True)) == Counter(rows)
    for column in columns:
        values = column.array.to_pylist()
        assert column.nulls == values.count(None)
        valid = column.valid
        assert (valid is None) == (None not in values)
        assert valid is None or valid.tolist() == [value is not None for value in values]


def test_groups_of_more_codes_than_can_be_counted():
    chance = np.random.default_rng(11)
    first, second = (chance.integers(0, 600, 1000) for _ in range(2))
    groups, (left, right) = grouping.group([Column("", from_numpy(each)) for each in (first, second)], 1000)
    assert np.array_equal(view(left)[groups.owners], first)
    assert np.array_equal(view(right)[groups.owners], second)
    assert np.array_equal(np.bincount(groups.owners), groups.sizes)


@given(st.lists(st.none() | st.floats() | st.just(-0.0), max_size=10))
def test_canonical_doubles_have_one_zero_and_one_nan(values):
    array = pa.array(values, pa.float64())
    made = canonical(array)
    assert [repr(value) for value in made.to_pylist()] == [
        repr(value + 0.0) if value is not None else "None" for value in values
    ]
    bits = view(made).view(np.int64)[[place for place, value in enumerate(values) if value is not None]]
    assert len(set(bits.tolist())) == len({repr(value + 0.0) for value in values if value is not None})
