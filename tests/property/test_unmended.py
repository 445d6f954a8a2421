"""A byte that was no character does not come back as U+FFFD, a character, by way of a corrected rejects.csv."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chalicelib.errors import FINDINGS
from tests import pipeline
from tests.pipeline import Outcome, contract

FIELDS: list[dict[str, Any]] = [
    {"name": "n", "type": "integer", "constraints": {"required": True}},
    {"name": "name", "type": "string", "constraints": {"required": True, "maxLength": 20}},
    {"name": "town", "type": "string"},
]
LABELS = ["n", "name", "town"]
DAMAGE = "\udcff"
"""Stands for the byte FF, which is no character in any of the encodings here."""
NAMES = st.text("aü,;\"'\n\ufffd€", max_size=6).map(lambda text: f"x{text}")
ROWS = st.tuples(st.sampled_from(["1", "x"]), NAMES, NAMES, st.sampled_from(["", "name", "town"]), st.booleans())
"""The cells, which one is damaged, and whether it is mended later."""


def _csv(rows: list[list[str]], encoding: str = "utf-8") -> bytes:
    sink = io.StringIO(newline="")
    csv.writer(sink).writerows(rows)
    return b"\xff".join(part.encode(encoding) for part in sink.getvalue().split(DAMAGE))


def _read(outcome: Outcome) -> list[list[str]]:
    return list(csv.reader(io.StringIO(outcome.body("rejects.csv").decode(), newline="")))


@given(
    st.lists(ROWS, min_size=1, max_size=8),
    st.sampled_from([7, 64, 1 << 20]),
    st.sampled_from(["utf-8", "gb18030"]),
)
def test_a_damaged_cell_goes_through_once_it_is_mended(
    rows: list[tuple[str, str, str, str, bool]], chunk_size: int, encoding: str
) -> None:
    described = contract(*FIELDS, encoding=encoding)
    uploaded = [
        [n, name + DAMAGE * (damaged == "name"), town + DAMAGE * (damaged == "town")]
        for n, name, town, damaged, _ in rows
    ]
    first = pipeline.run(_csv([LABELS, *uploaded], encoding), described, chunk_size=chunk_size)
    refused = [row for row in rows if row[0] == "x" or row[3]]
    assume(refused)
    rejected = _read(first)
    assert len(rejected) == 1 + len(refused)

    corrected, delivered, left = rejected[:1], [], set()
    for record, ((_, name, town, damaged, mended), row) in enumerate(zip(refused, rejected[1:], strict=True), start=1):
        cells = [cell.replace("\ufffd", "ö") if damaged and mended else cell for cell in row[4:]]
        corrected.append([*row[:3], "1", *cells])
        if not damaged or mended:
            delivered.append({"n": 1, "name": cells[0], "town": cells[1]})
        else:
            left |= {(record, field, "replacement-character") for field, text in (("name", name), ("town", town))
                     if field == damaged or "\ufffd" in text}  # fmt: skip
    again = pipeline.run(_csv(corrected), described, chunk_size=chunk_size)
    assert again.job.error is None
    assert again.findings == left
    assert again.job.rows.valid == len(delivered)
    assert not delivered or again.table.to_pylist() == delivered

    # What comes back once more is known for what it is once more.
    if left:
        last = pipeline.run(again.body("rejects.csv"), described, chunk_size=chunk_size)
        assert last.job.rows.valid == 0
        assert [each["errors"] for each in last.rejects] == [each["errors"] for each in again.rejects]


@pytest.mark.parametrize("chunk_size", [1 << 14, 1 << 20])
def test_columns_that_are_coded_and_a_key_and_other_faults_beside(chunk_size: int) -> None:
    described = contract(*FIELDS, schema={"primaryKey": ["name"]})
    count = 3000
    lines = [f'{at},"M\ufffdller",{"abcd"[at % 4]}\ufffd' for at in range(count)]
    told = ["byte 9 is not valid utf-8", "a quoted cell is not closed; byte 9 (and 12 more) is not valid cp932"]
    head = "_record,_line,_errors,n,name,town\n"
    body = head + "".join(f"{at},{at},{told[at % 2]},{line}\n" for at, line in enumerate(lines))
    outcome = pipeline.run(body.encode(), described, chunk_size=chunk_size)
    assert outcome.job.rows.rejected == count
    counted = {
        (each["field"], each["code"]): each["count"] for each in outcome.document("summary.json")["findings"]["reasons"]
    }
    # The key, of which nothing is known, repeats none.
    assert counted == {
        ("name", "replacement-character"): count,
        ("town", "replacement-character"): count,
        ("name", "primary-key"): count,
    }


def test_a_character_that_the_file_had_itself_goes_through() -> None:
    body = '_record,_line,_errors,n,name,town\n1,2,"n: type is ""integer/default"", found ""x""",1,M\ufffdller,\n'
    assert pipeline.run(body.encode(), contract(*FIELDS)).table.to_pylist() == [
        {"n": 1, "name": "M\ufffdller", "town": None}
    ]
    assert pipeline.run("n,name,town\n1,M\ufffdller,\n".encode(), contract(*FIELDS)).job.rows.rejected == 0


def test_where_the_errors_were_deleted_any_may_stand_for_a_byte() -> None:
    body = "_record,_line,n,name,town\n1,2,1,M\ufffdller,\n3,4,2,Miller,\n"
    outcome = pipeline.run(body.encode(), contract(*FIELDS))
    assert outcome.findings == {(1, "name", "replacement-character")}
    assert outcome.table.to_pylist() == [{"n": 2, "name": "Miller", "town": None}]


def test_a_draft_is_made_without_the_damaged_cells() -> None:
    body = "_record,_line,_errors,n\n1,2,byte 9 is not valid utf-8,\ufffd1\n" + "".join(
        f"{at},{at},,5\n" for at in range(30)
    )
    outcome = pipeline.run(body.encode())
    assert outcome.job.error is None
    assert outcome.document("contract.json")["schema"]["fields"][0]["type"] == "integer"
    assert outcome.findings == {(1, "n", "replacement-character")}
    assert outcome.rejects[0]["errors"][0]["note"] == FINDINGS["replacement-character"]
