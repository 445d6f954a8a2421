"""The map: which handlers there are, what each is called with, and how light it is to import."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from chalice.app import CloudWatchEventConfig, S3EventConfig, ScheduledEventConfig, ScheduleExpression
from chalice.deploy.validate import validate_routes
from chalice.test import Client

import app
import chalicelib
from chalicelib import handlers, telemetry, wiring
from chalicelib.engine.plan import Task
from chalicelib.errors import InvalidContract, SluiceError, Terminal, Transient, from_text
from chalicelib.model import JSON, source_from_event
from chalicelib.settings import from_environment
from chalicelib.version import VERSION
from tests.events import event
from tests.fakes import MemoryPorts

ROOT = Path(__file__).parents[2]
WORKFLOW = ["validate-data", "process-chunk", "aggregate-data", "store-results", "record-failure", "notify"]
TRIGGERS = ["on-upload", "on-contract", "on-execution-status", "sweep"]
SETTINGS = from_environment({})


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> MemoryPorts:
    memory = MemoryPorts()
    monkeypatch.setattr(wiring, "ports", lambda: memory)
    return memory


# The map.


def test_every_function_of_the_system_is_here_and_no_other():
    functions = [function.name for function in app.app.pure_lambda_functions]
    assert functions == WORKFLOW
    assert [source.name for source in app.app.event_sources] == TRIGGERS
    assert [authorizer.name for authorizer in app.app.builtin_auth_handlers] == ["authorize"]
    assert {(path, method) for path, methods in app.app.routes.items() for method in methods} == {
        ("/jobs", "GET"),
        ("/jobs/{job_id}", "GET"),
        ("/jobs/{job_id}/retry", "POST"),
        ("/health", "GET"),
    }
    validate_routes(app.app.routes)


def test_lambda_finds_every_handler_where_chalice_says_it_is():
    """Chalice tells Lambda ``app.<name of the function>``: a wrapper has to keep the name."""
    registered: list[Any] = [*app.app.pure_lambda_functions, *app.app.event_sources, *app.app.builtin_auth_handlers]
    for handler in registered:
        module, _, name = handler.handler_string.partition(".")
        assert module == "app"
        assert getattr(app, name) is app.app.handler_map[handler.name]


def test_events_come_from_where_the_system_says():
    sources = {source.name: source for source in app.app.event_sources}
    upload: Any = sources["on-upload"]
    contract: Any = sources["on-contract"]
    assert {type(upload), type(contract)} == {S3EventConfig}
    created = ["s3:ObjectCreated:*"]
    assert (upload.bucket, upload.prefix, upload.suffix, upload.events) == (
        SETTINGS.inbox_bucket,
        "incoming/",
        None,
        created,
    )
    assert (contract.bucket, contract.prefix, contract.suffix, contract.events) == (
        SETTINGS.inbox_bucket,
        "contracts/",
        ".json",
        created,
    )
    status, sweep = sources["on-execution-status"], sources["sweep"]
    assert isinstance(status, CloudWatchEventConfig)
    assert status.event_pattern["detail"]["stateMachineArn"] == [SETTINGS.state_machine_arn]
    assert isinstance(sweep, ScheduledEventConfig)
    assert isinstance(sweep.schedule_expression, ScheduleExpression)
    assert sweep.schedule_expression.to_string() == "rate(5 minutes)"


def test_both_s3_handlers_of_one_bucket_stay_wired():
    """Chalice reads the bucket's notifications, replaces those of the same function, and keeps all others."""
    from chalice.awsclient import TypedAWSClient

    merge: Any = TypedAWSClient._merge_s3_notification_config
    uploads, contracts = ({"LambdaFunctionArn": f"arn:{name}", "Events": []} for name in ("on-upload", "on-contract"))
    both: list[dict[str, Any]] = []
    for config in (uploads, contracts, uploads, contracts):
        both = merge(None, both, config)
    assert both == [uploads, contracts]


HEAVY = ("pandas", "pyarrow", "numpy", "boto3")
LIGHT = {
    "app": "import app",
    "what on-contract imports": "import app; from chalicelib.engine import contract",
}


@pytest.mark.parametrize("statement", LIGHT.values(), ids=LIGHT)
def test_light_functions_import_nothing_heavy(statement: str):
    """They are deployed without the layer: pandas, pyarrow and numpy are not there. boto3 waits for its first use."""
    script = f"{statement}; import sys, json; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == ""
    assert json.loads(done.stdout) == []


