"""In which region a stage stands, and which roles are its own.

IAM's roles are the account's, in all regions alike, and a stage's names hold no region: what is done to a stage's roles
in one region is done to them in every other, and what is granted to a role there it has no longer here. So a stage
stands in one region at a time. Where, is told by what its roles may do and who may take them on, for those are ARNs of
the stage; and by its artifacts bucket, which is made before the first role and goes after the last.
https://docs.aws.amazon.com/IAM/latest/UserGuide/disaster-recovery-resiliency.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ops.chalice import functions
from ops.cloudformation import stacks
from ops.target import STAGE_TAG, OperatorError, Target

if TYPE_CHECKING:
    from mypy_boto3_iam.type_defs import RoleTypeDef

OF_THE_WORKFLOW: Final = ("workflow", "uploads")
"""The roles that ``infrastructure/workflow.yaml`` makes, as ``Names.role`` takes them."""


def check(target: Target, *, removing: bool = False) -> None:
    """Errors: ``OperatorError`` where the stage stands in another region. ``removing``: only where there is nothing of
    it in this one, because what an ``up`` has made here before, or ``down`` has kept, may go.
    """
    names, buckets = target.names, _buckets(target)
    standing = {region for made_for in _roles(target).values() for region in made_for}
    standing |= {region for purpose, region in buckets if purpose == "artifacts"}
    others = sorted(standing - {names.region})
    if not others:
        return
    if removing and (names.region in standing | {region for _, region in buckets} or _has_stack(target)):
        return
    raise OperatorError(
        f'stage "{names.stage}" stands in {", ".join(others)}. Its IAM roles are those of the whole account: what is '
        f"done to them in {names.region} would be done to them there. Nothing was changed: give --region {others[0]}, "
        "or another stage's name, or take the stage down there first"
    )


def roles(target: Target) -> list[str]:
    """The names of the stage's own roles in this region. An operator's role whose name merely begins as theirs is
    none; nor is one that was made for another region.
    """
    region = target.names.region
    return [name for name, regions in _roles(target).items() if not regions or region in regions]


def of_bucket(target: Target, bucket: str) -> tuple[str, str] | None:
    """Purpose and region of one of the stage's buckets, wherever it stands; None for any other."""
    names = target.names
    pattern = rf"{names.prefix}-(inbox|results|artifacts)-{names.account}-([a-z0-9-]+)"
    found = re.fullmatch(pattern, bucket)
    return None if found is None else (found[1], found[2])


def _buckets(target: Target) -> list[tuple[str, str]]:
    listed = (of_bucket(target, each["Name"]) for each in target.s3.list_buckets()["Buckets"])  # of every region
    return [each for each in listed if each is not None]


def _has_stack(target: Target) -> bool:
    return any(stacks.find(target, name) for name in (target.names.foundation_stack, target.names.workflow_stack))


def _roles(target: Target) -> Mapping[str, frozenset[str]]:
    """Name → the regions that it was made for: one, or none where whoever made it was killed before it had a policy.

    The stage's own are those that this version makes, and those with the stage's tag, which another version has made.
    """
    names, iam = target.names, target.client("iam")
    made = {names.role(each) for each in (*functions.template()["lambda_functions"], *OF_THE_WORKFLOW)}
    found: dict[str, frozenset[str]] = {}
    for page in iam.get_paginator("list_roles").paginate():
        for role in page["Roles"]:
            name = role["RoleName"]
            try:
                if names.owns(name) and (name in made or _is_tagged(target, name)):
                    found[name] = _regions(target, role)
            except iam.exceptions.NoSuchEntityException:
                continue  # listed for a moment longer
    return found


def _is_tagged(target: Target, role: str) -> bool:
    tag = {"Key": STAGE_TAG, "Value": target.stage}
    pages = target.client("iam").get_paginator("list_role_tags").paginate(RoleName=role)
    return any(tag in page["Tags"] for page in pages)


def _regions(target: Target, role: RoleTypeDef) -> frozenset[str]:
    """In which regions the things lie that are the stage's and that the role's policies name. An operator may have let
    it do something elsewhere besides.
    """
    names, iam, name = target.names, target.client("iam"), role["RoleName"]
    documents = [role["AssumeRolePolicyDocument"]]
    for page in iam.get_paginator("list_role_policies").paginate(RoleName=name):
        for policy in page["PolicyNames"]:
            documents.append(iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"])
    arn = rf'arn:{names.partition}:[a-z0-9-]+:([a-z0-9-]+):{names.account}:[^"]*\b{names.prefix}(?![a-z0-9])'
    return frozenset(re.findall(arn, json.dumps(documents)))
