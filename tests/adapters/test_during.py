"""An object that is replaced or deleted while its job runs: the whole workflow's steps over S3 (on moto)."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib import notify
from chalicelib.aws.objects import S3Objects
from chalicelib.model import Rows, Status
from chalicelib.ports import Stored
from tests import pipeline
from tests.adapters.support import Faulty, source_of
from tests.fakes import MemoryPorts
from tests.pipeline import INBOX, RESULTS, Outcome

KEY = "incoming/things/a.csv"
BODY = b"id,name\n" + b"".join(b"%d,name\n" % number for number in range(50))
Change = Callable[[Faulty, Stored], None]


class Uploads(S3Objects):
    uploaded: Stored

    def add(self, bucket: str, key: str, body: bytes) -> Stored:
        self.uploaded = self.put(bucket, key, body, "text/csv")
        return self.uploaded


def replace(s3: Faulty, uploaded: Stored) -> None:
    s3.put_object(Bucket=INBOX, Key=KEY, Body=BODY.replace(b"name", b"eman"))


def delete(s3: Faulty, uploaded: Stored) -> None:
    s3.delete_object(Bucket=INBOX, Key=KEY)


def erase(s3: Faulty, uploaded: Stored) -> None:
    s3.delete_object(Bucket=INBOX, Key=KEY, VersionId=uploaded.version_id)


def write_the_text_again(s3: Faulty, uploaded: Stored) -> None:
    """As a ValidateData that had been given up does; under a key of KMS the same bytes have another ETag each time."""
    text = f"work/{source_of(uploaded).job_id}/text.csv"
    again = s3.get_object(Bucket=RESULTS, Key=text)["Body"].read() + b"99,late\n"
    s3.put_object(Bucket=RESULTS, Key=text, Body=again)


def run(s3: Faulty, change: Change, body: bytes = BODY) -> Outcome:
    """One job, with the change after ValidateData and before the chunks."""
    s3.create_bucket(Bucket=RESULTS)
    objects: Any = Uploads(s3)  # type: ignore[arg-type]
    ports = MemoryPorts(objects)

    def then(_: MemoryPorts) -> None:
        change(s3, objects.uploaded)

    return pipeline.run(body, key=KEY, chunk_size=100, ports=ports, before_chunks=then)


@pytest.mark.parametrize("change", [replace, delete])
def test_a_version_is_read_to_its_end_whatever_comes_after_it(s3: Faulty, change: Change) -> None:
    outcome = run(s3, change)
    assert outcome.job.status is Status.SUCCEEDED, outcome.job.error
    assert outcome.job.rows == Rows(read=50, valid=50)
    assert outcome.table["name"].to_pylist() == ["name"] * 50


def test_a_version_that_is_erased_fails_its_job(s3: Faulty) -> None:
    outcome = run(s3, erase)
    assert outcome.job.error is not None
    assert outcome.job.error.code == "object-not-found"
    assert (outcome.published, outcome.current) == ([], [])


@pytest.mark.parametrize(
    ("change", "code"), [(replace, "object-replaced"), (delete, "object-not-found")], ids=["replaced", "deleted"]
)
def test_without_versions_the_job_fails_and_nothing_is_published(s3: Faulty, change: Change, code: str) -> None:
    s3.put_bucket_versioning(Bucket=INBOX, VersioningConfiguration={"Status": "Suspended"})
    outcome = run(s3, change)
    assert outcome.job.error is not None
    assert outcome.job.error.code == code
    assert (outcome.published, outcome.current) == ([], [])


def test_a_text_that_was_written_again_is_not_told_as_an_upload_that_was_replaced(s3: Faulty) -> None:
    """Its reader was told that the newer version had a job of its own, and there was nothing to do."""
    outcome = run(s3, write_the_text_again, gzip.compress(BODY))
    assert outcome.job.error is not None
    assert outcome.job.error.code == "output-replaced"
    assert "/text.csv was written by another run" in outcome.job.error.message
    assert "Then retry the job" in notify.compose(outcome.job, RESULTS).text
    assert (outcome.published, outcome.current) == ([], [])
