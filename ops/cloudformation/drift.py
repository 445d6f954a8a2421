"""What of a stack was changed past CloudFormation: its own drift detection, asked and waited for.

A kind of resource that it cannot compare is said to be ``NOT_CHECKED``, never to be in order.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from chalicelib.frozen import frozen
from ops.cloudformation.change_sets import Change
from ops.target import Target

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackResourceDriftTypeDef

NOT_CHECKED: Final = "NOT_CHECKED"
DETECTION_SECONDS: Final = 300.0
"""How long a detection may take; half a minute is usual."""
_MERGED_IN: Final = "/NotificationConfiguration/LambdaConfigurations"
"""Chalice merges the handlers into the inbox's notifications on purpose."""
_UNKNOWN_TO_THE_ENDPOINT: Final = frozenset({"InvalidAction", "UnknownOperationException", "NotImplemented"})


@frozen
class Drift:
    """One resource's."""

    state: str
    """``IN_SYNC``, ``MODIFIED``, ``DELETED``, ``NOT_CHECKED`` or ``UNKNOWN``."""
    differences: tuple[str, ...] = ()
    """``property: before → now``, for ``MODIFIED``."""

    def __str__(self) -> str:
        return ": ".join([self.state, "; ".join(self.differences)] if self.differences else [self.state])


def detect(target: Target, stack: str) -> tuple[Mapping[str, Drift], str]:
    """Logical name → drift, and why it is not known where that is so (``""``: it is). A resource without an entry was
    not checked.
    """
    client = target.cloudformation
    try:
        detection = client.detect_stack_drift(StackName=stack)["StackDriftDetectionId"]
        deadline = time.monotonic() + DETECTION_SECONDS
        while True:
            asked = client.describe_stack_drift_detection_status(StackDriftDetectionId=detection)
            if asked["DetectionStatus"] != "DETECTION_IN_PROGRESS" or time.monotonic() > deadline:
                break
            time.sleep(target.poll_seconds)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _UNKNOWN_TO_THE_ENDPOINT:
            return {}, "this endpoint has no drift detection"
        if code == "ValidationError":  # a stack that is being changed, or never stood
            return {}, error.response["Error"]["Message"]
        raise
    found: dict[str, Drift] = {}
    token: dict[str, str] = {}
    while True:
        # Not by a paginator: botocore has none for this operation.
        page = client.describe_stack_resource_drifts(StackName=stack, **token)  # type: ignore[arg-type]
        found |= {each["LogicalResourceId"]: _drift(each) for each in page["StackResourceDrifts"]}
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    if asked["DetectionStatus"] == "DETECTION_COMPLETE":
        return found, ""
    return found, asked.get("DetectionStatusReason", "drift detection did not end in time")


def of_adopted(target: Target, stack: str, changes: Sequence[Change]) -> list[str]:
    """How what a stack has just adopted differs from its template, a line for each resource: CloudFormation takes it
    over as it is, and a later update compares template with template alone.
    """
    adopted = {change.name for change in changes if change.action == "Import"}
    if not adopted:
        return []
    found, why_not = detect(target, stack)
    lines = [
        f"{name} was adopted as it is, and differs from the template: {'; '.join(found[name].differences)}"
        for name in sorted(adopted & found.keys())
        if found[name].differences
    ]
    return lines + ([f"how what was adopted differs from the template is not known: {why_not}"] if why_not else [])


def _drift(found: StackResourceDriftTypeDef) -> Drift:
    state = found["StackResourceDriftStatus"]
    if state != "MODIFIED":
        return Drift(state)
    differences = tuple(
        f"{each['PropertyPath']}: {each['ExpectedValue']} → {each['ActualValue']}"
        for each in found.get("PropertyDifferences", [])
        if not each["PropertyPath"].startswith(_MERGED_IN)
    )
    return Drift(state, differences) if differences else Drift("IN_SYNC")
