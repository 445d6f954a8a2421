"""Every property of Table Dialect, held against Python's csv module and against other cuts of the same bytes."""

from __future__ import annotations

import csv
import io
import re
from typing import Any
from unittest import mock

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from chalicelib import steps
from chalicelib.model import Rows
from tests import pipeline
from tests.pipeline import Outcome, contract
from tests.property.test_chunks import essence

ALPHABET = "ab ,;'\"\\#\n\r1é"
CELLS = st.text(ALPHABET, max_size=5)
TABLES = st.lists(st.tuples(CELLS, CELLS), max_size=6)
TWO: Any = ({"name": "x", "type": "string", "missingValues": []}, {"name": "y", "type": "string", "missingValues": []})


def described(**dialect: Any) -> Any:
    return contract(*TWO, dialect={"delimiter": ",", "header": True} | dialect)


def rows_of(outcome: Outcome) -> list[tuple[str, str]]:
    assert outcome.job.error is None, outcome.job.error
    assert outcome.job.rows.rejected == 0, outcome.rejects
    return [(row["x"], row["y"]) for row in outcome.table.to_pylist()]


@given(
    TABLES,
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(['"', "'"]),
    st.sampled_from([(True, None), (True, "\\"), (False, "\\")]),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 40),
)
def test_what_a_writer_quotes_and_escapes_is_read_back(
    table: list[tuple[str, str]], delimiter: str, quote: str, doubling: tuple[bool, str | None], ends: str, chunk: int
) -> None:
    double, escape = doubling
    sink = io.StringIO(newline="")
    writer = csv.writer(
        sink, delimiter=delimiter, quotechar=quote, doublequote=double, escapechar=escape, lineterminator=ends,
        quoting=csv.QUOTE_ALL,
    )  # fmt: skip
    writer.writerows([("x", "y"), *table])
    dialect: Any = {"delimiter": delimiter, "quoteChar": quote, "doubleQuote": double}
    if escape:
        dialect["escapeChar"] = escape
    assert rows_of(pipeline.run(sink.getvalue().encode(), described(**dialect), chunk_size=chunk)) == table


@given(st.lists(st.tuples(CELLS, CELLS), max_size=6), st.integers(1, 40))
def test_escapes_without_quotes(table: list[tuple[str, str]], chunk: int) -> None:
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, quotechar=None, quoting=csv.QUOTE_NONE, escapechar="\\", lineterminator="\n")
    # The csv module does not escape a line break that its own terminator does not contain.
    assume(not any("\r" in cell for row in table for cell in row))
    writer.writerows([("x", "y"), *table])
    outcome = pipeline.run(
        sink.getvalue().encode(), described(quoteChar=None, escapeChar="\\"), chunk_size=chunk
    )  # fmt: skip
    assert rows_of(outcome) == table


HOSTILE = st.lists(st.sampled_from([*ALPHABET, "\r\n", '""', '","', ' "', "\\\\"]), max_size=40).map("".join)
DIALECTS = st.fixed_dictionaries(
    {"doubleQuote": st.booleans(), "skipInitialSpace": st.booleans()},
    optional={
        "escapeChar": st.just("\\"),
        "commentChar": st.just("#"),
        "quoteChar": st.sampled_from([None, "'", '"']),
    },
)


@given(HOSTILE, DIALECTS, st.integers(1, 40))
def test_any_dialect_any_text_any_chunk_size_gives_the_same(text: str, dialect: dict[str, Any], chunk: int) -> None:
    body = ("x,y\n1,2\n" + text).encode()
    whole = pipeline.run(body, described(**dialect))
    assert essence(pipeline.run(body, described(**dialect), chunk_size=chunk)) == essence(whole)


@pytest.mark.parametrize("chunk_size", [1, 7, 1000])
def test_comments_are_no_records(chunk_size: int) -> None:
    body = b'#made "by\nx,y\n#one,two,three\n1,2\n"#3",4\n  #5,6\n#'
    outcome = pipeline.run(body, described(commentChar="#"), chunk_size=chunk_size)
    assert rows_of(outcome) == [("1", "2"), ("#3", "4"), ("  #5", "6")]
    assert outcome.job.rows == Rows(read=5, valid=3, blank=2)


@pytest.mark.parametrize("chunk_size", [1, 7, 1000])
def test_spaces_at_the_start_of_a_cell_are_skipped(chunk_size: int) -> None:
    body = b'x, y\n1,  2\n  "3,", "4"\n5 , \n'
    outcome = pipeline.run(body, described(skipInitialSpace=True), chunk_size=chunk_size)
    assert rows_of(outcome) == [("1", "2"), ("3,", "4"), ("5 ", "")]


