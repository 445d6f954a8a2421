"""How a column is encoded depends on how often its values repeat, and nothing that a reader sees depends on that."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chalicelib.engine.delivery import parquet
from tests import pipeline

ROWS = 100_000


def encoded(body: bytes) -> set[str]:
    """The columns with a dictionary."""
    group = pq.ParquetFile(io.BytesIO(body)).metadata.row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    return {column.path_in_schema for column in columns if column.has_dictionary_page}


def table(rows: int) -> pa.Table:
    numbers = np.arange(rows)
    scattered = numbers * 7919 % 5000
    return pa.table(
        {
            "few": pa.array(numbers % 7).cast(pa.string()),
            "repeated": scattered,
            "repeated_text": pa.array(scattered).cast(pa.string()),
            "repeated_or_null": pa.array(scattered, mask=numbers % 3 == 0),
            "sorted": numbers // 20,
            "sometimes": numbers // 4,
            "many": numbers,
            "lists": pa.array([[number % 2] for number in range(rows)]),
        }
    )


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (ROWS, {"few", "repeated", "repeated_text", "repeated_or_null", "sorted"}),
        (20_000, {"few", "sorted"}),
    ],
)
def test_a_dictionary_is_written_where_values_repeat(rows: int, expected: set[str]) -> None:
    whole = table(rows)
    body = b"".join(parquet.write(whole))
    assert encoded(body) == expected
    assert pq.read_table(io.BytesIO(body)).equals(whole)


def test_the_writer_takes_many_rows_at_a_time_but_not_many_bytes() -> None:
    long = pa.table({"number": np.arange(5000), "text": pa.array(["x" * 500] * 5000)})
    assert parquet._batch_rows([long.select(["number"])]) == 20_000
    assert parquet._batch_rows([long, long]) == pytest.approx((1 << 20) / 504, abs=1)
    assert parquet._batch_rows([pa.table({"text": ["x" * 10_000]})]) == 1024
    assert parquet._batch_rows([pa.table({"text": pa.array([], pa.string())})]) == 1024


@pytest.mark.parametrize("bad", [1, 900])
def test_what_rejected_rows_alone_hold_is_not_in_the_file(bad: int) -> None:
    body = b"id,c\n" + b"1,US\n2,DE\n" * 700 + b"x,REJECTED\n" * bad + b"1,US\n"
    described = pipeline.contract({"name": "id", "type": "integer"}, {"name": "c", "type": "string"})
    described["sluice"] = {"tolerance": {"maxRejectedRatio": 1}}
    outcome = pipeline.run(body, described)
    assert outcome.job.rows.rejected == bad
    assert b"REJECTED" not in outcome.body("data/part-00000.parquet")
    assert set(outcome.table["c"].to_pylist()) == {"US", "DE"}


def test_a_writer_that_has_given_its_file_holds_no_copy_of_it() -> None:
    writer = parquet.Writer(())
    writer.add(pa.table({"random": np.random.default_rng(1).random(ROWS)}))
    tracemalloc.start()
    (part,) = writer.finish()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    size_bytes = sum(map(len, part.body))
    assert size_bytes > 8 * ROWS
    assert held < 1.1 * size_bytes
