"""Encryption at rest with the customer's own key: who may use it, and a stage that lives with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ops.cloudformation import encryption
from ops.emulation.emulator import Emulator
from ops.stage import data, deployment, leftovers
from ops.stage.deployment import Options
from ops.target import OperatorError, Target
from tests.infrastructure import documents, jobs

KEY = "arn:aws:kms:eu-central-1:111122223333:key/1234"


@pytest.fixture
def target() -> Iterator[Target]:
    with mock_aws():
        yield Target("test", "us-east-1", None, {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"})


def ignore(_: str) -> None:
    return None


def a_key(statements: list[dict[str, Any]], usage: str = "ENCRYPT_DECRYPT", spec: str = "SYMMETRIC_DEFAULT") -> str:
    kms = boto3.client("kms", region_name="us-east-1")
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    arn: str = kms.create_key(Policy=policy, KeyUsage=usage, KeySpec=spec)["KeyMetadata"]["Arn"]
    return arn


def lacking(target: Target, statements: list[dict[str, Any]]) -> list[str]:
    """The Sids of the statements that the operator is told to add."""
    with pytest.raises(OperatorError) as caught:
        encryption.check(target, a_key(statements))
    return [statement["Sid"] for statement in json.loads(str(caught.value).split("statements:\n")[1])]


def test_a_key_whose_policy_lets_everyone_in_is_taken_by_any_of_its_names(target: Target) -> None:
    arn = a_key(encryption.key_policy_statements(target.names))
    boto3.client("kms", region_name="us-east-1").create_alias(AliasName="alias/sluice", TargetKeyId=arn)
    for name in (arn, arn.rpartition("/")[2], "alias/sluice"):
        assert encryption.check(target, name) == arn


@pytest.mark.parametrize("missing", ["RolesByTheirPolicies", "SluiceAlarms", "SluiceDeadLetters", "SluiceLogs"])
def test_a_key_that_shuts_one_out_is_refused(target: Target, missing: str) -> None:
    held = [each for each in encryption.key_policy_statements(target.names) if each["Sid"] != missing]
    assert lacking(target, held) == [missing]


def test_the_policy_that_keys_have_at_first_is_refused_with_what_it_lacks(target: Target) -> None:
    root = {"AWS": f"arn:aws:iam::{target.names.account}:root"}
    held = [{"Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"}]
    assert lacking(target, held) == ["SluiceAlarms", "SluiceDeadLetters", "SluiceLogs"]


@pytest.mark.parametrize("missing", ["kms:Encrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:CreateGrant"])
def test_what_the_table_and_the_token_need_of_the_key_is_asked_for(target: Target, missing: str) -> None:
    first, *rest = encryption.key_policy_statements(target.names)
    less = first | {"Action": [action for action in first["Action"] if action != missing]}
    assert lacking(target, [less, *rest]) == ["RolesByTheirPolicies"]


def test_a_key_policy_as_dynamodbs_own_example_lets_the_account_in(target: Target) -> None:
    first, *rest = encryption.key_policy_statements(target.names)
    example = ["Encrypt", "Decrypt", "ReEncrypt*", "GenerateDataKey*", "DescribeKey", "CreateGrant"]
    assert encryption.check(target, a_key([first | {"Action": [f"kms:{each}" for each in example]}, *rest]))


@pytest.mark.parametrize(
    "changed",
    [
        {"Effect": "Deny"},
        {"Action": "kms:Decrypt"},
        {"NotAction": "kms:ScheduleKeyDeletion"},
        {"Principal": "*", "Condition": {"StringEquals": {"kms:CallerAccount": "999999999999"}}},
        {"Condition": {"StringEquals": {"aws:SourceAccount": "999999999999"}}},
    ],
    ids=["denied", "decrypts only", "all but", "anyone of another account", "another account"],
)
def test_a_statement_that_does_not_let_in_is_not_counted(target: Target, changed: dict[str, Any]) -> None:
    held = encryption.key_policy_statements(target.names)
    statement = held[1] | changed
    if "NotAction" in changed:
        del statement["Action"]
    assert lacking(target, [held[0], statement, *held[2:]]) == ["SluiceAlarms"]


def test_a_policy_may_hold_one_statement_by_itself(target: Target) -> None:
    """As AWS takes it, and not moto: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html"""
    first, second, *_ = encryption.key_policy_statements(target.names)
    assert encryption._holds({"Statement": first}, first, target.names)
    assert not encryption._holds({"Statement": first}, second, target.names)


@pytest.mark.parametrize("action", ["kms:*", "*", ["kms:Decrypt", "kms:GenerateDataKey"]], ids=str)
def test_a_wider_statement_lets_in_too(target: Target, action: Any) -> None:
    held = encryption.key_policy_statements(target.names)
    assert encryption.check(target, a_key([held[0], held[1] | {"Action": action}, *held[2:]]))


SINGLY = ["Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "DescribeKey"]


def test_actions_that_are_listed_singly_let_the_logs_in_too(target: Target) -> None:
    held = encryption.key_policy_statements(target.names)
    logs = held[3] | {"Action": [f"kms:{each}" for each in SINGLY]}
    assert encryption.check(target, a_key([*held[:3], logs]))


@pytest.mark.parametrize("missing", SINGLY)
def test_each_action_is_asked_for_that_the_logs_need(target: Target, missing: str) -> None:
    held = encryption.key_policy_statements(target.names)
    logs = held[3] | {"Action": [f"kms:{each}" for each in SINGLY if each != missing]}
    assert lacking(target, [*held[:3], logs]) == ["SluiceLogs"]


def test_a_key_for_signing_is_refused(target: Target) -> None:
    arn = a_key(encryption.key_policy_statements(target.names), "SIGN_VERIFY", "RSA_2048")
    with pytest.raises(OperatorError, match="SIGN_VERIFY"):
        encryption.check(target, arn)


def test_no_such_key_is_told(target: Target) -> None:
    with pytest.raises(OperatorError, match="cannot be looked at"):
        encryption.check(target, "alias/missing")


def test_everything_at_rest_takes_the_key() -> None:
    found = documents.resources(documents.FOUNDATION, with_key=True)
    key = {"Ref": "KmsKey"}
    for name in ("InboxBucket", "ResultsBucket", "ArtifactsBucket"):
        (rule,) = found[name]["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule == {
            "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key},
            "BucketKeyEnabled": True,
        }
    table = found["JobsTable"]["Properties"]["SSESpecification"]
    assert table == {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}
    assert found["NoticesTopic"]["Properties"]["KmsMasterKeyId"] == key
    assert found["DeadLetterQueue"]["Properties"]["KmsMasterKeyId"] == key
    assert "SqsManagedSseEnabled" not in found["DeadLetterQueue"]["Properties"]
    groups = documents.resources(documents.FOUNDATION, "AWS::Logs::LogGroup", with_key=True)
    groups |= documents.resources(documents.WORKFLOW, "AWS::Logs::LogGroup", with_key=True)
    assert [group["Properties"]["KmsKeyId"] for group in groups.values()] == [key, key]


def test_the_workflow_may_read_its_encrypted_plan_and_no_more() -> None:
    def statements(*, with_key: bool) -> list[dict[str, Any]]:
        role = documents.resources(documents.WORKFLOW, with_key=with_key)["WorkflowRole"]["Properties"]
        found: list[dict[str, Any]] = role["Policies"][0]["PolicyDocument"]["Statement"]
        return found

    (added,) = [each for each in statements(with_key=True) if each not in statements(with_key=False)]
    assert (added["Action"], added["Resource"]) == ("kms:Decrypt", {"Ref": "KmsKey"})
    via = added["Condition"]["StringEquals"]["kms:ViaService"]
    assert documents.resolve(via) == "s3.eu-central-1.amazonaws.com"


@pytest.mark.parametrize(
    ("function", "reads_by_way_of", "writes_by_way_of"),
    [
        ("process-chunk", ["s3"], ["s3"]),
        ("notify", ["dynamodb", "sns"], ["sns"]),
        ("authorize", ["ssm"], []),
        ("on-upload", ["dynamodb", "sqs"], ["sqs"]),
    ],
)
def test_a_function_may_use_the_key_for_what_it_does(
    function: str, reads_by_way_of: list[str], writes_by_way_of: list[str]
) -> None:
    added = [
        statement
        for statement in documents.policies(KEY)[function]["Statement"]
        if statement not in documents.policies()[function]["Statement"]
    ]
    assert {tuple(statement["Resource"]) for statement in added} == {(KEY,)}
    via = {
        action: [service.split(".")[0] for service in statement["Condition"]["StringEquals"]["kms:ViaService"]]
        for statement in added
        for action in statement["Action"]
    }
    assert via.get("kms:Decrypt", []) == reads_by_way_of
    assert via.get("kms:GenerateDataKey", []) == writes_by_way_of


def encrypt(target: Target, bucket: str, key: str) -> None:
    """As the foundation's template says; of a bucket's properties the emulator's CloudFormation leaves this one out."""
    rule: Any = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    target.s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})


