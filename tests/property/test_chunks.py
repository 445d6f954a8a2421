"""The outputs do not depend on how the object was cut, nor on what stands beside a record."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.engine import plan
from tests import pipeline
from tests.pipeline import Outcome, contract

pytestmark = pytest.mark.usefixtures("either_reader")

CELLS = st.sampled_from(
    [
        "1",
        "2",
        "-3",
        "x",
        "",
        "1.5",
        "NA",
        '"a"',
        '"a\nb"',
        '"a""b"',
        '"',
        'a"',
        '"a"b',
        "é",
        "2024-01-02",
        '","',
        "007",
    ]
)
ROWS = st.lists(st.lists(CELLS, min_size=1, max_size=4).map(",".join), max_size=12)
BREAKS = st.sampled_from(["\n", "\r\n", "\r"])
CHUNKS = st.integers(1, 64)

THINGS = contract(
    {"name": "id", "type": "integer", "constraints": {"required": True}},
    {"name": "name", "type": "string", "constraints": {"unique": True}},
    {"name": "size", "type": "number", "constraints": {"maximum": 1.5}},
    schema={"primaryKey": ["id"]},
    sluice={
        "aggregates": [
            {"name": "all", "groupBy": ["name"], "measures": {"n": {"count": "*"}, "total": {"sum": "size"}}},
            {"name": "mid", "groupBy": [], "measures": {"half": {"quantile": "size", "q": 0.5}}},
        ]
    },
)


@given(st.integers(0, 10**12), st.integers(1, 10**9), st.integers(1, 10_000))
def test_chunks_tile_the_file_and_are_alike(size_bytes: int, chunk_size_bytes: int, max_chunks: int) -> None:
    ranges = plan.cut(size_bytes, chunk_size_bytes, max_chunks)
    sizes = [end - start for start, end in ranges]
    assert [0, *(end for _, end in ranges)] == [*(start for start, _ in ranges), size_bytes]
    assert len(ranges) == min(-(-size_bytes // chunk_size_bytes), max_chunks)
    assert not sizes or max(sizes) - min(sizes) <= 1 <= min(sizes)


@given(st.integers(0, 8 * 10**10), st.integers(8 << 20, 10**9), st.integers(1, 64))
@example(186_000_000, 64 << 20, 2)
@example(16 << 20, 64 << 20, 64)
@example((16 << 20) - 1, 64 << 20, 64)
@example(8 * 10**10, 8 << 20, 3)
def test_workers_have_as_many_chunks_each(size_bytes: int, most_bytes: int, workers: int) -> None:
    chunk_size_bytes = plan.chunk_size(size_bytes, most_bytes, workers)
    ranges = plan.cut(size_bytes, chunk_size_bytes, 10_000)
    assert chunk_size_bytes <= most_bytes
    # none smaller than 8 MiB, but where what a chunk may be at the most wants it
    assert len(ranges) % workers == 0 or len(ranges) == max(size_bytes // (8 << 20), -(-size_bytes // most_bytes))


@given(st.integers(0, 10**11), st.integers(1, 10**9))
def test_chunks_for_one_worker_or_any_number_are_as_large_as_they_may(size_bytes: int, most_bytes: int) -> None:
    assert plan.chunk_size(size_bytes, most_bytes, 1) == most_bytes


def file_of(rows: list[str], line_break: str, last: bool) -> bytes:
    text = line_break.join(["id,name,size", *rows])
    return (text + (line_break if last else "")).encode()


def essence(outcome: Outcome) -> Any:
    """Everything that a user is given, but for the number of chunks and of files."""
    job = outcome.job
    if job.error is not None:
        return job.status, job.error, job.rows
    summary = outcome.document("summary.json")
    summary.pop("chunks")
    return (
        job.status,
        job.rows,
        job.reasons,
        outcome.body("rejects.csv"),
        outcome.body("rejects.jsonl"),
        summary,
        outcome.document("contract.json"),
        outcome.table.to_pylist(),
        outcome.table.schema,
    )


@given(ROWS, BREAKS, st.booleans(), CHUNKS)
@example(["1,a,1", "1,b,1", "2,a,1", "3,a,2"], "\n", True, 5)
@example(['1,"a', '2,b",1', "3,c,1"], "\n", True, 4)
@example(['1,"a', "2,b,1", "3,c,1"], "\r\n", False, 1)
def test_any_chunk_size_gives_the_same(rows: list[str], line_break: str, last: bool, chunk_size: int) -> None:
    body = file_of(rows, line_break, last)
    whole = pipeline.run(body, THINGS)
    cut = pipeline.run(body, THINGS, chunk_size=chunk_size)
    assert essence(cut) == essence(whole)
    assert whole.job.rows.balances
    assert cut.job.chunks.planned == -(-len(body) // chunk_size)


@given(ROWS, BREAKS, st.sampled_from(["utf-8", "utf-16", "cp1252"]), CHUNKS)
@example(["1,é,1"] * 9, "\n", "utf-16", 16)
def test_a_wide_file_has_larger_chunks(rows: list[str], line_break: str, encoding: str, size: int) -> None:
    body = file_of(rows, line_break, True).decode().encode(encoding)
    described = THINGS | {"encoding": encoding}
    narrow = pipeline.run(body, described, chunk_size=size)
    with mock.patch.object(plan, "WIDE_COLUMNS", 2):
        wide = pipeline.run(body, described, chunk_size=size)
    assert essence(wide) == essence(narrow)
    assert wide.job.chunks.planned == -(-narrow.job.chunks.planned // plan.WIDE_FACTOR)


@given(ROWS, BREAKS, st.booleans(), CHUNKS)
def test_inference_sees_the_whole_file(rows: list[str], line_break: str, last: bool, chunk_size: int) -> None:
    body = file_of(rows, line_break, last)
    whole = pipeline.run(body)
    cut = pipeline.run(body, chunk_size=chunk_size)
    assert essence(cut) == essence(whole)


@given(st.binary(max_size=80), CHUNKS)
@example(b"\xef\xbb\xbfid,name,size\n\xef\xbb\xbf1,a,1\n", 3)
@example(b"id,name,size\n1,\xff,1\n2,b,1\n", 7)
def test_any_bytes_give_the_same(tail: bytes, chunk_size: int) -> None:
    body = b"id,name,size\n1,a,1\n" + tail
    assert essence(pipeline.run(body, THINGS, chunk_size=chunk_size)) == essence(pipeline.run(body, THINGS))


@given(st.lists(CELLS.filter(lambda cell: '"' not in cell), min_size=1, max_size=8))
def test_the_verdict_on_a_record_does_not_depend_on_its_neighbours(cells: list[str]) -> None:
    described = contract({"name": "id", "type": "integer"}, {"name": "value", "type": "number"})
    rows = [f"{number},{cell}" for number, cell in enumerate(cells)]
    together = pipeline.run("\n".join(["id,value", *rows]).encode(), described).findings
    alone = {
        (record + 1, field, code)
        for record, row in enumerate(rows)
        for _, field, code in pipeline.run(f"id,value\n{row}\n".encode(), described).findings
    }
    assert together == alone


@given(ROWS, BREAKS, st.booleans(), CHUNKS)
@example(['1,"\n1,a,1\n",1', '2,"\n1,b,2\n",1', "2,c,1", "1,d,1"], "\n", True, 9)
def test_one_round_repairs_everything(rows: list[str], line_break: str, last: bool, chunk_size: int) -> None:
    outcome = pipeline.run(file_of(rows, line_break, last), THINGS, chunk_size=chunk_size)
    if outcome.job.error is None:
        assert {chunk["round"] for chunk in outcome.document("manifest.json")["ledger"]["chunks"]} <= {1, 2}
