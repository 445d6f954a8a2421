"""Every implementation of each port, as fixtures: the shared suite runs over all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from chalicelib.aws.jobs import DynamoJobs
from chalicelib.aws.multipart import PART_SIZE_BYTES
from chalicelib.aws.objects import S3Objects
from chalicelib.ports import Jobs, Objects
from ops.check.disk import DiskJobs, DiskObjects
from tests.adapters.support import Faulty, client, empty_table


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
    return Faulty(found)


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
