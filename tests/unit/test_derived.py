"""``sluice.derive`` through the whole pipeline: columns that no file has, calculated, checked and delivered."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pytest

from chalicelib.engine.delivery import transform as transforms
from chalicelib.model import JSON, Rows, Status
from tests import pipeline
from tests.pipeline import Outcome, contract

ROOT = Path(__file__).parents[2]

FIELDS: list[JSON] = [
    {"name": "id", "type": "integer"},
    {"name": "quantity", "type": "integer"},
    {"name": "unit price", "type": "number"},
    {"name": "discount", "type": "number"},
]
AMOUNT = 'quantity * "unit price" * (1 - coalesce(discount, 0))'
BODY = b"id,quantity,unit price,discount\n1,2,1.5,\n2,3,0.1,0.25\n3,,5,0\n4,1,7,1\n"


def described(derive: JSON, **keys: Any) -> JSON:
    return contract(*FIELDS, sluice={"derive": derive} | keys.pop("sluice", {}), **keys)


def run(derive: JSON, body: bytes = BODY, **keys: Any) -> Outcome:
    outcome = pipeline.run(body, described(derive, **keys))
    assert outcome.job.error is None
    return outcome


def test_derived_columns_come_after_the_fields_in_the_order_given() -> None:
    table = run({"twice": "quantity + quantity", "amount": AMOUNT, "net": "amount / 1.19"}).table
    assert table.column_names == ["id", "quantity", "unit price", "discount", "twice", "amount", "net"]
    assert {str(table.schema.field(name).type) for name in ("twice", "amount", "net")} == {"double"}
    assert table["twice"].to_pylist() == [4.0, 6.0, None, 2.0]
    amounts = [2 * 1.5 * (1 - 0), 3 * 0.1 * (1 - 0.25), None, 0.0]
    assert table["amount"].to_pylist() == amounts
    assert table["net"].to_pylist() == [None if amount is None else amount / 1.19 for amount in amounts]


def test_aggregates_profile_report_and_partitions_see_them() -> None:
    measures = {"revenue": {"sum": "amount"}, "largest": {"max": "amount"}}
    aggregates = [{"name": "all", "groupBy": [], "measures": measures}]
    outcome = run(
        {"amount": AMOUNT, "half": "quantity / 2"}, sluice={"aggregates": aggregates, "partitionBy": ["half"]}
    )
    summary = outcome.document("summary.json")
    assert summary["aggregates"]["all"] == [{"revenue": 3 + 3 * 0.1 * 0.75, "largest": 3.0}]
    profiled = {column["name"]: column for column in summary["profile"]}
    assert (profiled["amount"]["type"], profiled["amount"]["count"], profiled["amount"]["nulls"]) == ("number", 3, 1)
    assert b"amount" in outcome.body("report.html")
    assert [name for name in outcome.published if "half=1.5/" in name]
    assert outcome.document("contract.json")["sluice"]["derive"] == {"amount": AMOUNT, "half": "quantity / 2"}


@pytest.mark.parametrize("sluice, code", [
    ({"aggregates": [{"name": "a", "measures": {"s": {"sum": "amuont"}}}]}, "unknown-column"),
    ({"partitionBy": ["amuont"]}, "unknown-column"),
])  # fmt: skip
def test_columns_that_nobody_derives_are_refused_before_a_row_is_read(sluice: JSON, code: str) -> None:
    outcome = pipeline.run(BODY, described({"amount": AMOUNT}, sluice=sluice))
    assert outcome.job.error is not None
    assert outcome.job.error.code == code
    assert outcome.job.chunks.planned == 0


NOT_FINITE = (
    b"id,quantity,unit price,discount\n1,0,1,0\n2,0,-1,0\n3,0,0,0\n4,2,1e308,0.000001\n5,2,1,1\n6,x,1,0\n7,,0,0\n"
)


def test_what_is_no_finite_number_is_a_finding_of_its_row() -> None:
    outcome = run({"ratio": '"unit price" / quantity', "more": "ratio * 4", "big": '"unit price" * 4'}, NOT_FINITE)
    told = {each["record"]: [(e["field"], e["code"], e["note"]) for e in each["errors"]] for each in outcome.rejects}
    note = 'type is "number/default", found "{}"'.format
    assert told == {
        1: [("ratio", "type-error", note("INF"))],
        2: [("ratio", "type-error", note("-INF"))],
        3: [("ratio", "type-error", note("NaN"))],
        4: [("more", "type-error", note("INF")), ("big", "type-error", note("INF"))],
        6: [("quantity", "type-error", 'type is "integer/default", found "x"')],
    }
    assert outcome.job.rows == Rows(read=7, valid=2, rejected=5)
    assert outcome.document("manifest.json")["ledger"]["delivered"] == 2
    assert outcome.table["ratio"].to_pylist() == [0.5, None]
    assert {(each.code, each.field): each.count for each in outcome.job.reasons}["type-error", "ratio"] == 3


def test_rejects_are_the_files_own_columns_and_can_be_corrected() -> None:
    outcome = run({"ratio": '"unit price" / quantity'}, NOT_FINITE)
    rows = list(csv.reader(io.StringIO(outcome.body("rejects.csv").decode())))
    assert rows[0] == ["_record", "_line", "_errors", "id", "quantity", "unit price", "discount"]
    assert rows[1] == ["1", "2", 'ratio: type is "number/default", found "INF"', "1", "0", "1", "0"]
    again = run({"ratio": '"unit price" / quantity'}, outcome.body("rejects.csv").replace(b"1,0,1,0", b"1,4,1,0"))
    assert again.table.to_pylist()[0] == {"id": 1, "quantity": 4, "unit price": 1.0, "discount": 0.0, "ratio": 0.25}


def test_a_row_that_is_rejected_anyway_is_told_what_it_was_told() -> None:
    """Also by a check after this one: a repeated key."""
    body = b"id,quantity,unit price,discount\n1,2,1,0\n1,0,1,x\n2,0,1,0\n1,2,1\n"
    plain = pipeline.run(body, contract(*FIELDS, schema={"primaryKey": "id"}))
    deriving = run({"ratio": '"unit price" / quantity'}, body, schema={"primaryKey": "id"})
    assert [each for each in deriving.rejects if each["record"] != 3] == plain.rejects
    assert deriving.rejects[1]["record"] == 3


def test_keys_and_the_header_know_no_derived_column() -> None:
    for wrong, match in (
        (b"id,quantity,unit price,discount,amount\n1,2,3,0,6\n", "exact"),
        (b"amount\n1\n", "partial"),
    ):
        outcome = pipeline.run(wrong, described({"amount": AMOUNT}, schema={"fieldsMatch": match}))
        assert outcome.job.error is not None
        assert outcome.job.error.code == "header-mismatch"
    outcome = pipeline.run(BODY, described({"amount": AMOUNT}, schema={"primaryKey": "amount"}))
    assert outcome.job.error is not None
    assert outcome.job.error.message.endswith('"amount" is not the name of a field')


def test_an_extra_column_of_the_same_name_is_not_delivered() -> None:
    body = b"id,quantity,unit price,discount,amount\n1,2,3,0,999\n2,0,3,0,\n"
    outcome = run({"amount": AMOUNT}, body, schema={"fieldsMatch": "subset"})
    assert outcome.table["amount"].to_pylist() == [6.0, 0.0]


def test_fields_without_a_column_are_null() -> None:
    derive = {"amount": AMOUNT, "left": "1 - discount", "all": "coalesce(discount, quantity, 7)"}
    decimals = {"decimals": {"discount": {"precision": 4, "scale": 2}}}
    table = run(derive, b"id,unit price\n1,2\n", schema={"fieldsMatch": "superset"}, sluice=decimals).table
    assert table.to_pylist()[0] == {
        "id": 1, "quantity": None, "unit price": 2.0, "discount": None, "amount": None, "left": None, "all": 7.0,
    }  # fmt: skip


def test_no_row_and_constants_alone() -> None:
    header = BODY.partition(b"\n")[0] + b"\n"
    assert str(run({"amount": AMOUNT, "one": "1"}, header).table.schema.field("one").type) == "double"
    assert run({"share": "(1 - 0.19) / 2"}).table["share"].to_pylist() == [(1 - 0.19) / 2] * 4


@pytest.mark.parametrize("block", [1, 30, 1 << 20])
def test_columns_of_few_values_are_calculated_like_others(block: int) -> None:
    """They come as codes."""
    rows = [f"{number},{number % 3},{number % 7}.5,{'' if number % 2 else 0.25}" for number in range(3000)]
    body = "\n".join([BODY.partition(b"\n")[0].decode(), *rows, ""]).encode()
    with mock.patch("chalicelib.steps.BLOCK_SIZE_BYTES", max(block, 2000) if block == 1 else block << 10):
        table = run({"amount": AMOUNT}, body).table
    expected = [n % 3 * (n % 7 + 0.5) * (1 - (0 if n % 2 else 0.25)) for n in range(3000)]
    assert table["amount"].to_pylist() == expected


def test_a_transform_runs_after_it() -> None:
    def transform(frame: pd.DataFrame) -> pd.DataFrame:
        return frame[frame["amount"] > 0].assign(gross=frame["amount"] * 2)

    with mock.patch.object(transforms, "find", return_value=transform):
        outcome = run({"amount": AMOUNT})
    assert outcome.table["gross"].to_pylist() == [6.0, 3 * 0.1 * 0.75 * 2]
    assert outcome.job.rows.valid == 4
    assert outcome.document("manifest.json")["ledger"]["delivered"] == 2


def test_the_sample_can_do_without_its_transform() -> None:
    """The same values to the last bit, by the contract alone."""
    body = (ROOT / "samples" / "orders.csv").read_bytes()
    document = json.loads((ROOT / "contracts" / "orders.json").read_bytes())
    transformed = pipeline.run(body, document, key="incoming/orders/a.csv")
    document["sluice"]["derive"] = {"amount": "quantity * unit_price * (1 - coalesce(discount, 0))"}
    derived = pipeline.run(body, document, key="incoming/sales/a.csv")
    assert derived.job.status is Status.SUCCEEDED
    assert derived.table.equals(transformed.table)
    assert derived.document("summary.json")["aggregates"] == transformed.document("summary.json")["aggregates"]


@pytest.mark.parametrize("body", [BODY + b"x,y,z,1,1\n\n,0,0,0.5\n", BODY.partition(b"\n")[0] + b"\n"])
def test_no_step_imports_pandas_where_there_is_no_transform(body: bytes) -> None:
    fields = [*FIELDS[:3], FIELDS[3] | {"constraints": {"enum": [0, 0.25, 1], "maximum": 1}}]
    aggregates = [{"name": "all", "groupBy": ["id"], "measures": {"s": {"sum": "amount"}, "m": {"mean": "half"}}}]
    sluice = {"derive": {"amount": AMOUNT, "half": "1 / quantity"}, "aggregates": aggregates}
    document = contract(*fields, sluice=sluice, schema={"primaryKey": "id"})
    code = (
        "import sys\n"
        "from tests import pipeline\n"
        f"outcome = pipeline.run({body!r}, {document!r}, chunk_size=30)\n"
        "assert outcome.job.error is None\n"
        "sys.exit('pandas' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
