"""What is told of records that are not as they should be, and that it costs no more than they are worth."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from chalicelib.engine.checks.findings import EXAMPLES, Findings, Found, Reasons, digits, notes_on
from chalicelib.engine.checks.structure import faults
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.records.automaton import Shape
from chalicelib.engine.records.lenient import Layout
from chalicelib.engine.records.ragged import Ragged
from chalicelib.engine.records.spoilt import Spoilt
from chalicelib.engine.records.structure import Structure
from chalicelib.errors import FINDINGS
from tests import pipeline
from tests.costs import assert_ratio_below
from tests.pipeline import contract

TWO: list[dict[str, Any]] = [{"name": "a", "type": "string"}, {"name": "b", "type": "string"}]
TOLERANT = {"sluice": {"tolerance": {"maxRejectedRatio": 1}}}
ROWS = 4_000
MOST_BYTES = 256
"""Of a record's line in rejects.jsonl, whose parts that are always there have 150."""
MOST_TIMES = 30
"""The garbled file against the same rows in good order. Measured: 3 to 12; with a finding a bad byte 90 to 150."""


def rows(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


def test_all_that_is_wrong_with_a_row_is_told_kind_by_kind() -> None:
    structure = Structure(
        layout=Layout(("x", "y", "z"), Dialect(), "ascii", 100),
        shapes={Shape.UNCLOSED_QUOTE: rows(1, 6)},
        long=rows(6),
        sizes=rows(101),
        bad=Spoilt(rows(1, 2), rows(10, 20), rows(1, 3)),
        nuls=Spoilt(rows(2), rows(21), rows(2)),
        ragged=Ragged.of(rows(3, 1, 5, 3, 2, 4, 3), 3),
        unmended={0: rows(0), 1: rows(2)},
    )
    told = [
        (row, found.code, found.field, note)
        for found in faults(structure)
        for row, note in zip(found.rows.tolist(), found.notes.texts(), strict=True)
    ]
    assert told == [
        (1, "unclosed-quote", "", "a quoted cell is not closed"),
        (6, "unclosed-quote", "", "a quoted cell is not closed"),
        (6, "record-too-long", "", "the record has 101 bytes, the limit is 100"),
        (1, "encoding-error", "", "byte 10 is not valid ascii"),
        (2, "encoding-error", "", "byte 20 (and 2 more) is not valid ascii"),
        (2, "nul-byte", "", "byte 21 (and 1 more) is NUL"),
        (0, "replacement-character", "x", FINDINGS["replacement-character"]),
        (2, "replacement-character", "y", FINDINGS["replacement-character"]),
        (1, "missing-cell", "y", 'the cell of field "y" in position 2 is missing'),
        (1, "missing-cell", "z", 'the cell of field "z" in position 3 is missing'),
        (4, "missing-cell", "z", 'the cell of field "z" in position 3 is missing'),
        (2, "extra-cell", "", "the row has an extra cell in position 4"),
        (2, "extra-cell", "", "the row has an extra cell in position 5"),
        (5, "extra-cell", "", "the row has an extra cell in position 4"),
    ]
    assert structure.faulty.tolist() == [0, 1, 2, 4, 5, 6]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "gb18030"])
def test_bytes_of_another_encoding_are_told_once_a_record(encoding: str) -> None:
    body = b"a,b\n1,x\xffx\xff\xff\n2,y\n\xff,z\n"
    outcome = pipeline.run(body, contract(*TWO, encoding=encoding, **TOLERANT))
    told = [[error["note"] for error in each["errors"]] for each in outcome.rejects]
    assert told == [[f"byte 7 (and 2 more) is not valid {encoding}"], [f"byte 16 is not valid {encoding}"]]
    assert base64.b64decode(outcome.rejects[0]["raw_base64"]) == b"1,x\xffx\xff\xff"
    assert outcome.body("rejects.csv").splitlines()[1].endswith(",1,x\ufffdx\ufffd\ufffd".encode())


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "gb18030"])
def test_a_file_of_another_encoding_costs_a_few_times_a_good_one(encoding: str) -> None:
    described = contract(*TWO, encoding=encoding, **TOLERANT)
    garbled = b"a,b\n" + b"\xffa\xffb\xffc\xffd\xffe,f\xffg\xffh\xffi\xff\n" * ROWS
    good = garbled.replace(b"\xff", b"_")
    assert len(pipeline.run(garbled, described).body("rejects.jsonl")) < MOST_BYTES * ROWS
    assert_ratio_below(MOST_TIMES, garbled, good, described)


@pytest.mark.parametrize(
    ("counts", "records"),
    [
        pytest.param([0, 2, 0, 12, 1, 1, 1, 1, 1], [1, 1, 3, 3, 3], id="many in one record"),
        pytest.param([1, 1, 1, 1, 2, 1], [0, 1, 2, 3, 4], id="several in the last one told"),
    ],
)
def test_examples_are_those_of_the_first_records_however_the_file_is_cut(counts: list[int], records: list[int]) -> None:
    at = np.repeat(np.arange(len(counts)), counts)
    positions = np.concatenate([np.arange(count) + 8 for count in counts])
    numbers = np.arange(len(counts))

    def examples(*parts: slice) -> Any:
        reasons = Reasons()
        for part in parts:
            found = Found("extra-cell", "", at[part], notes_on("extra-cell", digits(positions[part]), "position"))
            reasons.count(Findings([found]), numbers, numbers)
        return reasons.ranked()

    whole = examples(slice(None))
    assert whole[0]["count"] == len(at)
    assert [each["record"] for each in whole[0]["examples"]] == records[:EXAMPLES]
    for cut in (np.flatnonzero(np.diff(at)) + 1).tolist():  # between two records
        assert examples(slice(cut), slice(cut, None)) == whole
