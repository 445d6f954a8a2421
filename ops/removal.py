"""Takes away what Chalice made, by the stage's names, and its API, whose id is not ours to choose, by the stage's tag.
Which roles are the stage's has to be told: their names are those of the whole account, in every region.

Chalice's own ``delete`` takes away what it recorded, and stops at the first thing that is gone already: interrupted
once, it could never end, and what was made by a process that was killed before it recorded it would stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ops import notifications
from ops.target import STAGE_TAG, Target, Tell


def delete(target: Target, roles: Iterable[str], tell: Tell) -> None:
    """Delete the functions, these roles, the rules that invoke the functions and the API; the inbox tells none of them
    any more. Doing it again goes on. Every rule of the stage's goes: those of the workflow's stack have gone with it.
    """
    functions = list(_functions(target))
    notifications.forget(target, [target.names.arn("lambda", f"function:{name}") for name in functions])
    for rule in list(_rules(target)):
        _delete_rule(target, rule)
        tell(f"{rule} deleted")
    delete_apis(target)
    for name in functions:
        _delete_function(target, name)
        tell(f"{name} deleted")
    for role in roles:
        _delete_role(target, role)


def delete_apis(target: Target, *, but: str | None = None) -> None:
    """Delete the stage's APIs, except the one of this id."""
    gateway = target.client("apigateway")
    for api in list(_apis(target)):
        if api != but:
            gateway.delete_rest_api(restApiId=api)


def _functions(target: Target) -> Iterator[str]:
    for page in target.lambda_.get_paginator("list_functions").paginate():
        yield from (each["FunctionName"] for each in page["Functions"] if target.names.owns(each["FunctionName"]))


def _rules(target: Target) -> Iterator[str]:
    pages = target.client("events").get_paginator("list_rules").paginate(NamePrefix=f"{target.names.prefix}-")
    for page in pages:
        yield from (each["Name"] for each in page["Rules"])


def _apis(target: Target) -> Iterator[str]:
    for page in target.client("apigateway").get_paginator("get_rest_apis").paginate():
        yield from (each["id"] for each in page["items"] if each.get("tags", {}).get(STAGE_TAG) == target.stage)


def _delete_function(target: Target, function: str) -> None:
    try:
        target.lambda_.delete_function(FunctionName=function)
    except target.lambda_.exceptions.ResourceNotFoundException:
        return  # listed for a moment longer


def _delete_role(target: Target, role: str) -> None:
    iam = target.client("iam")
    try:
        for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            iam.delete_role_policy(RoleName=role, PolicyName=policy)
        iam.delete_role(RoleName=role)
    except iam.exceptions.NoSuchEntityException:
        return


def _delete_rule(target: Target, rule: str) -> None:
    events = target.client("events")
    try:
        targets = [each["Id"] for each in events.list_targets_by_rule(Rule=rule)["Targets"]]
        if targets:
            events.remove_targets(Rule=rule, Ids=targets)
        events.delete_rule(Name=rule)
    except events.exceptions.ResourceNotFoundException:
        return
