"""Whether a column is coded, or checked with others, and where a row group ends, changes nothing for users."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chalicelib import steps
from chalicelib.engine import coding
from chalicelib.engine.checks import cells
from chalicelib.engine.delivery import parquet
from chalicelib.engine.delivery import transform as transforms
from tests import pipeline
from tests.pipeline import Outcome
from tests.property.test_chunks import BREAKS, CHUNKS, ROWS, THINGS, essence, file_of

pytestmark = pytest.mark.usefixtures("either_reader")

TYPED = pipeline.contract(
    {"name": "id", "type": "integer"},
    {"name": "name", "type": "datetime", "constraints": {"enum": ["2024-01-02", "2024-01-02T00:00:00Z"]}},
    {"name": "size", "type": "number", "constraints": {"required": True, "exclusiveMinimum": 1}},
    sluice={
        "tolerance": {"maxRejectedRatio": 1},
        "derive": {"ratio": "size / (id - 2)", "either": "coalesce(ratio * id, size)"},
        "aggregates": [
            {"name": "by_size", "groupBy": ["size"], "measures": {"n": {"count": "id"}, "most": {"max": "id"}}},
            {"name": "all", "groupBy": [], "measures": {"ids": {"approxDistinct": "id"}, "sum": {"sum": "ratio"}}},
        ],
    },
)
EVERY = {"JUDGED_ROWS": 1, "ROWS_PER_VALUE": 0}
NONE = {"JUDGED_ROWS": 1 << 40}
SOME = {"JUDGED_ROWS": 2, "ROWS_PER_VALUE": 2}


def run(
    body: bytes, described: Any, coded: dict[str, int], transform: Any = None, row_group: int = 1, **cut: int
) -> Outcome:
    with ExitStack() as patches:
        for name, value in coded.items():
            patches.enter_context(mock.patch.object(coding, name, value))
        patches.enter_context(mock.patch.object(steps, "BLOCK_SIZE_BYTES", cut.get("block", 1 << 20)))
        patches.enter_context(mock.patch.object(parquet, "ROW_GROUP_BYTES", row_group))
        patches.enter_context(mock.patch.object(transforms, "find", return_value=transform))
        return pipeline.run(body, described, chunk_size=cut.get("chunk", 1 << 20))


def changed(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns exchanged, dropped, made anew and left as they are."""
    return frame.assign(name=frame["id"], twice=frame["size"] + frame["size"])[["twice", "name", "size"]]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(ROWS, BREAKS, CHUNKS, st.integers(1, 40), st.sampled_from([THINGS, TYPED]), st.sampled_from([EVERY, SOME]))
@example(["1,2024-01-02,2", "1,2024-01-02,x", "1,,2", "1,2024-01-02,", "é,NA,2"] * 2, "\n", 1000, 20, TYPED, EVERY)
@example(['1,"a"b,1', "1,a,1", "1,a", "2,\0,1", "1,a,1,1"] * 3, "\n", 1000, 20, THINGS, EVERY)
def test_coded_columns_give_what_plain_ones_do(
    rows: list[str], line_break: str, chunk: int, block: int, described: Any, coded: dict[str, int]
) -> None:
    body = file_of(rows, line_break, last=True)
    plain = run(body, described, NONE, row_group=1 << 40)
    assert essence(run(body, described, coded, chunk=chunk, block=block)) == essence(plain)


