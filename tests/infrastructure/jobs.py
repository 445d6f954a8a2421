"""A job in a stage that a test has deployed, from the upload to its end."""

from __future__ import annotations

import time

from chalicelib.aws.jobs import DynamoJobs
from chalicelib.model import Job, Source, Status
from ops.target import Target

JOB_SECONDS = 90.0


def port(target: Target) -> DynamoJobs:
    return DynamoJobs(target.names.jobs_table, target.client("dynamodb"))


def process(target: Target, path: str, body: bytes) -> Job:
    """Upload to ``incoming/<path>``, and wait until the job has SUCCEEDED."""
    bucket, key = target.names.bucket("inbox"), f"incoming/{path}"
    answer = target.s3.put_object(Bucket=bucket, Key=key, Body=body)
    source = Source(bucket, key, answer["VersionId"], len(body), answer["ETag"].strip('"'))
    deadline = time.monotonic() + JOB_SECONDS
    while True:
        job = port(target).get(source.job_id)
        if job is not None and job.status.is_final:
            assert job.status is Status.SUCCEEDED, job.error
            return job
        assert time.monotonic() < deadline, f"the job of {key} does not end: {job}"
        time.sleep(0.05)
