"""Aggregates and profiles say the same, to the last bit, however the rows are cut and in whatever order parts merge."""

from __future__ import annotations

import json
import math
import random
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.engine.contract import Aggregate, Measure
from chalicelib.engine.measure import profiled, sketches, tally
from chalicelib.engine.measure.aggregate import Aggregates
from chalicelib.engine.measure.profile import Profile

SCHEMA = pa.schema(
    {
        "key": pa.string(),
        "flag": pa.bool_(),
        "whole": pa.int64(),
        "real": pa.float64(),
        "exact": pa.decimal128(30, 4),
        "text": pa.string(),
        "day": pa.date32(),
        "at": pa.timestamp("us", "UTC"),
    }
)

REALS = st.one_of(
    st.floats(),
    st.sampled_from([0.0, -0.0, 1e308, -1e308, 5e-324, -5e-324, 1e16, 1.0, 0.1, math.nan, math.inf]),
    st.integers(-50, 50).map(float),
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from(["a", "b", "ä", None]),
            "flag": st.none() | st.booleans(),
            "whole": st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-300, 300),
            "real": st.none() | REALS,
            "exact": st.none() | st.integers(-(10**29), 10**29).map(lambda units: Decimal(units).scaleb(-4)),
            "text": st.none() | st.text(max_size=20),
            "day": st.none() | st.dates(),
            "at": st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001 (Arrow's zone)
        }
    ),
    max_size=30,
)

EVERY = ("whole", "real", "exact", "text", "day", "at", "flag")
MEASURES = (
    Measure("rows", "count", "*"),
    *(Measure(f"{function} {column}", function, column) for function in ("count", "min", "max") for column in EVERY),
    *(Measure(f"distinct {column}", "approxDistinct", column) for column in EVERY),
    *(Measure(f"{function} {column}", function, column) for function in ("sum", "mean") for column in EVERY[:3]),
    *(Measure(f"q{q} {column}", "quantile", column, q) for q in (0.0, 0.3, 0.5, 1.0) for column in EVERY[:3]),
)
AGGREGATES = (
    Aggregate("all", (), MEASURES),
    Aggregate("by key", ("key",), MEASURES),
    Aggregate("by more", ("key", "flag", "day", "real", "exact"), MEASURES[:9]),
)


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def cut_and_merged(make: Any, load: Any, table: pa.Table, seed: int) -> Any:
    """The rows in random blocks, dealt to random chunks, each dumped and loaded, merged in random order."""
    chance = random.Random(seed)
    chunks = [make() for _ in range(chance.randint(1, 4))]
    start = 0
    while start < table.num_rows:
        size = chance.randint(1, 12)
        block = table.slice(start, size)
        if chance.random() < 0.3:
            block = block.set_column(0, "key", block.column("key").dictionary_encode())
        chance.choice(chunks).add(block)
        start += size
    chance.shuffle(chunks)
    merged = load(chunks[0].dump())
    others = [load(chunk.dump()) if chance.random() < 0.7 else chunk for chunk in chunks[1:]]
    if isinstance(merged, Profile) and chance.random() < 0.5:
        merged.merge(*others)
    else:
        for chunk in others:
            merged.merge(chunk)
    return merged.result()


@given(ROWS, st.integers(0, 2**32))
def test_aggregates_do_not_depend_on_the_cut(rows, seed):
    table = table_of(rows)
    whole = Aggregates(AGGREGATES)
    whole.add(table)
    parts = cut_and_merged(lambda: Aggregates(AGGREGATES), lambda data: Aggregates.load(AGGREGATES, data), table, seed)
    if rows:
        assert json.dumps(parts) == json.dumps(whole.result())
    else:
        assert [len(parts[name]) for name in parts] == [1, 0, 0]


@given(ROWS, st.integers(0, 2**32))
def test_profiles_do_not_depend_on_the_cut_nor_on_when_a_column_stops_being_tallied(rows, seed):
    table = table_of(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tally, "LIMIT", 4)
        patch.setattr(profiled, "GATHERED_ROWS", 1 + seed % 9)
        whole = Profile()
        whole.add(table)
        parts = cut_and_merged(Profile, Profile.load, table, seed)
        assert not rows or json.dumps(parts) == json.dumps(whole.result())


