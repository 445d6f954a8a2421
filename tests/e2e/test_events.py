"""Events that come twice, uploads that come together: every version of every object is one job, exactly."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from chalicelib.model import Status, event_from_source, timestamp
from tests.e2e.conftest import Pipeline
from tests.events import event

HEADER = b"id,name\n"


def rows(first: int, count: int) -> bytes:
    return HEADER + b"".join(b"%d,name %d\n" % (n, n) for n in range(first, first + count))


def test_the_same_event_twice_is_one_job_and_changes_nothing(pipeline: Pipeline) -> None:
    source = pipeline.upload("incoming/twice/a.csv", rows(1, 10))
    (job,) = pipeline.finish(source)
    assert job.status is Status.SUCCEEDED, job.error
    before = _state(pipeline, job.job_id)

    states = pipeline.stack.target.client("stepfunctions")
    again = states.start_execution(
        stateMachineArn=pipeline.stack.target.names.state_machine_arn,
        name="the-event-once-more",
        input=json.dumps(event_from_source(source)),
    )
    deadline = time.monotonic() + 60
    while (status := states.describe_execution(executionArn=again["executionArn"])["status"]) == "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert status == "SUCCEEDED"
    assert pipeline.stack.jobs.get(job.job_id) == job
    assert _state(pipeline, job.job_id) == before


def _state(pipeline: Pipeline, job_id: str) -> list[tuple[str, str, object]]:
    objects = pipeline.stack.objects
    return [
        (stored.key, stored.etag, stored.last_modified)
        for prefix in (f"jobs/{job_id}/", "datasets/twice/")
        for stored in objects.list(pipeline.stack.results, prefix)
    ]


def test_two_versions_of_one_object_are_two_jobs_each_with_its_own_bytes(pipeline: Pipeline) -> None:
    first = pipeline.upload("incoming/versions/a.csv", rows(1, 10))
    second = pipeline.upload("incoming/versions/a.csv", rows(1, 25))
    third = pipeline.upload("incoming/versions/a.csv", rows(1, 25))
    jobs = pipeline.finish(first, second, third)
    assert len({job.job_id for job in jobs}) == 3
    assert [job.rows.valid for job in jobs] == [10, 25, 25]
    assert [job.status for job in jobs] == [Status.SUCCEEDED] * 3


UPLOADS_AT_ONCE = int(os.environ.get("UPLOADS_AT_ONCE", "10"))
"""More take minutes: ``make test-uploads``."""


def test_uploads_at_once(pipeline: Pipeline) -> None:
    bodies = {f"incoming/ten/{n}.csv": rows(n * 1000, 10 + n) for n in range(UPLOADS_AT_ONCE)}
    with ThreadPoolExecutor(10) as pool:
        sources = list(pool.map(lambda item: pipeline.upload(*item), bodies.items()))
    jobs = pipeline.finish(*sources)
    assert [job.status for job in jobs] == [Status.SUCCEEDED] * UPLOADS_AT_ONCE
    assert [job.rows.valid for job in jobs] == [10 + n for n in range(UPLOADS_AT_ONCE)]
    current = json.loads(pipeline.stack.objects.get(pipeline.stack.results, "datasets/ten/current.json"))
    assert sorted(each["job_id"] for each in current["jobs"]) == sorted(job.job_id for job in jobs)
    for job in jobs:
        assert pipeline.notification(job)["MessageAttributes"]["status"]["Value"] == "SUCCEEDED"


def test_an_execution_that_is_stopped_fails_its_job_and_tells(pipeline: Pipeline) -> None:
    source = pipeline.upload("incoming/stopped/a.csv", rows(1, 100_000))
    while (job := pipeline.stack.jobs.get(source.job_id)) is None or job.execution is None:
        time.sleep(0.02)
    pipeline.stack.target.client("stepfunctions").stop_execution(executionArn=job.execution)
    (job,) = pipeline.finish(source)
    assert job.error is not None
    assert job.error.code == "aborted"
    assert json.loads(pipeline.notification(job)["Message"])["error"]["code"] == "aborted"
    assert pipeline.results(f"jobs/{job.job_id}/") == []


def test_a_faulty_contract_is_told_when_it_is_uploaded(pipeline: Pipeline) -> None:
    pipeline.agree("faulty", {"schema": {"fields": [{"name": "id", "type": "int"}]}})
    place = {"bucket": pipeline.stack.inbox, "key": "contracts/faulty.json"}
    message = pipeline.message(lambda document: document.get("contract") == place)
    attributes = {name: each["Value"] for name, each in message["MessageAttributes"].items()}
    assert attributes == {"status": "CONTRACT_INVALID", "dataset": "faulty"}
    assert "schema.fields[0].type" in json.loads(message["Message"])["error"]["message"]


def test_an_upload_while_the_rule_is_disabled_is_started_by_the_sweeper(pipeline: Pipeline) -> None:
    target = pipeline.stack.target
    events, rule = target.client("events"), f"{target.names.prefix}-uploads"
    events.disable_rule(Name=rule)
    try:
        source = pipeline.upload("incoming/unheard/a.csv", rows(1, 10))
        deadline = time.monotonic() + 30
        while (job := pipeline.stack.jobs.get(source.job_id)) is None:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        time.sleep(1)
        assert pipeline.stack.jobs.get(source.job_id) == job
        assert job.status is Status.RECEIVED
    finally:
        events.enable_rule(Name=rule)
    later = timestamp(datetime.now(UTC) + timedelta(minutes=31))
    document = json.dumps(event("schedule") | {"time": later})
    answer = target.client("lambda").invoke(FunctionName=target.names.function("sweep"), Payload=document.encode())
    assert json.loads(answer["Payload"].read())["started"] == 1
    (job,) = pipeline.finish(source)
    assert (job.status, job.rows.valid) == (Status.SUCCEEDED, 10)
