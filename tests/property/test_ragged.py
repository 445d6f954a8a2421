"""Records with another number of cells come out the same, whether they are read together or one by one."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chalicelib import steps
from chalicelib.engine import coding
from chalicelib.engine.records import ragged
from tests import pipeline
from tests.pipeline import Outcome, contract

pytestmark = pytest.mark.usefixtures("either_reader")

FIELDS: tuple[Any, ...] = (
    {"name": "id", "type": "integer", "constraints": {"required": True, "unique": True}},
    {"name": "name", "type": "string", "constraints": {"required": True, "minLength": 2}},
    {"name": "size", "type": "number"},
)
CELLS = st.sampled_from(
    ["1", "2", "ab", "", "x", '""', '"a,b"', '"a\nb"', '"q""q"', " 3", "é", '"', 'a"b', "\0", "\udcff", "=1", "#"]
)
ROWS = st.lists(st.lists(CELLS, min_size=1, max_size=6), min_size=1, max_size=20)
DIALECTS = st.sampled_from(
    [
        {},
        {"delimiter": ";"},
        {"quoteChar": None},
        {"escapeChar": "\\"},
        {"skipInitialSpace": True},
        {"commentChar": "#"},
    ]
)
TOGETHER, ONE_BY_ONE = 1, 1 << 40


def run(body: bytes, described: Any, many: int, chunk: int = 1 << 20, block: int = 1 << 20) -> Outcome:
    with (
        mock.patch.object(ragged, "MANY", many),
        mock.patch.object(coding, "JUDGED_ROWS", 2),
        mock.patch.object(steps, "BLOCK_SIZE_BYTES", block),
    ):
        return pipeline.run(body, described, chunk_size=chunk)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(ROWS, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), DIALECTS, st.integers(3, 200), st.booleans())
@example([["1"], ["1", "ab"], ["1", "ab", "2", ""], ["2", "ab", "1"]] * 3, "\n", False, {}, 100, True)
@example([['""'], [""], ["#"], ["1", "ab", "1"]] * 2, "\n", True, {"commentChar": "#"}, 100, True)
def test_read_together_or_one_by_one(
    rows: list[list[str]], line_break: str, is_last: bool, dialect: Any, cut: int, has_contract: bool
) -> None:
    delimiter = dialect.get("delimiter", ",")
    lines = [["9", "ab", "1"], *rows]
    body = line_break.join(delimiter.join(line) for line in lines).encode("utf-8", "surrogateescape")
    body += line_break.encode() * is_last
    described = contract(
        *(FIELDS if has_contract else [{"name": each["name"], "type": "any"} for each in FIELDS]),
        dialect={"delimiter": ",", "header": False} | dialect,
        encoding="utf-8",
        sluice={"tolerance": {"maxRejectedRatio": 1}},
    )
    alone = run(body, described, ONE_BY_ONE)
    together = run(body, described, TOGETHER, chunk=cut, block=cut)
    assert together.job.error == alone.job.error
    if alone.job.error is not None:  # mostly NULs: no CSV
        return
    for name in ("rejects.csv", "rejects.jsonl"):
        assert together.body(name) == alone.body(name)
    assert together.job.rows == alone.job.rows
    assert together.document("summary.json")["findings"] == alone.document("summary.json")["findings"]
    assert together.table.equals(alone.table)


@pytest.mark.parametrize("cells", [1, 2, 4, 500])
def test_half_of_the_records_are_ragged(cells: int) -> None:
    """Of every cell that is there the value is checked, of every one that is not the lack of it is told, once."""
    ragged_line = b",".join([b"x"] + [b"y"] * (cells - 1)) + b"\n"
    body = b"id,name,size\n" + b"".join(b"%d,ab,1\n" % number + ragged_line for number in range(40))
    with mock.patch.object(ragged, "read", wraps=ragged.read) as read:
        described = contract(*FIELDS, sluice={"tolerance": {"maxRejectedRatio": 1}})
        outcome = pipeline.run(body, described)
    assert {count: len(of) for call in read.call_args_list for count, of in call.args[2].items()} == {cells: 40}
    assert (outcome.job.rows.valid, outcome.job.rows.rejected) == (40, 40)
    codes = [(error["code"], error["field"]) for error in outcome.rejects[0]["errors"]]
    lacking = [("missing-cell", name) for name in ("name", "size")[cells - 1 :]]
    surplus = [("extra-cell", "")] * (cells - 3)
    wrong = [("type-error", "id"), ("constraint-error", "name"), ("type-error", "size")][:cells]
    assert codes == [*lacking, *surplus, *wrong]
    assert outcome.rejects[0]["raw"] == ragged_line.decode().strip()
    assert outcome.body("rejects.csv").splitlines()[1].endswith(ragged_line.strip())
