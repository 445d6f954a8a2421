"""Which of a region's functions, rules and log groups are a stage's own; and which roles, as ``regions`` says.

They are those that this version makes, known by their names, and those that begin as the stage's names do and bear its
tag, which another version has made. What merely begins so is an operator's own, or another tool's: ``down`` neither
takes it away nor says that it was left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from ops.chalice import functions as deployed
from ops.chalice.removal import Own
from ops.stage import regions
from ops.target import STAGE_TAG, Target


def find(target: Target) -> Own:
    """What ``down`` takes away beside the stacks."""
    return Own(functions(target), rules(target), regions.roles(target))


def functions(target: Target) -> list[str]:
    """Names of the functions."""
    lambda_ = target.lambda_
    pages = lambda_.get_paginator("list_functions").paginate()
    found = (each["FunctionName"] for page in pages for each in page["Functions"])

    def tags(name: str) -> Mapping[str, str]:
        try:
            return lambda_.list_tags(Resource=target.names.arn("lambda", f"function:{name}"))["Tags"]
        except lambda_.exceptions.ResourceNotFoundException:
            return {}  # listed for a moment longer

    return list(_own(target, found, deployed.function_names(target.names), tags))


def rules(target: Target) -> list[str]:
    """Names of the rules, that of the workflow's stack among them."""
    names, events = target.names, target.client("events")
    pages = events.get_paginator("list_rules").paginate(NamePrefix=f"{names.prefix}-")
    found = (each["Name"] for page in pages for each in page["Rules"])
    made = [names.upload_rule, *map(names.rule, deployed.template()["lambda_functions"])]

    def tags(name: str) -> Mapping[str, str]:
        try:
            listed = events.list_tags_for_resource(ResourceARN=names.arn("events", f"rule/{name}"))["Tags"]
        except events.exceptions.ResourceNotFoundException:
            return {}
        return {each["Key"]: each["Value"] for each in listed}

    return list(_own(target, found, made, tags))


def log_groups(target: Target) -> list[str]:
    """Names of the log groups: the functions', and the workflow's."""
    names, logs = target.names, target.client("logs")
    pages = logs.get_paginator("describe_log_groups").paginate()
    found = (each["logGroupName"] for page in pages for each in page["logGroups"])
    made = [names.workflow_log_group, *map(names.log_group, deployed.function_names(names))]

    def tags(name: str) -> Mapping[str, str]:
        try:
            listed: Mapping[str, str] = logs.list_tags_for_resource(resourceArn=names.arn("logs", f"log-group:{name}"))[
                "tags"
            ]
        except logs.exceptions.ResourceNotFoundException:
            return {}
        return listed

    return list(_own(target, found, made, tags))


def _own(
    target: Target, found: Iterator[Any], made: Collection[str], tags: Callable[[str], Mapping[str, str]]
) -> Iterator[str]:
    """Of the names that were found those that are the stage's; only where it is not known by now tags are asked for."""
    for name in found:
        if name in made or (target.names.owns(name.rpartition("/")[2]) and tags(name).get(STAGE_TAG) == target.stage):
            yield name
