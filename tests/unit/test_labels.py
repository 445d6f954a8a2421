"""Columns whose labels say little: blank ones, repeated ones, none at all, ones with white space around the name."""

from __future__ import annotations

import cProfile
import gc
import json

import pytest

from chalicelib.engine import contract as contracts
from chalicelib.engine.contract.binding import bind, drafted_names
from chalicelib.errors import Terminal
from chalicelib.model import Rows, Status
from tests import pipeline
from tests.pipeline import contract

HEADERLESS = {"delimiter": ",", "header": False}
FIELDS = ({"name": "a", "type": "integer"}, {"name": "b", "type": "string"}, {"name": "c", "type": "string"})


def test_a_blank_label_gets_a_name_and_the_draft_accepts_its_file() -> None:
    body = b'"",title\n1,a\n2,b\n'
    drafted = pipeline.run(body)
    assert drafted.table.to_pylist() == [{"field1": 1, "title": "a"}, {"field1": 2, "title": "b"}]
    again = pipeline.run(body, drafted.document("contract.json"))
    assert again.table.to_pylist() == drafted.table.to_pylist()


def test_a_blank_label_stays_a_finding_where_no_field_has_its_name() -> None:
    refused = pipeline.run(b"a,\n1,2\n", contract({"name": "a"}, {"name": "b"}))
    assert refused.job.error is not None
    assert "position 2 is blank" in refused.job.error.message


def test_rejects_of_a_file_with_a_blank_label_bind_again() -> None:
    described = contract({"name": "field1", "type": "integer"}, {"name": "b", "type": "string"})
    rejects = pipeline.run(b",b\nx,1\n", described).body("rejects.csv")
    assert rejects.splitlines()[0] == b"_record,_line,_errors,,b"
    corrected = pipeline.run(rejects.replace(b",x,", b",7,"), described)
    assert corrected.table.to_pylist() == [{"field1": 7, "b": "1"}]


@pytest.mark.parametrize("header", [b"a,a", b"a, a ", b"field2,", b"a,b,b,a"])
def test_a_file_with_a_repeated_label_is_refused_without_a_contract(header: bytes) -> None:
    refused = pipeline.run(header + b"\n1,2,3,4\n")
    assert refused.job.status is Status.FAILED
    assert refused.job.error is not None
    assert refused.job.error.code == "header-mismatch"
    assert "is the same as in position" in refused.job.error.message


def test_every_repeated_label_is_named() -> None:
    with pytest.raises(Terminal, match=r'"b" in position 3 .* position 2; label "a" in position 4 .* position 1'):
        drafted_names(["a", "b", "b", "a"])


def test_a_missing_cell_is_named_by_its_field() -> None:
    assert pipeline.run(b"a , b , c\n1\n", contract(*FIELDS)).findings == {
        (1, "b", "missing-cell"),
        (1, "c", "missing-cell"),
    }


@pytest.mark.parametrize("chunk_size", [1, 4, 1 << 20])
@pytest.mark.parametrize(
    ("first", "match", "found"),
    [
        (b"1,2", "exact", {(1, "c", "missing-cell")}),
        (b"1,2,3,4", "exact", {(1, "", "extra-cell")}),
        (b"1,2", "superset", {(2, "", "extra-cell")}),
        (b"1,2,3,4", "superset", {(1, "", "extra-cell")}),
        (b"1,2", "subset", {(1, "c", "missing-cell")}),
        (b"1,2,3,4", "subset", {(2, "field4", "missing-cell")}),
    ],
)
def test_without_a_header_a_ragged_first_record_costs_no_more_than_itself_or_the_others(
    first: bytes, match: str, found: set[tuple[int, str, str]], chunk_size: int
) -> None:
    described = contract(*FIELDS, dialect=HEADERLESS, schema={"fieldsMatch": match})
    outcome = pipeline.run(first + b"\n5,6,7\n", described, chunk_size=chunk_size)
    assert outcome.findings == found
    assert outcome.job.rows == Rows(read=2, valid=1, rejected=1)


@pytest.mark.parametrize("body", [b"_record,_line,_errors\n", b"_record,_line,_errors\n1,2,x\n", b"_record\n1\n"])
def test_without_a_contract_the_columns_of_rejects_alone_are_refused_as_such(body: bytes) -> None:
    refused = pipeline.run(body)
    assert refused.job.error is not None
    assert refused.job.error.code == "header-mismatch"
    assert refused.job.error.message == "the file has the columns of a rejects.csv, and none of its own"


@pytest.mark.parametrize("body", [b" ", b"\t \n", b",\n"])
def test_without_a_contract_a_header_of_blank_labels_alone_is_none(body: bytes) -> None:
    refused = pipeline.run(body)
    assert refused.job.error is not None
    assert refused.job.error.code == "header-mismatch"
    assert "label in position 1 is blank" in refused.job.error.message


def test_a_repeated_label_is_refused_before_the_file_is_read_and_told_what_to_do() -> None:
    refused = pipeline.run(b"a,a\n1,2\n", before_chunks=lambda ports: pytest.fail("a chunk was read"))
    assert refused.job.error is not None
    assert '"dialect": {"header": false, "commentRows": [1]}' in refused.job.error.message
    advised = contract(
        {"name": "a", "type": "integer"},
        {"name": "a_2", "type": "integer"},
        dialect={"header": False, "commentRows": [1]},
    )
    assert pipeline.run(b"a,a\n1,2\n", advised).table.to_pylist() == [{"a": 1, "a_2": 2}]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_advice_on_a_repeated_label_keeps_the_delimiter_that_was_detected(delimiter: str) -> None:
    body = "a,a\n1,2\n3,4\n".replace(",", delimiter).encode()
    refused = pipeline.run(body)
    assert refused.job.error is not None
    advised = json.loads("{" + refused.job.error.message.partition("over the header: ")[2] + "}")
    assert advised == {"dialect": {"delimiter": delimiter, "header": False, "commentRows": [1]}}
    described = contract({"name": "a", "type": "integer"}, {"name": "a_2", "type": "integer"}, **advised)
    assert pipeline.run(body, described).table.to_pylist() == [{"a": 1, "a_2": 2}, {"a": 3, "a_2": 4}]


@pytest.mark.parametrize("match", ["exact", "equal", "subset", "superset", "partial"])
def test_the_steps_to_bind_labels_grow_with_their_number_alone(match: str) -> None:
    def steps(count: int) -> int:
        described = contracts.parse(
            contract(*({"name": f"column {at}", "type": "any"} for at in range(count)), schema={"fieldsMatch": match})
        )
        labels = [f"column {at}" for at in range(count)]
        profile = cProfile.Profile()
        gc.collect()
        gc.disable()  # what a collection calls is no step of the binding
        try:
            profile.runcall(bind, described, labels)
        finally:
            gc.enable()
        return sum(each.callcount for each in profile.getstats())

    assert steps(400) < 5 * steps(100)
