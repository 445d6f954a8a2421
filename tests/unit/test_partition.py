"""Partitions: every row in the folder of its own values, and no two combinations in one."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine.delivery import partition
from chalicelib.engine.delivery.partition import NULL_PARTITION
from chalicelib.errors import Terminal
from chalicelib.model import JSON
from tests import pipeline
from tests.pipeline import contract

VALUES = st.one_of(st.none(), st.sampled_from(["a", "b", "a/b", "ä", "=", "%61", NULL_PARTITION]))


def text(name: str, **more: Any) -> Any:
    return {"name": name, "type": "string", **more}


@given(st.lists(st.tuples(VALUES, VALUES), max_size=30))
def test_rows_are_where_plain_grouping_puts_them(rows: list[tuple[str | None, str | None]]) -> None:
    table = pa.table(
        {
            "x": pa.array([x for x, _ in rows], pa.string()),
            "y": pa.array([y for _, y in rows], pa.string()),
            "row": pa.array(range(len(rows)), pa.int64()),
        }
    )
    expected: dict[tuple[str | None, str | None], list[int]] = {}
    for number, values in enumerate(rows):
        expected.setdefault(values, []).append(number)
    found: dict[tuple[str | None, ...], list[int]] = {}
    for folder, part in partition.partitions(table, ("x", "y")):
        texts = [each.partition("=")[2] for each in folder.rstrip("/").split("/")]
        decoded = tuple(None if each == NULL_PARTITION else unquote(each) for each in texts)
        assert decoded not in found
        found[decoded] = part.column("row").to_pylist()
    assert found == expected


def test_many_columns_of_many_values_do_not_overflow() -> None:
    names = [f"p{number}" for number in range(9)]
    rows = [["A", *[str(row)] * 8] for row in range(511)] + [["B", *["0"] * 8]]
    table = pa.table({name: [row[at] for row in rows] for at, name in enumerate(names)} | {"v": list(range(512))})
    found = {folder: part.column("v").to_pylist() for folder, part in partition.partitions(table, tuple(names))}
    assert len(found) == 512
    assert found["p0=B/" + "".join(f"p{number}=0/" for number in range(1, 9))] == [511]


def test_a_chunk_writes_to_so_many_partitions_at_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition, "MAX_PARTITIONS", 3)
    table = pa.table({"a": ["x", "y", None, "x"], "b": [1, 2, 3, 4]})
    assert len(list(partition.partitions(table, ("a",)))) == 3
    with pytest.raises(Terminal, match="gives 4 partitions in one chunk, the limit is 3") as caught:
        list(partition.partitions(pa.table({"a": ["x", "y", None, "z"], "b": [1, 2, 3, 4]}), ("a",)))
    assert caught.value.code == "too-many-partitions"


def test_the_text_of_hives_null_is_not_null() -> None:
    described = contract(text("a", missingValues=["NULL"]), text("b"), sluice={"partitionBy": ["a"]})
    outcome = pipeline.run(f"a,b\n{NULL_PARTITION},2\nNULL,4\n".encode(), described)
    assert outcome.table.column("b").to_pylist() == ["2", "4"] or sorted(outcome.table.column("b").to_pylist()) == [
        "2",
        "4",
    ]
    assert len([name for name in outcome.published if name.startswith("data/")]) == 2


@pytest.mark.parametrize(
    "body, by, code, says",
    [
        (b"a,b\n1,2\n", ["a", "b"], "bad-partition", "at least one must remain"),
        (b"a,b\n", ["zz"], "unknown-column", "zz"),
        (b"a,b\n" + b"x" * 900 + b",2\n", ["a"], "bad-partition", "903 bytes"),
    ],
)
def test_what_cannot_be_partitioned_is_refused_without_a_value(
    body: bytes, by: list[str], code: str, says: str
) -> None:
    outcome = pipeline.run(body, contract(text("a"), text("b"), sluice={"partitionBy": by}))
    assert outcome.job.error is not None
    assert (outcome.job.error.code, says in outcome.job.error.message) == (code, True)
    assert "xxx" not in outcome.job.error.message
    assert outcome.published == []


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()], ids=str)
def test_there_is_one_zero(kind: pa.DataType) -> None:
    values = np.array([-0.0, 0.0, -0.5, -1e-7, np.nan, 0.0, -0.0], kind.to_pandas_dtype())
    table = pa.table({"a": pa.array(values, kind), "row": range(7)})
    found = [part.column("row").to_pylist() for _, part in partition.partitions(table, ("a",))]
    assert sorted(found) == [[0, 1, 5, 6], [2], [3], [4]]
    assert "a=0/" in dict(partition.partitions(table, ("a",)))


@pytest.mark.parametrize(
    "keys",
    [
        {"partitionBy": ["a"]},
        {"partitionBy": ["a"], "decimals": {"a": {"precision": 5, "scale": 2}}},
        {"partitionBy": ["c"], "derive": {"c": "a * 1"}},
    ],
    ids=["numbers", "decimals", "derived"],
)
@pytest.mark.parametrize("chunk_size", [1 << 20, 8])
def test_partitions_are_an_aggregates_groups(keys: JSON, chunk_size: int) -> None:
    by = keys["partitionBy"]
    aggregates = [{"name": "each", "groupBy": by, "measures": {"n": {"count": "*"}}}]
    described = contract(
        {"name": "a", "type": "number"}, {"name": "b", "type": "integer"}, sluice={"aggregates": aggregates} | keys
    )
    outcome = pipeline.run(b"a,b\n0,1\n-0,2\n1,3\n-0.0,4\n0e5,5\n", described, chunk_size=chunk_size)
    assert outcome.job.error is None
    counts = {float(row[by[0]]): row["n"] for row in outcome.document("summary.json")["aggregates"]["each"]}
    assert counts == {0: 4, 1: 1}
    folders = {name.split("/")[1] for name in outcome.published if name.startswith("data/")}
    assert len(folders) == len(counts)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.large_binary(), pa.binary(1)])
def test_texts_name_folders_however_they_are_stored(kind: pa.DataType) -> None:
    """A transform's texts are mostly pandas' own, which have 64-bit offsets."""
    table = pa.table({"x": pa.array(["a", None, "b"], pa.string()).cast(pa.binary()).cast(kind), "row": [1, 2, 3]})
    assert [folder for folder, _ in partition.partitions(table, ("x",))] == [
        "x=__HIVE_DEFAULT_PARTITION__/",
        "x=a/",
        "x=b/",
    ]


@pytest.mark.parametrize("column", [pa.array([b"\xff"]), pa.array([5]).view(pa.timestamp("us", "Nowhere/At_All"))])
def test_a_value_without_a_text_names_no_partition(column: pa.Array) -> None:
    with pytest.raises(Terminal, match="have no texts") as caught:
        list(partition.partitions(pa.table({"x": column, "row": [1]}), ("x",)))
    assert caught.value.code == "bad-partition"


def test_an_empty_text_names_no_partition() -> None:
    table = pa.table({"a": ["", "x"], "b": [1, 2]})
    with pytest.raises(Terminal, match="bad-partition"):
        list(partition.partitions(table, ("a",)))


def test_an_unknown_column_of_an_aggregate_is_told_before_there_are_rows() -> None:
    aggregates = [{"name": "all", "groupBy": ["zz"], "measures": {"n": {"count": "*"}}}]
    outcome = pipeline.run(b"a,b\n", contract(text("a"), text("b"), sluice={"aggregates": aggregates}))
    assert outcome.job.error is not None
    assert outcome.job.error.code == "unknown-column"


def test_no_rows_are_written_as_partitioned_files_are() -> None:
    outcome = pipeline.run(b"a,b\n", contract(text("a"), text("b"), sluice={"partitionBy": ["a"]}))
    assert outcome.table.column_names == ["b"]
