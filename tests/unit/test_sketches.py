"""Exact sums, hashes, distinct counts, bins and grids: the parts that every measure is made of."""

from __future__ import annotations

import math
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest

from chalicelib.engine import hashing
from chalicelib.engine.measure import canonical, exact, sketches
from chalicelib.engine.measure.histogram import BINS, CELLS, Grid

ONE = np.zeros(1, np.int64)


def total(values: list[float]) -> Fraction:
    array = np.array(values, np.float64)
    return exact.sum_floats(array, np.zeros(len(array), np.int64), 1).fractions()[0]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="none"),
        pytest.param([0.1] * 10, id="tenths"),
        pytest.param([1e16, 1.0, -1e16], id="cancellation"),
        pytest.param([1e308, 1e308, -1e308, -1e308, 5e-324], id="past the largest double and back"),
        pytest.param([5e-324, -5e-324, 2.2250738585072014e-308, 5e-324], id="subnormals"),
        pytest.param([1.7976931348623157e308, -5e-324], id="the whole range"),
        pytest.param([2.0**900, 2.0**899, -(2.0**900)], id="either side of the scaled values"),
        pytest.param([-0.0, 0.0], id="zeros"),
    ],
)
def test_sums_of_doubles_are_exact(values):
    assert total(values) == sum(map(Fraction, values))


def test_sums_of_doubles_of_every_magnitude_are_exact_per_group():
    chance = np.random.default_rng(7)
    values = np.ldexp(chance.random(5000) - 0.5, chance.integers(-1080, 1023, 5000))
    groups = chance.integers(0, 7, 5000)
    sums = exact.sum_floats(values, groups, 7).fractions()
    for group, found in enumerate(sums):
        assert found == sum(map(Fraction, values[groups == group].tolist()))


def test_what_is_not_finite_is_counted_apart():
    values = np.array([math.nan, math.inf, 1.5, -math.inf, math.inf])
    sums = exact.sum_floats(values, np.array([0, 0, 1, 1, 1]), 2)
    assert sums.special.tolist() == [[1, 0], [1, 1], [0, 1]]
    assert sums.fractions() == [0, Fraction(3, 2)]


@pytest.mark.parametrize("kind", [pa.int64(), pa.decimal128(38, 0), pa.decimal256(60, 0)])
def test_integer_and_decimal_sums_do_not_overflow(kind):
    values = [2**63 - 1] * 40 + [-(2**63)] * 3 + [-1, 0, 1]
    array = pa.array(values, pa.int64()).cast(kind)
    sums = exact.sums(array, np.zeros(len(values), np.int64), 1)
    for _ in range(5):
        sums.add_at(exact.sums(array, np.zeros(len(values), np.int64), 1), ONE)
    assert sums.fractions() == [6 * sum(values)]


def test_decimals_of_different_scales_share_the_finer_one():
    coarse = exact.sums(pa.array([15], pa.int64()).cast(pa.decimal128(20, 1)), ONE, 1)
    fine = exact.sums(pa.array(["0.0625"]).cast(pa.decimal128(20, 4)), ONE, 1)
    coarse.add_at(fine, ONE)
    assert (coarse.fractions(), coarse.scale) == ([Fraction("15.0625")], 4)


def test_floats_do_not_go_with_decimals():
    sums = exact.sums(pa.array([1]).cast(pa.decimal128(20, 1)), ONE, 1)
    with pytest.raises(ValueError, match="decimal and floating-point"):
        sums.add_at(exact.sums(pa.array([1.5]), ONE, 1), ONE)


def test_weighted_sums_are_the_sums_of_repeated_values():
    values, counts = np.array([0.1, -3e300, 7e-310, math.inf]), np.array([3, 2**40 + 1, 5, 2])
    sums = exact.weighted(canonical.from_numpy(values), counts)
    expected = sum(Fraction(value) * count for value, count in zip(values[:3].tolist(), counts.tolist(), strict=False))
    assert sums.fractions() == [expected]
    assert sums.special[exact.POSITIVE_INFINITY].tolist() == [2]


def hashes_of(values: object, kind: object = None) -> list[int]:
    return hashing.hash_array(canonical.canonical(pa.array(values, kind))).tolist()


def test_hashes_are_those_of_every_process_and_version():
    # Partial results of one job may be made by different workers: whoever changes these raises ``hashing.VERSION``.
    assert hashing.VERSION == 3
    assert [f"{each:016x}" for each in hashes_of(["", "a", "Sluice", "8 bytes!", "ä" * 40, "x" * 1000])] == PINNED_TEXTS
    assert [f"{each:016x}" for each in hashes_of([0, 5, -1])] == PINNED_NUMBERS
    assert hashes_of([5.0, -1.0]) == hashes_of([5, -1])
    assert hashes_of([-0.0]) == hashes_of([0.0])
    assert hashes_of([5], pa.int8()) == hashes_of([5], pa.decimal128(10, 0))


PINNED_TEXTS = [
    "0000000000000000",
    "a51836b2bc31eea2",
    "8a70348d518ada85",
    "e4429926c0462058",
    "4f8755b8f8fee434",
    "44d03f9febf9d4ff",
]
PINNED_NUMBERS = ["0000000000000000", "d66ad737d54c5575", "64b5720b4b825f21"]


