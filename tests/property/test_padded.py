"""A rejects.csv that a spreadsheet has padded to equal width is read as if it had not."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chalicelib.model import JSON
from tests import pipeline, rowwise
from tests.pipeline import Outcome, contract
from tests.property.test_rejects import plan_of

FIELDS: list[dict[str, Any]] = [
    {"name": "n", "type": "integer"},
    {"name": "name", "type": "string", "constraints": {"maxLength": 3}},
]
LABELS = ["_record", "_line", "_errors", "n", "name"]
WIDTH = len(LABELS)
CELLS = st.sampled_from(["", "", "1", "2", "x", "ab", "abcd", " ", '"', "a,b", "a\nb", "\ufffd", "\x00", "'=1"])
ROWS = st.lists(st.lists(CELLS, min_size=1, max_size=6), min_size=1, max_size=30)


def _csv(rows: list[list[str]], delimiter: str = ",") -> bytes:
    sink = io.StringIO(newline="")
    csv.writer(sink, delimiter=delimiter).writerows(rows)
    return sink.getvalue().encode()


def _trimmed(row: list[str]) -> list[str]:
    """Without the empty cells at its end that are beyond the header's."""
    while len(row) > WIDTH and not row[-1]:
        row = row[:-1]
    return row


def _told(outcome: Outcome) -> list[tuple[Any, ...]]:
    """The findings without the bytes, which are others in another file."""
    return [
        (each["record"], each["line"], re.sub(r"byte \d+", "byte", str(each["errors"]))) for each in outcome.rejects
    ]


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS, st.integers(0, 2), st.sampled_from([",", ";"]), st.sampled_from([7, 64, 1 << 20]), st.booleans())
@example([["1", "x"], ["1", "x", "y"], ["1"], ["x", "y", "", "z"]] * 20, 0, ",", 1 << 20, True)
@example([["1", "x"]], 1, ";", 7, False)
@example([["1", "x", "\x00"]], 0, ",", 64, False)
def test_a_padded_file_is_read_as_the_file_without_its_padding(
    own: list[list[str]], more: int, delimiter: str, chunk_size: int, has_contract: bool
) -> None:
    rows = [_trimmed(["1", "2", "x", *cells]) for cells in own]
    width = max(WIDTH, *map(len, rows)) + more
    padded = [row + [""] * (width - len(row)) for row in [LABELS, *rows]]
    # A spreadsheet pads the rows that lack cells, too: that they lacked them nobody can tell any more.
    plain = [LABELS, *(row + [""] * (WIDTH - len(row)) for row in rows)]
    described = contract(*FIELDS) if has_contract else None
    expected = pipeline.run(_csv(plain, delimiter), described, chunk_size=chunk_size)
    outcome = pipeline.run(_csv(padded, delimiter), described, chunk_size=chunk_size)
    assert (outcome.job.error, outcome.job.rows) == (expected.job.error, expected.job.rows)
    if outcome.job.error is not None:
        return
    assert _told(outcome) == _told(expected)
    assert outcome.document("contract.json") == expected.document("contract.json")
    if outcome.job.rows.valid:
        assert outcome.table == expected.table
    plan = plan_of(outcome)
    labels = [*plan.labels, *[""] * plan.padding]
    assert outcome.body("rejects.csv") == rowwise.rejects_csv(labels, plan.dialect, outcome.rejects)
    # What comes back is padded as before, and goes the same way once more.
    again = pipeline.run(outcome.body("rejects.csv"), described, chunk_size=chunk_size)
    assert again.job.rows.valid == 0 or not has_contract


@pytest.mark.parametrize("match", ["exact", "equal", "subset", "superset", "partial"])
@pytest.mark.parametrize("chunk_size", [7, 1 << 20])
def test_the_padding_of_a_row_is_no_cell_and_what_is_not_empty_is_one_too_many(match: str, chunk_size: int) -> None:
    body = b"_record,_line,_errors,n,name,,\n1,2,x,1,a,,\n2,3,x,2,b,c,\n3,4,x,3,c\n4,5,x,4,d,,e\n5,6,x,5,e,\n6,7,x,6\n"
    outcome = pipeline.run(body, contract(*FIELDS, schema={"fieldsMatch": match}), chunk_size=chunk_size)
    assert outcome.job.error is None
    assert outcome.table.to_pylist() == [{"n": 1, "name": "a"}, {"n": 3, "name": "c"}, {"n": 5, "name": "e"}]
    told = [[(found["code"], found["note"].split()[-1]) for found in each["errors"]] for each in outcome.rejects]
    assert [[code for code, _ in each] for each in told] == [["extra-cell"], ["extra-cell"] * 2, ["missing-cell"]]


