"""How a file differs from its contract where ``fieldsMatch`` tolerates it: in the summary, the report, the rejects."""

from __future__ import annotations

import pytest

from chalicelib.model import JSON
from tests import pipeline
from tests.pipeline import contract

DRIFTING = [
    ("subset", "x,b,a", {"missing": [], "extra": ["x"], "reordered": True}),
    ("superset", "b", {"missing": ["a"], "extra": [], "reordered": False}),
    ("partial", "x,b,y", {"missing": ["a"], "extra": ["x", "y"], "reordered": False}),
    ("equal", "b,a", {"missing": [], "extra": [], "reordered": True}),
    ("exact", "a,b", {"missing": [], "extra": [], "reordered": False}),
    ("subset", "a,b,", {"missing": [], "extra": ["field3"], "reordered": False}),
    ("subset", "_record,_line,_errors,a,b", {"missing": [], "extra": [], "reordered": False}),
]  # fmt: skip


@pytest.mark.parametrize(("policy", "header", "drift"), DRIFTING)
def test_tolerated_drift_is_told(policy: str, header: str, drift: JSON) -> None:
    labels = header.split(",")
    described = contract(
        {"name": "a", "type": "integer"}, {"name": "b", "type": "integer"}, schema={"fieldsMatch": policy}
    )
    body = f"{header}\n{','.join('1' for _ in labels)}\n{','.join('x' for _ in labels)}\n"
    outcome = pipeline.run(body.encode(), described)
    assert outcome.job.error is None
    assert outcome.document("summary.json")["drift"] == drift
    assert outcome.table.column_names == ["a", "b"]
    report = outcome.body("report.html").decode()
    is_told = any(drift.values())
    assert ("Drift from the contract" in report) is is_told
    for labels_told in (drift["missing"], drift["extra"]):
        assert not labels_told or f"<dd>{', '.join(labels_told)}</dd>" in report
    # What is not delivered is not lost either: a rejected record keeps all its cells.
    header_line, row = outcome.body("rejects.csv").decode().splitlines()
    own = header.removeprefix("_record,_line,_errors,")
    named = own.removesuffix(",") + ",field3" if own.endswith(",") else own  # a blank one would be taken for padding
    assert header_line == f"_record,_line,_errors,{named}"
    assert row.endswith("," + ",".join("x" for _ in own.split(",")))


def test_a_column_named_like_one_of_the_rejects_is_inferred_and_read() -> None:
    outcome = pipeline.run(b"a,_line,_errors\n1,2,x\n3,4,y\n", None)
    assert outcome.job.error is None
    draft = outcome.document("contract.json")
    assert [field["name"] for field in draft["schema"]["fields"]] == ["a", "_line", "_errors"]
    again = pipeline.run(b"a,_line,_errors\n1,2,x\n3,4,y\n", draft)
    assert again.table.to_pylist() == [
        {"a": 1, "_line": 2, "_errors": "x"}, {"a": 3, "_line": 4, "_errors": "y"}
    ]  # fmt: skip
