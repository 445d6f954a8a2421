"""What of a stage is still there: each service is asked, by the stage's names. ``down`` proves itself with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ops import stacks
from ops.target import STAGE_TAG, Target


def find(target: Target) -> list[str]:
    """Every resource of the stage that exists, as ``service: name``, in a fixed order."""
    return [f"{service}: {name}" for service, names in _found(target) for name in sorted(names)]


def _found(target: Target) -> Iterator[tuple[str, list[str]]]:
    names = target.names

    def ours(name: str) -> bool:
        return name == names.prefix or name.startswith(f"{names.prefix}-")

    yield "stack", [n for n in (names.foundation_stack, names.workflow_stack) if stacks.describe(target, n)]
    yield "bucket", [each["Name"] for each in target.s3.list_buckets()["Buckets"] if ours(each["Name"])]
    yield "table", [n for n in _all(target, "dynamodb", "list_tables", "TableNames") if ours(n)]
    yield "function", [n for n in _all(target, "lambda", "list_functions", "Functions", "FunctionName") if ours(n)]
    yield "layer", [n for n in _all(target, "lambda", "list_layers", "Layers", "LayerName") if ours(n)]
    yield "role", [n for n in _all(target, "iam", "list_roles", "Roles", "RoleName") if ours(n)]
    yield "rule", [n for n in _all(target, "events", "list_rules", "Rules", "Name") if ours(n)]
    yield (
        "state machine",
        [n for n in _all(target, "stepfunctions", "list_state_machines", "stateMachines", "name") if ours(n)],
    )
    yield "topic", [n for n in _all(target, "sns", "list_topics", "Topics", "TopicArn") if ours(n.rpartition(":")[2])]
    yield "queue", [n for n in _all(target, "sqs", "list_queues", "QueueUrls") if ours(n.rpartition("/")[2])]
    yield "alarm", [n for n in _all(target, "cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName") if ours(n)]
    yield (
        "dashboard",
        [n for n in _all(target, "cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName") if ours(n)],
    )
    yield (
        "log group",
        [
            n
            for n in _all(target, "logs", "describe_log_groups", "logGroups", "logGroupName")
            if ours(n.rpartition("/")[2])
        ],
    )
    yield (
        "parameter",
        [n for n in _all(target, "ssm", "describe_parameters", "Parameters", "Name") if n == names.token_parameter],
    )
    yield (
        "API",
        [
            each["id"]
            for each in _all(target, "apigateway", "get_rest_apis", "items")
            if each.get("tags", {}).get(STAGE_TAG) == target.stage
        ],
    )


def _all(target: Target, service: str, operation: str, member: str, attribute: str | None = None) -> Iterator[Any]:
    for page in target.client(service).get_paginator(operation).paginate():
        for each in page.get(member, []):
            yield each if attribute is None else each[attribute]
