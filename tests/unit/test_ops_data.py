"""Data that is to go and does not: what S3 refuses to delete stands in an answer that says 200."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from moto import mock_aws

from ops.stage import data
from ops.target import OperatorError, Target
from tests.adapters.support import table_definition


def ignore(_: str) -> None:
    return None


@pytest.fixture
def target() -> Iterator[Target]:
    """A stage of which there is the data, with one object that is locked."""
    with mock_aws():
        stage = Target("test", "us-east-1", None, {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"})
        stage.s3.create_bucket(Bucket=stage.names.bucket("inbox"), ObjectLockEnabledForBucket=True)
        stage.s3.create_bucket(Bucket=stage.names.bucket("results"))
        stage.client("dynamodb").create_table(TableName=stage.names.jobs_table, **table_definition())
        stage.s3.put_object(Bucket=stage.names.bucket("inbox"), Key="incoming/a/free.csv", Body=b"a")
        stage.s3.put_object(
            Bucket=stage.names.bucket("inbox"),
            Key="incoming/a/locked.csv",
            Body=b"a",
            ObjectLockMode="GOVERNANCE",
            ObjectLockRetainUntilDate=datetime.now(UTC) + timedelta(days=1),
        )
        yield stage


def test_an_object_that_s3_refuses_to_delete_is_an_error_and_named(target: Target) -> None:
    with pytest.raises(OperatorError, match=r"^1 objects of sluice-test-inbox-.* incoming/a/locked\.csv: AccessDenied"):
        data.delete(target, ignore)
    left = target.s3.list_object_versions(Bucket=target.names.bucket("inbox"))["Versions"]
    assert [each["Key"] for each in left] == ["incoming/a/locked.csv"]
    assert target.s3.head_bucket(Bucket=target.names.bucket("results"))
    assert target.client("dynamodb").list_tables()["TableNames"] == [target.names.jobs_table]


def test_deleting_it_again_goes_on_where_it_was_refused(target: Target) -> None:
    inbox = target.names.bucket("inbox")
    with pytest.raises(OperatorError):
        data.delete(target, ignore)
    (locked,) = target.s3.list_object_versions(Bucket=inbox)["Versions"]
    target.s3.put_object_retention(
        Bucket=inbox,
        Key=locked["Key"],
        VersionId=locked["VersionId"],
        Retention={"Mode": "GOVERNANCE", "RetainUntilDate": datetime.now(UTC) - timedelta(days=1)},
        BypassGovernanceRetention=True,
    )
    data.delete(target, ignore)
    assert target.s3.list_buckets()["Buckets"] == []
    assert target.client("dynamodb").list_tables()["TableNames"] == []
