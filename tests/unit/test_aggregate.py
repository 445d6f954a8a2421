"""Aggregates: what each measure says, in which order, and what is refused."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, time
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from chalicelib.engine.contract import Aggregate, Measure
from chalicelib.engine.measure import aggregate, canonical, packing
from chalicelib.engine.measure.aggregate import Aggregates
from chalicelib.engine.measure.columns import Block
from chalicelib.errors import Terminal


def result(table: pa.Table, group_by: tuple[str, ...], *measures: Measure) -> list[dict]:
    aggregates = Aggregates((Aggregate("a", group_by, measures),))
    aggregates.add(table)
    rows = aggregates.result()["a"]
    json.dumps(rows, allow_nan=False)
    return rows


def one(values: pa.Array, function: str, q: float | None = None) -> object:
    return result(pa.table({"x": values}), (), Measure("m", function, "x", q))[0]["m"]


def test_the_contract_example():
    table = pa.table(
        {
            "country": ["US", "DE", "US", "DE", "US"],
            "customer": ["a", "b", "a", None, "c"],
            "amount": [1.1, 2.2, 3.3, None, 4.4],
            "price": [10, 20, 30, 40, 50],
        }
    )
    rows = result(
        table,
        ("country",),
        Measure("orders", "count", "*"),
        Measure("revenue", "sum", "amount"),
        Measure("customers", "approxDistinct", "customer"),
        Measure("median_price", "quantile", "price", 0.5),
    )
    assert rows == [
        {"country": "DE", "orders": 2, "revenue": 2.2, "customers": 1, "median_price": 20},
        {"country": "US", "orders": 3, "revenue": math.fsum([1.1, 3.3, 4.4]), "customers": 2, "median_price": 30},
    ]


def test_a_count_of_a_column_passes_over_null():
    rows = result(pa.table({"x": [1, None, 3]}), (), Measure("all", "count", "*"), Measure("some", "count", "x"))
    assert rows == [{"all": 3, "some": 2}]


@pytest.mark.parametrize(
    "values, function, expected",
    [
        pytest.param(pa.array([2**63 - 1, 2**63 - 1]), "sum", 2**64 - 2, id="integers past 64 bits"),
        pytest.param(pa.array([2**64 - 1, 1], pa.uint64()), "sum", str(2**64), id="unsigned integers"),
        pytest.param(pa.array([1, 2], pa.int8()), "mean", 1.5, id="mean of integers"),
        pytest.param(pa.array([0.1] * 10), "sum", 1.0, id="sum rounded once"),
        pytest.param(pa.array([0.5, 1.5], pa.float32()), "sum", 2.0, id="single precision"),
        pytest.param(pa.array([1e308, 1e308]), "sum", "INF", id="past the doubles"),
        pytest.param(pa.array([1e308, 1e308]), "mean", 1e308, id="mean of what sums past the doubles"),
        pytest.param(pa.array([math.inf, 1.0]), "sum", "INF", id="an infinity"),
        pytest.param(pa.array([math.inf, -math.inf]), "sum", "NaN", id="both infinities"),
        pytest.param(pa.array([math.nan, 1.0]), "mean", "NaN", id="not a number"),
        pytest.param(pa.array([math.nan, 1.0, None]), "min", 1.0, id="minimum passes over NaN"),
        pytest.param(pa.array([math.nan]), "max", None, id="maximum of NaN alone"),
        pytest.param(pa.array([-0.0, 0.0]), "min", 0.0, id="zeros"),
        pytest.param(pa.array([Decimal("1.10"), Decimal("2.25")]), "sum", "3.35", id="decimals"),
        pytest.param(pa.array([Decimal("-0.01")]), "sum", "-0.01", id="a small negative decimal"),
        pytest.param(
            pa.array([Decimal("1.00"), Decimal("1.01"), Decimal("1.01")]), "mean", "1.00666667", id="their mean"
        ),
        pytest.param(pa.array([Decimal("9.50"), Decimal("10.25")]), "max", "10.25", id="largest decimal"),
        pytest.param(pa.array([None, None], pa.float64()), "sum", None, id="no values"),
        pytest.param(pa.nulls(3), "sum", None, id="no type"),
        pytest.param(pa.array(["b", "a", "é", None]), "max", "é", id="text"),
        pytest.param(pa.array(["b", "a", ""]), "min", "", id="empty text"),
        pytest.param(pa.array([True, False]), "max", True, id="booleans"),
        pytest.param(pa.array([date(2024, 2, 29), date(1969, 1, 1)]), "min", "1969-01-01", id="dates"),
        pytest.param(pa.array([datetime(2024, 1, 1, 12)]), "max", "2024-01-01T12:00:00", id="local times"),  # noqa: DTZ001
        pytest.param(
            pa.array([1_700_000_000_123_450], pa.timestamp("us", "Europe/Berlin")),
            "max",
            "2023-11-14T22:13:20.12345Z",
            id="times in a zone",
        ),
        pytest.param(pa.array([1], pa.timestamp("ns")), "max", "1970-01-01T00:00:00.000000001", id="nanoseconds"),
        pytest.param(pa.array([time(23, 59)]), "min", "23:59:00", id="times of day"),
        pytest.param(pa.array(["x", "y", "x"]).dictionary_encode(), "approxDistinct", 2, id="dictionary"),
        pytest.param(pa.array([b"ab", b"cd", b"ab"], pa.binary(2)), "approxDistinct", 2, id="bytes"),
        pytest.param(pa.array([b"ab", b"\xff"]), "max", "/w==", id="bytes are base64"),
        pytest.param(pa.array([b"ab", b"\xff"], pa.large_binary()), "min", "YWI=", id="large bytes"),
        pytest.param(pa.array([150, 2], pa.duration("s")), "max", 150, id="durations"),
        pytest.param(pa.array([1.0, 1.0, None, math.nan, math.nan]), "approxDistinct", 2, id="distinct floats"),
    ],
)
def test_a_measure(values, function, expected):
    found = one(values, function)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "values, q, expected",
    [
        (pa.array(range(1, 101)), 0.5, 50),
        (pa.array(range(1, 101)), 0.0, 1),
        (pa.array(range(1, 101)), 1.0, 100),
        (pa.array([-250, -3, 7]), 0.5, -3),
        (pa.array([2**63 - 1]), 0.5, 2**63 - 1),
        (pa.array([0.25]), 0.5, 0.25),
        (pa.array([math.nan, 4.0, None]), 0.9, 4.0),
        (pa.array([-math.inf, 1.0, math.inf]), 0.0, "-INF"),
        (pa.array([Decimal("12.50")] * 3), 0.5, "12.50"),
        (pa.array([Decimal("0.0000"), Decimal("-0.0166"), Decimal("-0.0001")]), 0.5, "-0.0001"),
        (pa.array([Decimal("9" * 36 + ".25"), Decimal(0), Decimal("9" * 36 + ".25")]), 1.0, "9" * 36 + ".25"),
        (pa.array([], pa.float64()), 0.5, None),
    ],
)
def test_a_quantile(values, q, expected):
    assert one(values, "quantile", q) == expected


def test_quantiles_of_many_groups_are_within_the_accuracy():
    chance = np.random.default_rng(2)
    groups, values = chance.integers(0, 40, 20_000), chance.lognormal(3, 4, 20_000)
    table = pa.table({"g": groups, "x": values})
    for row in result(table, ("g",), Measure("q", "quantile", "x", 0.9)):
        own = np.sort(values[groups == row["g"]])
        true = own[math.floor(0.9 * (len(own) - 1))]
        assert abs(row["q"] - true) <= true / 256


def test_groups_come_in_the_order_of_their_keys_null_last():
    table = pa.table({"a": ["b", None, "a", "Z", "b"], "b": [2.5, 1.0, math.nan, None, -1.0]})
    rows = result(table, ("a", "b"), Measure("n", "count", "*"))
    assert [(row["a"], row["b"]) for row in rows] == [("Z", None), ("a", "NaN"), ("b", -1.0), ("b", 2.5), (None, 1.0)]


def test_zeros_of_both_signs_and_all_nan_are_one_group_each():
    rows = result(pa.table({"x": [0.0, -0.0, math.nan, -math.nan]}), ("x",), Measure("n", "count", "*"))
    assert rows == [{"x": 0.0, "n": 2}, {"x": "NaN", "n": 2}]


def test_a_key_means_the_same_however_it_is_stored():
    aggregates = Aggregates((Aggregate("a", ("k",), (Measure("n", "count", "*"),)),))
    for keys in (
        pa.array(["x", "y"]),
        pa.array(["y", "x"], pa.large_string()),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None]), pa.array(["x", "unused", "x"])).take(
            pa.array([0, 2])
        ),
        pa.array([None, "x"]).dictionary_encode(),
    ):
        aggregates.add(pa.table({"k": keys}))
    assert aggregates.result()["a"] == [{"k": "x", "n": 5}, {"k": "y", "n": 2}, {"k": None, "n": 1}]


def test_no_rows():
    measures = (Measure("n", "count", "*"), Measure("s", "sum", "x"), Measure("d", "approxDistinct", "x"))
    both = (Aggregate("total", (), measures), Aggregate("by x", ("x",), measures))
    assert Aggregates(both).result() == {"total": [{"n": 0, "s": None, "d": 0}], "by x": []}
    assert Aggregates.load(both, Aggregates(both).dump()).result() == Aggregates(both).result()


def test_many_groups_are_merged_as_they_come():
    aggregates = Aggregates((Aggregate("a", ("k",), (Measure("n", "count", "*"), Measure("s", "sum", "x"))),))
    counts = np.zeros(100_000, np.int64)
    for start in range(0, 120_000, 10_000):
        keys = np.arange(start, start + 20_000) % 100_000
        counts += np.bincount(keys, minlength=100_000)
        aggregates.add(pa.table({"k": keys, "x": keys / 8}))
    expected = [{"k": key, "n": count, "s": count * key / 8} for key, count in enumerate(counts.tolist())]
    assert aggregates.result()["a"] == expected


def test_many_small_blocks_are_merged_as_they_come(monkeypatch):
    monkeypatch.setattr(aggregate, "MERGE_PARTS", 3)
    aggregates = Aggregates((Aggregate("a", ("k",), (Measure("s", "sum", "x"),)),))
    for number in range(20):
        aggregates.add(pa.table({"k": [number % 2], "x": [number]}))
    assert aggregates.result()["a"] == [{"k": 0, "s": 90}, {"k": 1, "s": 100}]


def test_a_block_larger_than_sums_take_at_once(monkeypatch):
    monkeypatch.setattr(aggregate, "MAX_ROWS", 7)
    assert one(pa.array(range(100)), "sum") == 4950


@pytest.mark.parametrize(
    "group_by, measure, code, names",
    [
        (("nowhere",), Measure("n", "count", "*"), "unknown-column", ["by", "nowhere", "none"]),
        ((), Measure("n", "sum", "nowhere"), "unknown-column", ["by", "nowhere", "none"]),
        ((), Measure("total", "sum", "text"), "bad-measure", ["by", "total", "text", "string"]),
        ((), Measure("total", "mean", "day"), "bad-measure", ["by", "total", "day", "date32"]),
        ((), Measure("total", "quantile", "flag", 0.5), "bad-measure", ["by", "total", "flag", "bool"]),
        ((), Measure("total", "max", "list"), "bad-measure", ["by", "total", "list"]),
        ((), Measure("total", "approxDistinct", "list"), "bad-measure", ["by", "total", "list"]),
        (("list",), Measure("n", "count", "*"), "bad-measure", ["by", "list"]),
    ],
)
def test_what_cannot_be_computed_is_refused(group_by, measure, code, names):
    table = pa.table({"text": ["a"], "day": [date(2024, 1, 1)], "flag": [True], "list": [[1]]})
    with pytest.raises(Terminal) as refused:
        Aggregates((Aggregate("by", group_by, (measure,)),)).add(table)
    assert refused.value.code == code
    assert all(name in refused.value.message for name in names)


def test_a_column_that_changes_its_kind_is_refused():
    both = (Aggregate("by", ("k",), (Measure("n", "count", "*"),)),)
    aggregates, other = Aggregates(both), Aggregates(both)
    aggregates.add(pa.table({"k": ["a"]}))
    other.add(pa.table({"k": [1]}))
    aggregates.merge(other)
    with pytest.raises(Terminal, match='bad-measure: a column of aggregate "by" changes its type'):
        aggregates.result()


def test_integers_and_floats_are_one_kind():
    aggregates = Aggregates((Aggregate("a", ("k",), (Measure("s", "sum", "k"),)),))
    aggregates.add(pa.table({"k": [1, 2]}))
    aggregates.add(pa.table({"k": [1.0, 2.5]}))
    assert aggregates.result()["a"] == [{"k": 1.0, "s": 2.0}, {"k": 2.0, "s": 2.0}, {"k": 2.5, "s": 2.5}]


def test_a_partial_result_of_something_else_is_refused():
    first = (Aggregate("a", (), (Measure("s", "sum", "x"),)),)
    second = (Aggregate("a", (), (Measure("s", "max", "x"),)),)
    made = Aggregates(first)
    made.add(pa.table({"x": [1]}))
    with pytest.raises(ValueError, match="other measures"):
        Aggregates.load(second, made.dump())
    with pytest.raises(ValueError, match="other aggregates"):
        Aggregates.load((), made.dump())
    with pytest.raises(ValueError, match="not a partial result"):
        Aggregates.load(first, b"not Arrow")


def test_a_partial_result_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What workers tell each other in hashes, perhaps across a deployment, means the same to one version only."""
    with monkeypatch.context() as patch:
        patch.setattr(packing, "VERSION", "another")
        packed = packing.pack({}, {"x": np.array([1, 2])})
        assert packing.unpack(packed)[1]["x"].to_pylist() == [1, 2]
    with pytest.raises(ValueError, match="of version another, expected"):
        packing.unpack(packed)


def test_a_block_works_a_column_out_once():
    block = Block(pa.table({"x": ["a", "b"]}))
    assert block.column("x") is block.column("x")
    assert block.column("x").encoded is block.column("x").encoded
    with pytest.raises(KeyError):
        block.column("y")


def test_views_of_slices_start_where_the_slice_does():
    array = pa.array([1.5, None, 2.5, None, 3.5]).slice(1, 3)
    valid = canonical.validity(array)
    assert valid is not None
    assert valid.tolist() == [False, True, False]
    assert canonical.view(array)[1] == 2.5
