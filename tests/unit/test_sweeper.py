"""The sweep: one pass over what no event told."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib import sweeper
from chalicelib.errors import Terminal, Transient
from chalicelib.model import Job, Source, Status, timestamp
from chalicelib.ports import Page, Stored
from chalicelib.settings import from_environment
from tests.events import event
from tests.fakes import MemoryPorts, execution_arn, source

SETTINGS = from_environment({})
INBOX = SETTINGS.inbox_bucket
NOW = datetime.fromisoformat(event("schedule")["time"])
NOTHING = {"started": 0, "ended": 0, "stuck": 0, "found": 0}


@pytest.fixture
def ports() -> MemoryPorts:
    return MemoryPorts(now=NOW)


def sweep(ports: MemoryPorts, now: datetime = NOW) -> dict[str, int]:
    return sweeper.sweep(ports, SETTINGS, {**event("schedule"), "time": timestamp(now)})


def ago(minutes: float) -> str:
    return timestamp(NOW - timedelta(minutes=minutes))


def claimed(ports: MemoryPorts, minutes: float, status: str | None, key: str = "incoming/orders/a.csv") -> Job:
    """A job claimed so long ago, whose execution has this status."""
    job = ports.jobs.claim(source(key), execution_arn(key), ago(minutes))
    assert job is not None
    if status is not None:
        ports.executions.statuses[execution_arn(key)] = status
    return job


def test_nothing_to_do(ports: MemoryPorts):
    assert sweep(ports) == NOTHING


def test_an_upload_that_never_started_is_started_once(ports: MemoryPorts):
    job = ports.jobs.register(source(), ago(31))
    assert sweep(ports) == NOTHING | {"started": 1}
    assert ports.executions.started == [job.source]
    sweep(ports, NOW + timedelta(minutes=5))
    assert ports.executions.started == [job.source]
    assert ports.jobs.records[job.job_id] == job


def test_a_young_upload_is_left_to_its_event(ports: MemoryPorts):
    ports.jobs.register(source(), ago(29))
    assert sweep(ports) == NOTHING
    assert ports.executions.started == []


@pytest.mark.parametrize("is_gone", [True, False])
def test_an_upload_that_is_listed_and_may_not_be_read_is_a_trouble(
    ports: MemoryPorts, monkeypatch: pytest.MonkeyPatch, is_gone: bool
):
    """S3 answers for both alike; one that was deleted since it was listed is none."""
    ports.objects.add(INBOX, "incoming/orders/a.csv", b"a\n", NOW - timedelta(hours=1))

    def head(bucket: str, key: str, version_id: str = "") -> Stored:
        if is_gone:
            ports.objects.delete(bucket, key)
        raise Terminal("object-not-found", f"{key} does not exist, or this role may not read it")

    monkeypatch.setattr(ports.objects, "head", head)
    if is_gone:
        assert sweep(ports) == NOTHING
    else:
        with pytest.raises(Transient, match="sweep-incomplete"):
            sweep(ports)


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED", "SUCCEEDED"])
def test_a_run_that_ended_before_it_claimed_its_job_fails_it(ports: MemoryPorts, status: str):
    job = ports.jobs.register(source(), ago(40))
    ports.executions.statuses[execution_arn(job.job_id)] = status
    assert sweep(ports) == NOTHING | {"ended": 1}
    assert ports.jobs.records[job.job_id].status is Status.FAILED
    assert len(ports.notices.sent) == 1
    assert sweep(ports) == NOTHING


@pytest.mark.parametrize(
    "status, code",
    [
        ("FAILED", "execution-failed"),
        ("TIMED_OUT", "timed-out"),
        ("ABORTED", "aborted"),
        ("SUCCEEDED", "execution-lost"),
        (None, "execution-lost"),
    ],
)
def test_a_job_whose_run_is_over_is_failed_and_told(ports: MemoryPorts, status: str | None, code: str):
    job = claimed(ports, 45, status)
    assert sweep(ports) == NOTHING | {"ended": 1}
    record = ports.jobs.records[job.job_id]
    assert record.status is Status.FAILED
    assert record.error is not None
    assert record.error.code == code
    assert record.finished_at == timestamp(NOW)
    (notice,) = ports.notices.sent
    assert notice.attributes["status"] == "FAILED"
    assert sweep(ports) == NOTHING


def test_a_job_that_runs_too_long_is_told_once(ports: MemoryPorts):
    job = claimed(ports, 0, "RUNNING")
    told = []
    for minutes in range(2, 122, 5):
        told.append(sweep(ports, NOW + timedelta(minutes=minutes))["stuck"])
    assert sum(told) == 1
    (notice,) = ports.notices.sent
    assert notice.attributes == {"status": "STUCK", "dataset": "orders"}
    assert notice.document["job_id"] == job.job_id
    assert notice.document["minutes"] == 32
    assert ports.jobs.records[job.job_id] == job


def test_the_age_of_a_run_counts_from_its_claim(ports: MemoryPorts):
    """An upload that waited long for its start has not run long."""
    job = ports.jobs.register(source(), ago(100))
    ports.jobs.claim(job.source, execution_arn("e1"), ago(31))
    ports.executions.statuses[execution_arn("e1")] = "RUNNING"
    assert sweep(ports) == NOTHING | {"stuck": 1}


@pytest.mark.parametrize("status", ["SUCCEEDED", "RUNNING"])
def test_a_job_that_ended_since_it_was_listed_is_left_alone(
    ports: MemoryPorts, monkeypatch: pytest.MonkeyPatch, status: str
):
    """Its execution may still be telling of it, and is not told to be stuck."""
    job = claimed(ports, 31, status)
    done = ports.jobs.advance(job.job_id, execution_arn("incoming/orders/a.csv"), Status.SUCCEEDED)
    monkeypatch.setattr(ports.jobs, "unfinished", lambda before: iter([job]))
    assert sweep(ports) == NOTHING
    assert ports.jobs.records[job.job_id] == done
    assert ports.notices.sent == []


def test_a_job_whose_record_was_deleted_since_it_was_listed_is_nobodys(
    ports: MemoryPorts, monkeypatch: pytest.MonkeyPatch
):
    gone = ports.jobs.register(source("incoming/orders/gone.csv"), ago(60))
    other = ports.jobs.register(source("incoming/orders/other.csv"), ago(50))
    del ports.jobs.records[gone.job_id]
    monkeypatch.setattr(ports.jobs, "unfinished", lambda before: iter([gone, other]))
    assert sweep(ports) == NOTHING | {"started": 1}
    assert ports.executions.started == [other.source]


def test_one_jobs_trouble_keeps_no_other_waiting(ports: MemoryPorts):
    troubled = ports.jobs.register(source("incoming/orders/bad.csv"), ago(60))
    good = ports.jobs.register(source("incoming/orders/good.csv"), ago(50))
    ports.jobs.broken.add(troubled.job_id)
    with pytest.raises(Transient, match="sweep-incomplete: 1 uploads"):
        sweep(ports)
    assert ports.executions.started == [good.source]


class TestLostEvents:
    """Objects in the inbox that no event told of."""

    def put(
        self, ports: MemoryPorts, minutes: float, key: str = "incoming/orders/a.csv", body: bytes = b"a\n"
    ) -> Source:
        stored = ports.objects.add(INBOX, key, body, NOW - timedelta(minutes=minutes))
        return Source(INBOX, key, stored.version_id, stored.size_bytes, stored.etag)

    def test_an_upload_without_a_job_is_registered_and_started(self, ports: MemoryPorts):
        lost = self.put(ports, 31)
        assert sweep(ports) == NOTHING | {"found": 1}
        assert ports.jobs.records == {lost.job_id: Job.received(lost, ago(31))}
        assert ports.executions.started == [lost]
        assert sweep(ports) == NOTHING | {"started": 1}  # still unclaimed: looked after as any RECEIVED job
        assert ports.executions.started == [lost]

    @pytest.mark.parametrize("minutes", [0, 29, 24 * 60 + 1], ids=["new", "young", "older than a day"])
    def test_only_what_is_old_enough_and_of_the_last_day(self, ports: MemoryPorts, minutes: float):
        self.put(ports, minutes)
        assert sweep(ports) == NOTHING

    @pytest.mark.parametrize(
        "key, body", [("incoming/orders/", b""), ("contracts/orders.json", b"{}"), ("elsewhere/a.csv", b"a\n")]
    )
    def test_what_is_no_upload_is_passed_over(self, ports: MemoryPorts, key: str, body: bytes):
        self.put(ports, 60, key, body)
        assert sweep(ports) == NOTHING

    def test_known_uploads_cost_no_request_each(self, ports: MemoryPorts):
        for number in range(250):
            known = self.put(ports, 60, f"incoming/orders/{number}.csv", b"%d" % number)
            job = ports.jobs.register(known, ago(60))
            ports.jobs.add(job.with_(status=Status.SUCCEEDED))
        assert sweep(ports) == NOTHING
        assert ports.objects.heads == []

    def test_the_same_bytes_again_under_the_same_key_are_another_upload(self, ports: MemoryPorts):
        first = self.put(ports, 200)
        ports.jobs.add(ports.jobs.register(first, ago(200)).with_(status=Status.SUCCEEDED))
        second = self.put(ports, 60)
        assert (second.etag, second.key) == (first.etag, first.key)
        assert sweep(ports) == NOTHING | {"found": 1}
        assert second.job_id in ports.jobs.records

    def test_an_upload_whose_job_the_listing_does_not_show_yet_is_not_started_again(
        self, ports: MemoryPorts, monkeypatch: pytest.MonkeyPatch
    ):
        """The listing comes from an index, which may lag behind the record."""
        job = ports.jobs.register(self.put(ports, 60), ago(60))
        done = ports.jobs.add(job.with_(status=Status.SUCCEEDED))
        monkeypatch.setattr(ports.jobs, "list", lambda **_: Page((), None))
        assert sweep(ports) == NOTHING
        assert (ports.jobs.records, ports.executions.started) == ({job.job_id: done}, [])

    def test_an_object_replaced_since_the_listing_is_left_to_its_own_event(
        self, ports: MemoryPorts, monkeypatch: pytest.MonkeyPatch
    ):
        self.put(ports, 60)
        listed = list(ports.objects.list(INBOX, "incoming/"))
        self.put(ports, 0, body=b"b\n")
        monkeypatch.setattr(ports.objects, "list", lambda bucket, prefix: iter(listed))
        assert sweep(ports) == NOTHING
        assert ports.jobs.records == {}

    def test_an_object_deleted_since_the_listing_is_gone(self, ports: MemoryPorts, monkeypatch: pytest.MonkeyPatch):
        self.put(ports, 60)
        listed = list(ports.objects.list(INBOX, "incoming/"))
        ports.objects.delete(INBOX, "incoming/orders/a.csv")
        monkeypatch.setattr(ports.objects, "list", lambda bucket, prefix: iter(listed if prefix == "incoming/" else []))
        assert sweep(ports) == NOTHING


class TestUploadsInParts:
    """Whose objects say when their upload began, not when it was complete."""

    HOURLY = NOW.replace(minute=sweeper.INTERVAL_MINUTES - 1)
    """A sweep that looks for them far back; ``BETWEEN`` is the one after it."""
    BETWEEN = NOW.replace(minute=sweeper.INTERVAL_MINUTES)

    def put(self, ports: MemoryPorts, began: datetime) -> Source:
        stored = ports.objects.add(INBOX, "incoming/orders/big.csv", b"a\n", began, parts=14)
        return Source(INBOX, stored.key, stored.version_id, stored.size_bytes, stored.etag)

    @pytest.mark.parametrize(
        "began, now",
        [
            (timedelta(minutes=40), BETWEEN),
            (timedelta(hours=23), BETWEEN),
            (timedelta(days=3), HOURLY),
            (sweeper.LONGEST_UPLOAD + timedelta(hours=23), HOURLY),
        ],
        ids=["minutes", "hours", "days", "the longest"],
    )
    def test_one_that_took_long_is_found_and_was_received_when_it_was_found(
        self, ports: MemoryPorts, began: timedelta, now: datetime
    ):
        ports.now = now + timedelta(seconds=20)
        lost = self.put(ports, now - began)
        assert sweep(ports, now) == NOTHING | {"found": 1}
        assert ports.jobs.records == {lost.job_id: Job.received(lost, timestamp(ports.now))}
        assert ports.executions.started == [lost]
        ports.objects.heads.clear()
        assert sweep(ports, now + timedelta(hours=1))["found"] == 0
        assert ports.objects.heads == []

    def test_one_whose_event_comes_after_all_was_received_when_that_says(self, ports: MemoryPorts):
        """A sweep that runs as the upload is complete cannot tell it from a lost one."""
        ports.now = self.BETWEEN + timedelta(seconds=20)
        seen = self.put(ports, self.BETWEEN - timedelta(hours=2))
        sweep(ports, self.BETWEEN)
        completed = timestamp(self.BETWEEN + timedelta(seconds=18))
        assert ports.jobs.register(seen, completed).received_at == completed

    @pytest.mark.parametrize(
        "began, now",
        [
            (timedelta(minutes=29), HOURLY),
            (timedelta(days=3), BETWEEN),
            (sweeper.LONGEST_UPLOAD + timedelta(hours=25), HOURLY),
        ],
        ids=["young", "between the hours", "older than any"],
    )
    def test_what_is_not_looked_for(self, ports: MemoryPorts, began: timedelta, now: datetime):
        self.put(ports, now - began)
        assert sweep(ports, now) == NOTHING

    def test_jobs_are_read_back_to_the_oldest_upload_alone(self, ports: MemoryPorts, monkeypatch: pytest.MonkeyPatch):
        """Of 600 jobs, one every hour, the oldest upload is as old as 72: one page of a hundred tells its job."""
        for hours in range(600):
            old = source(f"incoming/orders/{hours}.csv")
            done = Job.received(old, timestamp(self.HOURLY - timedelta(hours=hours)))
            ports.jobs.add(done.with_(status=Status.SUCCEEDED))
        known = self.put(ports, self.HOURLY - timedelta(hours=72))
        ports.jobs.add(Job.received(known, timestamp(self.HOURLY - timedelta(hours=30))).with_(status=Status.SUCCEEDED))
        pages: list[int] = []
        listed = ports.jobs.list

        def counted(**asked: Any) -> Page:
            page = listed(**asked)
            pages.append(len(page.jobs))
            return page

        monkeypatch.setattr(ports.jobs, "list", counted)
        assert sweep(ports, self.HOURLY) == NOTHING
        assert pages == [100]