@pytest.mark.parametrize("quote", [None, '"'])
def test_an_escaped_space_at_the_start_of_a_cell_is_not_skipped(quote: str | None) -> None:
    body = b"x,y\n\\ 1,\\ 2\n3\\ , 4\\ 5\n"
    outcome = pipeline.run(body, described(skipInitialSpace=True, escapeChar="\\", quoteChar=quote))
    assert rows_of(outcome) == [(" 1", " 2"), ("3 ", "4 5")]


@pytest.mark.parametrize(
    ("record", "cells"),
    [
        pytest.param(b"1,2345\n", ("1", "2345"), id="together with others"),
        pytest.param(b'1, "23"\n', ("1", "23"), id="by itself"),
        pytest.param(b'1,"2\n3"\n', ("1", "2\n3"), id="of two lines"),
    ],
)
def test_a_record_may_be_as_long_as_the_limit(record: bytes, cells: tuple[str, str]) -> None:
    body, dialect = b"x,y\n" + record, described(skipInitialSpace=True)
    with mock.patch.object(steps, "RECORD_LIMIT_BYTES", len(record)):
        assert rows_of(pipeline.run(body, dialect)) == [cells]
    with mock.patch.object(steps, "RECORD_LIMIT_BYTES", len(record) - 1):
        assert pipeline.run(body, dialect).findings == {(1, "", "record-too-long")}


def test_header_rows_are_joined_and_comment_rows_passed_over() -> None:
    body = b"exported today\nx,\n,y\n1,2\n"
    dialect = {"headerRows": [2, 3], "commentRows": [1], "headerJoin": "_"}
    assert rows_of(pipeline.run(body, described(**dialect))) == [("1", "2")]
    joined = contract({"name": "a_b"}, {"name": "c_d"}, dialect={"headerRows": [1, 2], "headerJoin": "_"})
    assert pipeline.run(b"a,c\nb,d\n1,2\n", joined).table.column_names == ["a_b", "c_d"]


def test_a_file_without_a_header_may_begin_with_comment_rows() -> None:
    outcome = pipeline.run(b"exported today\n1,2\n", described(header=False, commentRows=[1]))
    assert rows_of(outcome) == [("1", "2")]


NOTES = st.lists(st.text("ab ,;'\"#1é", min_size=1, max_size=6), min_size=1, max_size=3)
_CLOSES = re.compile(r'(?:[^"]|"")*"(?:[,\r\n]|\Z)')
"""What would end, as it should be ended, a quoted cell that were open before it."""


@given(NOTES, HOSTILE.filter(bool), st.booleans(), st.sampled_from(["\n", "\r\n", "\r"]), st.integers(1, 40))
@example(['"note'], "1,2\n", False, "\n", 40)
@example(["a", 'x,"y'], '"1","2"\n', True, "\n", 40)
def test_comment_rows_cost_a_line_each_and_no_record(
    notes: list[str], text: str, header: bool, ends: str, chunk: int
) -> None:
    text = f'"x",y{ends}{text}' if header else text
    rests = [ends.join(notes[at:]) + ends + text for at in range(1, len(notes))] + [text]
    # A quoted cell that goes on over a line break is one row, whoever may have meant it.
    assume(not any(_CLOSES.match(rest) for rest in rests))
    # Nor can a line break that the text begins with be told from one that the last row has.
    assume(not (ends == "\r" and text.startswith("\n")))
    rows = list(range(1, len(notes) + 1))
    header_rows = {"headerRows": [len(notes) + 1]} if header else {"header": False}
    found, bare = (
        pipeline.run(body.encode(), described(**dialect), chunk_size=chunk)
        for body, dialect in (
            (ends.join([*notes, text]), {"commentRows": rows} | header_rows),
            (text, {"header": header}),
        )
    )
    assert (found.job.error, found.job.rows) == (bare.job.error, bare.job.rows)
    assert found.findings == bare.findings
    assert found.table.equals(bare.table)


def test_an_escape_at_the_end_escapes_nothing() -> None:
    outcome = pipeline.run(b"x,y\n1,2\n3,4\\", described(escapeChar="\\"))
    assert outcome.findings == {(2, "", "dangling-escape")}


def test_an_escaped_line_break_belongs_to_its_cell() -> None:
    outcome = pipeline.run(b"x,y\n1,a\\\nb\n2,\\\r\n", described(escapeChar="\\"))
    assert rows_of(outcome) == [("1", "a\nb"), ("2", "\r")]


def test_an_escaped_line_break_at_the_end_of_a_rejected_record_is_shown() -> None:
    described = contract({"name": "x", "type": "integer"}, TWO[1], dialect={"delimiter": ",", "escapeChar": "\\"})
    outcome = pipeline.run(b"x,y\na,b\na,\\\r\na,\\\n\n", described)
    assert outcome.findings == {(record, "x", "type-error") for record in (1, 2, 3)}
    assert [each["raw"] for each in outcome.rejects] == ["a,b", "a,\\\r", "a,\\\n"]