ALIKE = pipeline.contract(
    *({"name": f"date{each}", "type": "datetime", "constraints": {"minimum": "2024-01-02"}} for each in "ab"),
    *({"name": f"text{each}", "type": "string", "constraints": {"pattern": "[a-z]*", "maxLength": 2}} for each in "ab"),
    {"name": "textc", "type": "string", "constraints": {"pattern": "[a-z]*", "maxLength": 2}},
    *({"name": f"list{each}", "type": "list", "itemType": "integer"} for each in "ab"),
    schema={"missingValues": ["", "NA"], "uniqueKeys": [["texta", "datea"]]},
    sluice={"tolerance": {"maxRejectedRatio": 1}, "aggregates": [
        {"name": "all", "groupBy": ["textb"], "measures": {"n": {"count": "dateb"}, "most": {"max": "texta"}}},
    ]},
)  # fmt: skip
ALIKE_CELLS = st.sampled_from(["", "NA", "2024-01-02", "2024-01-01T10:00:00Z", "x", "1,2", "aé", "abc", "1", "é" * 101])


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(ALIKE_CELLS, min_size=6, max_size=8), max_size=12), CHUNKS, st.sampled_from([NONE, SOME]))
@example([["2024-01-02", "2024-01-02", "a", "a", "b", "1", "2"]] * 3, 1000, SOME)
def test_columns_that_are_checked_together_give_what_each_gives(
    rows: list[list[str]], chunk: int, coded: dict[str, int]
) -> None:
    body = io.StringIO()
    csv.writer(body).writerows([[each["name"] for each in ALIKE["schema"]["fields"]], *rows])
    with mock.patch.object(cells, "TOGETHER_ROWS", 0):
        apart = run(body.getvalue().encode(), ALIKE, NONE, row_group=1 << 40)
    assert essence(run(body.getvalue().encode(), ALIKE, coded, chunk=chunk, block=40)) == essence(apart)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(ROWS, CHUNKS, st.integers(1, 40))
@example(["1,,2", "2,,2", "1,,2", "1,,3"] * 3, 1000, 12)
def test_a_transform_sees_and_gives_the_same(rows: list[str], chunk: int, block: int) -> None:
    sluice = {"tolerance": {"maxRejectedRatio": 1}}
    described = TYPED | {"sluice": sluice}
    body = file_of(rows, "\n", last=True)
    plain = run(body, described, NONE, changed, row_group=1 << 40)
    assert essence(run(body, described, EVERY, changed, chunk=chunk, block=block)) == essence(plain)


@pytest.mark.parametrize("coded", [EVERY, NONE], ids=["coded", "plain"])
def test_types_that_change_after_a_row_group_was_written(coded: dict[str, int]) -> None:
    """The rows that are in the file already are brought under the schema of all."""

    def widening(frame: pd.DataFrame) -> pd.DataFrame:
        late = frame["id"].max() > 2
        return frame[["id"]].assign(value=frame["id"].astype("float64[pyarrow]") if late else frame["id"])

    described = pipeline.contract({"name": "id", "type": "integer"})
    outcome = run(b"id\n1\n2\n3\n4\n", described, coded, widening, block=2)
    assert outcome.job.error is None
    assert outcome.table.schema.field("value").type == pa.float64()
    assert outcome.table.to_pydict() == {"id": [1, 2, 3, 4], "value": [1.0, 2.0, 3.0, 4.0]}


@given(st.lists(st.sampled_from(["a", "b", "é", None]), min_size=1), st.lists(st.sampled_from(["a", "c", None])))
def test_joined_and_replaced_columns_hold_their_nulls_in_the_codes(texts: list[Any], more: list[Any]) -> None:
    column = pa.array(texts, pa.string()).dictionary_encode()
    both = coding.joined(column, pa.array(more, pa.string()))
    assert coding.decoded(both).to_pylist() == [*texts, *more]
    assert both.dictionary.null_count == 0
    values = pa.array([None if text == "a" else len(text) for text in both.dictionary.to_pylist()], pa.int64())
    sized = coding.replaced(both, values)
    assert coding.decoded(sized).to_pylist() == [None if text in ("a", None) else len(text) for text in [*texts, *more]]
    rows, places = coding.rows_with(both, np.arange(len(both.dictionary)))
    assert [both.dictionary[place].as_py() for place in places.tolist()] == [
        t for t in [*texts, *more] if t is not None
    ]
    assert rows.tolist() == [row for row, text in enumerate([*texts, *more]) if text is not None]


@given(st.lists(st.integers(0, 5)), st.integers(0, 4))
@example([0, 1, 2, 0, 1, 3, 4, 5], 3)
def test_codes_that_no_row_has_are_found_however_many_are_looked_at_first(rows: list[int], first: int) -> None:
    with mock.patch.object(coding, "_GLANCE_ROWS", first):
        used = coding._used(np.array(rows, np.int32), 6)
    assert used.tolist() == [code in rows for code in range(6)]


