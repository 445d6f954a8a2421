"""Waiting for CloudFormation and for deleted resources, where AWS looks done for a moment before it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from ops.cloudformation import change_sets, stacks
from ops.cloudformation.change_sets import Change, Stack
from ops.stage import leftovers
from ops.target import OperatorError, Target

AWS = Target("test", "us-east-1")
EMULATOR = Target(
    "test", "us-east-1", "http://127.0.0.1:1", {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
)


ON_AWS = Target("test", "us-east-1", None, EMULATOR.credentials)
AWS_CLOUDFORMATION = ON_AWS.cloudformation


def following(*answers: Any) -> Any:
    """Gives each answer once, and then the last one for ever."""
    rest: Iterator[Any] = iter(answers)
    return lambda *_: next(rest, answers[-1])


def test_a_stack_between_import_and_creation_is_not_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_sets, "is_executing", following(True, True, True, False))
    statuses = following("IMPORT_IN_PROGRESS", "IMPORT_COMPLETE", "CREATE_IN_PROGRESS", "CREATE_COMPLETE")
    monkeypatch.setattr(stacks, "_status", statuses)
    monkeypatch.setattr(stacks, "_events", lambda *_: [])
    assert stacks._wait(EMULATOR, "stack", lambda _: None, set(), "change-set") == ("CREATE_COMPLETE", [])


def test_a_stack_that_only_adopted_what_was_there_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "describe", lambda *_: None)
    changes = (Change("Import", "InboxBucket", "AWS::S3::Bucket"),)
    monkeypatch.setattr(change_sets, "create", lambda *_: ("change-set", changes))
    monkeypatch.setattr(stacks, "_events", lambda *_: [])
    monkeypatch.setattr(stacks, "_wait", lambda *_: ("IMPORT_COMPLETE", []))
    monkeypatch.setattr(EMULATOR.cloudformation, "execute_change_set", lambda **_: None)
    stack = Stack("stack", Path("never-read.yaml"))
    assert stacks.apply(EMULATOR, stack, lambda _: None) == changes


EARLY = (
    "The following hook(s)/validation failed: [AWS::EarlyValidation::ResourceExistenceCheck]. "
    "To troubleshoot Early Validation errors, use the DescribeEvents API for detailed failure information."
)


@pytest.fixture
def failed_change_set() -> Iterator[Stubber]:
    """A change set that CloudFormation's validation before the deployment has refused."""
    with Stubber(AWS_CLOUDFORMATION) as stubber:
        described = {"Status": "FAILED", "StatusReason": EARLY, "StackName": "stack", "Changes": []}
        stubber.add_response("describe_change_set", described, {"ChangeSetName": "change-set"})
        yield stubber
        stubber.assert_no_pending_responses()


def test_what_made_a_change_set_fail_is_told(failed_change_set: Stubber) -> None:
    """The reason names the kind of check alone, and the events cannot be asked for once the placeholder is deleted."""
    refused = {
        "EventId": "1",
        "EventType": "VALIDATION_ERROR",
        "LogicalResourceId": "DeadLetterQueue",
        "ResourceType": "AWS::SQS::Queue",
        "ValidationFailureMode": "FAIL",
        "ValidationStatusReason": "Resource of type 'AWS::SQS::Queue' already exists.",
    }
    warned = refused | {"EventId": "2", "ValidationFailureMode": "WARN", "ValidationStatusReason": "near a quota"}
    asked = {"ChangeSetName": "change-set", "Filters": {"FailedEvents": True}}
    failed_change_set.add_response("describe_events", {"OperationEvents": [warned, refused]}, asked)
    with pytest.raises(OperatorError) as told:
        change_sets._changes(ON_AWS, "change-set")
    assert str(told.value) == (
        f"stack: {EARLY}\n  DeadLetterQueue (AWS::SQS::Queue): Resource of type 'AWS::SQS::Queue' already exists."
    )


def test_where_the_events_may_not_be_read_the_reason_stands(failed_change_set: Stubber) -> None:
    failed_change_set.add_client_error("describe_events", "AccessDenied", "not authorized")
    with pytest.raises(OperatorError, match=r"(?s)^stack: The following .* more is not known: .*AccessDenied"):
        change_sets._changes(ON_AWS, "change-set")


def test_what_aws_still_lists_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_POLL_SECONDS", 0)
    monkeypatch.setattr(leftovers, "find", following(["table: jobs", "role: late"], ["table: jobs"], ["never asked"]))
    assert leftovers.settled(AWS, ["table: jobs"]) == ["table: jobs"]


def test_what_stays_is_told_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "SETTLING_SECONDS", 0.05)
    monkeypatch.setattr(leftovers, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(leftovers, "find", lambda _: ["role: forgotten"])
    assert leftovers.settled(AWS, []) == ["role: forgotten"]


def test_the_emulator_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "find", following(["role: forgotten"], []))
    assert leftovers.settled(EMULATOR, []) == ["role: forgotten"]
