"""CloudFormation: a stack is changed through a change set, watched until it stands, and told about in its own events.

What CloudFormation rolls back it rolls back itself; what it says about the reason becomes the ``OperatorError``.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from chalicelib.frozen import frozen
from ops.target import APP_NAME, STAGE_TAG, OperatorError, Target

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef, StackTypeDef

TEMPLATE_LIMIT_BYTES: Final = 51_200
"""Largest template that travels in the request itself.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"""

Tell = Callable[[str], None]
"""Called with one line whenever something happened."""
NOTE: Final = "note: "
"""Begins a line that an operator has to see in the end, and not only as progress."""

_PLACEHOLDER: Final = "REVIEW_IN_PROGRESS"
"""The status of a stack that a change set made and that was not created yet: it has no resources."""
_UNUSABLE: Final = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"})
"""A stack that never stood: it cannot be updated, only deleted."""

_NO_CHANGES: Final = ("didn't contain changes", "No updates are to be performed")


@frozen
class Change:
    """What happens to one resource."""

    action: str
    """``Add``, ``Modify``, ``Remove``, ``Import`` or ``Dynamic``."""
    name: str
    kind: str
    """CloudFormation's resource type."""
    replaced: bool = False

    def __str__(self) -> str:
        return f"{self.action} {self.name} ({self.kind})" + (", replaced" if self.replaced else "")


@dataclass(frozen=True)
class Stack:
    """A stack as it should be. A parameter that is None keeps its value, or takes the template's default."""

    name: str
    template: Path
    parameters: Mapping[str, str | None] = field(default_factory=dict)


def plan(target: Target, stack: Stack) -> tuple[Change, ...]:
    """What ``apply`` would change; afterwards everything is as it was."""
    existing = describe(target, stack.name)
    if existing is not None and existing["StackStatus"] in _UNUSABLE:
        status = existing["StackStatus"]
        return (Change("Replace", stack.name, f"{status}: will be deleted and created anew"),)
    change_set, changes = _create_change_set(target, stack, existing)
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
    change_set, changes = _create_change_set(target, stack, existing)
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
        if "does not exist" in error.response["Error"].get("Message", ""):
            return None
        raise
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


def _create_change_set(target: Target, stack: Stack, existing: StackTypeDef | None) -> tuple[str, tuple[Change, ...]]:
    if existing is not None and existing["StackStatus"].endswith("_IN_PROGRESS"):
        raise OperatorError(f"{stack.name} is {existing['StackStatus']}: wait until the other operation has ended")
    if existing is not None and existing["StackStatus"] == "UPDATE_ROLLBACK_FAILED":
        raise OperatorError(
            f"{stack.name} is UPDATE_ROLLBACK_FAILED: see its events, then run "
            f"aws cloudformation continue-update-rollback --stack-name {stack.name}"
        )
    template = _with_literal_names(stack.template.read_text(), target)
    if len(template.encode()) > TEMPLATE_LIMIT_BYTES:
        raise OperatorError(f"{stack.template} is longer than {TEMPLATE_LIMIT_BYTES} bytes")
    stage_tags = [{"Key": STAGE_TAG, "Value": target.stage}, {"Key": "application", "Value": APP_NAME}]
    request: dict[str, Any] = {
        "StackName": stack.name,
        "ChangeSetName": f"deploy-{uuid.uuid4()}",
        "ChangeSetType": "CREATE" if existing is None else "UPDATE",
        "TemplateBody": template,
        "Parameters": _parameters(stack, existing),
        "Capabilities": ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        "Tags": stage_tags,
    }
    if existing is None:
        # Data that an earlier deployment left behind (deploy.py down keeps it) becomes part of the new stack.
        request["ImportExistingResources"] = True
        if target.is_emulated:
            request["DisableValidation"] = True  # it refuses a name in use before it looks for what it may adopt
    try:
        created = target.cloudformation.create_change_set(**request)
        return created["Id"], _changes(target, created["Id"])
    except BaseException:
        if existing is None:  # what failed, or was interrupted, left a stack that holds nothing
            _delete_placeholder(target, stack.name)
        raise


def _delete_placeholder(target: Target, name: str) -> None:
    """Delete the stack that a change set made, if it is no more than that."""
    found = find(target, name)
    if found is not None and found["StackStatus"] == _PLACEHOLDER:
        target.cloudformation.delete_stack(StackName=name)
        while find(target, name) is not None:
            time.sleep(interval(target))