@pytest.mark.e2e
def test_a_stage_lives_with_the_customers_key() -> None:
    with Emulator() as emulator:
        target, other = emulator.target("keyed"), emulator.target("other")
        kms = target.client("kms")
        policy = {"Version": "2012-10-17", "Statement": encryption.key_policy_statements(target.names)}
        keys = [kms.create_key(Policy=json.dumps(policy))["KeyMetadata"]["Arn"] for _ in range(2)]
        deployed = deployment.up(target, Options(kms_key=keys[0]), ignore)
        assert deployment.plan(target, Options(), ignore) == []  # it stays chosen
        assert deployment.plan(target, Options(kms_key=keys[0]), ignore) == []
        for bucket in (deployed.inbox_bucket, deployed.results_bucket):
            encrypt(target, bucket, keys[0])
        jobs.process(target, "trades/a.csv", b"a,b\n1,2\n")
        stored = target.s3.head_object(Bucket=deployed.inbox_bucket, Key="incoming/trades/a.csv")
        assert (stored["ServerSideEncryption"], stored["SSEKMSKeyId"]) == ("aws:kms", keys[0])
        with pytest.raises(OperatorError, match="could no longer read it"):
            deployment.up(target, Options(kms_key=keys[1]), ignore)
        deployment.down(target, ignore)
        deployment.up(target, Options(), ignore)
        jobs.process(target, "trades/b.csv", b"a,b\n1,2\n")  # the kept data's key is found again
        assert deployment.plan(target, Options(), ignore) == []
        assert deployment.plan(other, Options(), ignore)


