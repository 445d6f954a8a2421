"""statemachine.json: complete, retried, bounded in time and size, and matched to its role."""

from __future__ import annotations

import json
import math
import random
import re
import statistics
from dataclasses import dataclass
from typing import Any

import pytest
from cfnlint.api import lint_all

from chalicelib.model import INCOMING_PREFIX, Source, event_from_source
from chalicelib.settings import STATE_PAYLOAD_LIMIT_BYTES
from chalicelib.stages import settling
from ops.chalice import functions
from tests.infrastructure import documents

LAMBDA_SERVICE_ERRORS = {
    # https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
}

THROTTLED = "Lambda.TooManyRequestsException"

EXPRESS_LIMIT_SECONDS = 300
"""https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""

MACHINE = documents.definition()
STATES = dict(documents.states(MACHINE))
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task"}


def test_the_states_are_those_that_users_know() -> None:
    assert [name for name in MACHINE["States"] if STATES[name]["Type"] in ("Task", "Map")] == [
        "ValidateData",
        "ProcessData",
        "AggregateData",
        "StoreResults",
        "NotifySuccess",
        "RecordFailure",
        "NotifyFailure",
    ]


def test_every_substitution_is_defined_and_used() -> None:
    used = set(re.findall(r"\$\{([^}]+)\}", documents.DEFINITION.read_text()))
    assert used == set(documents.substitutions())


def test_the_definition_follows_the_language() -> None:
    """By cfn-lint's rules for the Amazon States Language, which look at a definition inside a template."""
    machine = {"Type": "AWS::StepFunctions::StateMachine"}
    role = "arn:aws:iam::111122223333:role/workflow"
    template = {"Resources": {"Machine": machine | {"Properties": {"RoleArn": role, "Definition": MACHINE}}}}
    # I…: advice about templates as documents, which this one, made only for the linter, need not heed
    assert [str(each) for each in lint_all(json.dumps(template)) if not each.rule.id.startswith("I")] == []


