"""Every implementation of each port, as fixtures: the shared suite runs over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from chalicelib.aws.jobs import DynamoJobs
from chalicelib.aws.multipart import PART_SIZE_BYTES
from chalicelib.aws.objects import S3Objects
from chalicelib.ports import Jobs, Objects
from ops.check.disk import DiskJobs, DiskObjects
from tests.adapters.support import Faulty, client, client_error, empty_table


@pytest.fixture
def aws() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture(scope="module")
def aws_throughout() -> Iterator[None]:
    """One AWS for all examples of a module's tests, each of which begins with an empty table (``empty_table``)."""
    with mock_aws():
        yield


@pytest.fixture
def s3(aws: None) -> Faulty:
    """S3 with the buckets ``inbox`` (versioned) and ``plain`` (not)."""
    found = client("s3")
    for bucket in ("inbox", "plain"):
        found.create_bucket(Bucket=bucket)
    found.put_bucket_versioning(Bucket="inbox", VersioningConfiguration={"Status": "Enabled"})
    found.meta.events.register("provide-client-params.s3.CopyObject", _copying_only_what_is_meant(found))
    return Faulty(found)


def _copying_only_what_is_meant(s3: Any) -> Callable[..., None]:
    """CopySourceIfMatch, which moto passes over:
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html#API_CopyObject_RequestSyntax
    """

    def check(params: dict[str, Any], **_: Any) -> None:
        listed = s3.list_objects_v2(Bucket=params["CopySource"]["Bucket"], Prefix=params["CopySource"]["Key"])
        etags = [each["ETag"] for each in listed.get("Contents", []) if each["Key"] == params["CopySource"]["Key"]]
        if etags and etags != [params["CopySourceIfMatch"]]:
            raise client_error("PreconditionFailed", 412)

    return check


@pytest.fixture
def dynamodb(aws: None) -> Faulty:
    return Faulty(empty_table())


@pytest.fixture(params=["s3-versioned", "s3-plain", "disk"])
def place(request: Any, tmp_path: Path) -> tuple[Objects, str]:
    """An implementation of ``Objects`` and a bucket of it."""
    if request.param == "disk":
        return DiskObjects(tmp_path / "objects"), "plain"
    faulty: Any = request.getfixturevalue("s3")
    bucket = "inbox" if request.param == "s3-versioned" else "plain"
    return S3Objects(faulty, part_size_bytes=PART_SIZE_BYTES), bucket


@pytest.fixture(params=["dynamodb", "disk"])
def jobs(request: Any, tmp_path: Path) -> Jobs:
    if request.param == "disk":
        return DiskJobs(tmp_path / "jobs")
    return DynamoJobs("jobs", request.getfixturevalue("dynamodb"))