PROSE = "".join(chr(97 + int(at)) for at in np.random.default_rng(5).integers(0, 26, 900))


def swapped(left: int, right: int) -> str:
    pieces = [PROSE[start : start + 20] for start in range(0, 900, 20)]
    pieces[left], pieces[right] = pieces[right], pieces[left]
    return "".join(pieces)


def in_some_words(byte: int, number: int) -> str:
    """A number's digits in the same byte of words that are far from each other."""
    letters = list(PROSE)
    letters[byte:800:200] = f"{number:04}"
    return "".join(letters)


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param([str(number) for number in range(200_000)], id="numbers"),
        pytest.param([f"user{number}@example.com" for number in range(200_000)], id="addresses"),
        pytest.param(["\0" * number for number in range(3000)], id="zero bytes"),
        pytest.param([f"{'x' * (number % 300)}{number}" for number in range(50_000)], id="lengths"),
        pytest.param(["x" * 200 + f"{number:060}" + "y" * 200 for number in range(100_000)], id="long ones"),
        pytest.param(["a" * number + "b" + "a" * (999 - number) for number in range(1000)], id="one moves"),
        pytest.param([chr(number % 1000 + 200) * 9 + str(number) for number in range(50_000)], id="not ASCII"),
        pytest.param([PROSE[:at] + letter + PROSE[at + 1 :] for at in range(900) for letter in "ABCDEFGHIJ"], id="one"),
        pytest.param([swapped(*pair) for pair in combinations(range(45), 2)], id="two pieces swapped"),
        pytest.param(
            ["".join(digit.ljust(64, "x") for digit in f"{number:014b}") for number in range(1 << 14)], id="far apart"
        ),
        *(
            pytest.param([in_some_words(byte, number) for number in range(10_000)], id=f"byte {byte} of some words")
            for byte in range(8)
        ),
        pytest.param([f"{number:09}{PROSE}{number % 7}" for number in range(50_000)], id="at both ends"),
        pytest.param([PROSE[:300].upper() + PROSE[300:size] for size in range(300, 900)], id="prefixes"),
        pytest.param([PROSE[start:] for start in range(640)], id="suffixes"),
    ],
)
def test_texts_hash_apart_and_evenly(texts):
    hashes = hashing.hash_array(pa.array(texts))
    assert len(np.unique(hashes)) == len(texts)
    for shift in (0, 20, 56):
        share = np.bincount((hashes >> np.uint64(shift)).astype(np.int64) & 0xFF, minlength=256)
        mean = len(texts) / 256
        assert abs(share - mean).max() < 6 * math.sqrt(mean)


def test_small_decimals_are_decimals():
    if not hasattr(pa, "decimal64"):
        small = pa.array([Decimal("1.5")])
    else:
        small = pa.array([Decimal("1.5")], pa.decimal64(10, 1))
    array = canonical.canonical(small)
    assert exact.sums(array, ONE, 1).fractions() == [Fraction(3, 2)]
    assert hashing.hash_array(array).tolist() == hashes_of([15])


def test_what_is_not_plain_has_no_hash():
    with pytest.raises(TypeError, match="list"):
        hashing.hash_array(pa.array([[1]]))


def test_a_slice_hashes_as_the_whole_does():
    array = pa.array(["aa", "b" * 300, None, "ccc" * 9, "", "d"] * 5)
    assert np.array_equal(hashing.hash_array(array.slice(7, 12)), hashing.hash_array(array)[7:19])


@pytest.mark.parametrize("precision, tolerance", [(12, 0.06), (14, 0.03)])
@pytest.mark.parametrize("size", [1, 100, 5_000, 40_000, 1_000_000])
def test_distinct_counts_are_within_four_standard_errors(size, precision, tolerance):
    registers = np.zeros((1, 1 << precision), np.uint8)
    sketches.update_registers(registers, hashing.hash_array(canonical.from_numpy(np.arange(size))))
    assert sketches.estimate(registers[0]) == pytest.approx(size, rel=tolerance)


def test_distinct_counts_are_exact_up_to_the_limit():
    for size in (0, 1, sketches.EXACT_LIMIT):
        hashes = np.tile(hashing.hash_array(canonical.from_numpy(np.arange(size))), 3)
        part = sketches.Distinct.of(np.zeros(len(hashes), np.int64), hashes, 1)
        assert sketches.Distinct.combine([(part, ONE)], 1).estimates() == [size]


def test_the_middle_of_a_bin_is_near_every_value_in_it():
    chance = np.random.default_rng(3)
    values = np.ldexp(chance.random(20_000) + 0.5, chance.integers(-1020, 1023, 20_000)) * chance.choice(
        [-1, 1], 20_000
    )
    bins = sketches.bin_of(values)
    for value, key in zip(values.tolist(), bins.tolist(), strict=True):
        assert abs(sketches.middle_of(key) - value) <= abs(value) * sketches.RELATIVE_ACCURACY
        low, high = sketches.bounds_of(key)
        assert low <= value <= high
    assert (np.diff(sketches.bin_of(np.sort(values))) >= 0).all()


