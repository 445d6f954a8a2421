"""Between the manifest and SUCCEEDED: a job that is decided is finished by whoever comes to end it, and never fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from chalicelib import failure, publication, steps, sweeper, triggers
from chalicelib.errors import Transient
from chalicelib.model import Failure, Job, Status, event_from_source, timestamp
from tests import pipeline
from tests.events import event
from tests.fakes import NOON, MemoryObjects, MemoryPorts

SETTINGS = pipeline.settings(1 << 20)
CONTRACT = pipeline.contract({"name": "id", "type": "integer"})
CURRENT = publication.current_key("things")


class Unswitchable(MemoryObjects):
    """``current.json`` cannot be written, as long as ``broken``."""

    broken = True

    def put(self, bucket: str, key: str, *args: Any, **options: Any) -> Any:
        if self.broken and key.endswith("current.json"):
            raise Transient("aws-unavailable", "s3:PutObject got no answer")
        return super().put(bucket, key, *args, **options)


@pytest.fixture
def ports() -> MemoryPorts:
    """A job whose StoreResults failed at the switch, and so did RecordFailure; now S3 works again."""
    objects = Unswitchable()
    ports = MemoryPorts(objects=objects)
    with pytest.raises(Transient):
        pipeline.run(b"id\n1\n2\n", CONTRACT, ports=ports)
    assert job_of(ports).is_decided
    objects.broken = False
    return ports


def job_of(ports: MemoryPorts) -> Job:
    (job,) = ports.jobs.records.values()
    return job


def by_record_failure(ports: MemoryPorts, job: Job) -> None:
    caught = {"Error": "Transient", "Cause": json.dumps({"errorMessage": "aws-unavailable: no answer"})}
    payload = {"execution": job.execution, "event": event_from_source(job.source), "failure": caught}
    failure.record_failure(ports, SETTINGS, payload)


def by_status_change(ports: MemoryPorts, job: Job) -> None:
    document = event("execution-failed")
    document["detail"] |= {"executionArn": job.execution, "input": json.dumps(event_from_source(job.source))}
    triggers.execution_status_changed(ports, SETTINGS, document)


def by_the_sweeper(ports: MemoryPorts, job: Job) -> None:
    assert job.execution is not None
    ports.executions.statuses[job.execution] = "FAILED"
    sweeper.sweep(ports, SETTINGS, event("schedule") | {"time": timestamp(NOON.replace(hour=14))})


def by_another_attempt(ports: MemoryPorts, job: Job) -> None:
    payload = {"job": {"job_id": job.job_id, "dataset": job.dataset, "timeline": []}, "execution": job.execution}
    steps.store_results(ports, SETTINGS, payload)


ENDS = [by_record_failure, by_status_change, by_the_sweeper, by_another_attempt]


@pytest.mark.parametrize("end", ENDS)
def test_a_decided_job_is_made_current_and_succeeds(
    ports: MemoryPorts, end: Callable[[MemoryPorts, Job], None]
) -> None:
    end(ports, job_of(ports))
    outcome = pipeline.Outcome(job_of(ports), ports)
    assert (outcome.job.status, outcome.job.error) == (Status.SUCCEEDED, None)
    assert outcome.current == [outcome.job.job_id]
    assert outcome.job.finished_at == outcome.document("manifest.json")["finished_at"]
    assert {notice.attributes["status"] for notice in ports.notices.sent} <= {"SUCCEEDED"}


def test_doing_it_again_changes_nothing(ports: MemoryPorts) -> None:
    first, job = publication.finish(ports, pipeline.RESULTS, job_of(ports)), job_of(ports)
    before = ports.objects.get(pipeline.RESULTS, CURRENT)
    assert publication.end(ports, pipeline.RESULTS, job.job_id, str(job.execution), Failure("late", ""), "") is None
    assert job_of(ports) == first
    assert ports.objects.get(pipeline.RESULTS, CURRENT) == before


def test_another_execution_finishes_nothing(ports: MemoryPorts) -> None:
    job = job_of(ports)
    assert publication.end(ports, pipeline.RESULTS, job.job_id, "another", Failure("aborted", ""), "") is None
    assert job_of(ports) == job


@pytest.mark.parametrize("told_first", ["a", "b"])
@pytest.mark.parametrize("notified_first", [True, False])
def test_of_two_keys_the_later_upload_stays_current_though_the_earlier_was_taken_up_after_it(
    told_first: str, notified_first: bool
) -> None:
    """a.csv at 12:00:00, b.csv at 12:00:05. Of a.csv EventBridge's event comes alone, or before S3's notification, and
    ValidateData takes it up at 12:00:09; of b.csv the notification comes first, or EventBridge's event alone.
    """
    ports, configured = MemoryPorts(), pipeline.settings(1 << 20)
    replacing = CONTRACT | {"sluice": {"mode": "replace"}}
    ports.objects.add(pipeline.INBOX, "contracts/things.json", json.dumps(replacing).encode())
    uploads = {name: pipeline.upload(ports, b"id\n1\n", f"incoming/things/{name}.csv") for name in "ab"}
    if notified_first:
        ports.jobs.register(uploads["b"], "2026-03-01T12:00:05.123Z")
    ports.now = NOON.replace(second=9)
    times = {"a": "2026-03-01T12:00:00Z", "b": "2026-03-01T12:00:05Z"}
    for name in sorted(times, reverse=told_first == "b"):
        pipeline.execute(ports, configured, uploads[name], f"arn:{name}", event_time=times[name])
    current = json.loads(ports.objects.get(pipeline.RESULTS, CURRENT))
    assert [entry["source"]["key"] for entry in current["jobs"]] == ["incoming/things/b.csv"]


@pytest.mark.parametrize("ending", list(permutations("abc")), ids="".join)
@pytest.mark.parametrize(
    ("modes", "kept"),
    [
        (("append", "replace", "append"), "bc"),
        (("replace", "append", "append"), "abc"),
        (("append", "append", "replace"), "c"),
        (("replace", "replace", "append"), "bc"),
        (("append", "append", "append"), "abc"),
    ],
)
def test_a_mode_that_changes_while_jobs_run_keeps_what_it_would_keep_in_the_order_of_uploads(
    modes: tuple[str, ...], kept: str, ending: tuple[str, ...]
) -> None:
    """A job that ended late came beside the one that had replaced it, or was left out for one that only followed it."""
    ports, configured = MemoryPorts(), pipeline.settings(1 << 20)
    uploads = {name: pipeline.upload(ports, b"id\n1\n", f"incoming/things/{name}.csv") for name in "abc"}
    mode_of = dict(zip("abc", modes, strict=True))
    for name in ending:
        described = CONTRACT | {"sluice": {"mode": mode_of[name]}}
        ports.objects.add(pipeline.INBOX, "contracts/things.json", json.dumps(described).encode())
        time = f"2026-03-01T12:00:0{'abc'.index(name)}Z"
        pipeline.execute(ports, configured, uploads[name], f"arn:{name}", event_time=time)
    current = json.loads(ports.objects.get(pipeline.RESULTS, CURRENT))
    assert sorted(entry["source"]["key"] for entry in current["jobs"]) == [
        f"incoming/things/{each}.csv" for each in kept
    ]


def test_a_job_that_an_earlier_version_made_current_keeps_its_mode() -> None:
    """Once c.csv stood beside it, b.csv, which replaces, was taken for appended: a.csv came back by a retry."""
    ports, configured = MemoryPorts(), pipeline.settings(1 << 20)
    uploads = {name: pipeline.upload(ports, b"id\n1\n", f"incoming/things/{name}.csv") for name in "abc"}

    def run(name: str, mode: str) -> list[str]:
        described = CONTRACT | {"sluice": {"mode": mode}}
        ports.objects.add(pipeline.INBOX, "contracts/things.json", json.dumps(described).encode())
        time = f"2026-03-01T12:00:0{'abc'.index(name)}Z"
        pipeline.execute(ports, configured, uploads[name], f"arn:{name}", event_time=time)
        current = json.loads(ports.objects.get(pipeline.RESULTS, CURRENT))
        return [entry["source"]["key"] for entry in current["jobs"]]

    run("b", "replace")
    written = json.loads(ports.objects.get(pipeline.RESULTS, CURRENT))
    del written["jobs"][0]["mode"]
    ports.objects.add(pipeline.RESULTS, CURRENT, json.dumps(written).encode())
    assert run("c", "append") == ["incoming/things/b.csv", "incoming/things/c.csv"]
    assert run("a", "append") == ["incoming/things/b.csv", "incoming/things/c.csv"]


def test_of_two_keys_of_one_second_the_one_that_ends_last_stays_current() -> None:
    """a.csv is notified at 12:00:00.200; of b.csv, which came after it, only EventBridge has told, to the second."""
    ports, configured = MemoryPorts(), pipeline.settings(1 << 20)
    replacing = CONTRACT | {"sluice": {"mode": "replace"}}
    ports.objects.add(pipeline.INBOX, "contracts/things.json", json.dumps(replacing).encode())
    uploads = {name: pipeline.upload(ports, b"id\n1\n", f"incoming/things/{name}.csv") for name in "ab"}
    ports.jobs.register(uploads["a"], "2026-03-01T12:00:00.200Z")
    for name in "ab":
        pipeline.execute(ports, configured, uploads[name], f"arn:{name}", event_time="2026-03-01T12:00:00Z")
    current = json.loads(ports.objects.get(pipeline.RESULTS, CURRENT))
    assert [entry["source"]["key"] for entry in current["jobs"]] == ["incoming/things/b.csv"]


def test_an_undecided_job_fails_and_a_worker_that_runs_on_publishes_nothing() -> None:
    """Stopped from outside, an execution's worker may go on for a while: the record is what it meets first."""
    ports = MemoryPorts()

    def abort(ports: MemoryPorts) -> None:
        job = job_of(ports)
        publication.end(ports, pipeline.RESULTS, job.job_id, str(job.execution), Failure("aborted", "stopped"), "")

    outcome = pipeline.run(b"id\n1\n", CONTRACT, ports=ports, before_chunks=abort)
    assert outcome.job.error == Failure("aborted", "stopped")
    assert outcome.current == []
    assert outcome.published == []
