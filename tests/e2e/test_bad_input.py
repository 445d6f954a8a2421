"""Bad input: a clear error on the job, in the notification and in the API; nothing lost, nothing half published."""

from __future__ import annotations

import io
import json
import urllib.request
import zipfile
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from chalicelib.model import Job, Rows, Source, Status
from tests.e2e.conftest import Pipeline

FIELDS = [
    {"name": "id", "type": "integer", "constraints": {"required": True}},
    {"name": "name", "type": "string"},
    {"name": "price", "type": "number", "constraints": {"minimum": 0}},
]


def contract(**sluice: Any) -> dict[str, Any]:
    return {"schema": {"fields": FIELDS, "primaryKey": ["id"]}, "sluice": sluice}


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.csv", "id,name,price\n1,a,1\n")
        archive.writestr("b.csv", "id,name,price\n2,b,2\n")
    return buffer.getvalue()


def _parquet() -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pa.table({"id": [1, 2]}), buffer)
    return buffer.getvalue()


@dataclass(frozen=True)
class Refused:
    """An upload whose job has to fail."""

    body: bytes
    code: str
    says: tuple[str, ...]
    """Parts of the message that its reader needs."""
    contract: dict[str, Any] | bytes | None = None


GOOD = b"".join(b"%d,name %d,%d.5\n" % (n, n, n) for n in range(1, 21))
HEADER = b"id,name,price\n"

REFUSED = {
    "empty": Refused(b"", "empty-file", ("no bytes",)),
    "only-a-bom": Refused(b"\xef\xbb\xbf", "empty-file", ()),
    "png": Refused(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8, "not-csv", ("PNG",)),
    "zip": Refused(_zip(), "unsupported-compression", ("zip", "2 files")),
    "parquet": Refused(_parquet(), "not-csv", ("Parquet",)),
    "html": Refused(b"<!DOCTYPE html>\n<html><body><p>Sign in, please</p></body></html>", "not-csv", ("HTML",)),
    "header-mismatch": Refused(
        b"id,nom,price,colour\n1,a,2,red\n", "header-mismatch", ('"nom"', '"name"', '"colour"'), contract()
    ),
    "duplicate-labels": Refused(b"id,name,id\n1,a,2\n", "header-mismatch", ('"id"', "position 3"), contract()),
    "over-tolerance": Refused(
        HEADER + GOOD + b"x,bad,1\n",
        "tolerance-exceeded",
        ("1", "21"),
        contract(tolerance={"maxRejectedRows": 0}),
    ),
    "a-chunk-that-fails": Refused(
        HEADER + GOOD,
        "bad-measure",
        ("name",),
        contract(aggregates=[{"name": "all", "groupBy": [], "measures": {"total": {"sum": "name"}}}]),
    ),
    "contract-unknown-type": Refused(
        HEADER + GOOD,
        "invalid-contract",
        ("schema.fields[0].type",),
        {"schema": {"fields": [{"name": "id", "type": "whole"}]}},
    ),
    "contract-not-json": Refused(HEADER + GOOD, "invalid-contract", (), b"{"),
}


@pytest.fixture(scope="module")
def refused(pipeline: Pipeline) -> dict[str, Job]:
    """All of them at once, as on a bad day."""
    sources = {}
    for name, case in REFUSED.items():
        if case.contract is not None:
            pipeline.agree(name, case.contract)
        sources[name] = pipeline.upload(f"incoming/{name}/{name}.csv", case.body)
    return dict(zip(sources, pipeline.finish(*sources.values()), strict=True))


@pytest.mark.parametrize("name", REFUSED)
def test_the_job_says_what_is_wrong(refused: dict[str, Job], name: str) -> None:
    job, case = refused[name], REFUSED[name]
    assert job.status is Status.FAILED
    assert job.error is not None
    assert job.error.code == case.code
    for part in case.says:
        assert part in job.error.message


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_is_published(pipeline: Pipeline, refused: dict[str, Job], name: str) -> None:
    assert pipeline.results(f"datasets/{name}/") == []
    assert "manifest" not in refused[name].outputs
    assert not [key for key in pipeline.results(f"jobs/{refused[name].job_id}/") if key.endswith("manifest.json")]


@pytest.mark.parametrize("name", REFUSED)
def test_the_notification_says_it_too(pipeline: Pipeline, refused: dict[str, Job], name: str) -> None:
    job = refused[name]
    assert job.error is not None
    message = pipeline.notification(job)
    assert message["MessageAttributes"]["status"]["Value"] == "FAILED"
    assert message["MessageAttributes"]["dataset"]["Value"] == name
    assert json.loads(message["Message"])["error"] == {"code": job.error.code, "message": job.error.message}


