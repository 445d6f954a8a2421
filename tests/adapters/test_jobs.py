"""What every implementation of ``ports.Jobs`` does: DynamoDB (on moto) and the folder."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib import paging, transitions
from chalicelib.errors import Terminal
from chalicelib.model import Chunks, Failure, Job, Reason, Rows, Source, Status
from chalicelib.ports import Jobs
from ops.check.disk import DiskJobs
from tests.adapters.support import source

SOURCE = source()
JOB = SOURCE.job_id
T0, T1, T2 = "2026-11-24T10:00:00Z", "2026-11-24T10:00:01Z", "2026-11-24T10:00:02Z"
LATE = "2027-01-01T00:00:00Z"
ERROR = Failure("not-csv", "the object is a PNG image")


def test_an_upload_is_registered_once(jobs: Jobs) -> None:
    assert jobs.get(JOB) is None
    first = jobs.register(SOURCE, T0)
    assert first == Job.received(SOURCE, T0) == jobs.get(JOB)
    assert jobs.register(SOURCE, T1) == first
    jobs.claim(SOURCE, "e1", T1)
    assert jobs.register(SOURCE, T2).status is Status.VALIDATING


@pytest.mark.parametrize("registered", [True, False])
def test_one_execution_gets_the_job(jobs: Jobs, registered: bool) -> None:
    if registered:
        jobs.register(SOURCE, T0)
    claimed = jobs.claim(SOURCE, "e1", T1)
    assert claimed is not None
    assert (claimed.status, claimed.execution, claimed.started_at) == (Status.VALIDATING, "e1", T1)
    assert claimed.received_at == (T0 if registered else T1)
    assert jobs.claim(SOURCE, "e1", T2) == claimed == jobs.get(JOB)
    assert jobs.claim(SOURCE, "e2", T2) is None
    assert jobs.get(JOB) == claimed


MS = "2026-11-24T10:00:01.{:03}Z"


@pytest.mark.parametrize(
    "notified, told, received",
    [
        (MS.format(123), MS.format(0), MS.format(123)),  # EventBridge tells the second alone: that is no earlier
        (MS.format(123), T0, T0),
        (MS.format(123), "2026-11-24T10:00:09.000Z", MS.format(123)),
        (None, MS.format(0), MS.format(0)),
        (MS.format(123), None, MS.format(123)),
        (None, None, LATE),
    ],
)
def test_an_upload_was_received_at_the_earliest_time_that_was_told(
    jobs: Jobs, notified: str | None, told: str | None, received: str
) -> None:
    """By S3's notification and EventBridge's event, whichever came first, and however late it was claimed."""
    other = source("incoming/orders/b.csv")
    if notified is not None:
        jobs.register(SOURCE, notified)
    claimed = jobs.claim(SOURCE, "e1", LATE, told)
    assert claimed is not None
    assert (claimed.received_at, claimed.started_at) == (received, LATE)
    assert jobs.claim(SOURCE, "e1", LATE, told) == claimed == jobs.get(JOB)
    first = jobs.claim(other, "e1", LATE, told)
    assert first is not None
    after = jobs.register(other, notified or LATE)
    assert after == replace(first, received_at=received) == jobs.register(other, notified or LATE)
    assert [job.received_at for job in jobs.list(dataset="orders").jobs] == [received, received]


def test_what_comes_after_the_jobs_end_changes_nothing(jobs: Jobs) -> None:
    jobs.claim(SOURCE, "e1", T2)
    done = jobs.advance(JOB, "e1", Status.SUCCEEDED)
    assert jobs.register(SOURCE, T0) == done == jobs.get(JOB)


def test_a_failed_job_is_given_to_the_next_attempt(jobs: Jobs) -> None:
    jobs.register(SOURCE, T0)
    jobs.claim(SOURCE, "e1", T1)
    jobs.advance(JOB, "e1", Status.PROCESSING, rows=Rows(2, 2), contract="given", encoding="utf-8", outputs={"a": "b"})
    assert jobs.retry(JOB, 2, "e2", T2) is None
    jobs.fail(JOB, "e1", ERROR, T1)
    assert jobs.retry(JOB, 3, "e3", T2) is None
    again = jobs.retry(JOB, 2, "e2", T2)
    assert again == replace(Job.received(SOURCE, T0), attempt=2, execution="e2", started_at=T2) == jobs.get(JOB)
    assert jobs.retry(JOB, 2, "e2", LATE) == again
    assert [job.job_id for job in jobs.unfinished(T1)] == [JOB]
    assert jobs.fail(JOB, "e1", ERROR, LATE) is None
    assert jobs.fail(JOB, None, ERROR, LATE) is None
    assert jobs.claim(SOURCE, "e1", LATE) is None
    with pytest.raises(Terminal, match="stale-execution"):
        jobs.advance(JOB, "e1", Status.SUCCEEDED)
    assert jobs.get(JOB) == again
    claimed = jobs.claim(SOURCE, "e2", LATE)
    assert claimed == replace(again, status=Status.VALIDATING, started_at=LATE) if again else None
    assert jobs.claim(SOURCE, "e2", LATE) == claimed == jobs.get(JOB)


def test_there_is_no_retry_of_what_is_not_there(jobs: Jobs) -> None:
    assert jobs.retry(JOB, 2, "e2", T0) is None
    assert jobs.get(JOB) is None


def test_a_claim_completes_a_source_that_lacked_its_etag(jobs: Jobs) -> None:
    jobs.register(Source(SOURCE.bucket, SOURCE.key, SOURCE.version_id), T0)
    claimed = jobs.claim(SOURCE, "e1", T1)
    assert claimed is not None
    assert claimed.source == SOURCE


@pytest.mark.parametrize("registered, told", [("", "0055AED6"), ("0055AED6", "")], ids=["late", "early"])
def test_a_claimed_job_has_the_sequencer_that_either_event_told(jobs: Jobs, registered: str, told: str) -> None:
    """Whatever the sweeper found, or starts, has none. Sources are compared without it."""
    jobs.register(replace(SOURCE, sequencer=registered), T0)
    jobs.claim(replace(SOURCE, sequencer=told), "e1", T1)
    found = jobs.get(JOB)
    assert found is not None
    assert found.source.sequencer == "0055AED6"


def test_a_job_moves_forward_with_its_facts(jobs: Jobs) -> None:
    jobs.claim(SOURCE, "e1", T0)
    jobs.advance(JOB, "e1", Status.PROCESSING, chunks=Chunks(3), contract="inferred")
    stays = jobs.advance(JOB, "e1", Status.PROCESSING, chunks=Chunks(3, 1), contract=None)
    assert (stays.chunks, stays.contract) == (Chunks(3, 1), "inferred")
    reasons = (Reason("type-error", "price", 2), Reason("blank-row", "", 1))
    jobs.advance(JOB, "e1", Status.AGGREGATING, rows=Rows(4, 1, 2, 1), reasons=reasons)
    outputs = {"data": "s3://results/jobs/x/data/", "report": ""}
    done = jobs.advance(JOB, "e1", Status.SUCCEEDED, outputs=outputs, finished_at=T2)
    assert done == jobs.get(JOB)
    assert (done.rows, done.reasons, done.outputs, done.finished_at) == (Rows(4, 1, 2, 1), reasons, outputs, T2)
    assert jobs.advance(JOB, "e1", Status.SUCCEEDED, outputs={}, finished_at=LATE) == done


@pytest.mark.parametrize(
    "execution,status", [("e2", Status.STORING), ("e1", Status.PROCESSING), ("e1", Status.RECEIVED)]
)
def test_a_stale_writer_changes_nothing(jobs: Jobs, execution: str, status: Status) -> None:
    jobs.claim(SOURCE, "e1", T0)
    before = jobs.advance(JOB, "e1", Status.AGGREGATING, rows=Rows(1, 1))
    with pytest.raises(Terminal, match="stale-execution"):
        jobs.advance(JOB, execution, status, rows=Rows(9, 9))
    assert jobs.get(JOB) == before


def test_a_job_that_nobody_holds_cannot_advance(jobs: Jobs) -> None:
    for _ in range(2):
        with pytest.raises(Terminal, match="stale-execution"):
            jobs.advance(JOB, "e1", Status.PROCESSING)
        jobs.register(SOURCE, T0)
    with pytest.raises(ValueError, match="fail"):
        jobs.advance(JOB, "e1", Status.FAILED)


def test_a_final_job_stays_as_it_is(jobs: Jobs) -> None:
    jobs.claim(SOURCE, "e1", T0)
    done = jobs.advance(JOB, "e1", Status.SUCCEEDED)
    assert jobs.fail(JOB, "e1", ERROR, T1) is None
    assert jobs.fail(JOB, None, ERROR, T1) is None
    with pytest.raises(Terminal, match="stale-execution"):
        jobs.advance(JOB, "e1", Status.STORING)
    assert jobs.claim(SOURCE, "e2", T2) is None
    assert jobs.claim(SOURCE, "e1", T2) == done == jobs.get(JOB)


def test_a_job_whose_outputs_are_decided_cannot_fail(jobs: Jobs) -> None:
    jobs.claim(SOURCE, "e1", T0)
    rejected = jobs.advance(JOB, "e1", Status.STORING, outputs={"rejects": "s3://results/jobs/1/rejects.csv"})
    assert not rejected.is_decided
    decided = jobs.advance(JOB, "e1", Status.STORING, outputs={"manifest": "s3://results/jobs/1/manifest.json"})
    assert decided.is_decided
    assert jobs.fail(JOB, "e1", ERROR, T1) is None
    assert jobs.get(JOB) == decided
    assert jobs.advance(JOB, "e1", Status.SUCCEEDED, finished_at=T1).status is Status.SUCCEEDED


def test_a_claimed_job_is_failed_by_its_execution_alone(jobs: Jobs) -> None:
    assert jobs.fail(JOB, "e1", ERROR, T1) is None
    jobs.claim(SOURCE, "e1", T0)
    assert jobs.fail(JOB, "e2", ERROR, T1) is None
    assert jobs.fail(JOB, None, ERROR, T1) is None
    failed = jobs.fail(JOB, "e1", ERROR, T1)
    assert failed is not None
    assert (failed.status, failed.error, failed.finished_at) == (Status.FAILED, ERROR, T1)
    assert jobs.fail(JOB, "e1", ERROR, T2) == failed
    assert jobs.fail(JOB, "e1", Failure("late", "another reason"), T2) is None
    with pytest.raises(Terminal, match="stale-execution"):
        jobs.advance(JOB, "e1", Status.SUCCEEDED)
    assert jobs.get(JOB) == failed


@pytest.mark.parametrize("execution", [None, "e1"])
def test_an_unclaimed_job_can_be_failed_and_then_not_claimed(jobs: Jobs, execution: str | None) -> None:
    jobs.register(SOURCE, T0)
    failed = jobs.fail(JOB, execution, ERROR, T1)
    assert failed is not None
    assert failed.status is Status.FAILED
    assert jobs.fail(JOB, execution, ERROR, T2) == failed
    assert jobs.claim(SOURCE, "e2", T2) is None
    assert jobs.get(JOB) == failed


def test_a_very_long_message_is_shortened(jobs: Jobs) -> None:
    jobs.register(SOURCE, T0)
    error = Failure("header-mismatch", "é" * 500_000)
    failed = jobs.fail(JOB, None, error, T1)
    assert failed is not None
    assert failed.error is not None
    assert len(failed.error.message) == transitions.MESSAGE_LIMIT_CHARS
    assert failed.error.message.endswith("(shortened)")
    assert jobs.fail(JOB, None, error, T2) == failed


@pytest.mark.parametrize("job_id", ["", "..", "../x", "a/b", "A", "x" * 81, "x" * 3000, "é"])
def test_no_other_text_is_a_jobs_id(jobs: Jobs, job_id: str) -> None:
    assert jobs.get(job_id) is None


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
counts = st.integers(0, 2**53)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=words,
    etag=words,
    rows=st.builds(Rows, counts, counts, counts, counts),
    chunks=st.builds(Chunks, counts, counts, counts),
    contract=words,
    reasons=st.lists(st.builds(Reason, words, words, counts), max_size=3).map(tuple),
    outputs=st.dictionaries(st.sampled_from(["data", "report", "rejects"]), words),
)
def test_a_record_comes_back_as_it_was_written(
    jobs: Jobs,
    key: str,
    etag: str,
    rows: Rows,
    chunks: Chunks,
    contract: str,
    reasons: tuple[Reason, ...],
    outputs: dict[str, str],
) -> None:
    upload = Source("inbox", f"incoming/orders/{key}", "v1", 7, etag)
    jobs.claim(upload, "e1", T0)
    written = jobs.advance(
        upload.job_id,
        "e1",
        Status.PROCESSING,
        rows=rows,
        chunks=chunks,
        contract=contract,
        reasons=reasons,
        reasons_omitted=len(reasons),
        delivered=rows.valid,
        outputs=outputs,
    )
    found = jobs.get(upload.job_id)
    assert found == written
    assert found is not None
    assert (found.rows, found.chunks, found.contract, found.reasons) == (rows, chunks, contract, reasons)
    assert found.outputs == outputs
    assert Job.from_json(found.to_json()) == found


# ---- listing


def uploads(jobs: Jobs) -> list[Job]:
    """Nine jobs of two datasets, three of each time, claimed and failed in turn."""
    made = []
    for number in range(9):
        dataset = "orders" if number % 2 else "flights"
        upload = source(f"incoming/{dataset}/{number}.csv")
        job = jobs.register(upload, (T0, T1, T2)[number // 3])
        if number % 3 == 1:
            job = jobs.claim(upload, "e1", T2) or job
        if number % 3 == 2:
            job = jobs.fail(upload.job_id, None, ERROR, T2) or job
        made.append(job)
    return made


@pytest.mark.parametrize("dataset", [None, "orders", "none"])
@pytest.mark.parametrize("status", [None, Status.RECEIVED, Status.FAILED, Status.STORING])
def test_pages_hold_every_job_once_newest_first(jobs: Jobs, dataset: str | None, status: Status | None) -> None:
    listing = paging.Listing(dataset, status)
    expected = [job for job in uploads(jobs) if listing.shows(job)]
    for limit in (1, 2, 3, 4, 9, 10):
        found: list[Job] = []
        cursor = None
        while not found or cursor is not None:
            page = jobs.list(dataset=dataset, status=status, limit=limit, cursor=cursor)
            found += page.jobs
            cursor = page.cursor
            assert len(page.jobs) == limit or cursor is None
            if not expected:
                break
        assert len(found) == len(expected)
        assert {job.job_id: job for job in found} == {job.job_id: job for job in expected}
        assert [job.received_at for job in found] == sorted((job.received_at for job in expected), reverse=True)


def test_a_cursor_fits_its_own_listing_alone(jobs: Jobs) -> None:
    uploads(jobs)
    cursor = jobs.list(dataset="orders", limit=1).cursor
    assert cursor is not None
    assert cursor.isascii()
    for other in ({}, {"dataset": "flights"}, {"dataset": "orders", "status": Status.FAILED}):
        with pytest.raises(Terminal, match="bad-cursor"):
            jobs.list(**other, cursor=cursor)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "é", "%%%%", "e30", "W10", "WzEsMiwzLDRd", "bnVsbA", "W251bGwsbnVsbCwiIiwiIl0", "W" * 5000, "//8"],
)
def test_what_is_no_cursor_is_refused(jobs: Jobs, cursor: str) -> None:
    uploads(jobs)
    with pytest.raises(Terminal, match="bad-cursor"):
        jobs.list(cursor=cursor)


@pytest.mark.parametrize(
    "position",
    [("\ud800", "orders-1"), ("2026-03-01T12:00:00.000Z", "\ud800"), ("2026-03-01", "Orders"), ("", "a"), (1, "a")],
    ids=ascii,
)
def test_a_forged_position_is_refused_before_the_table_is_asked(jobs: Jobs, position: tuple[Any, str]) -> None:
    cursor = paging.encode(paging.Listing(), paging.Position(*position))
    with pytest.raises(Terminal, match="bad-cursor"):
        jobs.list(cursor=cursor)


@given(cursor=st.text(max_size=40) | st.binary(max_size=40).map(lambda raw: raw.hex()))
def test_no_text_breaks_the_cursors_reader(cursor: str) -> None:
    with pytest.raises(Terminal, match="bad-cursor"):
        paging.decode(paging.Listing(), cursor)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_a_sensible_size(jobs: Jobs, limit: int) -> None:
    with pytest.raises(ValueError, match="page"):
        jobs.list(limit=limit)


def test_unfinished_jobs_come_oldest_first(jobs: Jobs) -> None:
    made = uploads(jobs)
    found = list(jobs.unfinished(T2))
    assert {job.job_id for job in found} == {job.job_id for job in made[:6] if not job.status.is_final}
    assert [job.received_at for job in found] == sorted(job.received_at for job in found)
    assert list(jobs.unfinished(T0)) == []


# ---- the folder's own


def test_threads_with_their_own_objects_share_a_folder(tmp_path: Path) -> None:
    won: list[str] = []

    def claim(execution: str) -> None:
        if DiskJobs(tmp_path).claim(SOURCE, execution, T0):
            won.append(execution)

    threads = [threading.Thread(target=claim, args=(f"e{number}",)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    job = DiskJobs(tmp_path).get(JOB)
    assert job is not None
    assert won == [job.execution]


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / f"{JOB}.json").write_text("{", encoding="utf-8")
    with pytest.raises(Terminal, match=f"damaged-record.*{JOB}"):
        DiskJobs(tmp_path).get(JOB)
