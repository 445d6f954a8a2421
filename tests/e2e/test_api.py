"""The REST API through API Gateway: closed by default, and it says what the job records say."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import pytest

from chalicelib.model import Job, Status
from tests.e2e.conftest import Pipeline


def get(pipeline: Pipeline, path: str, token: str | None = None, method: str = "GET") -> tuple[int, Any]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(pipeline.stack.api_url + path, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.fixture(scope="module")
def jobs(pipeline: Pipeline) -> list[Job]:
    body = b"id,name\n1,a\n2,b\n"
    return [pipeline.process(f"incoming/api-{name}/a.csv", body) for name in ("first", "second")]


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("wrong", 403), ("", 401)])
@pytest.mark.parametrize("path", ["/jobs", "/jobs/some-job"])
def test_access_is_closed_without_the_token(pipeline: Pipeline, path: str, token: str | None, status: int) -> None:
    answered, body = get(pipeline, path, token)
    assert answered in ({status} if token is None else {401, 403})
    assert "jobs" not in body


@pytest.mark.parametrize(("method", "path"), [("GET", "/job"), ("POST", "/jobs"), ("GET", "/jobs/some-job/retry")])
def test_what_is_no_route_api_gateway_refuses_itself(pipeline: Pipeline, method: str, path: str) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-responses-table.html"""
    answered = get(pipeline, path, pipeline.stack.api_token, method)
    assert answered == (403, {"message": "Missing Authentication Token"})


def test_health_is_open(pipeline: Pipeline) -> None:
    status, body = get(pipeline, "/health")
    assert status == 200
    assert body["status"] == "ok"


def test_jobs_come_newest_first_page_by_page(pipeline: Pipeline, jobs: list[Job]) -> None:
    token = pipeline.stack.api_token
    seen: list[Any] = []
    cursor = None
    while cursor is not None or not seen:
        query = {"limit": "1"} | ({"cursor": cursor} if cursor else {})
        status, page = get(pipeline, f"/jobs?{urllib.parse.urlencode(query)}", token)
        assert status == 200
        assert len(page["jobs"]) <= 1
        seen += page["jobs"]
        cursor = page["cursor"]
    received = [job["received_at"] for job in seen]
    assert received == sorted(received, reverse=True)
    assert len({job["job_id"] for job in seen}) == len(seen)
    wanted = [job.job_id for job in reversed(jobs)]
    assert [job["job_id"] for job in seen if job["job_id"] in wanted] == wanted


def test_jobs_by_dataset_and_by_status(pipeline: Pipeline, jobs: list[Job]) -> None:
    token = pipeline.stack.api_token
    _, page = get(pipeline, "/jobs?dataset=api-first", token)
    assert [job["job_id"] for job in page["jobs"]] == [jobs[0].job_id]
    _, page = get(pipeline, "/jobs?status=SUCCEEDED&limit=100", token)
    assert {job["status"] for job in page["jobs"]} == {"SUCCEEDED"}
    assert {job.job_id for job in jobs} <= {job["job_id"] for job in page["jobs"]}


def test_one_job(pipeline: Pipeline, jobs: list[Job]) -> None:
    status, body = get(pipeline, f"/jobs/{jobs[0].job_id}", pipeline.stack.api_token)
    assert (status, body) == (200, json.loads(json.dumps(jobs[0].to_json())))
    assert Status(body["status"]) is Status.SUCCEEDED


def test_chunk_progress_is_live(pipeline: Pipeline) -> None:
    """The function may ask Step Functions: its role's policy is enforced here."""
    rows = b"".join(b"%07d,%s\n" % (number, b"x" * 92) for number in range(20_000))
    source = pipeline.upload("incoming/api-live/a.csv", b"id,text\n" + rows)
    records: list[Any] = []
    while not records or records[-1].get("status") not in {"SUCCEEDED", "FAILED"}:
        status, body = get(pipeline, f"/jobs/{source.job_id}", pipeline.stack.api_token)
        if status == 404 and not records:
            continue  # its event is on the way
        assert status == 200, body
        records.append(body)
        time.sleep(0.05)
    assert records[-1]["status"] == "SUCCEEDED", records[-1]["error"]
    processing = [record["chunks"] for record in records if record["status"] == "PROCESSING"]
    assert {chunks["planned"] for chunks in processing} == {20}
    assert any(0 < chunks["done"] < 20 for chunks in processing)


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/jobs/no-such-job", 404, "no job"),
        ("/jobs?status=DONE", 400, "status"),
        ("/jobs?limit=0", 400, "limit"),
        ("/jobs?cursor=x", 400, "cursor"),
        ("/jobs?colour=red", 400, "colour"),
    ],
)
def test_errors_name_what_is_wrong(pipeline: Pipeline, path: str, status: int, says: str) -> None:
    answered, body = get(pipeline, path, pipeline.stack.api_token)
    assert answered == status
    assert says in body["message"]