def test_a_row_beyond_the_padding_has_all_cells_that_it_has() -> None:
    body = b"_record,_line,_errors,n,name,,\n1,2,x,1,a,,,\n"
    outcome = pipeline.run(body, contract(*FIELDS))
    assert [len(each["errors"]) for each in outcome.rejects] == [3]


@pytest.mark.parametrize("head", [b"n,name,\n1,a,\n", b"n,name,\n1,a,x\n"])
def test_in_any_other_file_a_label_at_the_end_may_not_be_blank(head: bytes) -> None:
    outcome = pipeline.run(head, contract(*FIELDS))
    assert outcome.job.error is not None
    assert outcome.job.error.message == "label in position 3 is blank"


def test_a_blank_label_before_another_one_is_refused() -> None:
    outcome = pipeline.run(b"_record,_line,_errors,n,,name,\n1,2,x,1,,a,\n", contract(*FIELDS))
    assert outcome.job.error is not None
    assert outcome.job.error.message.startswith("label in position 5 is blank")


UNLABELLED: list[JSON] = [*FIELDS, {"name": "field3", "type": "integer"}]


@pytest.mark.parametrize(
    "described",
    [
        pytest.param(contract(*UNLABELLED), id="a field"),
        pytest.param(contract(*FIELDS, schema={"fieldsMatch": "subset"}), id="an extra column"),
        pytest.param(None, id="a draft"),
    ],
)
def test_the_files_own_column_without_a_label_comes_back_as_a_column(described: JSON | None) -> None:
    """Its cells are no cells too many, though its label stands where the blank ones of a spreadsheet do."""
    rows = b"".join(b"%d,a,7\n" % number for number in range(1, 200))
    first = pipeline.run(b"n,name,\n" + rows + b"9,a,7,,\n", described)
    assert first.findings == {(200, "", "extra-cell")}
    body = first.body("rejects.csv")
    assert body.splitlines()[0] == b"_record,_line,_errors,n,name,field3"
    header, row = body.decode().splitlines()
    again = pipeline.run(f"{header},,\n{row}\n".encode(), described)
    assert again.job.error is None
    assert again.job.rows.valid == 1
    expected = {"n": 9, "name": "a", "field3": 7}
    (delivered,) = again.table.to_pylist()
    assert delivered == {name: expected[name] for name in delivered}
    assert described is None or delivered == first.table.slice(0, 1).to_pylist()[0] | {"n": 9}


def test_a_field_named_as_a_column_without_a_label_takes_the_first_blank_one() -> None:
    outcome = pipeline.run(b"_record,_line,_errors,n,name,,\n1,2,x,1,a,7,\n", contract(*UNLABELLED))
    assert outcome.table.to_pylist() == [{"n": 1, "name": "a", "field3": 7}]


@pytest.mark.parametrize("match", ["subset", "partial"])
@pytest.mark.parametrize("header", ["n,name,field4,", "n,name,field5,,", "n,name, field4 ,", "n,name,,"])
def test_a_column_of_its_own_without_a_label_comes_back(header: str, match: str) -> None:
    """Its label in rejects.csv is none that another column has, nor one that would be taken for padding."""
    described = contract(*FIELDS, schema={"fieldsMatch": match})
    body = f"{header}\nx,a,1,2{',3' * (header.count(',') - 3)}\n".encode()
    rejects = pipeline.run(body, described).body("rejects.csv")
    outcome = pipeline.run(rejects.replace(b",x,a", b",7,a"), described)
    assert outcome.job.error is None
    assert outcome.table.to_pylist() == [{"n": 7, "name": "a"}]


@pytest.mark.parametrize("match", ["exact", "equal", "superset", "partial"])
def test_a_field_that_has_a_column_or_may_lack_one_is_not_sought_in_the_padding(match: str) -> None:
    fields = ({"name": "field3", "type": "integer"}, {"name": "n", "type": "integer"})
    has_both = pipeline.run(
        b"_record,_line,_errors,field3,n,\n1,2,x,1,2,\n", contract(*fields, schema={"fieldsMatch": match})
    )
    assert has_both.job.error is None
    assert has_both.table.to_pylist() == [{"field3": 1, "n": 2}]


@pytest.mark.parametrize("match", ["superset", "partial"])
def test_a_field_that_may_be_absent_is_not_the_padding(match: str) -> None:
    fields = (*FIELDS, {"name": "field3", "type": "integer", "constraints": {}})
    schema = {"fieldsMatch": match, "missingValues": ["-"]}
    outcome = pipeline.run(b"_record,_line,_errors,n,name,\n1,2,x,1,a,\n", contract(*fields, schema=schema))
    assert outcome.job.error is None
    assert outcome.table.to_pylist() == [{"n": 1, "name": "a", "field3": None}]
