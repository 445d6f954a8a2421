"""Where the header ends and the first record begins; what the first record may cost where there is no header."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.model import Rows
from chalicelib.settings import HEAD_SIZE_BYTES, RECORD_LIMIT_BYTES
from tests import pipeline
from tests.pipeline import contract

FIELDS: Any = ({"name": "a", "type": "integer"}, {"name": "b", "type": "integer"})
LONG = b"1," + b"0" * (RECORD_LIMIT_BYTES + 1) + b"\n"


@pytest.mark.parametrize("match", ["exact", "equal", "subset", "superset", "partial"])
@pytest.mark.parametrize(
    ("first", "found"),
    [
        pytest.param(b'1,"2\n', {(1, "", "unclosed-quote")}, id="an unclosed quote"),
        pytest.param(b'"1"x,2\n', {(1, "", "text-after-quote"), (1, "a", "type-error")}, id="text after a quote"),
        pytest.param(b"1,\xff\n", {(1, "", "encoding-error")}, id="a bad byte"),
        pytest.param(LONG, {(1, "", "record-too-long")}, id="too long"),
    ],
)
def test_without_a_header_a_broken_first_record_costs_no_more_than_itself(
    first: bytes, found: set[tuple[int, str, str]], match: str
) -> None:
    described = contract(*FIELDS, dialect={"header": False}, schema={"fieldsMatch": match})
    outcome = pipeline.run(first + b"3,4\n5,6\n", described)
    assert outcome.job.error is None
    assert outcome.findings == found
    assert outcome.table.to_pylist() == [{"a": 3, "b": 4}, {"a": 5, "b": 6}]


def test_without_header_and_contract_the_columns_are_those_of_the_first_sound_record() -> None:
    outcome = pipeline.run(b'1,"2\n' + b"3,4\n" * 40)
    assert outcome.job.error is None
    assert outcome.findings == {(1, "", "unclosed-quote")}
    assert outcome.job.rows == Rows(read=41, valid=40, rejected=1)


def test_without_a_contract_a_file_of_broken_records_alone_is_not_called_empty() -> None:
    refused = pipeline.run(LONG.replace(b"\n", b""))
    assert refused.job.error is not None
    assert refused.job.error.code == "header-too-long"


@pytest.mark.parametrize("blank", [b"\n", b"\r\n\r\n"])
def test_blank_lines_are_no_rows_of_the_preamble(blank: bytes) -> None:
    joined = contract(*FIELDS, dialect={"commentRows": [1], "headerRows": [2]})
    outcome = pipeline.run(blank + b"junk\n" + blank + b"a,b\n1,2\n", joined)
    assert outcome.table.to_pylist() == [{"a": 1, "b": 2}]
    headerless = contract(*FIELDS, dialect={"header": False, "commentRows": [1]})
    for text in (b"1,2\n", b"1,2,3\n1,2\n"):
        assert pipeline.run(b"junk\n" + blank + text, headerless).table.to_pylist() == [{"a": 1, "b": 2}]
    partial = contract(*FIELDS, dialect={"header": False, "commentRows": [1]}, schema={"fieldsMatch": "partial"})
    outcome = pipeline.run(b"junk\n" + blank + b"1\n", partial)
    assert outcome.table.to_pylist() == [{"a": 1, "b": None}]


@pytest.mark.parametrize("rest", [b"", b"\n\n", b"1\n", b"1,\xff\n"])
def test_columns_of_no_regular_row_are_of_text_where_spaces_are_skipped(rest: bytes) -> None:
    described = contract(*FIELDS, dialect={"skipInitialSpace": True})
    outcome = pipeline.run(b"a, b\n" + rest, described)
    assert outcome.job.error is None
    assert outcome.job.rows.valid == 0


NOTES = (
    b'id,"name,price\n',  # never closed
    b'"note\r\n',
    b'"note" by me\n',  # closed, with text behind
    b'"of\n"two" lines\n',  # closed in the next line, with text behind: that line is a record
)


@pytest.mark.parametrize("rest", [b"1,2\n3,4\n", b'"1","2"\n"3","4"\n'], ids=["plain", "quoted"])
@pytest.mark.parametrize("note", NOTES[:3])
@pytest.mark.parametrize("chunk_size", [1, 7, 1 << 20])
def test_a_comment_row_whose_quotes_are_not_sound_costs_its_line(note: bytes, rest: bytes, chunk_size: int) -> None:
    for rows, before in (([1], note), ([1, 2], note + b"sold\n"), ([1, 2], b"sold\n" + note), ([1, 2], note + note)):
        headerless = contract(*FIELDS, dialect={"header": False, "commentRows": rows})
        with_header = contract(*FIELDS, dialect={"commentRows": rows, "headerRows": [len(rows) + 1]})
        for described, body in ((headerless, before + rest), (with_header, before + b"a,b\n" + rest)):
            outcome = pipeline.run(body, described, chunk_size=chunk_size)
            assert outcome.job.error is None
            assert outcome.job.rows == Rows(read=2, valid=2)
            assert outcome.table.to_pylist() == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]


@pytest.mark.parametrize("chunk_size", [1 << 18, 1 << 21])
def test_an_unclosed_comment_row_of_a_file_longer_than_its_head_costs_its_line(chunk_size: int) -> None:
    count = HEAD_SIZE_BYTES // 4 + 10
    for dialect, label in (({"header": False}, b""), ({"headerRows": [2]}, b"a,b\n")):
        described = contract(*FIELDS, dialect={"commentRows": [1]} | dialect)
        outcome = pipeline.run(b'"note\n' + label + b"1,2\n" * count, described, chunk_size=chunk_size)
        assert outcome.job.error is None
        assert outcome.job.rows == Rows(read=count, valid=count)


def test_an_unclosed_comment_row_without_a_line_break_is_all_that_there_is() -> None:
    described = contract(*FIELDS, dialect={"header": False, "commentRows": [1]})
    outcome = pipeline.run(b'"note', described)
    assert outcome.job.error is None
    assert outcome.job.rows == Rows()
    refused = pipeline.run(b'"' + b"x" * HEAD_SIZE_BYTES + b"\n1,2\n", described)
    assert refused.job.error is not None
    assert refused.job.error.code == "header-too-long"


def test_a_comment_row_of_sound_quotes_may_have_several_lines() -> None:
    described = contract(*FIELDS, dialect={"commentRows": [1, 2], "headerRows": [3]})
    outcome = pipeline.run(b'"of\ntwo lines","\n"\n"and ""\r\n"" more"\na,b\n1,2\n', described)
    assert outcome.job.rows == Rows(read=1, valid=1)


def test_a_line_after_a_comment_row_of_broken_quotes_is_told() -> None:
    described = contract(*FIELDS, dialect={"header": False, "commentRows": [1]})
    outcome = pipeline.run(NOTES[3] + b"1,2\n", described)
    assert outcome.job.rows == Rows(read=2, valid=1, rejected=1)


def test_a_header_row_that_is_not_closed_is_refused_after_an_unclosed_comment_row() -> None:
    described = contract(*FIELDS, dialect={"commentRows": [1], "headerRows": [2]})
    outcome = pipeline.run(b'"note\na,"b\n1,2\n', described)
    assert outcome.job.error is not None
    assert outcome.job.error.code == "header-mismatch"
    assert "not closed" in outcome.job.error.message
