"""What is rendered a column at a time is, to the byte, what the standard library writes record by record."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from chalicelib.engine import arrays
from chalicelib.engine.checks.findings import Base
from chalicelib.engine.checks.formulas import neutralise
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.plan import Plan
from chalicelib.engine.records.lenient import cells
from chalicelib.engine.rejects import render
from chalicelib.engine.rejects.alike import alike
from chalicelib.engine.rejects.drafts import Draft, Numbers, firsts_of, read
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
    st.sampled_from([1, 64]),
    st.booleans(),
)
@example([["1", "a", "", "x"], ["1", "a", "", "x"], ["1", "a", "-1", "z"]], "\n", {}, 7, 1, 1, True)
def test_rejects_are_written_as_row_by_row(
    rows: list[list[str]],
    line_break: str,
    dialect: JSON,
    chunk_size: int,
    slice_bytes: int,
    many: int,
    has_key: bool,
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
        patched.setattr(render, "SLICE_BYTES_PER_CHECK", 0)
        patched.setattr(render, "MANY", many)
        outcome = pipeline.run(body, described, chunk_size=chunk_size)
    assume(outcome.job.error is None or outcome.job.error.code != "not-csv")
    assert outcome.job.error is None
    assert_written_as_row_by_row(outcome)
    assert_notes_show_their_cells(outcome, plan_of(outcome).dialect)
    corrected = contract(*FIELDS, encoding="utf-8")
    again = pipeline.run(outcome.body("rejects.csv"), corrected, chunk_size=chunk_size)
    assert again.job.error is None
    assert_written_as_row_by_row(again)


def test_numbers_of_records_stand_in_the_note_that_they_belong_to() -> None:
    """Also of many rows at once, each of which repeats two keys."""
    described = contract(
        {"name": "id", "type": "integer", "constraints": {"unique": True}},
        {"name": "name", "type": "string", "constraints": {"unique": True}},
    )
    repeats = 500
    outcome = pipeline.run(b"id,name\n1,a\n2,b\n" + b"1,b\n2,a\n" * repeats, described)
    told = [[(error["field"], error["note"][-1]) for error in each["errors"]] for each in outcome.rejects]
    assert told == [[("id", "1"), ("name", "2")], [("id", "2"), ("name", "1")]] * repeats


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


def test_errors_with_another_number_of_gaps_are_refused() -> None:
    errors = arrays.binaries([b"\xff,\xff"])
    one = firsts_of(np.zeros(1, np.int32), np.ones(1, np.int64), np.array([0, 1], np.int32))
    number, text = np.ones(1, np.int64), arrays.binaries([b"x"])
    with pytest.raises(ValueError, match="errors_csv has 2 gaps, and 1 numbers"):
        Draft().add([number] * 3, [errors, errors, one, text, text, text])
    assert Draft().finish() == b""


PIECES = st.lists(st.one_of(st.just("\udcff"), st.text("ab,é", max_size=3)), max_size=4)


@given(st.lists(PIECES, min_size=1, max_size=6), st.data())
def test_the_files_numbers_stand_in_the_gaps(records: list[list[str]], data: st.DataObject) -> None:
    bases = {chunk: Base(data.draw(st.integers(0, 10**12)), data.draw(st.integers(0, 99))) for chunk in range(3)}
    firsts = [
        [(data.draw(st.integers(0, 2)), data.draw(st.integers(1, 10**6))) for piece in pieces if piece == "\udcff"]
        for pieces in records
    ]
    draft = Draft()
    edges = np.cumsum([0, *map(len, firsts)]).astype(np.int32)
    flat = [first for each in firsts for first in each]
    own = np.cumsum(data.draw(st.lists(st.integers(1, 10**9), min_size=len(records), max_size=len(records))))
    errors = arrays.binaries(["".join(pieces).encode("utf-8", "surrogateescape") for pieces in records])
    column = firsts_of(
        np.array([chunk for chunk, _ in flat], np.int32), np.array([record for _, record in flat], np.int64), edges
    )
    texts, nothing = arrays.binaries([b"t"] * len(records)), pa.nulls(len(records), pa.binary())
    draft.add([own] * 3, [errors, errors, column, texts, nothing, nothing])
    (batch,) = read(draft.finish())
    lines, documents = [], []
    for number, pieces, of_record in zip(own.tolist(), records, firsts, strict=True):
        told = iter(bases[chunk].records + record for chunk, record in of_record)
        text = "".join(str(next(told)) if piece == "\udcff" else piece for piece in pieces)
        record, line = bases[1].records + number, bases[1].lines + number
        lines.append(f"{record},{line},{text},t\r\n")
        documents.append(f'{{"record": {record}, "line": {line}, "byte": {number}, "errors": [{text}], "raw": "t"}}\n')
    assert [each.decode() for each in Numbers(bases).lines(batch, 1)] == ["".join(lines), "".join(documents)]


SIMPLE = st.text("a1 -=+'@\t\x00\x1f\uff1dé\\;|\"\udcff", max_size=4)


@given(
    st.lists(st.lists(SIMPLE, min_size=1, max_size=4), max_size=8),
    st.sampled_from(['"', "'", "a", None]),
    st.sampled_from([None, None, "\\", "|"]),
)
def test_records_are_alike_where_no_output_changes_them(
    rows: list[list[str]], quote_char: str | None, escape_char: str | None
) -> None:
    """Never where one does; and all that begin no cell like a formula and hold no special letter."""
    every = [",".join(row).encode("utf-8", "surrogateescape") for row in rows]
    texts = [text for text in every if text]  # an empty record is a blank one, and those are not rejected
    dialect = Dialect(quote_char=quote_char, escape_char=escape_char)
    for text, found in zip(texts, alike(arrays.binaries(texts), dialect).tolist(), strict=True):
        shown = text.decode("utf-8", "replace")
        sink = io.StringIO(newline="")
        csv.writer(sink).writerow(["", *map(neutralise, cells(shown, dialect))])
        is_same = sink.getvalue() == f",{shown}\r\n" and json.dumps(shown, ensure_ascii=False) == f'"{shown}"'
        assert is_same or not found
        plain = not set(shown) & {*'"\\\t\x00\x1f', quote_char, escape_char}
        assert found or not plain or any(each[:1] in set("'=+-@\uff1d") for each in shown.split(",") if each)


@pytest.mark.parametrize("slice_bytes", [1, 3000, 4 << 20])
def test_records_of_each_kind_among_one_another_are_written_as_row_by_row(slice_bytes: int) -> None:
    """Such as stand in the outputs as in the file, such as do not, ragged ones, and such as are read one by one."""
    kinds = ["{0},ab,-1,z", '{0},"a,b",-1,z', "{0},a\\b,,z", "{0},=1,2,z", "{0},ab,-1", "{0},ab,-1,z,+", '{0},"a"b,,z']
    rows = [kinds[at % len(kinds)].format(at // 2) for at in range(800)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(render, "SLICE_BYTES", slice_bytes)
        patched.setattr(render, "SLICE_BYTES_PER_CHECK", 0)
        outcome = pipeline.run(
            "\n".join(rows).encode(), contract(*FIELDS, dialect={"header": False}, encoding="utf-8"), chunk_size=9000
        )
    assert len(outcome.rejects) == 800
    assert_written_as_row_by_row(outcome)
