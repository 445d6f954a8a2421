"""What no event told: uploads that never started, jobs whose run is over, jobs that run for too long.

The sweep keeps no state of its own. Its time now is the schedule's, which steps by the interval; so "has come of age
since the last sweep" needs no memory, and what is said once is said when a job's age first lies within an interval of
the limit. Should the schedule skip a beat, that notice is lost, but never an upload: those are looked for by what they
are, not by when they became it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import Final, Literal

from chalicelib import metrics, notify
from chalicelib.errors import SluiceError, Terminal, Transient
from chalicelib.model import INCOMING_PREFIX, JSON, Job, Source, Status, is_folder_marker, timestamp
from chalicelib.ports import Ports, Stored
from chalicelib.settings import Settings
from chalicelib.telemetry import logger
from chalicelib.triggers import end_job

INTERVAL_MINUTES: Final = 5
LOOK_BACK: Final = timedelta(days=1)
"""How long a lost upload is looked for. A sweep lists all of ``incoming/``, one request per 1,000 objects: about
0.0015 USD a day for each 1,000 (S3 Standard, 0.005 USD per 1,000 LIST requests). Let a lifecycle rule move processed
files out where hundreds of thousands gather. Jobs are read back to the oldest object that is looked at."""

LONGEST_UPLOAD: Final = timedelta(days=8)
"""From an upload's initiation to its end, at the most: the inbox's lifecycle rule aborts one that is not complete after
seven days, at the midnight (UTC) that follows
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html). An object that came in parts says as
its time when that began ("For multipart uploads, the object creation date is the date of initiation of the multipart
upload": https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html), so it is looked for by so much
longer; but by one sweep of each hour, because that reads the jobs of nine days. So the sweeps of a day read a day's
jobs 288 + 24 × 9 times at the most, not 288 × 9 times: of 1,000 jobs a day, of 2 KB each, it is 126,000 read request
units of DynamoDB (0.016 USD at 0.125 USD a million)."""

_PAGE: Final = 100
_RUNNING: Final = "RUNNING"
_IN_PARTS: Final = re.compile(r".+-\d+")
"""The ETag of an object that came in parts, whose number follows the hyphen."""

Outcome = Literal["started", "ended", "stuck", "found"]
Chore = tuple[str, Callable[[], Outcome | None]]
"""What it is about, and the work; None: there was nothing to do after all."""


def sweep(ports: Ports, settings: Settings, document: JSON) -> JSON:
    """Measure how old the oldest unfinished job is; then start what has waited, end what has died and tell of what is
    stuck for ``settings.stuck_after_minutes``.

    ``document``: EventBridge's scheduled event; its ``time`` is the time now. Returns how many uploads were
    ``started``, ``ended``, ``stuck``, and ``found`` without a job. One upload's trouble keeps no other waiting.
    Errors: ``Transient("sweep-incomplete")`` after all were looked after, so that Lambda's retry and the alarm see it.
    """
    now = datetime.fromisoformat(document["time"])
    metrics.swept(settings.stage, _oldest_seconds(ports, now))
    tally = {"started": 0, "ended": 0, "stuck": 0, "found": 0}
    troubles = 0
    for about, chore in chain(_unfinished(ports, settings, now), _unregistered(ports, settings, now)):
        try:
            outcome = chore()
        except SluiceError as error:
            logger.exception("could not be looked after", about=about, code=error.code)
            troubles += 1
            continue
        if outcome is not None:
            tally[outcome] += 1
            logger.info("looked after", about=about, outcome=outcome)
    if troubles:
        raise Transient("sweep-incomplete", f"{troubles} uploads could not be looked after: the log names them")
    return tally


def _oldest_seconds(ports: Ports, now: datetime) -> float:
    """The age of the oldest unfinished job; 0 where every job has ended."""
    for listed in sorted(ports.jobs.unfinished(timestamp(now)), key=lambda job: _age(job, now), reverse=True):
        try:
            job = ports.jobs.get(listed.job_id)  # the listing comes from an index, which may lag behind the record
        except SluiceError:
            job = listed  # what can be done about it is told where the job is looked after
        if job is not None and not job.status.is_final:
            return _age(job, now).total_seconds()
    return 0.0


def _age(job: Job, now: datetime) -> timedelta:
    """Since the job's execution took it up, or, where none did, since it was received."""
    return now - datetime.fromisoformat(job.started_at or job.received_at)


def _unfinished(ports: Ports, settings: Settings, now: datetime) -> Iterator[Chore]:
    before = timestamp(now - timedelta(minutes=settings.stuck_after_minutes))
    for listed in ports.jobs.unfinished(before):
        yield listed.job_id, partial(_look_after, ports, settings, listed.job_id, now)


def _look_after(ports: Ports, settings: Settings, job_id: str, now: datetime) -> Outcome | None:
    job = ports.jobs.get(job_id)  # the listing comes from an index, which may lag behind the record
    if job is None or job.status.is_final:
        return None
    if job.status is Status.RECEIVED:  # not claimed: an upload, or a retry, that may never have started
        execution = ports.executions.start(job.source, job.attempt)
        status = ports.executions.status(execution)
        if status in (None, _RUNNING):  # None: just started, and not yet to be seen
            return "started"
        # An earlier sweep started it, and it ended before it claimed the job.
        return "ended" if end_job(ports, settings, job, execution, status, timestamp(now)) else None
    execution = job.execution or ""
    status = ports.executions.status(execution)
    if status != _RUNNING:
        return "ended" if end_job(ports, settings, job, execution, status, timestamp(now)) else None
    return _tell_once(ports, settings, job, now)


def _tell_once(ports: Ports, settings: Settings, job: Job, now: datetime) -> Outcome | None:
    age = _age(job, now)
    limit = timedelta(minutes=settings.stuck_after_minutes)
    if not limit <= age < limit + timedelta(minutes=INTERVAL_MINUTES):
        return None
    notify.publish(ports.notices, notify.compose_stuck(job, minutes=int(age.total_seconds() // 60)))
    return "stuck"


def _unregistered(ports: Ports, settings: Settings, now: datetime) -> Iterator[Chore]:
    until = now - timedelta(minutes=settings.stuck_after_minutes)
    candidates = [
        (stored, stored.last_modified)
        for stored in ports.objects.list(settings.inbox_bucket, INCOMING_PREFIX)
        if stored.last_modified is not None
        and now - _look_back(stored, now) <= stored.last_modified <= until
        and not is_folder_marker(stored.key, stored.size_bytes)
    ]
    known = _registered_since(ports, min(begun for _, begun in candidates)) if candidates else {}
    for stored, begun in candidates:
        last = known.get((stored.key, stored.etag))
        # The same bytes may have come before under the same key: only a job as young as the object is the object's.
        if last is None or last < begun:
            yield stored.key, partial(_register, ports, settings, stored)


def _look_back(stored: Stored, now: datetime) -> timedelta:
    is_of_the_hour = now.minute < INTERVAL_MINUTES
    return LOOK_BACK + LONGEST_UPLOAD if is_of_the_hour and _came_in_parts(stored) else LOOK_BACK


def _came_in_parts(stored: Stored) -> bool:
    return _IN_PARTS.fullmatch(stored.etag) is not None


def _registered_since(ports: Ports, since: datetime) -> dict[tuple[str, str], datetime]:
    """(key, ETag) → when a job for it was last received. A listing of objects names no versions, so jobs are compared
    by this, and only what has no match costs a request of its own.
    """
    known: dict[tuple[str, str], datetime] = {}
    cursor = None
    while True:
        page = ports.jobs.list(limit=_PAGE, cursor=cursor)
        for job in page.jobs:
            received = datetime.fromisoformat(job.received_at)
            known.setdefault((job.source.key, job.source.etag), received)  # newest first
            if received < since:
                return known
        if page.cursor is None:
            return known
        cursor = page.cursor


def _register(ports: Ports, settings: Settings, listed: Stored) -> Outcome | None:
    try:
        stored = ports.objects.head(listed.bucket, listed.key)
    except Terminal as error:
        # S3 answers for what may not be read as for what is gone: what is still listed is not gone.
        if error.code != "object-not-found" or _is_listed(ports, listed):
            raise
        return None
    if stored.etag != listed.etag:
        return None  # replaced meanwhile: the newer version's own event is on its way, or the next sweep finds it
    source = Source(stored.bucket, stored.key, stored.version_id or stored.etag, stored.size_bytes, stored.etag)
    if ports.jobs.get(source.job_id) is not None:
        return None
    # When an object that came in parts was complete, S3 does not say: at the latest now. Where its event is only on its
    # way, the earlier time that this tells will stand.
    received = ports.clock() if listed.last_modified is None or _came_in_parts(listed) else listed.last_modified
    ports.jobs.register(source, timestamp(received))
    ports.executions.start(source)
    metrics.upload_seen(settings.stage, source.dataset, source.job_id)
    return "found"


def _is_listed(ports: Ports, wanted: Stored) -> bool:
    listed = ports.objects.list(wanted.bucket, wanted.key)
    return any((each.key, each.etag) == (wanted.key, wanted.etag) for each in listed)