@pytest.mark.e2e
def test_kept_data_takes_no_key_by_being_adopted() -> None:
    """CloudFormation adopts what is there as it is: the data would stay without the key, and no later ``up`` tell."""
    with Emulator() as emulator:
        target = emulator.target("kept")
        policy = {"Version": "2012-10-17", "Statement": encryption.key_policy_statements(target.names)}
        key = target.client("kms").create_key(Policy=json.dumps(policy))["KeyMetadata"]["Arn"]
        inbox = target.names.bucket("inbox")
        deployment.up(target, Options(), ignore)
        deployment.down(target, ignore)
        for act in (deployment.plan, deployment.up):
            with pytest.raises(OperatorError, match="without --kms-key"):
                act(target, Options(kms_key=key), ignore)
        # Half of it is no better, and nor would be an up without the option, which takes the key that it finds.
        encrypt(target, target.names.bucket("results"), key)
        with pytest.raises(OperatorError, match=rf"and {inbox} would stay without .*Set it as"):
            deployment.up(target, Options(kms_key=key), ignore)
        assert leftovers.find(target) == data.kept(target)
        target.s3.delete_bucket_encryption(Bucket=target.names.bucket("results"))
        deployment.up(target, Options(), ignore)
        assert deployment.up(target, Options(kms_key=key), ignore).changes  # as it says
