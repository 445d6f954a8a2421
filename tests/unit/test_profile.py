"""Column profiles: what they say of each type, and when a column stops being tallied."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from chalicelib.engine.measure import tally
from chalicelib.engine.measure.profile import Profile
from chalicelib.engine.measure.profiled import GATHERED_ROWS, TEXT_LIMIT
from chalicelib.errors import Terminal
from tests import pipeline
from tests.pipeline import contract


def profiled(**columns: pa.Array) -> dict[str, dict]:
    made = Profile()
    made.add(pa.table(columns))
    result = made.result()
    json.dumps(result, allow_nan=False)
    assert Profile.load(made.dump()).result() == result
    return {column["name"]: column for column in result}


def test_a_text_column():
    assert profiled(x=pa.array(["bb", "a", None, "bb", "ccc", "a", "bb"]))["x"] == {
        "name": "x",
        "type": "string",
        "count": 6,
        "nulls": 1,
        "min": "a",
        "max": "ccc",
        "mean": None,
        "approxDistinct": 3,
        "minLength": 1,
        "maxLength": 3,
        "histogram": None,
        "mostFrequent": [{"value": "bb", "count": 3}, {"value": "a", "count": 2}, {"value": "ccc", "count": 1}],
    }


def test_an_integer_column():
    column = profiled(x=pa.array([3, 1, 2, 2, None]))["x"]
    assert (column["type"], column["min"], column["max"], column["mean"]) == ("integer", 1, 3, 2.0)
    assert column["histogram"] == {"edges": [1, 2, 3, 4], "counts": [1, 2, 1]}
    assert column["mostFrequent"][0] == {"value": 2, "count": 2}
    assert column["minLength"] is None


def test_a_float_column_with_what_is_not_finite():
    column = profiled(x=pa.array([0.0, 10.0, math.inf, math.nan, 0.25]))["x"]
    assert (column["min"], column["max"], column["mean"]) == (0.0, "INF", "NaN")
    assert column["histogram"]["edges"][0] == 0.0
    assert column["histogram"]["edges"][-1] == 10.0
    assert column["histogram"]["counts"] == [2] + [0] * 18 + [1]


def test_other_types():
    found = profiled(
        exact=pa.array([Decimal("1.50"), Decimal("2.25")]),
        flag=pa.array([True, True]),
        day=pa.array([date(2024, 1, 1), date(2024, 1, 3)]),
        at=pa.array([datetime(2024, 1, 1, 6), datetime(2024, 3, 1, 18)], pa.timestamp("ms", "UTC")),  # noqa: DTZ001
        hour=pa.array([time(0, 0), time(23, 59, 59)]),
        list=pa.array([[1], None]),
        nothing=pa.nulls(2),
    )
    assert {name: column["type"] for name, column in found.items()} == {
        "exact": "number",
        "flag": "boolean",
        "day": "date",
        "at": "datetime",
        "hour": "time",
        "list": "list",
        "nothing": "null",
    }
    assert (found["exact"]["min"], found["exact"]["mean"]) == ("1.50", "1.87500000")
    assert found["exact"]["histogram"]["edges"][::20] == [1.5, 2.25]
    assert found["flag"]["mostFrequent"] == [{"value": True, "count": 2}]
    assert found["day"]["histogram"] == {
        "edges": ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"],
        "counts": [1, 0, 1],
    }
    assert found["at"]["histogram"]["edges"][:2] == ["2024-01-01T00:00:00Z", "2024-01-05T00:00:00Z"]
    assert sum(found["at"]["histogram"]["counts"]) == 2
    assert found["hour"]["histogram"]["edges"][-1] == "23:59:59.999999"
    assert (found["list"]["count"], found["list"]["nulls"], found["list"]["mostFrequent"]) == (1, 1, None)
    assert (found["nothing"]["nulls"], found["nothing"]["approxDistinct"]) == (2, 0)


def test_the_most_frequent_are_ten_by_count_then_value():
    column = profiled(x=pa.array([*"zyxwvutsrqponm", "m", "z"]))["x"]
    assert [each["value"] for each in column["mostFrequent"]] == ["m", "z", *"nopqrstu"]


def test_long_texts_are_cut():
    column = profiled(x=pa.array(["ä" * 300]))["x"]
    assert column["min"] == column["mostFrequent"][0]["value"] == "ä" * TEXT_LIMIT + "…"
    assert column["maxLength"] == 300


@pytest.mark.parametrize("distinct", [tally.LIMIT, tally.LIMIT + 1])
def test_a_column_is_tallied_up_to_the_limit(distinct):
    numbers = pa.array(list(range(distinct)) + [0] * 5_000)
    column = profiled(x=numbers, t=numbers.cast(pa.string()))
    for each in column.values():
        assert each["count"] == distinct + 5_000
        if distinct > tally.LIMIT:
            assert each["mostFrequent"] is None
            assert each["approxDistinct"] == pytest.approx(distinct, rel=0.03)
        else:
            assert each["mostFrequent"][0]["count"] == 5_001
            assert each["approxDistinct"] == distinct
    assert column["x"]["mean"] == sum(range(distinct)) / (distinct + 5_000)
    assert sum(column["x"]["histogram"]["counts"]) == distinct + 5_000


def test_the_limit_holds_for_the_union_of_chunks():
    first, second, whole = Profile(), Profile(), Profile()
    low, high = pa.array(range(6_000)), pa.array(range(4_000, 4_000 + tally.LIMIT))
    first.add(pa.table({"x": low}))
    second.add(pa.table({"x": high}))
    whole.add(pa.table({"x": pa.concat_arrays([low, high])}))
    assert first.result()[0]["mostFrequent"] is not None
    assert second.result()[0]["mostFrequent"] is not None
    first.merge(Profile.load(second.dump()))
    assert first.result() == whole.result()
    assert first.result()[0]["mostFrequent"] is None


def test_long_notes_are_not_kept():
    note = "x" * 100_000
    column = profiled(x=pa.array([f"{number}{note}" for number in range(50)]))["x"]
    assert column["mostFrequent"] is None
    assert column["approxDistinct"] == 50
    assert (column["minLength"], column["maxLength"]) == (100_001, 100_002)


def test_no_more_distinct_values_than_values():
    column = profiled(x=pa.array(np.arange(30_000)))["x"]
    assert column["approxDistinct"] <= 30_000


def test_nothing_added():
    assert Profile().result() == []
    assert Profile.load(Profile().dump()).result() == []
    merged = Profile()
    merged.merge(Profile())
    assert merged.result() == []


def test_no_rows():
    assert profiled(x=pa.array([], pa.int64()))["x"]["count"] == 0


def test_two_columns_of_one_name():
    made = Profile()
    made.add(pa.Table.from_arrays([pa.array([1]), pa.array(["a"])], names=["x", "x"]))
    assert [column["type"] for column in made.result()] == ["integer", "string"]


def test_the_columns_must_stay_the_same():
    made = Profile()
    made.add(pa.table({"x": [1], "y": [1]}))
    with pytest.raises(Terminal, match=r"unknown-column: .*: y, z"):
        made.add(pa.table({"x": [1], "z": [1]}))
    with pytest.raises(Terminal, match="the order of the columns"):
        made.add(pa.table({"y": [1], "x": [1]}))


@pytest.mark.parametrize("rows", [1, GATHERED_ROWS])
def test_a_column_must_stay_of_one_kind(rows):
    made = Profile()
    for value in (1, "a"):
        made.add(pa.table({"x": [value] * rows}))
    for late in (made.result, made.dump):
        with pytest.raises(Terminal, match='bad-measure: column "x" changes its type'):
            late()


def test_nanoseconds_are_measured_alike_in_every_block():
    moments = np.arange(20_000) * 10**9 + 1_700_000_000 * 10**9
    whole, parts = Profile(), Profile()
    for of_block in (moments, moments + 20_000 * 10**9 + 1):
        parts.add(pa.table({"t": pa.array(of_block, pa.timestamp("ns"))}))
    whole.add(pa.table({"t": pa.array(np.concatenate((moments, moments + 20_000 * 10**9 + 1)), pa.timestamp("ns"))}))
    assert parts.result() == whole.result()


def test_wide_tables_of_few_rows_are_gathered():
    made, whole = Profile(), Profile()
    table = pa.table({f"c{number}": np.arange(100) * number for number in range(200)})
    for start in range(0, 100, 7):
        made.add(table.slice(start, 7))
    whole.add(table)
    assert made.result() == whole.result()


def test_bytes_of_something_else_are_refused():
    with pytest.raises(ValueError, match="not a partial result"):
        Profile.load(b"")


MANY = tally.LIMIT + 5_000


@pytest.mark.parametrize("kind", ["integer", "string", "number", "date", "datetime"])
@pytest.mark.parametrize(
    ("constraints", "schema", "proven"),
    [
        ({"unique": True}, {}, True),
        ({}, {"primaryKey": ["k"]}, True),
        ({}, {"uniqueKeys": [["k"]]}, True),
        ({}, {"primaryKey": ["k", "n"]}, False),
        ({}, {}, False),
    ],
)
def test_of_a_unique_column_the_distinct_values_are_counted(
    kind: str, constraints: dict[str, Any], schema: dict[str, Any], proven: bool
) -> None:
    """However many there are; an estimate would look as if some were the same."""
    days = np.datetime64("1900-01-01") + np.arange(MANY)
    texts = days.astype(str) if kind == "date" else [f"{day}T00:00:00" for day in days] if kind == "datetime" else None
    body = "\n".join(["k,n", *(f"{number if texts is None else texts[number]},{number % 7}" for number in range(MANY))])
    fields: list[dict[str, Any]] = [
        {"name": "k", "type": kind, "constraints": constraints},
        {"name": "n", "type": "integer"},
    ]
    # a repeated key, which is rejected; where no column is required, a row without one
    more = f"\n{body.splitlines()[1]}" + ("\n,1" if "primaryKey" not in schema else "")
    outcome = pipeline.run((body + more).encode(), contract(*fields, schema=schema), chunk_size=50_000)
    key, other = outcome.document("summary.json")["profile"]
    assert key["mostFrequent"] is None
    assert (key["unique"], other["unique"]) == (proven, False)
    assert abs(key["approxDistinct"] - MANY) <= (0 if proven else MANY * 0.05)
    assert key["count"] == outcome.job.rows.valid - key["nulls"]
    assert other["approxDistinct"] == 7


def test_a_zero_below_zero_is_not_one_value_more() -> None:
    field = {"name": "k", "type": "number", "constraints": {"unique": True}}
    outcome = pipeline.run(b"k\n0\n-0\n1.0\n1\n", contract(field))
    (column,) = outcome.document("summary.json")["profile"]
    assert (column["unique"], column["approxDistinct"], column["count"]) == (True, 2, 2)
