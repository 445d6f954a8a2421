"""Formulas are neutralised in rejects.csv and nowhere else, and a corrected rejects.csv says what the file said."""

from __future__ import annotations

import csv
import io

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine import arrays
from chalicelib.engine.checks.formulas import neutralise, restore, restore_column
from tests import pipeline
from tests.pipeline import Outcome, contract

FULL_WIDTH = "\uff1d\uff0b\uff0d\uff20"
STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", *FULL_WIDTH)
TEXTS = st.one_of(st.text(), st.text("'=+-@\t\r\n\x0015.eE," + FULL_WIDTH, max_size=8))

# A text that is rejected for its number, beside cells that have to come through whole.
THINGS = contract(
    {"name": "n", "type": "integer", "constraints": {"required": True}},
    {"name": "=text", "type": "string"},
    {"name": "more", "type": "string", "missingValues": ["-"]},
)


@given(TEXTS)
def test_restoring_gives_the_text_back(text: str) -> None:
    assert restore(neutralise(text)) == text


@given(TEXTS)
def test_what_is_neutralised_is_no_formula(text: str) -> None:
    written = neutralise(text)
    assert not written.startswith(STARTS) or float(written) is not None
    assert written in (text, "'" + text)


@pytest.mark.parametrize("number", ["-5", "+49.3", "-.5", "+1e-3", "-0"])
def test_a_signed_number_is_no_formula(number: str) -> None:
    assert neutralise(number) == number
    assert restore("'" + number) == "'" + number


@pytest.mark.parametrize(
    "formula",
    [
        "=1+1",
        "-1+1",
        "+1-1",
        "@SUM(1)",
        "\t=1",
        "\r=1",
        "-5,3",
        "+49 30",
        "-",
        "- 5",
        "-5\n",
        "\n=1",
        "\0=1",
        "\uff1d1+1",
    ],
)
def test_a_formula_gets_an_apostrophe(formula: str) -> None:
    assert neutralise(formula) == "'" + formula
    assert neutralise("'" + formula) == "''" + formula


@given(st.lists(st.one_of(st.none(), TEXTS)))
def test_a_column_is_restored_text_by_text(texts: list[str | None]) -> None:
    restored = restore_column(arrays.strings(texts))
    assert restored.type == pa.string()
    assert restored.to_pylist() == [text if text is None else restore(text) for text in texts]


def _csv(rows: list[list[str]]) -> bytes:
    sink = io.StringIO(newline="")
    csv.writer(sink).writerows(rows)
    return sink.getvalue().encode()


def _read(body: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(body.decode(), newline="")))


def _upload(rows: list[list[str]]) -> Outcome:
    return pipeline.run(_csv(rows), THINGS)


# The csv module reads a NUL, but a file with many of them is no CSV to Sluice.
CELLS = TEXTS.filter(lambda text: "\0" not in text)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_rejects_go_round_unchanged(cells: list[tuple[str, str]]) -> None:
    uploaded = [["n", "=text", "more"], *(["x", *pair] for pair in cells)]
    first = _upload(uploaded)
    rejected = _read(first.body("rejects.csv"))
    assert rejected[0] == ["_record", "_line", "_errors", "n", "'=text", "more"]
    assert [row[3:] for row in rejected[1:]] == [["x", *map(neutralise, pair)] for pair in cells]
    assert [row[0] for row in rejected[1:]] == [str(record) for record in range(1, len(cells) + 1)]
    # Uploaded once more with the same mistakes, the same comes back.
    again = _upload(rejected)
    assert _read(again.body("rejects.csv")) == rejected
    # Corrected, it is delivered as the file had it.
    corrected = [row if place == 0 else [*row[:3], "1", *row[4:]] for place, row in enumerate(rejected)]
    delivered = _upload(corrected).table
    assert delivered["=text"].to_pylist() == [text or None for text, _ in cells]
    assert delivered["more"].to_pylist() == [None if text == "-" else text for _, text in cells]


def test_only_rejects_csv_is_neutralised() -> None:
    outcome = _upload([["n", "=text", "more"], ["x", "=1+1", ""], ["1", "=2+2", "'=3+3"]])
    assert outcome.table.to_pylist() == [{"n": 1, "=text": "=2+2", "more": "'=3+3"}]
    assert outcome.rejects[0]["raw"] == "x,=1+1,"
    assert b"'" not in outcome.body("rejects.jsonl")
    assert _read(outcome.body("rejects.csv"))[1][4] == "'=1+1"


def test_what_is_said_of_a_field_named_like_a_formula_is_neutralised() -> None:
    outcome = pipeline.run(b"=n\nx\n", contract({"name": "=n", "type": "integer"}))
    said = _read(outcome.body("rejects.csv"))[1][2]
    assert said.startswith("'=n: type is")


def test_a_draft_is_inferred_from_the_restored_texts() -> None:
    body = _csv([["_record", "_line", "_errors", "price"], ["1", "2", "", "'-"], ["2", "3", "", "-5"]])
    outcome = pipeline.run(body)
    assert outcome.table.to_pylist() == [{"price": None}, {"price": -5}]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ({"delimiter": ";"}, b"a;b\nx;1\n"),
        ({"delimiter": ",", "header": False}, b"x,1\n"),
        ({"delimiter": ",", "quoteChar": "'"}, b"a,b\nx,1\n"),
        ({"delimiter": "|", "commentChar": "_"}, b"a|b\nx|1\n"),
    ],
)
def test_rejects_are_read_whatever_the_dialect_of_the_contract(dialect: dict, body: bytes, delimiter: str) -> None:
    described = contract({"name": "a", "type": "integer"}, {"name": "b", "type": "string"}, dialect=dialect)
    rejects = _read(pipeline.run(body, described).body("rejects.csv"))
    assert rejects[0][3:] == ["a", "b"]
    # A spreadsheet writes the delimiter of its locale.
    sink = io.StringIO(newline="")
    csv.writer(sink, delimiter=delimiter).writerows([rejects[0], [*rejects[1][:3], "7", *rejects[1][4:]]])
    corrected = pipeline.run(sink.getvalue().encode(), described)
    assert corrected.table.to_pylist() == [{"a": 7, "b": "1"}]


@pytest.mark.parametrize(
    ("encoding", "saved"),
    [("utf-8", "utf-8"), ("utf-8", "utf-8-sig"), ("cp1252", "utf-8"), ("cp1252", "utf-8-sig"), ("cp1252", "cp1252")],
)
def test_rejects_are_read_whatever_the_encoding_of_the_contract(encoding: str, saved: str) -> None:
    described = contract({"name": "a", "type": "integer"}, {"name": "b", "type": "string"}, encoding=encoding)
    rejects = pipeline.run("a,b\nx,Käse\n".encode(encoding), described).body("rejects.csv").decode()
    corrected = pipeline.run(rejects.replace(",x,", ",7,").encode(saved), described)
    assert corrected.table.to_pylist() == [{"a": 7, "b": "Käse"}]
