"""Encryption at rest with the customer's own KMS key: who has to be let use it, and whether its policy does.

Without one, S3, DynamoDB, SQS and CloudWatch Logs encrypt with keys of their own. With one, three services use it on
nobody's behalf but their own: CloudWatch publishes alarms to the encrypted topic, EventBridge puts what it could not
deliver into the encrypted queue, CloudWatch Logs writes. An AWS managed key (``alias/aws/sns``) cannot let them in, and
what they could not encrypt would be lost without a word: therefore the key's policy is checked before anything is made.
S3 tells Lambda and EventBridge of uploads without the key: an event holds no part of an object. What DynamoDB and SSM
do with the key they do in the name of whoever asks, be it the operator: for that the account itself has to be let in.
https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
https://docs.aws.amazon.com/systems-manager/latest/userguide/secure-string-parameter-kms-encryption.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from botocore.exceptions import ClientError

from ops.cloudformation import stacks
from ops.target import Names, OperatorError, Target

_OF_THE_LOGS: Final = (
    *("kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo"),
    *("kms:GenerateDataKey*", "kms:DescribeKey"),
)
"""Each by its name where it has one: a policy may list singly what AWS' example allows by ``kms:ReEncrypt*``."""
_OF_THE_ACCOUNT: Final = (*_OF_THE_LOGS, "kms:CreateGrant")
"""The least that DynamoDB asks for; SSM encrypts a standard parameter by ``kms:Encrypt``."""
_READING: Final = {
    "s3:GetObject": "s3",
    "s3:GetObjectVersion": "s3",
    "dynamodb:GetItem": "dynamodb",
    "dynamodb:Query": "dynamodb",
    "dynamodb:UpdateItem": "dynamodb",
    "dynamodb:PutItem": "dynamodb",
    "dynamodb:DeleteItem": "dynamodb",
    "ssm:GetParameter": "ssm",
    "sqs:ReceiveMessage": "sqs",
}
"""Actions that need ``kms:Decrypt`` of what they touch → by way of which service."""
_WRITING: Final = {
    "s3:PutObject": "s3",
    "sns:Publish": "sns",
    "sqs:SendMessage": "sqs",
}
"""Actions that need a new data key as well; S3 decrypts while it puts the parts of an upload together."""

_KEY_LATER: Final = "Run up without --kms-key, and then once more with it: what is written from then on takes the key"
_KEY_BY_HAND: Final = "Set it as that bucket's default encryption, and run up again"


