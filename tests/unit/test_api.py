"""The REST API through Chalice's own gateway, authorizer included."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from chalice.app import AuthRequest
from chalice.config import Config
from chalice.local import LambdaContext, LocalDevServer
from chalice.test import Client, HTTPResponse

import app
from chalicelib import api, wiring
from chalicelib.errors import Terminal, Transient
from chalicelib.model import Chunks, Failure, Job, Status
from chalicelib.ports import MapProgress
from chalicelib.version import VERSION
from tests import witness
from tests.events import event
from tests.fakes import MemoryPorts, execution_arn, source

TOKEN = "the-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class FixedToken:
    def __init__(self, token: str) -> None:
        self.token = token

    def value(self) -> str:
        return self.token


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> FixedToken:
    fixed = FixedToken(TOKEN)
    monkeypatch.setattr(wiring, "api_token", lambda: fixed)
    return fixed


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> MemoryPorts:
    memory = MemoryPorts()
    monkeypatch.setattr(wiring, "ports", lambda: memory)
    return memory


@pytest.fixture
def client(token: FixedToken, ports: MemoryPorts) -> Iterator[Client]:
    with Client(app.app) as made:
        yield made


def get(client: Client, path: str, headers: dict[str, str] | None = None, **query: Any) -> HTTPResponse:
    text = f"{path}?{urlencode(query, doseq=True)}" if query else path
    return client.http.get(text, headers=BEARER if headers is None else headers)


def add(ports: MemoryPorts, minute: int, dataset: str = "orders", status: Status = Status.RECEIVED) -> Job:
    job = Job.received(source(f"incoming/{dataset}/{minute}.csv"), f"2026-03-01T12:{minute:02}:00.000Z")
    return ports.jobs.add(job.with_(status=status))


# Who gets in.


@pytest.mark.parametrize("path", ["/jobs", "/jobs/orders-0"])
@pytest.mark.parametrize(
    "headers, status_code",
    [
        ({}, 401),
        ({"Authorization": ""}, 403),
        ({"Authorization": TOKEN}, 403),
        ({"Authorization": "Bearer"}, 403),
        ({"Authorization": "Bearer "}, 403),
        ({"Authorization": "Bearer the-toke"}, 403),
        ({"Authorization": "Bearer the-token2"}, 403),
        ({"Authorization": f"Basic {TOKEN}"}, 403),
        ({"Authorization": "Bearer tökén"}, 403),
    ],
    ids=["no header", "empty", "no scheme", "no token", "blank", "shorter", "longer", "other scheme", "not ASCII"],
)
def test_jobs_are_closed_to_strangers(client: Client, path: str, headers: dict[str, str], status_code: int):
    assert get(client, path, headers).status_code == status_code


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_jobs_are_open_to_the_bearer_of_the_token(client: Client, scheme: str):
    assert get(client, "/jobs", {"Authorization": f"{scheme} {TOKEN}"}).status_code == 200


def test_no_token_set_lets_nobody_in(client: Client, token: FixedToken):
    token.token = ""
    assert get(client, "/jobs", {"Authorization": "Bearer "}).status_code == 403
    assert get(client, "/jobs", {"Authorization": "Bearer x"}).status_code == 403


def test_a_rotated_token_counts_at_once(client: Client, token: FixedToken):
    token.token = "another"
    assert get(client, "/jobs").status_code == 403
    assert get(client, "/jobs", {"Authorization": "Bearer another"}).status_code == 200


@pytest.mark.parametrize("character", ["x", "\U0001f600"], ids=ascii)
def test_a_page_of_the_longest_messages_fits_into_lambdas_answer(client: Client, ports: MemoryPorts, character: str):
    message = character * 32_768
    for number in range(100):
        job = add(ports, number % 60, dataset=f"d{number}")
        ports.jobs.fail(job.job_id, None, Failure("header-mismatch", message), "2026-03-01T13:00:00.000Z")
    answer = get(client, "/jobs", limit=100)
    assert len(answer.json_body["jobs"]) == 100
    assert len(answer.body) < 5_000_000
    listed = answer.json_body["jobs"][0]
    assert listed["error"]["code"] == "header-mismatch"
    assert listed["error"]["message"].endswith("(cut; GET /jobs/{job_id} has the rest)")
    assert get(client, f"/jobs/{listed['job_id']}").json_body["error"]["message"] == message


def test_health_is_open_and_tells_little(client: Client):
    answer = get(client, "/health", headers={})
    assert answer.status_code == 200
    assert answer.json_body == {"status": "ok", "stage": "dev", "version": VERSION}


def test_every_route_but_health_is_closed():
    open_routes = {
        path for path, methods in app.app.routes.items() for entry in methods.values() if entry.authorizer is None
    }
    assert open_routes == {"/health"}


def test_the_authorizers_answer_holds_for_every_route(token: FixedToken):
    """API Gateway keeps the answer per token, not per route."""
    allowed = app.authorize(event("authorizer"), None)
    (statement,) = allowed["policyDocument"]["Statement"]
    assert statement["Effect"] == "Allow"
    assert statement["Resource"] == ["arn:aws:execute-api:us-east-1:000000000000:abcdef1234/api/*/*"]
    refused = app.authorize({**event("authorizer"), "authorizationToken": "Bearer no"}, None)
    assert refused["policyDocument"]["Statement"] == [{**statement, "Effect": "Deny"}]


@pytest.mark.parametrize("text", ["Bearer \ud800", "Bearer \x00", " ", ""])
def test_odd_tokens_are_refused_without_an_error(token: FixedToken, text: str):
    answer = api.authorize(AuthRequest("TOKEN", text, "arn:aws:execute-api:us-east-1:0:a/api/GET/jobs"))
    assert isinstance(answer, api.Refusal)


def test_chalice_local_serves_it_closed_as_well(token: FixedToken, ports: MemoryPorts):
    """Over HTTP, by the server of ``chalice local``."""
    server = LocalDevServer(app.app, Config.create(), "127.0.0.1", 0)
    thread = threading.Thread(target=server.server.serve_forever, daemon=True)
    thread.start()
    host, port = server.server.server_address[:2]
    try:
        answers = []
        for headers in ({}, {"Authorization": "Bearer no"}, BEARER):
            connection = HTTPConnection(str(host), int(port), timeout=10)
            connection.request("GET", "/jobs?limit=1", headers=headers)
            response = connection.getresponse()
            answers.append((response.status, json.loads(response.read())))
            connection.close()
    finally:
        server.server.shutdown()
        server.server.server_close()
        thread.join()
    assert [status for status, _ in answers] == [401, 403, 200]
    assert answers[2][1] == {"jobs": [], "cursor": None}


# The list of jobs.


def test_no_jobs(client: Client):
    answer = get(client, "/jobs")
    assert answer.status_code == 200
    assert answer.json_body == {"jobs": [], "cursor": None}
    assert answer.headers["Cache-Control"] == "no-store"


def test_jobs_come_newest_first_with_all_they_have(client: Client, ports: MemoryPorts):
    jobs = [add(ports, minute) for minute in (3, 1, 2)]
    newest_first = sorted(jobs, key=lambda job: job.received_at, reverse=True)
    assert get(client, "/jobs").json_body["jobs"] == [job.to_json() for job in newest_first]


@pytest.mark.parametrize(
    "query, minutes",
    [
        ({"dataset": "orders"}, [5, 3, 1]),
        ({"dataset": "flights"}, [4, 2]),
        ({"dataset": "none-such"}, []),
        ({"status": "FAILED"}, [2, 1]),
        ({"dataset": "orders", "status": "FAILED"}, [1]),
        ({"dataset": "(none)"}, []),
    ],
)
def test_jobs_of_a_dataset_or_in_a_status(
    client: Client, ports: MemoryPorts, query: dict[str, Any], minutes: list[int]
):
    for minute in range(1, 6):
        dataset = "orders" if minute % 2 else "flights"
        add(ports, minute, dataset, Status.FAILED if minute <= 2 else Status.RECEIVED)
    found = get(client, "/jobs", **query).json_body["jobs"]
    assert [job["received_at"] for job in found] == [f"2026-03-01T12:{minute:02}:00.000Z" for minute in minutes]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages_follow_one_another_to_the_end(client: Client, ports: MemoryPorts, limit: int):
    expected = [add(ports, minute).job_id for minute in range(7, 0, -1)]
    found: list[str] = []
    query: dict[str, Any] = {"limit": limit, "dataset": "orders"}
    while True:
        page = get(client, "/jobs", **query).json_body
        assert len(page["jobs"]) <= limit
        found += [job["job_id"] for job in page["jobs"]]
        if page["cursor"] is None:
            break
        query["cursor"] = page["cursor"]
    assert found == expected


@pytest.mark.parametrize(
    "query, parameter",
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "1e1"}, "limit"),
        ({"limit": "٣"}, "limit"),
        ({"limit": "1000000000000000000000"}, "limit"),
        ({"limit": ""}, "limit"),
        ({"limit": ["1", "2"]}, "limit"),
        ({"status": "failed"}, "status"),
        ({"status": "DONE"}, "status"),
        ({"dataset": "../orders"}, "dataset"),
        ({"dataset": "two words"}, "dataset"),
        ({"dataset": "x" * 65}, "dataset"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"page": "2"}, "page"),
        ({"Dataset": "orders"}, "Dataset"),
    ],
    ids=str,
)
def test_a_bad_query_is_told_by_the_parameters_name(client: Client, query: dict[str, Any], parameter: str):
    answer = get(client, "/jobs", **query)
    assert answer.status_code == 400
    assert answer.json_body.keys() == {"code", "message"}
    assert answer.json_body["code"] == ("bad-cursor" if parameter == "cursor" else "bad-query")
    assert answer.json_body["message"].startswith(f"{parameter}: ")


def test_a_cursor_belongs_to_its_query(client: Client, ports: MemoryPorts):
    for minute in range(3):
        add(ports, minute)
    cursor = get(client, "/jobs", limit=1).json_body["cursor"]
    assert get(client, "/jobs", limit=1, cursor=cursor, status="FAILED").status_code == 400


# One job.


def test_a_job_by_its_id(client: Client, ports: MemoryPorts):
    job = add(ports, 1)
    answer = get(client, f"/jobs/{job.job_id}")
    assert (answer.status_code, answer.json_body) == (200, job.to_json())


@pytest.mark.parametrize("job_id", ["orders-0", "..", "%2e%2e", quote("a b"), quote("été"), "x" * 300])
def test_an_unknown_job(client: Client, job_id: str):
    answer = get(client, f"/jobs/{job_id}")
    assert answer.status_code == 404
    assert answer.json_body == {"code": "job-not-found", "message": "there is no job of this id"}


def test_a_job_takes_no_parameters(client: Client, ports: MemoryPorts):
    answer = get(client, f"/jobs/{add(ports, 1).job_id}", verbose="1")
    assert answer.status_code == 400
    assert answer.json_body["message"].startswith("verbose: ")


def processing(ports: MemoryPorts, planned: int = 8) -> Job:
    job = add(ports, 1, status=Status.PROCESSING)
    return ports.jobs.add(job.with_(execution=execution_arn("e1"), chunks=Chunks(planned, 0, 0)))


@pytest.mark.parametrize(
    "planned, progress, chunks",
    [
        (8, MapProgress(8, 3, 4, 0), {"planned": 8, "done": 3, "repaired": 0}),
        (8, MapProgress(8, 8, 0, 0), {"planned": 8, "done": 8, "repaired": 0}),
        (0, MapProgress(8, 3, 4, 0), {"planned": 8, "done": 3, "repaired": 0}),
        (8, MapProgress(2, 0, 2, 0), {"planned": 8, "done": 6, "repaired": 0}),
        (8, MapProgress(2, 1, 0, 1), {"planned": 8, "done": 7, "repaired": 0}),
        (2, MapProgress(8, 1, 0, 0), {"planned": 2, "done": 0, "repaired": 0}),
        (8, None, {"planned": 8, "done": 0, "repaired": 0}),
    ],
    ids=["running", "all done", "no plan yet", "a repair begins", "a repair runs", "more than planned", "not begun"],
)
def test_progress_is_live_while_processing(
    client: Client, ports: MemoryPorts, planned: int, progress: MapProgress | None, chunks: dict[str, int]
):
    job = processing(ports, planned)
    ports.executions.running = progress
    assert get(client, f"/jobs/{job.job_id}").json_body["chunks"] == chunks


def test_progress_that_is_not_to_be_had_does_not_hide_the_job(client: Client, ports: MemoryPorts):
    job = processing(ports)
    ports.executions.running = Transient("aws-unavailable", "throttled")
    answer = get(client, f"/jobs/{job.job_id}")
    assert (answer.status_code, answer.json_body) == (200, job.to_json())


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.PROCESSING])
def test_other_jobs_are_answered_from_the_record_alone(client: Client, ports: MemoryPorts, status: Status):
    job = ports.jobs.add(add(ports, 1, status=status).with_(execution=execution_arn("e1"), chunks=Chunks(8, 5, 0)))
    ports.executions.running = MapProgress(8, 1, 0, 0)
    assert get(client, f"/jobs/{job.job_id}").json_body["chunks"]["done"] == 5


# The documentation.

DOCUMENTATION = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


def test_the_documented_record_is_the_record():
    documented = json.loads(DOCUMENTATION.partition("## GET /jobs/{job_id}")[2].split("```")[1].removeprefix("json"))
    assert Job.from_json(documented).to_json() == documented


def test_the_documentation_names_every_route_status_and_parameter():
    routes = {f"`{method} {path}`" for path, methods in app.app.routes.items() for method in methods}
    named = {*routes, *(f"`{status}`" for status in Status), *(f"`{p}`" for p in ("dataset", "limit", "cursor"))}
    assert {name for name in named if name not in DOCUMENTATION} == set()


# What goes wrong behind it.


def test_trouble_that_passes_asks_to_come_again(client: Client, ports: MemoryPorts):
    ports.jobs.broken.add("orders-0")
    answer = get(client, "/jobs/orders-0")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    assert answer.json_body == {"code": "throttled", "message": "the table is throttled"}


@pytest.mark.parametrize(
    "error, body",
    [
        (Terminal("access-denied", "dynamodb:GetItem is not allowed"), "access-denied"),
        (RuntimeError("the secret of the machine"), "internal-server-error"),
    ],
    ids=["ours", "unexpected"],
)
def test_our_own_faults_are_500_and_logged(
    client: Client, ports: MemoryPorts, monkeypatch: pytest.MonkeyPatch, error: Exception, body: str
):
    def broken(job_id: str) -> Job | None:
        raise error

    monkeypatch.setattr(ports.jobs, "get", broken)
    answer = get(client, "/jobs/orders-0")
    assert answer.status_code == 500
    assert answer.json_body["code"] == body
    assert b"secret" not in answer.body


def test_chalices_own_errors_speak_our_words(client: Client):
    answer = client.http.post("/jobs", headers=BEARER)
    assert answer.status_code == 405
    assert answer.json_body == {"code": "method-not-allowed", "message": "Unsupported method: POST"}
    answer = client.http.get("/jobs", headers=BEARER | {"Content-Type": "text/csv"})
    assert answer.status_code == 415
    assert answer.json_body["code"] == "unsupported-media-type"


@pytest.mark.parametrize(
    "name, status_code",
    [("api-jobs", 200), ("api-job-unknown", 404), ("api-health", 200)],
    ids=lambda value: str(value),
)
def test_api_gateways_own_events(client: Client, name: str, status_code: int):
    answer = app.app(event(name), None)
    assert answer["statusCode"] == status_code
    assert answer["headers"]["Content-Type"] == "application/json"


# Logs.


@pytest.mark.parametrize(
    "path, route, status_code, job_id",
    [
        ("/jobs", "/jobs", 200, None),
        ("/jobs/orders-0a98506ec5f4f8734f10", "/jobs/{job_id}", 404, "orders-0a98506ec5f4f8734f10"),
        ("/jobs/No%20job's%20id", "/jobs/{job_id}", 404, None),
        ("/health", "/health", 200, None),
    ],
)
def test_a_requests_lines_carry_its_keys(
    token: FixedToken, path: str, route: str, status_code: int, job_id: str | None
) -> None:
    with witness.listening() as seen, Client(app.app) as client:
        assert get(client, path, BEARER).status_code == status_code
    lines = [line for line in seen.lines if line["function"] == "api"]
    assert [line["message"] for line in lines] == ["started", "answered", "ended"]
    assert (lines[1]["route"], lines[1]["status_code"]) == (route, status_code)
    for line in lines:
        assert {"cold_start", "request_id"} <= line.keys()
        assert line.get("job_id") == job_id


@pytest.mark.parametrize("given, told", [(TOKEN, []), ("another", ["API access refused"])])
def test_the_authorizers_lines_carry_its_keys_and_no_token(token: FixedToken, given: str, told: list[str]) -> None:
    context = LambdaContext("authorize", 256, 10_000)
    with witness.listening() as seen:
        app.authorize({**event("authorizer"), "authorizationToken": f"Bearer {given}"}, context)
    assert [line["message"] for line in seen.lines] == ["started", *told, "ended"]
    for line in seen.lines:
        assert (line["function"], line["request_id"]) == ("authorize", context.aws_request_id)
        assert "cold_start" in line
    assert given not in seen.output.getvalue()


def test_an_unexpected_fault_of_a_route_is_logged_and_answered(
    token: FixedToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: Any) -> None:
        raise KeyError("x")

    monkeypatch.setattr(api, "list_jobs", fault)
    with witness.listening() as seen, Client(app.app) as client:
        assert get(client, "/jobs", BEARER).status_code == 500
    (fault_line,) = [line for line in seen.lines if line["level"] == "ERROR"]  # Chalice's own, inside our keys
    assert (fault_line["function"], fault_line["exception_name"]) == ("api", "KeyError")
    assert [line["status_code"] for line in seen.lines if line["message"] == "answered"] == [500]


# A failed job once more.


def post(client: Client, path: str, headers: dict[str, str] | None = None) -> HTTPResponse:
    return client.http.post(path, headers=BEARER if headers is None else headers)


def failed(ports: MemoryPorts) -> Job:
    job = add(ports, 1)
    assert ports.jobs.fail(job.job_id, None, Failure("throttled", "too many"), "2026-03-01T13:00:00.000Z")
    return ports.jobs.records[job.job_id]


def test_a_failed_job_is_retried(client: Client, ports: MemoryPorts):
    job = failed(ports)
    for _ in range(2):  # asked twice, it is one attempt
        answer = post(client, f"/jobs/{job.job_id}/retry")
        assert answer.status_code == 202
        assert answer.json_body == ports.jobs.records[job.job_id].to_json()
        assert (answer.json_body["status"], answer.json_body["attempt"], answer.json_body["error"]) == (
            "RECEIVED",
            2,
            None,
        )
    assert ports.executions.started == [job.source]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json"])
def test_a_retry_needs_no_body_and_no_type_of_one(client: Client, ports: MemoryPorts, content_type: str):
    job = failed(ports)
    assert post(client, f"/jobs/{job.job_id}/retry", {**BEARER, "Content-Type": content_type}).status_code == 202


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.FAILED])
def test_what_has_not_failed_is_not_retried(client: Client, ports: MemoryPorts, status: Status):
    job = add(ports, 1, status=status)
    answer = post(client, f"/jobs/{job.job_id}/retry")
    assert answer.status_code == 409
    assert answer.json_body["code"] == "job-not-failed"
    assert str(status) in answer.json_body["message"]
    assert ports.executions.started == []


@pytest.mark.parametrize("headers, status_code", [({}, 401), ({"Authorization": "Bearer x"}, 403)])
def test_strangers_retry_nothing(client: Client, ports: MemoryPorts, headers: dict[str, str], status_code: int):
    job = failed(ports)
    assert post(client, f"/jobs/{job.job_id}/retry", headers).status_code == status_code
    assert ports.jobs.records[job.job_id] == job


def test_a_retry_of_nothing_and_with_anything_more_is_refused(client: Client, ports: MemoryPorts):
    assert post(client, "/jobs/orders-0/retry").status_code == 404
    assert post(client, f"/jobs/{failed(ports).job_id}/retry?force=1").status_code == 400
    assert get(client, f"/jobs/{failed(ports).job_id}/retry").status_code == 405


# What protects the API.


def test_a_rotated_token_counts_after_two_minutes_at_the_most():
    """API Gateway keeps the authorizer's answer, and the authorizer the parameter."""
    from chalicelib.aws.secrets import CACHED_SECONDS

    (authorizer,) = app.app.builtin_auth_handlers
    assert authorizer.ttl_seconds == api.AUTHORIZATION_TTL_SECONDS
    assert api.AUTHORIZATION_TTL_SECONDS + CACHED_SECONDS <= 120
    assert "two\nminutes at the most" in DOCUMENTATION


def test_the_token_is_compared_in_constant_time(client: Client, monkeypatch: pytest.MonkeyPatch):
    compared = []

    def compare_digest(given: bytes, expected: bytes) -> bool:
        compared.append((given, expected))
        return given == expected

    monkeypatch.setattr("chalicelib.api.hmac.compare_digest", compare_digest)
    assert get(client, "/jobs", {"Authorization": "Bearer x"}).status_code == 403
    assert get(client, "/jobs").status_code == 200
    assert compared == [(b"x", TOKEN.encode()), (TOKEN.encode(), TOKEN.encode())]