def test_the_version_is_the_projects():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


# Through Chalice, with whole events.


@pytest.mark.parametrize(
    "function, name, answer",
    [
        ("on-upload", "s3-upload", {"registered": [source_from_event(event("eventbridge-upload")).job_id]}),
        ("on-upload", "s3-folder-marker", {"registered": []}),
        ("on-contract", "s3-contract-no-dataset", {"refused": ["contracts/orders/v2.json"]}),
        (
            "on-execution-status",
            "execution-aborted",
            {"job_id": source_from_event(event("eventbridge-upload")).job_id, "failed": True},
        ),
        ("sweep", "schedule", {"started": 0, "ended": 0, "stuck": 0, "found": 0}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_events_reach_their_triggers(ports: MemoryPorts, function: str, name: str, answer: JSON):
    with Client(app.app) as client:
        assert client.lambda_.invoke(function, event(name)).payload == answer


def test_notify_is_reached(ports: MemoryPorts):
    with Client(app.app) as client, pytest.raises(Terminal, match="job-not-found"):
        client.lambda_.invoke("notify", {"job_id": "orders-0"})


@pytest.mark.parametrize("name", WORKFLOW[:4])
def test_each_workflow_function_calls_its_own_step(ports: MemoryPorts, monkeypatch: pytest.MonkeyPatch, name: str):
    calls: list[tuple[Any, ...]] = []

    def step(*given: Any) -> JSON:
        calls.append(given)
        return {"from": name}

    steps = ModuleType("chalicelib.steps")  # the real one imports pandas; its signatures are mypy's to check
    setattr(steps, name.replace("-", "_"), step)
    monkeypatch.setitem(sys.modules, "chalicelib.steps", steps)
    monkeypatch.setattr(chalicelib, "steps", steps, raising=False)
    with Client(app.app) as client:
        assert client.lambda_.invoke(name, {"task": {}}).payload == {"from": name}
    assert calls == [(ports, wiring.settings(), {"task": {}})]


def test_record_failure_is_reached(ports: MemoryPorts):
    payload = {"execution": "arn:1", "event": event("eventbridge-upload"), "failure": {"Error": "States.Timeout"}}
    job_id = source_from_event(event("eventbridge-upload")).job_id
    with Client(app.app) as client:
        assert client.lambda_.invoke("record-failure", payload).payload["job_id"] == job_id
    failed = ports.jobs.get(job_id)
    assert failed is not None
    assert failed.error is not None
    assert failed.error.code == "timed-out"


# Errors, as Step Functions has to see them.


class Subclassed(Transient):
    pass


@pytest.mark.parametrize(
    "raised, name, message",
    [
        (Terminal("not-csv", "it is a PNG"), "Terminal", "not-csv: it is a PNG"),
        (Transient("short-read", "9 of 10 bytes"), "Transient", "short-read: 9 of 10 bytes"),
        (Subclassed("short-read", "9 of 10 bytes"), "Transient", "short-read: 9 of 10 bytes"),
        (
            InvalidContract("schema.fields[2].type", "no such type"),
            "Terminal",
            "invalid-contract: schema.fields[2].type: no such type",
        ),
        (SluiceError("odd", "neither"), "Terminal", "odd: neither"),
        (
            ZeroDivisionError("division by zero"),
            "Terminal",
            "internal-error: ZeroDivisionError in handlers.py, line {line}: the function's log has the rest",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_errors_leave_under_the_names_that_the_workflow_lists(
    ports: MemoryPorts, raised: Exception, name: str, message: str
):
    @handlers.step
    def failing(ports: Any, settings: Any, payload: JSON) -> JSON:
        raise raised

    with pytest.raises((SluiceError, ZeroDivisionError)) as caught:
        failing({}, None)
    assert type(caught.value).__name__ == name
    assert re.sub("line [0-9]+", "line {line}", str(caught.value)) == message


@pytest.mark.parametrize("character", ["x", "\u00e9", "\U0001f600", '"'], ids=ascii)
def test_a_message_leaves_room_for_the_rest_of_its_cause(ports: MemoryPorts, character: str):
    """Step Functions cuts a cause at 32,768 characters; what is left is no JSON."""

    @handlers.step
    def failing(ports: Any, settings: Any, payload: JSON) -> JSON:
        raise Terminal("header-mismatch", character * 100_000)

    with pytest.raises(Terminal) as caught:
        failing({}, None)
    code, message = from_text(str(caught.value))
    assert code == "header-mismatch"
    assert message.startswith(character * 400)
    assert message.endswith("(cut; the log of the function has the rest)")
    assert len(json.dumps(message)) < 8_200


# Logs.


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every line that is logged, as it would be read in CloudWatch."""
    found: list[dict[str, Any]] = []
    (handler,) = logging.getLogger("sluice").handlers

    def emit(record: logging.LogRecord) -> None:
        found.append(json.loads(handler.format(record)))

    monkeypatch.setattr(handler, "emit", emit)
    return found


@pytest.mark.parametrize(
    "payload, keys",
    [
        (
            {"event": event("eventbridge-upload"), "execution": "arn"},
            {"job_id": source_from_event(event("eventbridge-upload")).job_id, "dataset": "orders"},
        ),
        (
            {"job": {"job_id": "orders-1", "dataset": "orders", "round": {}}},
            {"job_id": "orders-1", "dataset": "orders"},
        ),
        (
            {"task": Task("work/orders-1/plan.json", 2, "process", 7, 0, 9).to_json(), "job_id": "orders-1"},
            {"job_id": "orders-1", "chunk": 7, "round": 2},
        ),
        ({"job_id": "orders-1"}, {"job_id": "orders-1"}),
        ({"event": {"detail": 3}, "job": None}, {}),
        ({}, {}),
    ],
    ids=["event", "job", "task", "job_id", "odd", "empty"],
)
def test_every_line_names_what_it_is_about(
    ports: MemoryPorts, lines: list[dict[str, Any]], payload: JSON, keys: dict[str, Any]
):
    @handlers.step
    def working(ports: Any, settings: Any, payload: JSON) -> JSON:
        telemetry.logger.info("at work")
        return {}

    working(payload, SimpleNamespace(aws_request_id="r-1"))
    telemetry.logger.info("elsewhere")
    assert [line["message"] for line in lines] == ["started", "at work", "ended", "elsewhere"]
    for line in lines[:3]:
        assert {"function": "working", "request_id": "r-1", **keys}.items() <= line.items()
        assert "cold_start" in line
    assert lines[2]["seconds"] >= 0
    assert not {"function", "request_id", "job_id"} & lines[3].keys()


def test_a_process_is_cold_once(ports: MemoryPorts, lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(telemetry, "_process", {"cold": True})
    for _ in range(3):
        with telemetry.invocation("f", None, {}):
            pass
    assert [line["cold_start"] for line in lines if line["message"] == "started"] == [True, False, False]


def test_an_unexpected_exception_is_logged_by_its_way_through_the_code_and_without_its_text(
    ports: MemoryPorts, lines: list[dict[str, Any]]
):
    def read(cell: str) -> float:
        try:
            return float(cell)
        except ValueError as error:
            raise KeyError(cell) from error

    with pytest.raises(KeyError), telemetry.invocation("f", None, {"job_id": "orders-1"}):
        read("Ada Lovelace")
    assert lines[-1]["level"] == "ERROR"
    assert lines[-1]["kind"] == "KeyError"
    assert "in read\nValueError\n" in lines[-1]["frames"]
    assert lines[-1]["frames"].endswith("in read\nKeyError")
    assert lines[-1]["job_id"] == "orders-1"
    assert "Ada" not in json.dumps(lines)


def test_our_own_errors_are_logged_by_code(ports: MemoryPorts, lines: list[dict[str, Any]]):
    with pytest.raises(Terminal), telemetry.invocation("f", None, {}):
        raise Terminal("not-csv", "it is a PNG")
    assert lines[-1]["level"] == "WARNING"
    assert (lines[-1]["code"], lines[-1]["reason"]) == ("not-csv", "it is a PNG")
    assert "exception" not in lines[-1]


# Wiring.


def test_ports_are_made_once_and_only_when_used(monkeypatch: pytest.MonkeyPatch):
    made = wiring.AwsPorts(SETTINGS)
    assert set(vars(made)) == {"_settings"}
    assert made.jobs is made.jobs
    assert set(vars(made)) == {"_settings", "jobs"}
    assert made.clock().tzinfo is not None
    for port in ("objects", "executions", "notices"):
        assert getattr(made, port) is getattr(made, port)


def test_the_process_has_one_set_of_ports():
    assert wiring.ports() is wiring.ports()
    assert wiring.api_token() is wiring.api_token()
