"""A foreign key to another dataset, under the policies of the deployed functions."""

from __future__ import annotations

import csv
import io
import json

from chalicelib.model import Rows, Status
from tests.e2e.conftest import Pipeline

KEY = {"fields": ["country"], "reference": {"resource": "refcountries", "fields": ["code"]}}
ORDERS = {
    "schema": {
        "fields": [{"name": "id", "type": "integer"}, {"name": "country", "type": "string"}],
        "foreignKeys": [KEY],
    },
    "sluice": {"tolerance": {"maxRejectedRatio": 0.5}},
}
BODY = b"id,country\n" + b"".join(b"%d,%s\n" % (n, (b"US", b"DE", b"FR")[n % 3]) for n in range(30_000))


def test_an_upload_is_checked_against_what_is_current(pipeline: Pipeline) -> None:
    pipeline.agree("reforders", ORDERS)
    early = pipeline.process("incoming/reforders/a.csv", BODY)
    assert early.status is Status.FAILED
    assert early.error is not None
    assert early.error.code == "reference-missing"
    assert "refcountries" in pipeline.notification(early)["Message"]

    pipeline.agree("refcountries", {"schema": {"fields": [{"name": "code", "type": "string"}]}})
    countries = pipeline.process("incoming/refcountries/a.csv", b"code\nUS\nDE\n")
    assert countries.status is Status.SUCCEEDED, countries.error

    job = pipeline.process("incoming/reforders/a.csv", BODY)
    assert job.status is Status.SUCCEEDED, job.error
    assert job.chunks.planned > 1
    assert job.rows == Rows(read=30_000, valid=20_000, rejected=10_000)
    rejects = list(csv.DictReader(io.StringIO((pipeline.outputs(job) / "rejects.csv").read_text())))
    assert {row["country"] for row in rejects} == {"FR"}
    [reason] = json.loads((pipeline.outputs(job) / "summary.json").read_bytes())["findings"]["reasons"]
    assert (reason["code"], reason["field"], reason["count"]) == ("foreign-key", "country", 10_000)
