"""What ``down`` takes for the stage's own, and how it takes that away where AWS is stricter than the emulator."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import Mock, call

import pytest
from moto import mock_aws

from ops.chalice import removal
from ops.chalice.removal import Own
from ops.stage import ownership
from ops.target import STAGE_TAG, Target


@pytest.fixture
def target() -> Iterator[Target]:
    """Of API Gateway, for which moto asks for more than is installed, only what is asked here."""
    with mock_aws():
        made = Target("test", "us-east-1", None, {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"})
        made._clients["apigateway"] = Mock()
        made._clients["apigateway"].get_paginator("get_rest_apis").paginate.return_value = []
        yield made


def test_a_rule_goes_with_its_targets_and_one_that_is_gone_is_no_trouble(target: Target) -> None:
    """EventBridge deletes no rule that has targets."""
    events, rule = target.client("events"), target.names.rule("sweep")
    events.put_rule(Name=rule, ScheduleExpression="rate(5 minutes)")
    events.put_targets(Rule=rule, Targets=[{"Id": "1", "Arn": target.names.arn("lambda", "function:sweep")}])
    for _ in range(2):
        removal.delete(target, Own([], [rule], []), lambda _: None)
    assert events.list_rules()["Rules"] == []


def test_only_the_stages_own_apis_are_deleted(target: Target) -> None:
    gateway: Mock = target.client("apigateway")
    gateway.get_paginator("get_rest_apis").paginate.return_value = [
        {"items": [{"id": "own", "tags": {STAGE_TAG: "test"}}, {"id": "untagged", "name": target.names.prefix}]},
        {"items": [{"id": "another", "tags": {STAGE_TAG: "prod"}}, {"id": "kept", "tags": {STAGE_TAG: "test"}}]},
    ]
    removal.delete_apis(target, but="kept")
    assert gateway.delete_rest_api.call_args_list == [call(restApiId="own")]


def test_a_role_goes_with_its_policies_and_one_that_is_gone_is_no_trouble(target: Target) -> None:
    """IAM deletes no role that has policies."""
    iam, role = target.client("iam"), target.names.role("notify")
    iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}")
    document = '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}'
    iam.put_role_policy(RoleName=role, PolicyName=role, PolicyDocument=document)
    for _ in range(2):
        removal.delete(target, Own([], [], [role]), lambda _: None)
    assert iam.list_roles()["Roles"] == []


def test_a_stages_own_is_what_this_version_makes_and_what_has_both_its_name_and_its_tag(target: Target) -> None:
    prefix, stage = target.names.prefix, {STAGE_TAG: "test"}
    tags = {
        f"{prefix}-older": stage,
        f"/aws/lambda/{prefix}-older": stage,
        f"{prefix}-ci": {},
        f"{prefix}-copied": {STAGE_TAG: "prod"},
        f"{prefix}ing": stage,
        "an-operators": stage,
    }
    asked: list[str] = []

    def tags_of(name: str) -> dict[str, str]:
        asked.append(name)
        return tags[name]

    found = ownership._own(target, iter([f"{prefix}-notify", *tags]), [f"{prefix}-notify"], tags_of)
    assert list(found) == [f"{prefix}-notify", f"{prefix}-older", f"/aws/lambda/{prefix}-older"]
    assert asked == list(tags)[:4]  # by one request each: not for every function of an account
