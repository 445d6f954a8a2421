"""The ports in memory. Records move by the same rules as on AWS (``transitions.py``); nothing else is imitated."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from chalicelib import paging, transitions
from chalicelib.errors import Terminal, Transient
from chalicelib.model import Job, Source, Status, execution_name
from chalicelib.ports import Body, MapProgress, Page, Stored

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class MemoryObjects:
    """Every put is a new version; the newest is what a key names."""

    requests_at_once: Final = 2

    def __init__(self) -> None:
        self._versions: dict[tuple[str, str], list[tuple[Stored, bytes]]] = {}
        self.heads: list[str] = []
        """The keys that were looked up one by one."""

    def add(self, bucket: str, key: str, body: bytes, last_modified: datetime = NOON, parts: int = 0) -> Stored:
        """``parts``: of a multipart upload, as S3 appends their number to the ETag."""
        versions = self._versions.setdefault((bucket, key), [])
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest() + (f"-{parts}" if parts else "")
        checksum = hashlib.sha256(body).hexdigest()
        stored = Stored(bucket, key, len(body), etag, f"v{len(versions) + 1}", last_modified, checksum)
        versions.append((stored, body))
        return stored

    def delete(self, bucket: str, key: str) -> None:
        self._versions.pop((bucket, key), None)

    def _newest(self, bucket: str, key: str) -> tuple[Stored, bytes]:
        if (bucket, key) not in self._versions:
            raise Terminal("object-not-found", f"there is no object {key}")
        return self._versions[(bucket, key)][-1]

    def head(self, bucket: str, key: str, version_id: str = "") -> Stored:
        self.heads.append(key)
        newest, _ = self._newest(bucket, key)
        return next((s for s, _ in self._versions[(bucket, key)] if s.version_id == version_id), newest)

    def read_range(self, source: Source, start: int, end: int) -> bytes:
        return self._newest(source.bucket, source.key)[1][start:end]

    def stream(self, source: Source, piece_bytes: int) -> Iterator[bytes]:
        body = self._newest(source.bucket, source.key)[1]
        return (body[at : at + piece_bytes] for at in range(0, len(body), piece_bytes))

    def get(self, bucket: str, key: str) -> bytes:
        return self._newest(bucket, key)[1]

    def get_with_etag(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        if (bucket, key) not in self._versions:
            return None
        stored, body = self._newest(bucket, key)
        return body, stored.etag

    def put(self, bucket: str, key: str, body: Body, content_type: str, if_match: str | None = None) -> Stored:
        body = body if isinstance(body, bytes) else b"".join(body)
        current = self._versions.get((bucket, key))
        if if_match is not None and if_match != (current[-1][0].etag if current else ""):
            raise Transient("precondition-failed", f"{key} is another by now")
        return self.add(bucket, key, body)

    def put_stream(self, bucket: str, key: str, pieces: Iterable[bytes], content_type: str) -> Stored:
        return self.add(bucket, key, b"".join(pieces))

    def copy(self, bucket: str, key: str, target_key: str, etag: str, size_bytes: int) -> Stored:
        stored, body = self._newest(bucket, key)
        if stored.etag != etag:
            raise Terminal("object-replaced", f"{key} is another by now")
        return self.add(bucket, target_key, body)

    def list(self, bucket: str, prefix: str) -> Iterator[Stored]:
        for (held_bucket, key), versions in sorted(self._versions.items()):
            if held_bucket == bucket and key.startswith(prefix):
                newest = versions[-1][0]
                # A listing names no versions, as S3's does not.
                yield Stored(bucket, key, newest.size_bytes, newest.etag, last_modified=newest.last_modified)


class MemoryJobs(transitions.Writer):
    def __init__(self) -> None:
        self.records: dict[str, Job] = {}
        self.broken: set[str] = set()
        """Ids of jobs that cannot be read: throttled."""

    def add(self, job: Job) -> Job:
        self.records[job.job_id] = job
        return job

    def _apply(self, job_id: str, step: transitions.Step) -> Job | None:
        job = step(self.records.get(job_id))
        return job if job is None else self.add(job)

    def get(self, job_id: str) -> Job | None:
        if job_id in self.broken:
            raise Transient("throttled", "the table is throttled")
        return self.records.get(job_id)

    def _newest_first(self) -> list[Job]:
        return sorted(self.records.values(), key=lambda job: (job.received_at, job.job_id), reverse=True)

    def list(
        self, *, dataset: str | None = None, status: Status | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page:
        listing = paging.Listing(dataset, status)
        jobs = [job for job in self._newest_first() if listing.shows(job)]
        if cursor is not None:
            position = paging.decode(listing, cursor)
            jobs = [job for job in jobs if (job.received_at, job.job_id) < (position.received_at, position.job_id)]
        shown = tuple(jobs[:limit])
        return Page(shown, paging.encode(listing, paging.position_of(shown[-1])) if len(jobs) > limit else None)

    def unfinished(self, received_before: str) -> Iterator[Job]:
        oldest_first = reversed(self._newest_first())
        return iter([j for j in oldest_first if not j.status.is_final and j.received_at < received_before])


@dataclass
class MemoryExecutions:
    statuses: dict[str, str] = field(default_factory=dict)
    started: list[Source] = field(default_factory=list)
    running: MapProgress | Transient | None = None
    """What ``progress`` answers, or raises."""

    def arn(self, job_id: str, attempt: int) -> str:
        return execution_arn(execution_name(job_id, attempt))

    def start(self, source: Source, attempt: int = 1) -> str:
        arn = self.arn(source.job_id, attempt)
        if arn not in self.statuses:
            self.statuses[arn] = "RUNNING"
            self.started.append(source)
        return arn

    def status(self, execution: str) -> str | None:
        return self.statuses.get(execution)

    def progress(self, execution: str) -> MapProgress | None:
        if isinstance(self.running, Transient):
            raise self.running
        return self.running


@dataclass(frozen=True)
class Notice:
    subject: str
    text: str
    document: dict[str, Any]
    attributes: dict[str, str]


@dataclass
class MemoryNotices:
    sent: list[Notice] = field(default_factory=list)

    def publish(self, subject: str, text: str, document: dict[str, Any], attributes: dict[str, str]) -> None:
        self.sent.append(Notice(subject, text, document, attributes))


@dataclass
class MemoryPorts:
    objects: MemoryObjects = field(default_factory=MemoryObjects)
    jobs: MemoryJobs = field(default_factory=MemoryJobs)
    executions: MemoryExecutions = field(default_factory=MemoryExecutions)
    notices: MemoryNotices = field(default_factory=MemoryNotices)
    now: datetime = NOON

    def clock(self) -> datetime:
        return self.now


def execution_arn(name: str) -> str:
    return f"arn:aws:states:us-east-1:000000000000:execution:sluice-dev:{name}"


def source(key: str = "incoming/orders/a.csv", version_id: str = "v1", size_bytes: int = 1000) -> Source:
    return Source("sluice-dev-inbox", key, version_id, size_bytes, "d41d8cd98f00b204e9800998ecf8427e")
