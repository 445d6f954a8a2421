"""Change sets: how CloudFormation is told what a stack should be, and tells what it would change.

One is made from a template and parameters, and read. Whether it is then executed, or deleted, ``stacks`` decides.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
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


def create(target: Target, stack: Stack, existing: StackTypeDef | None) -> tuple[str, tuple[Change, ...]]:
    """Make a change set that brings the stack to what it should be; its ARN, and what it would change.

    ``existing``: the stack as it stands; None: it is to be created. An empty one may stay where that fails.

    Errors: ``OperatorError`` for a stack that cannot be changed now, and with CloudFormation's reason.
    """
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
    made = target.cloudformation.create_change_set(**request)["Id"]
    return made, _changes(target, made)


def is_executing(target: Target, change_set: str) -> bool:
    """Whether a change set that was executed is not done yet."""
    try:
        described = target.cloudformation.describe_change_set(ChangeSetName=change_set)
    except target.cloudformation.exceptions.ChangeSetNotFoundException:
        return False
    return described.get("ExecutionStatus") in ("AVAILABLE", "EXECUTE_IN_PROGRESS")


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
        time.sleep(target.poll_seconds)
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
