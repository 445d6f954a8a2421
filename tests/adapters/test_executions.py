"""The workflow's runs, against Step Functions' documented answers (moto runs no Map)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from chalicelib.aws.executions import StepFunctionsExecutions
from chalicelib.errors import Terminal, Transient
from chalicelib.model import source_from_event
from chalicelib.ports import MapProgress
from tests.adapters.support import source

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:sluice-dev"
SOURCE = source("incoming/orders/Größe +1%.csv")
EXECUTION = f"arn:aws:states:us-east-1:123456789012:execution:sluice-dev:{SOURCE.job_id}"
AT = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def states() -> Iterator[Stubber]:
    stubber = Stubber(boto3.client("stepfunctions"))
    with stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def executions(states: Stubber) -> StepFunctionsExecutions:
    client: Any = states.client
    return StepFunctionsExecutions(MACHINE, client)


def test_an_execution_is_named_by_its_job_and_gets_its_event(
    executions: StepFunctionsExecutions, states: Stubber
) -> None:
    sent: list[dict[str, Any]] = []
    states.client.meta.events.register(
        "provide-client-params.sfn.StartExecution", lambda params, **_: sent.append(params)
    )
    states.add_response("start_execution", {"executionArn": EXECUTION, "startDate": AT})
    assert executions.start(SOURCE) == EXECUTION
    assert (sent[0]["stateMachineArn"], sent[0]["name"]) == (MACHINE, SOURCE.job_id)
    assert source_from_event(json.loads(sent[0]["input"])) == SOURCE


def test_an_attempt_has_an_execution_of_its_own(executions: StepFunctionsExecutions, states: Stubber) -> None:
    states.add_client_error("start_execution", "ExecutionAlreadyExists", http_status_code=400)
    assert executions.start(SOURCE, 2) == f"{EXECUTION}-2" == executions.arn(SOURCE.job_id, 2)
    assert executions.arn(SOURCE.job_id, 1) == EXECUTION


def test_starting_what_exists_is_success(executions: StepFunctionsExecutions, states: Stubber) -> None:
    states.add_client_error("start_execution", "ExecutionAlreadyExists", http_status_code=400)
    assert executions.start(SOURCE) == EXECUTION


@pytest.mark.parametrize(
    "code,kind",
    [
        ("ThrottlingException", Transient),
        ("ExecutionLimitExceeded", Transient),
        ("StateMachineDoesNotExist", Terminal),
        ("AccessDeniedException", Terminal),
    ],
)
def test_a_start_that_fails_says_whether_to_try_again(
    executions: StepFunctionsExecutions, states: Stubber, code: str, kind: type[Exception]
) -> None:
    states.add_client_error("start_execution", code, http_status_code=400)
    with pytest.raises(kind, match="states:StartExecution"):
        executions.start(SOURCE)


@pytest.mark.parametrize(
    "answer,status",
    [
        *[(name, name) for name in ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")],
        ("PENDING_REDRIVE", "RUNNING"),
    ],
)
def test_status(executions: StepFunctionsExecutions, states: Stubber, answer: str, status: str) -> None:
    described = {"executionArn": EXECUTION, "stateMachineArn": MACHINE, "startDate": AT, "status": answer}
    states.add_response("describe_execution", described, {"executionArn": EXECUTION})
    assert executions.status(EXECUTION) == status


def test_status_of_none(executions: StepFunctionsExecutions, states: Stubber) -> None:
    states.add_client_error("describe_execution", "ExecutionDoesNotExist")
    assert executions.status(EXECUTION) is None


def run(number: int) -> dict[str, Any]:
    return {
        "executionArn": EXECUTION,
        "mapRunArn": f"arn:aws:states:us-east-1:123456789012:mapRun:sluice-dev/ProcessData:{number}",
        "stateMachineArn": MACHINE,
        "startDate": AT.replace(minute=number),
    }


def counts(**given: int) -> dict[str, int]:
    names = ["pending", "running", "succeeded", "failed", "timedOut", "aborted", "total", "resultsWritten"]
    return dict.fromkeys(names, 0) | given


def test_progress_is_that_of_the_newest_map_run(executions: StepFunctionsExecutions, states: Stubber) -> None:
    states.add_response("list_map_runs", {"mapRuns": [run(1), run(3)], "nextToken": "more"})
    states.add_response("list_map_runs", {"mapRuns": [run(2)]})
    described = {
        "mapRunArn": run(3)["mapRunArn"],
        "executionArn": EXECUTION,
        "status": "RUNNING",
        "startDate": AT,
        "maxConcurrency": 0,
        "toleratedFailurePercentage": 0.0,
        "toleratedFailureCount": 0,
        "itemCounts": counts(total=9, succeeded=3, running=2, failed=1, timedOut=1, aborted=1, pending=1),
        "executionCounts": counts(total=9),
    }
    states.add_response("describe_map_run", described, {"mapRunArn": run(3)["mapRunArn"]})
    assert executions.progress(EXECUTION) == MapProgress(total=9, succeeded=3, running=2, failed=3)


def test_there_is_no_progress_before_the_first_map_run(executions: StepFunctionsExecutions, states: Stubber) -> None:
    states.add_response("list_map_runs", {"mapRuns": []})
    assert executions.progress(EXECUTION) is None
    states.add_client_error("list_map_runs", "ExecutionDoesNotExist")
    assert executions.progress(EXECUTION) is None
    states.add_response("list_map_runs", {"mapRuns": [run(1)]})
    states.add_client_error("describe_map_run", "ResourceNotFound")
    assert executions.progress(EXECUTION) is None


def test_progress_that_is_throttled_is_transient(executions: StepFunctionsExecutions, states: Stubber) -> None:
    states.add_client_error("list_map_runs", "ThrottlingException")
    with pytest.raises(Transient, match="states:ListMapRuns"):
        executions.progress(EXECUTION)
