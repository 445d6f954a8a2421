"""Takes away what Chalice made: what is told to be the stage's own, and its API, whose id is not ours to choose, by the
stage's tag.

Chalice's own ``delete`` takes away what it recorded, and stops at the first thing that is gone already: interrupted
once, it could never end, and what was made by a process that was killed before it recorded it would stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ops.chalice import notifications
from ops.target import NOTE, STAGE_TAG, Target, Tell

OF_THE_STACK: Final = frozenset({"workflow", "start"})
"""The policies that ``infrastructure/workflow.yaml`` puts into its roles; Chalice calls a role's policy by the role."""


@dataclass(frozen=True)
class Own:
    """Names of what is a stage's own, and nobody else's."""

    functions: Sequence[str]
    rules: Sequence[str]
    roles: Sequence[str]


def delete(target: Target, own: Own, tell: Tell) -> None:
    """Delete the functions, their roles, the rules that invoke them and the API; the inbox tells none of them any more.
    Doing it again goes on.
    """
    notifications.forget(target, [target.names.arn("lambda", f"function:{name}") for name in own.functions])
    for rule in own.rules:
        _delete_rule(target, rule)
        tell(f"{rule} deleted")
    delete_apis(target)
    for name in own.functions:
        _delete_function(target, name)
        tell(f"{name} deleted")
    for role in own.roles:
        _delete_role(target, role)


def free_roles(target: Target, roles: Sequence[str], tell: Tell) -> None:
    """Take from these roles what others have put on them: as long as it is there IAM refuses to delete a role, and
    CloudFormation takes away only what it has put there. Managed policies are detached, and stay themselves.
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html
    """
    iam = target.client("iam")
    for role in roles:
        try:
            for arn in _paged(target, "list_attached_role_policies", role, "AttachedPolicies", "PolicyArn"):
                iam.detach_role_policy(RoleName=role, PolicyArn=arn)
                tell(f"{NOTE}detached {arn} from {role}")
            for policy in _paged(target, "list_role_policies", role, "PolicyNames"):
                if policy not in {role, *OF_THE_STACK}:
                    iam.delete_role_policy(RoleName=role, PolicyName=policy)
                    tell(f"{NOTE}deleted the policy {policy} of {role}")
        except iam.exceptions.NoSuchEntityException:
            continue


def delete_apis(target: Target, *, but: str | None = None) -> None:
    """Delete the stage's APIs, except the one of this id."""
    gateway = target.client("apigateway")
    for api in list(_apis(target)):
        if api != but:
            gateway.delete_rest_api(restApiId=api)


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
        for policy in _paged(target, "list_role_policies", role, "PolicyNames"):
            iam.delete_role_policy(RoleName=role, PolicyName=policy)
        iam.delete_role(RoleName=role)
    except iam.exceptions.NoSuchEntityException:
        return


def _paged(target: Target, operation: str, role: str, member: str, attribute: str | None = None) -> list[str]:
    """All pages, before what they list is changed."""
    pages = target.client("iam").get_paginator(operation).paginate(RoleName=role)
    return [each if attribute is None else each[attribute] for page in pages for each in page[member]]


def _delete_rule(target: Target, rule: str) -> None:
    events = target.client("events")
    try:
        targets = [each["Id"] for each in events.list_targets_by_rule(Rule=rule)["Targets"]]
        if targets:
            events.remove_targets(Rule=rule, Ids=targets)
        events.delete_rule(Name=rule)
    except events.exceptions.ResourceNotFoundException:
        return
