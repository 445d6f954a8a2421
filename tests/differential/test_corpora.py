"""Real files: what Sluice infers of them accepts them, and it reads and judges them as Python and Frictionless do.

Long files are sampled; ``CORPORA=whole`` in the environment takes them whole (some minutes).
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chalicelib.model import Rows, Status
from tests import pipeline
from tests.differential import corpora
from tests.differential.compare import compare
from tests.differential.corpora import CORPORA, Corpus
from tests.differential.explanations import explain
from tests.differential.tables import Table
from tests.pipeline import Outcome

READERS: dict[str, Callable[[str], Any]] = {
    "string": str,
    "integer": int,
    "number": float,
    "date": dt.date.fromisoformat,
    "boolean": {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}.__getitem__,
    "datetime": lambda text: dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC),
}


@pytest.fixture(scope="module", params=CORPORA, ids=lambda corpus: corpus.name)
def drafted(request: pytest.FixtureRequest) -> tuple[Corpus, bytes, Outcome]:
    """A corpus, its bytes, and what Sluice makes of it without a contract."""
    corpus: Corpus = request.param
    body = corpus.body()
    return corpus, body, pipeline.run(body)


def texts(body: bytes) -> tuple[list[str], Iterator[list[str]]]:
    rows = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""))
    return next(rows), rows


def test_the_draft_accepts_every_record(drafted: tuple[Corpus, bytes, Outcome]) -> None:
    corpus, body, outcome = drafted
    assert outcome.job.status is Status.SUCCEEDED
    read = outcome.job.rows.read
    assert outcome.job.rows == Rows(read=read, valid=read)
    assert read == sum(1 for _ in texts(body)[1])
    if os.environ.get("CORPORA") == "whole":
        assert read == corpus.records


def test_the_values_are_what_plain_python_reads(drafted: tuple[Corpus, bytes, Outcome]) -> None:
    _, body, outcome = drafted
    schema = outcome.document("contract.json")["schema"]
    labels, rows = texts(body)
    columns = list(zip(*rows, strict=True))
    table = outcome.table
    assert len(schema["fields"]) == len(labels)
    for field, label, column in zip(schema["fields"], labels, columns, strict=True):
        assert field["name"] == (label or "field1")
        assert "format" not in field
        missing = field.get("missingValues", schema["missingValues"])
        read = READERS[field["type"]]
        expected = [None if text in missing else read(text) for text in column]
        assert table[field["name"]].to_pylist() == expected


def test_frictionless_finds_the_same_under_the_draft(drafted: tuple[Corpus, bytes, Outcome]) -> None:
    _, body, outcome = drafted
    document = outcome.document("contract.json")
    compared = compare(Table(body, document["schema"], document["dialect"]))
    explained, unexplained = explain(compared)
    assert not unexplained
    assert set(explained.values()) <= {"columns-without-a-label"}


def test_frictionless_finds_the_same_under_a_stricter_schema(drafted: tuple[Corpus, bytes, Outcome]) -> None:
    _, body, outcome = drafted
    document = outcome.document("contract.json")
    # Never the whole file: Frictionless keeps every error with its row in memory.
    part = corpora.sample(body, corpora.SAMPLED_RECORDS)
    compared = compare(Table(part, corpora.stricter(document["schema"]), document["dialect"]))
    explained, unexplained = explain(compared)
    assert not unexplained
    assert set(explained.values()) <= {"columns-without-a-label"}
    assert len(compared.ours & compared.theirs) > 500


def _column(name: str, field: str) -> list[Any]:
    body = next(corpus for corpus in CORPORA if corpus.name == name).read()
    values: list[Any] = pipeline.run(body).table[field].to_pylist()
    return values


def test_namibia_is_no_missing_value() -> None:
    assert _column("airportsdata airports", "country").count("NA") == 63


def test_a_city_named_none_is_no_missing_value() -> None:
    assert "None" in _column("bokeh-sampledata world_cities", "name")


def test_binaries_named_csv_are_refused_clearly() -> None:
    forks = corpora.resource_forks()
    assert len(forks) == 758
    for name, body in forks.items():
        job = pipeline.run(body).job
        assert job.status is Status.FAILED, name
        assert job.error is not None
        assert job.error.code == "not-csv", name