@pytest.mark.parametrize("name", REFUSED)
def test_the_api_says_it_too(pipeline: Pipeline, refused: dict[str, Job], name: str) -> None:
    stack = pipeline.stack
    request = urllib.request.Request(
        f"{stack.api_url}/jobs/{refused[name].job_id}", headers={"Authorization": f"Bearer {stack.api_token}"}
    )
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer) == json.loads(json.dumps(refused[name].to_json()))


def test_over_tolerance_keeps_rejects_and_report(pipeline: Pipeline, refused: dict[str, Job]) -> None:
    job = refused["over-tolerance"]
    assert job.rows == Rows(read=21, valid=20, rejected=1, blank=0)
    folder = pipeline.outputs(job)
    assert "x,bad,1" in (folder / "rejects.csv").read_text()
    assert "tolerance" in (folder / "report.html").read_text()


def test_header_only_succeeds_with_zero_rows(pipeline: Pipeline) -> None:
    pipeline.agree("header-only", contract())
    job = pipeline.process("incoming/header-only/a.csv", HEADER)
    assert job.status is Status.SUCCEEDED, job.error
    assert job.rows == Rows()
    tables = [pyarrow.parquet.read_table(path) for path in (pipeline.outputs(job) / "data").rglob("*.parquet")]
    assert sum(table.num_rows for table in tables) == 0


def test_a_bad_row_costs_itself_only(pipeline: Pipeline) -> None:
    bad = [
        b"21,too few\n",
        b"22,too many,1,2,3\n",
        b"twenty-three,wrong type,1\n",
        b"24,wrong type,free\n",
        b"25,caf\xe9,1\n",
        b"26,too cheap,-1\n",
        b",no key,1\n",
        b"3,key again,1\n",
        b"\n",
    ]
    pipeline.agree("ragged", contract(tolerance={"maxRejectedRatio": 0.5}))
    job = pipeline.process("incoming/ragged/a.csv", HEADER + GOOD + b"".join(bad))
    assert job.status is Status.SUCCEEDED, job.error
    assert job.rows == Rows(read=29, valid=20, rejected=8, blank=1)
    folder = pipeline.outputs(job)
    rejects = [json.loads(line) for line in (folder / "rejects.jsonl").read_text().splitlines()]
    assert [reject["record"] for reject in rejects] == list(range(21, 29))
    assert [{error["code"] for error in reject["errors"]} for reject in rejects] == [
        {"missing-cell"},
        {"extra-cell"},
        {"type-error", "primary-key"},
        {"type-error"},
        {"encoding-error"},
        {"constraint-error"},
        {"constraint-error", "primary-key"},
        {"primary-key"},
    ]
    assert [reject["errors"][0]["field"] for reject in rejects if reject["record"] in (23, 24, 26)] == [
        "id",
        "price",
        "price",
    ]
    data = pyarrow.parquet.read_table(folder / "data")
    assert sorted(data["id"].to_pylist()) == list(range(1, 21))


@pytest.mark.parametrize(
    "name", ["a b.csv", "1+1=2.csv", "100%25.csv", "naïve ☃ 注文.csv", "a&b=c;d#e?.csv", "deep/er/a.csv"]
)
def test_any_key_is_processed(pipeline: Pipeline, name: str) -> None:
    key = f"incoming/odd-keys/{name}"
    job = pipeline.process(key, HEADER + GOOD)
    assert job.status is Status.SUCCEEDED, job.error
    assert job.source.key == key
    assert job.rows.valid == 20


@pytest.mark.parametrize("key", ["incoming/loose.csv", "incoming/not a dataset!/a.csv"])
def test_an_upload_outside_any_dataset_is_told(pipeline: Pipeline, key: str) -> None:
    job = pipeline.process(key, HEADER + GOOD)
    assert job.status is Status.FAILED
    assert job.error is not None
    assert job.error.code == "no-dataset"
    assert pipeline.notification(job)["MessageAttributes"]["dataset"]["Value"] == "(none)"


def test_an_object_deleted_before_its_job(pipeline: Pipeline) -> None:
    gone = Source(pipeline.stack.inbox, "incoming/gone/a.csv", "never-was", 100, "0" * 32)
    pipeline.stack.executions.start(gone)
    (job,) = pipeline.finish(gone)
    assert job.error is not None
    assert job.error.code == "object-not-found"


def test_an_object_deleted_and_put_anew_before_its_job(pipeline: Pipeline) -> None:
    """The first job never reads the second one's bytes."""
    second = pipeline.upload("incoming/replaced/a.csv", HEADER + GOOD)
    first = Source(second.bucket, second.key, "never-was", second.size_bytes, "0" * 32)
    pipeline.stack.executions.start(first)
    failed, succeeded = pipeline.finish(first, second)
    assert failed.error is not None
    assert failed.error.code == "object-not-found"
    assert succeeded.rows.valid == 20
