"""CloudFormation: a stack is changed through a change set, watched until it stands, and told about in its own events.

What CloudFormation rolls back it rolls back itself; what it says about the reason becomes the ``OperatorError``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from ops.cloudformation import change_sets
from ops.cloudformation.change_sets import Change, Stack
from ops.target import OperatorError, Target, Tell

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

_PLACEHOLDER: Final = "REVIEW_IN_PROGRESS"
"""The status of a stack that a change set made and that was not created yet: it has no resources."""
_UNUSABLE: Final = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"})
"""A stack that never stood: it cannot be updated, only deleted."""


def plan(target: Target, stack: Stack) -> tuple[Change, ...]:
    """What ``apply`` would change; afterwards everything is as it was."""
    existing = describe(target, stack.name)
    if existing is not None and existing["StackStatus"] in _UNUSABLE:
        status = existing["StackStatus"]
        return (Change("Replace", stack.name, f"{status}: will be deleted and created anew"),)
    change_set, changes = _change_set(target, stack, existing)
    if existing is None:
        _delete_placeholder(target, stack.name)
    else:
        target.cloudformation.delete_change_set(ChangeSetName=change_set)
    return changes


def apply(target: Target, stack: Stack, tell: Tell) -> tuple[Change, ...]:
    """Create or update the stack and wait until it stands. Returns what changed; nothing changed: ``()``.

    Errors: ``OperatorError`` with CloudFormation's reasons; it has rolled back by then.
    """
    existing = describe(target, stack.name)
    if existing is not None and existing["StackStatus"] in _UNUSABLE:
        tell(f"{stack.name} is {existing['StackStatus']}: deleting what is left of it")
        delete(target, stack.name, tell)
        existing = None
    change_set, changes = _change_set(target, stack, existing)
    if not changes:
        target.cloudformation.delete_change_set(ChangeSetName=change_set)
        return ()
    known = {event["EventId"] for event in _events(target, stack.name, set())}
    target.cloudformation.execute_change_set(ChangeSetName=change_set)
    status, reasons = _wait(target, stack.name, tell, known, change_set)
    if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"):
        raise OperatorError(f"{stack.name} is {status}:\n" + "\n".join(f"  {reason}" for reason in reasons))
    return changes


def describe(target: Target, name: str) -> StackTypeDef | None:
    """The stack as it stands; None where there is none (or only a change set's placeholder)."""
    found = find(target, name)
    return None if found is None or found["StackStatus"] == _PLACEHOLDER else found


def find(target: Target, name: str) -> StackTypeDef | None:
    """The stack, be it only the placeholder of a change set that was never executed; None where there is none."""
    try:
        found = target.cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if not _tells_of_no_stack(error):
            raise
        return None
    return None if found[0]["StackStatus"] == "DELETE_COMPLETE" else found[0]


def outputs(target: Target, name: str) -> dict[str, str]:
    """The stack's outputs; ``{}`` where there is no stack."""
    stack = describe(target, name)
    return {} if stack is None else {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}


def parameter(target: Target, name: str, key: str) -> str | None:
    """The value of a stack's parameter; None where there is no stack, or none such."""
    standing = describe(target, name)
    given = [] if standing is None else standing.get("Parameters", [])
    return next((each["ParameterValue"] for each in given if each["ParameterKey"] == key), None)


def resources(target: Target, name: str) -> list[tuple[str, str, str, str]]:
    """(logical name, type, physical id, status) of every resource of a stack; ``[]`` where there is none."""
    if describe(target, name) is None:
        return []
    pages = target.cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
    return [
        (each["LogicalResourceId"], each["ResourceType"], each.get("PhysicalResourceId", ""), each["ResourceStatus"])
        for page in pages
        for each in page["StackResourceSummaries"]
    ]


def delete(target: Target, name: str, tell: Tell) -> bool:
    """Delete the stack and wait until it is gone. False where there was none.

    Errors: ``OperatorError`` naming each resource that could not be deleted.
    """
    stack = find(target, name)
    if stack is None:
        return False
    known = {event["EventId"] for event in _events(target, stack["StackId"], set())}
    target.cloudformation.delete_stack(StackName=name)
    # By its id: a deleted stack can no longer be asked for by its name.
    status, reasons = _wait(target, stack["StackId"], tell, known)
    if status != "DELETE_COMPLETE":
        raise OperatorError(f"{name} is {status}:\n" + "\n".join(f"  {reason}" for reason in reasons))
    return True


def _change_set(target: Target, stack: Stack, existing: StackTypeDef | None) -> tuple[str, tuple[Change, ...]]:
    """As ``change_sets.create``; where it fails, or is interrupted, no empty stack stays behind."""
    try:
        return change_sets.create(target, stack, existing)
    except BaseException:
        if existing is None:
            _delete_placeholder(target, stack.name)
        raise


def _delete_placeholder(target: Target, name: str) -> None:
    """Delete the stack that a change set made, if it is no more than that."""
    found = find(target, name)
    if found is not None and found["StackStatus"] == _PLACEHOLDER:
        target.cloudformation.delete_stack(StackName=name)
        while find(target, name) is not None:
            time.sleep(target.poll_seconds)


def _wait(
    target: Target, name: str, tell: Tell, known: set[str], change_set: str | None = None
) -> tuple[str, list[str]]:
    """Poll until the stack rests, telling each resource that did. Returns its status and the reasons of failures.

    ``known``: ids of the events that are not news. ``change_set``: what is executed; between importing and creating
    resources a stack looks at rest for a moment, though its change set is not done.
    """
    reasons: list[str] = []
    while True:
        executing = change_set is not None and change_sets.is_executing(target, change_set)
        found = _status(target, name)
        for event in _events(target, name, known):
            known.add(event["EventId"])
            status = event.get("ResourceStatus", "")
            if status.endswith("_FAILED"):
                reason = event.get("ResourceStatusReason", "no reason given")
                reasons.append(f"{event.get('LogicalResourceId')} ({event.get('ResourceType')}) {status}: {reason}")
            if not status.endswith("_IN_PROGRESS") and event.get("ResourceType") != "AWS::CloudFormation::Stack":
                tell(f"{event.get('LogicalResourceId')} {status.lower().replace('_', ' ')}")
        if not executing and not found.endswith("_IN_PROGRESS"):
            return found, reasons
        time.sleep(target.poll_seconds)


def _status(target: Target, name: str) -> str:
    """Asked before the events are read, so that the last events of a stack at rest are told too."""
    found = find(target, name)
    return "DELETE_COMPLETE" if found is None else found["StackStatus"]


def _events(target: Target, name: str, known: set[str]) -> list[Any]:
    """The events that are not known yet, oldest first."""
    found: list[Any] = []
    try:
        for page in target.cloudformation.get_paginator("describe_stack_events").paginate(StackName=name):
            news = [event for event in page["StackEvents"] if event["EventId"] not in known]
            found += news
            if len(news) < len(page["StackEvents"]):  # newest first: what follows is known too
                break
    except ClientError as error:
        if not _tells_of_no_stack(error):
            raise
    return found[::-1]


def _tells_of_no_stack(error: ClientError) -> bool:
    """CloudFormation's code for it, ``ValidationError``, is that of many a fault."""
    return "does not exist" in error.response["Error"].get("Message", "")
