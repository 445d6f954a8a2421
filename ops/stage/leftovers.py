"""What of a stage is still there: each service is asked by the stage's names, and the account by the stage's tag.
``down`` proves itself with it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator
from typing import Any, Final

from ops.cloudformation import stacks
from ops.stage import ownership, regions
from ops.target import STAGE_TAG, Target

SETTLING_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 5.0
_LISTED_SERVICES: Final = frozenset(
    {"apigateway", "cloudformation", "cloudwatch", "dynamodb", "events", "iam", "lambda", "logs"}
    | {"s3", "sns", "sqs", "ssm", "states"}
)
"""Those that ``_found`` asks, as ARNs name them."""
_NAME_PARTS: Final = re.compile(r"[:/]")


def find(target: Target) -> list[str]:
    """Every resource of the stage that exists, as ``service: name``, in a fixed order; and as ``tagged: ARN`` what has
    the stage's tag, but none of its names.
    """
    return [f"{service}: {name}" for service, names in _found(target) for name in sorted(names)] + [
        f"tagged: {arn}" for arn in sorted(_tagged(target)) if not _is_asked_for_by_name(target, arn)
    ]


def settled(target: Target, expected: Collection[str]) -> list[str]:
    """As ``find``, once what is being deleted is gone: AWS lists some resources for a while after they were deleted.
    ``expected``: what is to stay, and is not waited for.
    """
    deadline = time.monotonic() + (0.0 if target.is_emulated else SETTLING_SECONDS)
    while (left := find(target)) and not set(left) <= set(expected) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return left


def _found(target: Target) -> Iterator[tuple[str, list[str]]]:
    names = target.names
    ours = names.owns
    yield "stack", [n for n in (names.foundation_stack, names.workflow_stack) if stacks.find(target, n)]
    yield "bucket", [each["Name"] for each in target.s3.list_buckets()["Buckets"] if _is_here(target, each["Name"])]
    yield "table", [n for n in _all(target, "dynamodb", "list_tables", "TableNames") if ours(n)]
    yield "function", ownership.functions(target)
    yield "layer", [n for n in _all(target, "lambda", "list_layers", "Layers", "LayerName") if ours(n)]
    yield "role", regions.roles(target)
    yield "rule", ownership.rules(target)
    yield (
        "state machine",
        [n for n in _all(target, "stepfunctions", "list_state_machines", "stateMachines", "name") if ours(n)],
    )
    yield "topic", [n for n in _all(target, "sns", "list_topics", "Topics", "TopicArn") if ours(n.rpartition(":")[2])]
    # Without a prefix, or a page's size, SQS lists a thousand queues and does not say that there are more.
    queues = _all(target, "sqs", "list_queues", "QueueUrls", QueueNamePrefix=names.prefix)
    yield "queue", [n for n in queues if ours(n.rpartition("/")[2])]
    yield "alarm", [n for n in _all(target, "cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName") if ours(n)]
    yield (
        "dashboard",
        [n for n in _all(target, "cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName") if ours(n)],
    )
    yield "log group", ownership.log_groups(target)
    wanted = [{"Key": "Name", "Values": [names.token_parameter, names.lock_parameter]}]
    yield "parameter", list(_all(target, "ssm", "describe_parameters", "Parameters", "Name", ParameterFilters=wanted))
    yield (
        "API",
        [
            each["id"]
            for each in _all(target, "apigateway", "get_rest_apis", "items")
            if each.get("tags", {}).get(STAGE_TAG) == target.stage
        ],
    )


def _is_here(target: Target, bucket: str) -> bool:
    """Whether a bucket is the stage's and not the data that it keeps in another region: S3 lists those of all."""
    known = regions.of_bucket(target, bucket)
    return target.names.owns(bucket) and (known is None or known[1] == target.names.region)


def _tagged(target: Target) -> Iterator[str]:
    wanted: Any = [{"Key": STAGE_TAG, "Values": [target.stage]}]
    pages = target.client("resourcegroupstaggingapi").get_paginator("get_resources").paginate(TagFilters=wanted)
    for page in pages:
        for each in page["ResourceTagMappingList"]:
            yield each["ResourceARN"]


def _is_asked_for_by_name(target: Target, arn: str) -> bool:
    """Whether a service's own list tells of it. That list is what counts: the index of tags goes on naming what was
    deleted, for hours in some services.
    """
    _, _, service, _, _, resource = arn.split(":", 5)
    if service not in _LISTED_SERVICES:
        return False
    names = target.names
    return (
        service == "apigateway"  # listed by its tag, since an API's id is not ours to choose
        or resource.endswith(names.token_parameter)
        or any(f"{part}-".startswith(f"{names.prefix}-") for part in _NAME_PARTS.split(resource))
    )


def _all(
    target: Target, service: str, operation: str, member: str, attribute: str | None = None, **request: Any
) -> Iterator[Any]:
    for page in target.client(service).get_paginator(operation).paginate(**request):
        for each in page.get(member, []):
            yield each if attribute is None else each[attribute]
