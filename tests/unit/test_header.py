"""Where the header ends and the first record begins; what the first record may cost where there is no header."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.model import Rows
from chalicelib.settings import RECORD_LIMIT_BYTES
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