def test_zero_and_the_infinities_have_bins_of_their_own():
    keys = sketches.bin_of(np.array([-math.inf, -1.0, -0.0, 0.0, 1.0, math.inf])).tolist()
    assert keys == sorted(keys)
    assert keys[2] == keys[3] == 0
    assert [sketches.middle_of(key) for key in keys][::5] == [-math.inf, math.inf]


def test_bins_counted_by_sorting_are_those_counted_in_a_table(monkeypatch):
    chance = np.random.default_rng(1)
    owners, values = chance.integers(0, 5, 1000), chance.normal(0, 9, 1000)
    table = sketches.Bins.of(owners, values, 5)
    monkeypatch.setattr(sketches, "_MAX_TABLE", 0)
    ordered = sketches.Bins.of(owners, values, 5)
    assert np.array_equal(table.owners, ordered.owners)
    assert np.array_equal(table.keys, ordered.keys)
    assert np.array_equal(table.counts, ordered.counts)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([5], id="one integer"),
        pytest.param([-(2**63), 2**63 - 1, 0], id="all integers"),
        pytest.param(list(range(-30, 90)), id="a span of integers"),
        pytest.param([0.0], id="zero"),
        pytest.param([-5e-324, 0.0, 1e308], id="a lost product"),
        pytest.param([-1.7e308, 1.7e308, 0.0], id="a span past the doubles"),
        pytest.param([1e16, 1e16 + 2], id="neighbours"),
        pytest.param([0.1 * each for each in range(1000)], id="tenths"),
    ],
)
def test_a_grid_does_not_depend_on_the_order(values):
    kind = np.int64 if isinstance(values[0], int) else np.float64
    whole, parts, reverse, together = Grid(), Grid(), Grid(), Grid()
    whole.add(np.array(values, kind))
    ones = [Grid() for _ in values]
    for value, part in zip(values, ones, strict=True):
        part.add(np.array([value], kind))
        parts.merge([part])
    together.merge(ones)
    for value in reversed(values):
        reverse.add(np.array([value], kind))
    for other in (parts, reverse, together):
        assert (other.low, other.high, other.level, other.first) == (whole.low, whole.high, whole.level, whole.first)
        assert np.array_equal(other.counts, whole.counts)
    edges, counts = whole.bins()
    assert sum(counts) == len(values)
    assert len(whole.counts) <= CELLS
    assert len(counts) <= BINS
    assert edges[0] == min(values)
    assert edges == sorted(edges)


def test_a_grid_passes_over_what_is_not_finite():
    grid, finite = Grid(), Grid()
    grid.add(np.array([math.nan, -math.inf]))
    assert not len(grid.counts)
    grid.add(np.array([1.5, math.inf, -2.25, math.nan]), np.array([2, 5, 3, 7]))
    finite.add(np.array([1.5, 1.5, -2.25, -2.25, -2.25]))
    assert (grid.low, grid.high, grid.counts.tolist()) == (-2.25, 1.5, finite.counts.tolist())


def test_a_histogram_of_integers_has_whole_bins():
    grid = Grid()
    grid.add(np.arange(1, 101))
    assert grid.bins() == (list(range(1, 102, 5)), [5] * 20)


def test_a_histogram_on_a_coarse_grid_is_close_to_the_true_one():
    values = np.random.default_rng(5).normal(1e6, 1e5, 100_000)
    grid = Grid()
    for piece in np.array_split(values, 7):
        grid.add(piece)
    edges, counts = grid.bins()
    true, _ = np.histogram(values, np.array(edges))
    assert abs(np.array(counts) - true).max() < 0.001 * len(values)


def test_integers_and_floats_share_a_grid():
    mixed, floats = Grid(), Grid()
    mixed.add(np.array([1, 2, 3]))
    mixed.add(np.array([1.5]))
    floats.add(np.array([1.0, 1.5, 2.0, 3.0]))
    assert (mixed.level, mixed.first, mixed.counts.tolist()) == (floats.level, floats.first, floats.counts.tolist())


def test_nothing_here_imports_pandas():
    code = (
        "import sys, numpy as np, pyarrow as pa\n"
        "from chalicelib.engine.measure import canonical\n"
        "from chalicelib.engine.measure.aggregate import Aggregates\n"
        "from chalicelib.engine.contract import Aggregate, Measure\n"
        "from chalicelib.engine.measure.profile import Profile\n"
        "number = canonical.from_numpy(np.arange(50_000))\n"
        "table = pa.Table.from_arrays([number, number.cast(pa.string())], names=['n', 't'])\n"
        "functions = ['count', 'sum', 'mean', 'min', 'max', 'approxDistinct', 'quantile']\n"
        "measures = tuple(Measure(f, f, 'n', 0.5) for f in functions)\n"
        "made = Aggregates((Aggregate('a', ('t',), measures),)); made.add(table); made.dump()\n"
        "profile = Profile(); profile.add(table); profile.dump(); profile.result()\n"
        "sys.exit('pandas' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