@given(ROWS.filter(bool))
def test_profiles_agree_with_python(rows):
    made = Profile()
    made.add(table_of(rows))
    for document in made.result():
        values = [row[document["name"]] for row in rows if row[document["name"]] is not None]
        assert (document["count"], document["nulls"]) == (len(values), len(rows) - len(values))
        same = {"nan" if isinstance(value, float) and math.isnan(value) else value for value in values}
        assert document["approxDistinct"] == len(same)
        assert sum(each["count"] for each in document["mostFrequent"]) <= len(values)
        if document["histogram"]:
            finite = [value for value in values if not isinstance(value, float) or math.isfinite(value)]
            assert sum(document["histogram"]["counts"]) == len(finite)
            assert len(document["histogram"]["edges"]) == len(document["histogram"]["counts"]) + 1
            assert min(document["histogram"]["counts"]) >= 0
        if document["name"] == "text" and values:
            assert (document["minLength"], document["maxLength"]) == (
                min(map(len, values)),
                max(map(len, values)),
            )


@given(ROWS)
def test_measures_agree_with_python(rows):
    made = Aggregates(AGGREGATES)
    made.add(table_of(rows))
    groups: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["key"], []).append(row)
    result = made.result()["by key"]
    assert [row["key"] for row in result] == sorted(groups, key=lambda key: (key is None, (key or "").encode()))
    for row in result:
        members = groups[row["key"]]
        assert row["rows"] == len(members)
        for column in EVERY:
            values = [member[column] for member in members if member[column] is not None]
            assert row[f"count {column}"] == len(values)
            ordered = sorted(value for value in values if value == value)
            for name, end in (("min", 0), ("max", -1)):
                assert row[f"{name} {column}"] == (plain(ordered[end]) if ordered else None)
        for column in ("whole", "real", "exact"):
            check_numbers(row, column, [member[column] for member in members if member[column] is not None])


def check_numbers(row: dict[str, Any], column: str, values: list[Any]) -> None:
    finite = [value for value in values if column != "real" or math.isfinite(value)]
    if values and len(finite) == len(values):
        total = sum(map(Fraction, values), Fraction(0))
        if column == "real":
            assert row["sum real"] == plain(nearest(total))
            assert row["mean real"] == plain(nearest(total / len(values)))
        elif column == "exact":
            assert Fraction(row["sum exact"]) == total
            assert abs(Fraction(row["mean exact"]) - total / len(values)) <= Fraction(1, 2 * 10**10)
        else:
            assert row["sum whole"] == total
            assert row["mean whole"] == nearest(total / len(values))
    ordered = sorted(value for value in values if value == value)
    for q in (0.0, 0.3, 0.5, 1.0):
        found = row[f"q{q} {column}"]
        if not ordered:
            assert found is None
            continue
        true = ordered[math.floor(q * (len(ordered) - 1))]
        if (
            q in (0, 1)
            or (column == "whole" and abs(true) <= 256)
            or (isinstance(found, str) and found.endswith("INF"))
        ):
            assert found == plain(true)
        else:
            # below the normal numbers a bin is absolute: 2^-1029 wide
            slack = Fraction(sketches.RELATIVE_ACCURACY) * abs(Fraction(true)) * (1 + Fraction(1, 2**40))
            slack += {"real": Fraction(1, 2**1029), "exact": Fraction(1, 2 * 10**4), "whole": Fraction(0)}[column]
            assert abs(Fraction(found) - Fraction(true)) <= slack


def nearest(value: Fraction) -> float:
    try:
        return value.numerator / value.denominator
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else "INF" if value > 0 else "-INF"
    if isinstance(value, datetime):
        text = value.isoformat()
        return (text.rstrip("0") if "." in text else text) + "Z"
    if isinstance(value, date):
        return value.isoformat()
    return format(value, ".4f") if isinstance(value, Decimal) else value


@settings(max_examples=25)
@given(st.integers(0, 10**9), st.integers(1, 6), st.integers(1, 9000))
def test_distinct_goes_over_to_registers_by_the_set_alone(offset, groups, size):
    import numpy as np

    from chalicelib.engine import hashing
    from chalicelib.engine.measure import canonical

    values = np.arange(offset, offset + size, dtype=np.int64)
    hashes = hashing.hash_array(canonical.from_numpy(values))
    owners = values % groups
    everyone = np.arange(groups)
    whole = sketches.Distinct.combine([(sketches.Distinct.of(owners, hashes, groups), everyone)], groups)
    third = size // 3
    parts = [
        (sketches.Distinct.of(owners[piece], hashes[piece], groups), everyone)
        for piece in (slice(0, 2 * third), slice(third, None), slice(0, None, 2))
    ]
    early = sketches.Distinct.combine(parts[:2], groups)
    late = sketches.Distinct.combine([parts[2], (early, everyone)], groups)
    assert late.estimates() == whole.estimates()
    assert np.array_equal(late.dense, whole.dense)
    assert np.array_equal(late.registers, whole.registers)