def _with_literal_names(template: str, target: Target) -> str:
    """The template with the names of buckets and tables spelled out.

    CloudFormation adopts an existing resource (``ImportExistingResources``) only if its name stands in the template as
    a literal, not as an intrinsic function.
    """
    names = target.names
    known = {"Stage": names.stage, "AWS::AccountId": names.account, "AWS::Region": names.region}

    def spelled_out(found: re.Match[str]) -> str:
        return found["key"] + re.sub(r"\$\{([^}]+)\}", lambda variable: known[variable[1]], found["name"])

    return re.sub(r'(?m)^(?P<key> +(?:BucketName|TableName): )!Sub "(?P<name>[^"]+)"$', spelled_out, template)


def _parameters(stack: Stack, existing: StackTypeDef | None) -> list[ParameterTypeDef]:
    before = {each["ParameterKey"] for each in existing.get("Parameters", [])} if existing is not None else set()
    parameters: list[ParameterTypeDef] = []
    for name, value in stack.parameters.items():
        if value is not None:
            parameters.append({"ParameterKey": name, "ParameterValue": value})
        elif name in before:
            parameters.append({"ParameterKey": name, "UsePreviousValue": True})
    return parameters


def _changes(target: Target, change_set: str) -> tuple[Change, ...]:
    """Wait until the change set is made, and read it. Errors: ``OperatorError`` with the reason of its failure."""
    while True:
        described = target.cloudformation.describe_change_set(ChangeSetName=change_set)
        if described["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
            break
        time.sleep(interval(target))
    reason = described.get("StatusReason", "")
    if described["Status"] == "FAILED":
        if any(words in reason for words in _NO_CHANGES):
            return ()
        raise OperatorError("\n  ".join([f"{described['StackName']}: {reason}", *_refused(target, change_set)]))
    found = list(described.get("Changes", []))
    while token := described.get("NextToken"):
        described = target.cloudformation.describe_change_set(ChangeSetName=change_set, NextToken=token)
        found += described.get("Changes", [])
    return tuple(
        Change(
            change["Action"], change["LogicalResourceId"], change["ResourceType"], change.get("Replacement") == "True"
        )
        for change in (each["ResourceChange"] for each in found)
    )


def _refused(target: Target, change_set: str) -> list[str]:
    """What CloudFormation's validation before a deployment has refused: the reason of a change set names no resource.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/validate-stack-deployments.html
    """
    pages = target.cloudformation.get_paginator("describe_events").paginate(
        ChangeSetName=change_set, Filters={"FailedEvents": True}
    )
    try:
        return [
            f"{event.get('LogicalResourceId')} ({event.get('ResourceType')}): {event['ValidationStatusReason']}"
            for page in pages
            for event in page["OperationEvents"]
            if event.get("ValidationFailureMode") == "FAIL" and "ValidationStatusReason" in event
        ]
    except ClientError as error:
        return [f"more is not known: {error}"]


def _wait(
    target: Target, name: str, tell: Tell, known: set[str], change_set: str | None = None
) -> tuple[str, list[str]]:
    """Poll until the stack rests, telling each resource that did. Returns its status and the reasons of failures.

    ``known``: ids of the events that are not news. ``change_set``: what is executed; between importing and creating
    resources a stack looks at rest for a moment, though its change set is not done.
    """
    reasons: list[str] = []
    while True:
        executing = change_set is not None and _is_executing(target, change_set)
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
        time.sleep(interval(target))


def _is_executing(target: Target, change_set: str) -> bool:
    try:
        described = target.cloudformation.describe_change_set(ChangeSetName=change_set)
    except target.cloudformation.exceptions.ChangeSetNotFoundException:
        return False
    return described.get("ExecutionStatus") in ("AVAILABLE", "EXECUTE_IN_PROGRESS")


def _status(target: Target, name: str) -> str:
    """Asked before the events are read, so that the last events of a stack at rest are told too."""
    try:
        return target.cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
    except ClientError as error:
        if "does not exist" in error.response["Error"].get("Message", ""):
            return "DELETE_COMPLETE"
        raise


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
        if "does not exist" not in error.response["Error"].get("Message", ""):
            raise
    return found[::-1]


def interval(target: Target) -> float:
    """Seconds between two questions whether something is done."""
    return 0.05 if target.is_emulated else 2.0