def test_the_linter_would_see_a_fault() -> None:
    broken = json.loads(json.dumps(MACHINE))
    broken["States"]["ValidateData"]["Nxt"] = broken["States"]["ValidateData"].pop("Next")
    properties = {"RoleArn": "arn:aws:iam::111122223333:role/workflow", "Definition": broken}
    template = {"Resources": {"Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}}}
    assert "E3601" in {each.rule.id for each in lint_all(json.dumps(template))}


def test_every_transition_leads_to_a_state_and_every_state_is_reached() -> None:
    for machine in (MACHINE, MACHINE["States"]["ProcessData"]["ItemProcessor"]):
        reached, open_ = set(), [machine["StartAt"]]
        while open_:
            name = open_.pop()
            if name not in reached:
                reached.add(name)
                state = machine["States"][name]
                steps = [state, *state.get("Choices", []), *state.get("Catch", [])]
                open_ += [step[key] for step in steps for key in ("Next", "Default") if key in step]
        assert reached == set(machine["States"])


def test_everything_has_a_timeout() -> None:
    assert MACHINE["TimeoutSeconds"] <= 86_400
    assert [name for name, state in TASKS.items() if "TimeoutSeconds" not in state] == []


@pytest.mark.parametrize("name", TASKS)
def test_a_task_outlasts_its_function(name: str) -> None:
    """So that the function's own timeout is what is seen, and no attempt runs on behind a new one."""
    configured = functions.template()["lambda_functions"][_function(TASKS[name])]
    assert configured["lambda_timeout"] < TASKS[name]["TimeoutSeconds"]


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_retried_by_name_with_backoff_and_jitter(name: str) -> None:
    retries = TASKS[name]["Retry"]
    assert set(retries[0]["ErrorEquals"]) == LAMBDA_SERVICE_ERRORS - {THROTTLED} | {"Transient"}
    assert retries[1]["ErrorEquals"] == [THROTTLED]
    assert {"States.Timeout", "Lambda.Unknown"} <= set(retries[2]["ErrorEquals"])
    named = {error for retry in retries for error in retry["ErrorEquals"]}
    assert not named & {"States.ALL", "States.TaskFailed", "Terminal"}
    for retry in retries:
        assert retry["BackoffRate"] > 1
        assert retry["JitterStrategy"] == "FULL"
        assert retry["MaxAttempts"] >= 1
        assert retry["MaxDelaySeconds"] >= retry["IntervalSeconds"]


def test_two_attempts_of_a_chunk_fit_into_an_express_child() -> None:
    chunk = TASKS["ProcessChunk"]
    timed_out = next(retry for retry in chunk["Retry"] if "States.Timeout" in retry["ErrorEquals"])
    attempts = 1 + timed_out["MaxAttempts"]
    delays = timed_out["MaxAttempts"] * timed_out["MaxDelaySeconds"]
    assert attempts * chunk["TimeoutSeconds"] + delays <= EXPRESS_LIMIT_SECONDS


@dataclass(frozen=True)
class Wait:
    """What all attempts of a retrier wait together, in seconds. ``JitterStrategy`` FULL draws each delay evenly between
    0 and the computed one: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """

    mean: float
    deviation: float
    most: float

    @classmethod
    def of(cls, retry: dict[str, Any]) -> Wait:
        interval, rate, longest = retry["IntervalSeconds"], retry["BackoffRate"], retry["MaxDelaySeconds"]
        delays = [min(interval * rate**attempt, longest) for attempt in range(retry["MaxAttempts"])]
        assert retry["JitterStrategy"] == "FULL"
        return cls(sum(delays) / 2, math.sqrt(sum(delay**2 for delay in delays) / 12), sum(delays))

    @property
    def likely(self) -> tuple[float, float]:
        """All but 3 of 1,000 waits lie between: a sum of so many draws is all but normal."""
        return self.mean - 3 * self.deviation, self.mean + 3 * self.deviation


def throttled(name: str) -> Wait:
    (retry,) = [retry for retry in TASKS[name]["Retry"] if THROTTLED in retry["ErrorEquals"]]
    assert retry["IntervalSeconds"] >= 3
    return Wait.of(retry)


def test_a_wait_is_half_of_the_delays_on_the_mean() -> None:
    retry = {"IntervalSeconds": 1, "BackoffRate": 2, "MaxDelaySeconds": 3, "MaxAttempts": 4, "JitterStrategy": "FULL"}
    wait = Wait.of(retry)
    assert (wait.most, wait.mean) == (1 + 2 + 3 + 3, 4.5)
    drawn = random.Random(0)
    waits = [sum(drawn.uniform(0, delay) for delay in (1, 2, 3, 3)) for _ in range(20_000)]
    assert statistics.mean(waits) == pytest.approx(wait.mean, rel=0.01)
    assert statistics.stdev(waits) == pytest.approx(wait.deviation, rel=0.02)


@pytest.mark.parametrize("name", TASKS)
def test_a_function_that_is_refused_for_concurrency_is_waited_for_as_long_as_the_runbook_says(name: str) -> None:
    """A new account has ten concurrent executions: every chunk but the first ten is refused at first."""
    said = 120 if name == "ProcessChunk" else 900
    wait = throttled(name)
    assert said <= wait.mean < 1.05 * said
    low, high = (85, 165) if name == "ProcessChunk" else (600, 1_210)
    assert low <= wait.likely[0] < wait.likely[1] <= high
    runbook = (documents.ROOT / "docs" / "runbook.md").read_text()
    assert "two minutes for a chunk and a quarter of an hour for all else on the mean" in " ".join(runbook.split())


def test_a_long_wait_for_a_function_and_one_attempt_fit_into_an_express_child() -> None:
    """After a longer wait, one in 700, an attempt that takes all of its time ends with the child: the chunk fails."""
    assert throttled("ProcessChunk").likely[1] + TASKS["ProcessChunk"]["TimeoutSeconds"] <= EXPRESS_LIMIT_SECONDS


def test_the_longest_waits_of_all_states_fit_into_the_workflow() -> None:
    assert sum(throttled(name).most for name in TASKS if name != "ProcessChunk") < MACHINE["TimeoutSeconds"]


@pytest.mark.parametrize("name", [name for name, state in STATES.items() if state["Type"] == "Fail"])
def test_a_failed_state_needs_nothing_that_may_be_absent(name: str) -> None:
    """A Catch always gives an Error, but States.Timeout comes without a Cause, and a path to nothing is
    States.Runtime: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """
    assert STATES[name]["ErrorPath"] == "$.failure.Error"
    assert "CausePath" not in STATES[name]
    assert STATES[name]["Cause"]


def test_the_map_tolerates_no_failure_and_collects_nothing() -> None:
    state = MACHINE["States"]["ProcessData"]
    assert state["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}
    assert state["ToleratedFailurePercentage"] == 0
    assert state["ResultPath"] is None
    assert isinstance(state["MaxConcurrency"], int)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", state["Label"])


def test_a_chunk_that_finds_no_free_function_is_left_to_another_round_and_tells_nothing() -> None:
    """Files that come together take functions from each other: that is no failure of a chunk, which would fail its job.
    ``AggregateData`` sees by the missing report what is to be done (tests/unit/test_postponed.py).
    """
    assert STATES["ProcessChunk"]["Catch"] == [{"ErrorEquals": [THROTTLED], "Next": "Postponed"}]
    postponed = {key: value for key, value in STATES["Postponed"].items() if key != "Comment"}
    assert postponed == {"Type": "Pass", "Result": {}, "End": True}


def test_a_job_whose_chunks_find_none_is_given_up_no_sooner_than_one_that_waits_for_another_function() -> None:
    idle = settling.MOST_IDLE.total_seconds()
    assert throttled("AggregateData").mean <= 1.05 * idle
    assert idle + 2 * EXPRESS_LIMIT_SECONDS < MACHINE["TimeoutSeconds"]


@pytest.mark.parametrize("name", ["ValidateData", "ProcessData", "AggregateData", "StoreResults"])
def test_a_failure_is_recorded_and_told(name: str) -> None:
    assert [(each["ErrorEquals"], each["Next"]) for each in STATES[name]["Catch"]] == [
        (["States.ALL"], "RecordFailure")
    ]
    assert STATES["RecordFailure"]["Next"] == "NotifyFailure"
    assert STATES["NotifyFailure"]["Next"] == "Failed"
    assert STATES["Failed"]["Type"] == "Fail"


def test_the_largest_payload_stays_far_below_the_limit() -> None:
    """Only references travel. The largest state input: the event of a key of 1,024 bytes, a failure of the longest
    cause that a Lambda error can have, and a timeline of every stage in every round.
    """
    source = Source("b" * 63, INCOMING_PREFIX + "\u00e9" * 507, "v" * 1_024, 5 * 1024**4, "e" * 64)
    failure = {"Error": "E" * 256, "Cause": "c" * 32_768}
    stages = [{"stage": "AggregateData", "start": "2026-11-24T00:00:00.000Z", "end": "2026-11-24T00:00:00.000Z"}] * 64
    job: dict[str, Any] = {"job_id": "j" * 80, "dataset": "d" * 64, "action": "process", "timeline": stages}
    job["round"] = {"number": 9, "bucket": "b" * 63, "key": "k" * 1_024, "chunks": 10_000}
    everything = {"event": event_from_source(source), "failure": failure, "job": job, "execution": "a" * 256}
    assert len(json.dumps(everything).encode()) < STATE_PAYLOAD_LIMIT_BYTES / 2


def test_only_references_travel() -> None:
    """What each task is given, to the letter: a path to rows or to a whole result would be seen here."""
    given = {name: state["Parameters"]["Payload"] for name, state in TASKS.items()}
    job = {"job.$": "$", "execution.$": "$$.Execution.Id"}
    assert given == {
        "ValidateData": {"execution.$": "$$.Execution.Id", "event.$": "$$.Execution.Input"},
        "ProcessChunk": {"task.$": "$.task", "job_id.$": "$.job_id", "dataset.$": "$.dataset"},
        "AggregateData": job,
        "StoreResults": job,
        "NotifySuccess": {"job_id.$": "$.job_id"},
        "RecordFailure": {
            "execution.$": "$$.Execution.Id",
            "event.$": "$$.Execution.Input",
            "failure.$": "$.failure",
        },
        "NotifyFailure": {"job_id.$": "$.recorded.job_id"},
    }


def test_the_role_allows_what_the_definition_does_and_no_more() -> None:
    role = documents.resources(documents.WORKFLOW, "AWS::IAM::Role")["WorkflowRole"]["Properties"]
    allowed = {
        (action, documents.resolve(resource))
        for policy in role["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        for action in documents.listed(statement["Action"])
        for resource in documents.listed(statement["Resource"])
    }
    assert allowed == _needed()


def _needed() -> set[tuple[str, str]]:
    """Derived from the definition, and from the logging and tracing that the template switches on."""
    names = documents.NAMES
    needed: set[tuple[str, str]] = set()
    for state in STATES.values():
        if state["Type"] == "Task":
            assert state["Resource"] == "arn:aws:states:::lambda:invoke"
            needed.add(("lambda:InvokeFunction", state["Parameters"]["FunctionName"]))
        if state["Type"] == "Map":
            assert state["ItemReader"]["Resource"] == "arn:aws:states:::s3:getObject"
            executions = names.arn("states", f"execution:{names.state_machine}")
            needed |= {
                ("s3:GetObject", f"arn:aws:s3:::{names.bucket('results')}/work/*"),
                # https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
                ("states:StartExecution", names.state_machine_arn),
                ("states:DescribeExecution", f"{executions}:*"),
                ("states:StopExecution", f"{executions}:*"),
                # https://docs.aws.amazon.com/step-functions/latest/dg/redrive-map-run.html
                ("states:RedriveExecution", f"{executions}/{state['Label']}:*"),
            }
    machine = documents.resources(documents.WORKFLOW)["Workflow"]["Properties"]
    if machine["LoggingConfiguration"]["Level"] != "OFF":
        # https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
        needed |= {(f"logs:{action}LogDelivery", "*") for action in ("Create", "Get", "Update", "Delete")}
        needed |= {(f"logs:{action}", "*") for action in ("ListLogDeliveries", "PutResourcePolicy")}
        needed |= {(f"logs:{action}", "*") for action in ("DescribeResourcePolicies", "DescribeLogGroups")}
    if machine["TracingConfiguration"]["Enabled"]:
        # https://docs.aws.amazon.com/step-functions/latest/dg/xray-iam.html
        needed |= {(f"xray:{action}", "*") for action in ("PutTraceSegments", "PutTelemetryRecords")}
        needed |= {(f"xray:{action}", "*") for action in ("GetSamplingRules", "GetSamplingTargets")}
    return needed


def _function(state: dict[str, Any]) -> str:
    """The function of a task, as Chalice names it."""
    arn: str = state["Parameters"]["FunctionName"]
    return arn.rpartition(":")[2].removeprefix(f"{documents.NAMES.prefix}-")
