"""What IAM asks of a request, and whether a policy grants it.

Sluice's policies only allow, exact actions on ARNs with ``*``: nothing more of IAM's language is modelled here.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from ops.target import Names
from tests.faults.wire import Request

LAMBDAS_OWN: Final = {"WriteLog", "Trace", "KeepFailedEvents"}
"""Statements for what Lambda does in the function's name."""

Need = tuple[str, str]
"""An action and the ARN that it is done to."""

_PUT: Final = {"PutObject", "UploadPart", "CreateMultipartUpload", "CompleteMultipartUpload"}
_COPY: Final = {"CopyObject", "UploadPartCopy"}


def needs(request: Request, status: int, names: Names) -> set[Need]:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html for S3; elsewhere an
    operation is its action. ``status``: of the reply; that an object is missing is told to who may list its bucket.
    """
    if request.service == "s3":
        return _of_s3(request, status)
    asked: dict[str, Any] = {} if request.service == "sns" else json.loads(request.body)
    if request.service == "dynamodb":
        index = f"/index/{asked['IndexName']}" if "IndexName" in asked else ""
        arn = names.arn("dynamodb", f"table/{asked['TableName']}{index}")
    elif request.service == "states":
        arn = next(asked[name] for name in ("stateMachineArn", "executionArn", "mapRunArn") if name in asked)
    elif request.service == "ssm":
        arn = names.arn("ssm", f"parameter{asked['Name']}")
    else:
        arn = parse_qs(request.body.decode())["TopicArn"][0]
    return {(f"{request.service}:{request.operation}", arn)}


def _of_s3(request: Request, status: int) -> set[Need]:
    bucket, arn = f"arn:aws:s3:::{request.bucket}", f"arn:aws:s3:::{request.bucket}/{request.key}"
    if request.operation == "HeadBucket":
        return set()  # botocore looks for the bucket's region after a 400; it reads that off a refusal too
    if request.operation == "ListObjectsV2":
        return {("s3:ListBucket", bucket)}
    if request.operation in ("AbortMultipartUpload", "DeleteObject"):
        return {(f"s3:{request.operation}", arn)}
    if request.operation in _PUT:
        return {("s3:PutObject", arn)}
    if request.operation in _COPY:
        source = unquote(request.headers["x-amz-copy-source"]).lstrip("/")
        return {("s3:PutObject", arn), ("s3:GetObject", f"arn:aws:s3:::{source}")}
    assert request.operation in ("GetObject", "HeadObject"), request.operation
    version = "versionId" in parse_qs(urlsplit(request.path).query)
    found: set[Need] = {("s3:GetObjectVersion" if version else "s3:GetObject", arn)}
    return found | {("s3:ListBucket", bucket)} if status == 404 else found


def grants(policy: dict[str, Any], need: Need) -> bool:
    action, arn = need
    return any(
        action in statement["Action"] and any(_matches(pattern, arn) for pattern in statement["Resource"])
        for statement in policy["Statement"]
    )


def _matches(pattern: str, arn: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), arn) is not None


def grains(policy: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Every (Sid, action, resource) of a policy."""
    return [
        (statement["Sid"], action, resource)
        for statement in policy["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    ]


def without(policy: dict[str, Any], grain: tuple[str, str, str]) -> dict[str, Any]:
    """The policy without one action on one resource, as it stands in one statement."""
    statements: list[dict[str, Any]] = []
    for each in policy["Statement"]:
        for action in each["Action"]:
            resources = [one for one in each["Resource"] if (each["Sid"], action, one) != grain]
            statements.append(each | {"Action": [action], "Resource": resources})
    return policy | {"Statement": statements}