@pytest.mark.parametrize("bad", [b"\xff,x,1\n", b"1\n"], ids=["no record is text", "no record has all cells"])
def test_a_block_of_broken_records_among_whole_ones(bad: bytes) -> None:
    """Columns that were coded in the block before come plain out of one in which nothing is regular."""
    body = b"id,name,size\n" + b"1,a,1\n" * 1500 + bad * 1500 + b"2,b,1\n" * 1500
    texts = [{"name": name, "type": "string"} for name in ("id", "name", "size")]
    described = pipeline.contract(*texts, sluice={"tolerance": {"maxRejectedRatio": 1}})
    outcome = run(body, described, {}, block=9000)
    assert outcome.job.error is None
    assert (outcome.job.rows.valid, outcome.job.rows.rejected) == (3000, 1500)


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ({"type": "list", "delimiter": ";"}, "a;b", ["a", "b"]),
        ({"type": "geopoint"}, '"1, 2"', {"lon": 1.0, "lat": 2.0}),
    ],
    ids=["list", "geopoint"],
)
def test_columns_of_few_nested_values_are_delivered(field: dict[str, str], text: str, value: Any) -> None:
    described = pipeline.contract({"name": "id", "type": "integer"}, {"name": "value", **field})
    body = "id,value\n" + "".join(f"{row},{text}\n" for row in range(1, 41))
    outcome = run(body.encode(), described, EVERY, row_group=1 << 20, block=100)
    assert outcome.job.error is None
    assert outcome.table.column("value").to_pylist() == [value] * 40


CELLS: dict[str, Callable[[int], str]] = {
    "boolean": lambda n: ("true", "false")[n % 2],
    "date": lambda n: str(np.datetime64("2024-01-02") + n),
    "time": lambda n: f"{n % 24:02}:{n % 60:02}:{n % 59:02}.{n}",
    "datetime": lambda n: f"{np.datetime64('2024-01-02T00:00:00') + 61 * n}Z",
    "year": lambda n: str(1000 + n),
    "yearmonth": lambda n: f"{1000 + n}-{n % 12 + 1:02}",
    "duration": lambda n: f"PT{n}S",
    "object": lambda n: f'"{{""a"": {n}}}"',
    "array": lambda n: f'"[1, {n}]"',
    "geojson": lambda n: f'"{{""type"": ""Point"", ""coordinates"": [1, {n % 90}]}}"',
    "list": lambda n: f'"a,{n}"',
    "geopoint": lambda n: f'"{n % 180}, {n % 89}"',
    "any": lambda n: f"é{n}",
}


@pytest.mark.parametrize("values", [2, 3000])
@pytest.mark.parametrize("coded", [EVERY, {}], ids=["from the first row", "as it comes"])
def test_columns_of_every_type_may_hold_few_values_and_many(coded: dict[str, int], values: int) -> None:
    described = pipeline.contract(
        *({"name": kind, "type": kind} for kind in CELLS),
        {"name": "number", "type": "number"},
        sluice={"tolerance": {"maxRejectedRatio": 0.3}, "decimals": {"number": {"precision": 9, "scale": 2}}},
    )
    rows = [
        ",".join([cell(row // 3 % values) if row % 7 else "" for cell in CELLS.values()])
        + ("," + f"{row % values}.50" if row % 5 else ",x")
        for row in range(3000)
    ]
    body = "\n".join([",".join([*CELLS, "number"]), *rows, ""]).encode()
    outcome = run(body, described, coded, row_group=1 << 16, block=1 << 18)
    assert outcome.job.error is None
    assert outcome.job.rows.rejected == 600
    assert essence(outcome) == essence(run(body, described, NONE, row_group=1 << 40))


@given(st.lists(st.integers(0, 4) | st.none()), st.integers(0, 3))
def test_values_that_no_row_has_are_dropped(codes: list[int | None], before: int) -> None:
    values = pa.array(["a", "b", "", "é", "e"])
    column = pa.DictionaryArray.from_arrays(pa.array([4] * before + codes, pa.int32()), values).slice(before)
    kept = coding.without_unused(column)
    kept.validate(full=True)
    assert kept.to_pylist() == column.to_pylist()
    assert set(kept.dictionary.to_pylist()) == set(column.to_pylist()) - {None}
