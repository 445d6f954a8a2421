"""What is rendered a column at a time is, to the byte, what the standard library writes record by record."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from chalicelib.engine import arrays
from chalicelib.engine.checks.formulas import neutralise
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.plan import Plan
from chalicelib.engine.records.lenient import cells
from chalicelib.engine.rejects import render
from chalicelib.engine.rejects.drafts import Draft, Gaps, Numbers
from chalicelib.engine.rejects.escape import csv_cells, json_texts
from chalicelib.model import JSON
from tests import pipeline, polluted, rowwise
from tests.pipeline import RESULTS, Outcome, contract

ROOT = Path(__file__).parents[2]
ODD = st.text("'=+-@\t\r\n15.eE,\"\\;\x00\x01\x1f\x7fé😀…\u2028", max_size=8)
TEXTS = st.lists(st.one_of(st.text(max_size=5), ODD), max_size=8)

FIELDS: tuple[JSON, ...] = (
    {"name": "id", "type": "integer", "constraints": {"required": True, "unique": True}},
    {"name": '=na,me"', "type": "string", "constraints": {"pattern": "[a-z]+", "maxLength": 3}},
    {"name": "-p", "type": "number", "constraints": {"minimum": 0}},
    {"name": "état", "type": "string", "constraints": {"enum": ["x", "y"]}},
)
CELLS = st.sampled_from(
    [
        *(
            "1",
            "2",
            "3",
            "x",
            "y",
            "ab",
            "",
            "-5",
            "=1+1",
            "+1-1",
            "'=1",
            "'tis",
            "@x",
            "\t",
            "1.5",
            "é" * 101,
            "{cell}",
        ),
        *("a\\b", "a\x01b", "\u2028", '"a,b"', '"a""b"', '"a\nb"', '"\r\n"', '"=1"', '""', '"', 'a"b', '"a"b', "\x00"),
        *("{first}", "\udcff", "\udcc3x", "a;b", " x", ' "x"'),
    ]
)
ROWS = st.lists(st.lists(CELLS, min_size=1, max_size=5), min_size=1, max_size=12)


def plan_of(outcome: Outcome) -> Plan:
    prefix = f"work/{outcome.job.job_id}/"
    names = [stored.key for stored in outcome.ports.objects.list(RESULTS, prefix)]
    key = max(name for name in names if name.endswith("/plan.json"))
    return Plan.from_json(json.loads(outcome.ports.objects.get(RESULTS, key)))


def assert_written_as_row_by_row(outcome: Outcome) -> None:
    plan = plan_of(outcome)
    assert outcome.body("rejects.jsonl") == rowwise.rejects_jsonl(outcome.rejects)
    assert outcome.body("rejects.csv") == rowwise.rejects_csv(plan.labels, plan.dialect, outcome.rejects)
    found = outcome.document("summary.json")["findings"]
    assert found["records"] == len(outcome.rejects) == outcome.job.rows.rejected
    assert found["reasons"] == reasons_of(outcome.rejects)


def reasons_of(records: list[JSON]) -> list[JSON]:
    told: dict[tuple[str, str], list[Any]] = {}
    for each in records:
        for error in each["errors"]:
            reason = told.setdefault((error["code"], error["field"]), [])
            reason.append((each["record"], each["line"], error["note"]))
    ranked = sorted(told.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        {
            "code": code,
            "field": field,
            "count": len(every),
            "examples": [dict(zip(("record", "line", "note"), each, strict=True)) for each in sorted(every)[:5]],
        }
        for (code, field), every in ranked
    ]


@given(TEXTS)
def test_cells_are_written_as_by_csv(texts: list[str]) -> None:
    sink = io.StringIO(newline="")
    csv.writer(sink).writerows([["", neutralise(text)] for text in texts])
    ours = csv_cells(arrays.binaries([text.encode() for text in texts])).to_pylist()
    assert b"".join(b"," + text + b"\r\n" for text in ours) == sink.getvalue().encode()


@given(TEXTS)
def test_texts_are_escaped_as_by_json(texts: list[str]) -> None:
    ours = json_texts(arrays.binaries([text.encode() for text in texts])).to_pylist()
    assert [b'"' + text + b'"' for text in ours] == [json.dumps(text, ensure_ascii=False).encode() for text in texts]


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    ROWS,
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([{}, {"delimiter": ";"}, {"quoteChar": None}, {"escapeChar": "\\"}, {"skipInitialSpace": True}]),
    st.sampled_from([7, 64, 1 << 20]),
    st.sampled_from([1, 200, 4 << 20]),
    st.booleans(),
)
@example([["1", "a", "", "x"], ["1", "a", "", "x"], ["1", "a", "-1", "z"]], "\n", {}, 7, 1, True)
def test_rejects_are_written_as_row_by_row(
    rows: list[list[str]], line_break: str, dialect: JSON, chunk_size: int, slice_bytes: int, has_key: bool
) -> None:
    described = contract(
        *FIELDS,
        dialect={"delimiter": ",", "header": False} | dialect,
        encoding="utf-8",
        schema={"primaryKey": ["état", "-p"], "uniqueKeys": [["id", "état"]]} if has_key else {},
    )
    delimiter = described["dialect"]["delimiter"]
    every = [["9", "ab", "1", "x"], *rows]
    body = line_break.join(delimiter.join(row) for row in every).encode("utf-8", "surrogateescape")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(render, "SLICE_BYTES", slice_bytes)
        outcome = pipeline.run(body, described, chunk_size=chunk_size)
    assume(outcome.job.error is None or outcome.job.error.code != "not-csv")
    assert outcome.job.error is None
    assert_written_as_row_by_row(outcome)
    assert_notes_show_their_cells(outcome, plan_of(outcome).dialect)
    corrected = contract(*FIELDS, encoding="utf-8")
    again = pipeline.run(outcome.body("rejects.csv"), corrected, chunk_size=chunk_size)
    assert again.job.error is None
    assert_written_as_row_by_row(again)


def assert_notes_show_their_cells(outcome: Outcome, dialect: Dialect) -> None:
    places = {field["name"]: place for place, field in enumerate(FIELDS)}
    for each in outcome.rejects:
        for error in each["errors"]:
            if error["code"] in ("type-error", "constraint-error"):
                text = cells(each["raw"], dialect)[places[error["field"]]] if "raw" in each else None
                assert text is None or error["note"] in rowwise.notes_on_cell(text, enums_joined(error["field"]))


def enums_joined(name: str) -> JSON:
    field = next(each for each in FIELDS if each["name"] == name)
    given = {key: ", ".join(value) if key == "enum" else value for key, value in field["constraints"].items()}
    return field | {"constraints": given}


@pytest.mark.parametrize("title", polluted.CASES)
def test_polluted_files_are_written_as_row_by_row(title: str) -> None:
    for case in polluted.CASES[title]:
        outcome = polluted.run(case, True)
        if "rejects.csv" in outcome.published and plan_of(outcome).text.encoding == "utf-8":
            assert_written_as_row_by_row(outcome)


@pytest.mark.parametrize("chunk_size", [4000, 1 << 25])
def test_the_sample_is_written_as_row_by_row(chunk_size: int) -> None:
    body, described = (ROOT / path for path in ("samples/orders.csv", "contracts/orders.json"))
    key = "incoming/orders/orders.csv"
    outcome = pipeline.run(body.read_bytes(), json.loads(described.read_bytes()), chunk_size=chunk_size, key=key)
    assert outcome.rejects
    assert_written_as_row_by_row(outcome)


@pytest.mark.parametrize("chunk_size", [2000, 1 << 20])
def test_half_of_the_rows_repeat_a_key_in_columns_that_are_coded(chunk_size: int) -> None:
    rows = [f"{number % 1500},{'abcd'[number % 4]},{number % 7 - 1},{'xyz'[number % 3]}" for number in range(3000)]
    outcome = pipeline.run(
        "\n".join(rows).encode(), contract(*FIELDS, dialect={"header": False}), chunk_size=chunk_size
    )
    repeated = [each for each in outcome.rejects if any(of["code"] == "unique-error" for of in each["errors"])]
    assert [each["record"] for each in repeated] == list(range(1501, 3001))
    assert all(f"record {each['record'] - 1500}" in each["errors"][-1]["note"] for each in repeated)
    assert_written_as_row_by_row(outcome)


def test_a_text_with_another_number_of_gaps_is_refused() -> None:
    gaps = Gaps(np.zeros(1, np.int32), np.ones(1, np.int64), np.zeros(1, np.bool_))
    with pytest.raises(ValueError, match="a text has 2 gaps, and 1 numbers"):
        Draft().add(arrays.binaries([b"\xff,\xff"]), gaps)
    assert Draft().finish() == b""
    assert Numbers({})