def key_policy_statements(names: Names) -> list[dict[str, Any]]:
    """What the key's policy has to hold for a stage."""
    account = {"StringEquals": {"aws:SourceAccount": names.account}}
    log_groups = {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": names.arn("logs", "*")}}
    use = ["kms:Decrypt", "kms:GenerateDataKey*"]
    root = f"arn:{names.partition}:iam::{names.account}:root"
    return [
        _allow("RolesByTheirPolicies", {"AWS": root}, list(_OF_THE_ACCOUNT)),
        _allow("SluiceAlarms", {"Service": "cloudwatch.amazonaws.com"}, use, account),
        _allow("SluiceDeadLetters", {"Service": "events.amazonaws.com"}, use, account),
        _allow("SluiceLogs", {"Service": f"logs.{names.region}.amazonaws.com"}, list(_OF_THE_LOGS), log_groups),
    ]


def check(target: Target, key: str) -> str:
    """The ARN of the key that ``key`` names (ARN, id or alias), once it is sure that the stage can use it.

    Errors: ``OperatorError`` where there is no such key, it cannot be used, or its policy shuts a service out: then
    with the statements that its policy lacks.
    """
    kms = target.client("kms")
    try:
        found = kms.describe_key(KeyId=key)["KeyMetadata"]
        policy = json.loads(kms.get_key_policy(KeyId=found["KeyId"], PolicyName="default")["Policy"])
    except ClientError as error:
        raise OperatorError(f"the key {key} cannot be looked at: {error}") from error
    usable = (found["KeyState"], found.get("KeySpec"), found.get("KeyUsage"))
    if usable != ("Enabled", "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"):
        raise OperatorError(f"the key {key} is {', '.join(map(str, usable))}: an enabled, symmetric key is needed")
    if found.get("KeyManager") == "AWS":
        raise OperatorError(f"the key {key} is AWS' own: its policy cannot let in CloudWatch and EventBridge")
    lacking = [each for each in key_policy_statements(target.names) if not _holds(policy, each, target.names)]
    if lacking:
        raise OperatorError(
            f"the policy of the key {key} shuts out what has to use it. Add to its statements:\n"
            + json.dumps(lacking, indent=2)
        )
    arn: str = found["Arn"]
    return arn


def chosen(target: Target, wanted: str | None) -> str | None:
    """The ARN of the key that the stage is to have: the one that is wanted (ARN, id or alias), or else the one that it
    has, or that the data has which ``down`` has kept; None: no key of the customer's.

    Errors: ``OperatorError`` for a key that cannot be used, or another one than the stage's data is encrypted with.
    """
    stack = target.names.foundation_stack
    stands = stacks.describe(target, stack) is not None
    held = {stack: stacks.parameter(target, stack, "KmsKey") or None} if stands else _keys_of_kept_data(target)
    standing = next((key for key in held.values() if key is not None), None)
    if wanted is None:
        return standing
    key = check(target, wanted)
    if standing not in (None, key):
        raise OperatorError(
            f"what the stage holds is encrypted with {standing}, and the functions could no longer read it: "
            "have that key rotated in KMS, or deploy another stage"
        )
    bare = [] if stands else [bucket for bucket, found in held.items() if found is None]
    if bare:
        # CloudFormation adopts what is there as it is, and compares it with no template later.
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources.html
        raise OperatorError(
            f"the data that down has kept would be adopted as it is, and {' and '.join(bare)} would stay without"
            f" {key}. {_KEY_LATER if standing is None else _KEY_BY_HAND}"
        )
    return key


def _keys_of_kept_data(target: Target) -> dict[str, str | None]:
    """Each bucket of data that is there → the ARN of its key; None where it is none of the customer's."""
    keys: dict[str, str | None] = {}
    for bucket in map(target.names.bucket, ("results", "inbox")):
        try:
            found = target.s3.get_bucket_encryption(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchBucket":
                continue
            if error.response["Error"]["Code"] != "ServerSideEncryptionConfigurationNotFoundError":
                raise
            keys[bucket] = None
        else:
            (rule,) = found["ServerSideEncryptionConfiguration"]["Rules"]
            keys[bucket] = rule["ApplyServerSideEncryptionByDefault"].get("KMSMasterKeyID")
    return keys


def function_statements(policy: Mapping[str, Any], names: Names, key: str) -> list[dict[str, Any]]:
    """What a function needs of the key to do what its policy lets it do, by way of those services alone."""
    actions = {action for statement in policy["Statement"] for action in _listed(statement["Action"])}
    reading = {service for action, service in _READING.items() if action in actions}
    writing = {service for action, service in _WRITING.items() if action in actions}
    statements = [
        _use("ReadEncrypted", ["kms:Decrypt"], reading | writing, names, key),
        _use("WriteEncrypted", ["kms:GenerateDataKey"], writing, names, key),
    ]
    return [statement for statement in statements if statement is not None]


def _use(sid: str, actions: list[str], services: set[str], names: Names, key: str) -> dict[str, Any] | None:
    if not services:
        return None
    via = [f"{service}.{names.region}.amazonaws.com" for service in sorted(services)]
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Action": actions,
        "Resource": [key],
        "Condition": {"StringEquals": {"kms:ViaService": via}},
    }


def _allow(
    sid: str, principal: dict[str, str], actions: list[str], condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    statement = {"Sid": sid, "Effect": "Allow", "Principal": principal, "Action": actions, "Resource": "*"}
    return statement if condition is None else statement | {"Condition": condition}


def _holds(policy: Mapping[str, Any], needed: Mapping[str, Any], names: Names) -> bool:
    """Whether the policy's statements for the needed principal allow every needed action. A statement with a condition
    other than the one that is asked for is not counted on: whether it is ever fulfilled is not known here.
    """
    ((kind, principal),) = needed["Principal"].items()
    same = {principal, names.account} if kind == "AWS" else {principal}  # an account's number stands for its root
    allowed = [
        action
        for statement in _listed(policy["Statement"])
        if statement["Effect"] == "Allow"
        and isinstance(statement.get("Principal"), dict)  # the alternative is "*", never without a condition
        and same & set(_listed(statement["Principal"].get(kind, [])))
        and statement.get("Condition") in (None, {}, needed.get("Condition"))
        for action in _listed(statement.get("Action", []))  # the alternative, NotAction, is not counted on either
    ]
    return all(any(_covers(pattern, action) for pattern in allowed) for action in needed["Action"])


def _covers(pattern: str, action: str) -> bool:
    """Whether a pattern allows ``action``; one with a star stands for the action without it, which all services use."""
    return fnmatchcase(action.removesuffix("*").lower(), pattern.lower())


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
