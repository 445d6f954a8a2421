"""A stage stands in one region: its roles are the account's, and those of nobody else are taken away."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ops.chalice import functions, removal
from ops.cloudformation import stacks
from ops.stage import deployment, lock, ownership, regions
from ops.stage.deployment import Options
from ops.target import STAGE_TAG, Names, OperatorError, Target

HERE, THERE = "us-east-1", "eu-central-1"
ANY_POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}]}
)
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """Without stacks and APIs, of which moto asks for more than is installed."""
    monkeypatch.setattr(stacks, "find", lambda *_: None)
    monkeypatch.setattr(removal, "delete_apis", lambda *_: None)
    with mock_aws():
        yield Target("test", HERE, None, CREDENTIALS)


def ignore(_: str) -> None:
    return None


def in_region(target: Target, region: str) -> Names:
    return Names(target.stage, target.names.account, region)


def role(name: str, *policies: dict[str, Any], tags: dict[str, str] | None = None, trust: str = "") -> None:
    iam = boto3.client("iam", region_name=HERE)
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    if trust:
        statement["Condition"] = {"ArnLike": {"aws:SourceArn": trust}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    given: Any = [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=document, Tags=given)
    for number, policy in enumerate(policies):
        iam.put_role_policy(RoleName=name, PolicyName=f"{name}{number}", PolicyDocument=json.dumps(policy))


def roles() -> set[str]:
    return {each["RoleName"] for each in boto3.client("iam", region_name=HERE).list_roles()["Roles"]}


def made_by_chalice(names: Names) -> None:
    for each in ("notify", "authorize"):
        role(names.role(each), functions.policy(each, names), tags={STAGE_TAG: names.stage})


def made_and_not_tagged(names: Names) -> None:
    role(names.role("notify"), functions.policy("notify", names))


def made_by_the_stack(names: Names) -> None:
    role(names.role("workflow"), trust=names.state_machine_arn)


def artifacts(names: Names) -> None:
    where: Any = {} if names.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": THERE}}
    boto3.client("s3", region_name=names.region).create_bucket(Bucket=names.bucket("artifacts"), **where)


ACTS: dict[str, Callable[[Target], Any]] = {
    "up": lambda target: deployment.up(target, Options(), ignore),
    "plan": lambda target: deployment.plan(target, Options(), ignore),
    "down": lambda target: deployment.down(target, ignore, delete_data=True),
}


@pytest.mark.parametrize("evidence", [made_by_chalice, made_and_not_tagged, made_by_the_stack, artifacts])
@pytest.mark.parametrize("act", ACTS)
def test_a_stage_of_another_region_is_told_before_anything_is_changed(
    target: Target, evidence: Callable[[Names], None], act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence(in_region(target, THERE))
    before = roles()
    monkeypatch.setattr(lock, "held", lambda *_: pytest.fail("changed: the lock is a parameter"))
    with pytest.raises(OperatorError, match=rf'^stage "test" stands in {THERE}[.:,]'):
        ACTS[act](target)
    assert roles() == before


@pytest.mark.parametrize("evidence", [made_by_chalice, made_and_not_tagged, made_by_the_stack, artifacts])
def test_a_stage_of_this_region_is_let_be(target: Target, evidence: Callable[[Names], None]) -> None:
    evidence(target.names)
    regions.check(target)
    regions.check(target, removing=True)


def test_neither_another_stage_nor_another_role_says_where_a_stage_stands(target: Target) -> None:
    there = in_region(target, THERE)
    elsewhere = {"Effect": "Allow", "Action": "sns:Publish", "Resource": there.arn("sns", "alerts")}
    made_by_chalice(Names("test2", there.account, THERE))
    role(f"{there.prefix}-ci", functions.policy("notify", there))  # an operator's own
    role(there.role("sweep"))  # killed before it got its policy
    role(
        there.role("notify"),
        functions.policy("notify", target.names),
        {"Version": "2012-10-17", "Statement": [elsewhere]},
    )
    regions.check(target)
    assert sorted(regions.roles(target)) == [there.role("notify"), there.role("sweep")]


def test_what_an_up_in_a_second_region_has_done_can_be_taken_away_there(target: Target) -> None:
    """As it was possible once: the functions' roles are this region's by now, the workflow's still the other's."""
    there = in_region(target, THERE)
    made_by_chalice(target.names)
    made_by_the_stack(there)
    artifacts(there)
    with pytest.raises(OperatorError, match=THERE):
        regions.check(target)
    regions.check(target, removing=True)
    assert sorted(regions.roles(target)) == [target.names.role("authorize"), target.names.role("notify")]


def test_kept_data_can_be_deleted_while_the_stage_stands_elsewhere(target: Target) -> None:
    artifacts(in_region(target, THERE))
    boto3.client("s3", region_name=HERE).create_bucket(Bucket=target.names.bucket("results"))
    regions.check(target, removing=True)


def test_a_role_to_which_others_have_given_policies_goes_and_they_are_told(target: Target) -> None:
    """IAM refuses to delete a role that has a policy, managed or not; a managed one is another's, and stays."""
    iam, names = target.client("iam"), target.names
    own = {"notify": names.role("notify"), "workflow": "workflow", "uploads": "start"}
    guardrail = iam.create_policy(PolicyName="guardrail", PolicyDocument=ANY_POLICY)["Policy"]["Arn"]
    for each, policy in own.items():
        role(names.role(each))
        iam.put_role_policy(RoleName=names.role(each), PolicyName=policy, PolicyDocument=ANY_POLICY)
        iam.attach_role_policy(RoleName=names.role(each), PolicyArn=guardrail)
        iam.put_role_policy(RoleName=names.role(each), PolicyName="by-hand", PolicyDocument=ANY_POLICY)
    told: list[str] = []
    removal.free_roles(target, regions.roles(target), told.append)
    assert sorted(told) == sorted(
        f"note: {line} {names.role(each)}"
        for each in own
        for line in (f"detached {guardrail} from", "deleted the policy by-hand of")
    )
    for each, policy in own.items():  # what CloudFormation has put there it takes away itself
        assert iam.list_role_policies(RoleName=names.role(each))["PolicyNames"] == [policy]
    functions.delete(target, ownership.find(target), ignore)
    assert roles() == set()
    assert iam.get_policy(PolicyArn=guardrail)


def test_down_takes_away_the_stages_roles_and_nobody_elses(target: Target) -> None:
    names, bearing = target.names, {STAGE_TAG: target.stage}
    made_by_chalice(names)
    role(names.role("sweep"))
    role(f"{names.prefix}-of-an-earlier-version", tags=bearing)
    role(f"{names.prefix}-ci", functions.policy("notify", names))
    role(f"{names.prefix}-ci-of-another", tags={STAGE_TAG: "another"})
    role("ci-of-all-stages", tags=bearing)
    functions.delete(target, ownership.find(target), ignore)
    assert roles() == {f"{names.prefix}-ci", f"{names.prefix}-ci-of-another", "ci-of-all-stages"}
    assert regions.roles(target) == []
