"""What the stages need from the world, as Protocols. ``aws/`` implements them on AWS, ``ops/check/disk/`` on a folder;
one test suite runs over both. Adapters turn every foreign exception into ``errors.Terminal`` or ``errors.Transient``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol, Unpack

from chalicelib.frozen import frozen
from chalicelib.model import Facts, Failure, Job, Source, Status

Body = bytes | Sequence[bytes]
"""What an object holds, whole or in pieces."""


@frozen
class Stored:
    """An object as it was written or found."""

    bucket: str
    key: str
    size_bytes: int
    etag: str
    version_id: str = ""
    last_modified: datetime | None = None
    checksum_sha256: str = ""
    """Hexadecimal; empty where the object was only looked up."""

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


class Objects(Protocol):
    """Objects in buckets (S3).

    Errors: ``Terminal("object-not-found")`` where the object or version does not exist; ``Terminal("object-replaced")``
    where a pinned read finds another ETag; ``Transient("short-read")`` where fewer bytes came than asked for;
    ``Transient("precondition-failed")`` where ``if_match`` lost a race.
    """

    @property
    def requests_at_once(self) -> int:
        """How many requests of one caller gain by being under way together: 1 where none is waited for."""

    def head(self, bucket: str, key: str, version_id: str = "") -> Stored: ...

    def read_range(self, source: Source, start: int, end: int) -> bytes:
        """Bytes ``[start, end)`` of exactly this version (pinned by version id and ETag); the length is checked."""

    def stream(self, source: Source, piece_bytes: int) -> Iterator[bytes]:
        """The whole object of exactly this version, in pieces of ``piece_bytes`` (the last may be shorter)."""

    def get(self, bucket: str, key: str) -> bytes: ...

    def get_with_etag(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        """The newest version and its ETag, or None where there is no such object."""

    def put(self, bucket: str, key: str, body: Body, content_type: str, if_match: str | None = None) -> Stored:
        """Write an object. ``if_match``: an ETag that must still stand, or ``""`` for "must not exist yet"."""

    def put_stream(self, bucket: str, key: str, pieces: Iterable[bytes], content_type: str) -> Stored:
        """Write an object of any size in bounded memory (multipart above 8 MiB); all or nothing."""

    def copy(self, bucket: str, key: str, target_key: str, etag: str, size_bytes: int) -> Stored:
        """Copy an object of ``size_bytes`` within a bucket on the server's side, provided that its ETag is still
        ``etag``.
        """

    def delete(self, bucket: str, key: str) -> None:
        """Where there is no such object, nothing happens. A bucket with versions keeps them."""

    def list(self, bucket: str, prefix: str) -> Iterator[Stored]: ...


@frozen
class Page:
    """Some of the job records that a list has."""

    jobs: tuple[Job, ...]
    cursor: str | None
    """Opaque; give it back to get the next page. None at the end."""


class Jobs(Protocol):
    """Job records (DynamoDB). Every write is conditional, so doing any of them twice changes nothing, and a stale
    writer never overwrites a newer state.
    """

    def register(self, source: Source, received_at: str) -> Job:
        """Create the record as RECEIVED; where it exists already and is not final, the earlier ``received_at`` stands:
        events come in any order, and late.
        """

    def claim(self, source: Source, execution: str, at: str, received_at: str | None = None) -> Job | None:
        """Bind the job to one execution and set it VALIDATING (creating the record where the event came first).
        ``received_at``: as in ``register``, where the execution knows it; else a new record takes ``at``.

        Claiming again by the same execution returns the job; None where another execution holds or has finished it.
        """

    def retry(self, job_id: str, attempt: int, execution: str, at: str) -> Job | None:
        """Give a FAILED job to a new execution, for the ``attempt``-th time: RECEIVED again, with no trace of how it
        failed. Whatever the executions before still write is refused from then on.

        Asking again for the same attempt and execution returns the job as it stands; None (nothing changed) where there
        is no such job, where it is not FAILED, or where ``attempt`` is not the one that follows.
        """

    def advance(self, job_id: str, execution: str, status: Status, **facts: Unpack[Facts]) -> Job:
        """Move forward (or stay), and set the facts that are given.

        Errors: ``Terminal("stale-execution")`` where the job belongs to another execution, is past ``status``, or is
        final in another status.
        """

    def fail(self, job_id: str, execution: str | None, error: Failure, at: str) -> Job | None:
        """Set FAILED unless the job is final already, its outputs are decided (``Job.is_decided``) or another execution
        holds it (then None: nothing changed).

        ``execution`` None: only a job that no execution has claimed. Failing it again alike returns the job.
        """

    def get(self, job_id: str) -> Job | None: ...

    def list(
        self, *, dataset: str | None = None, status: Status | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page:
        """Newest first by ``received_at``. Errors: ``Terminal("bad-cursor")``."""

    def unfinished(self, received_before: str) -> Iterator[Job]:
        """Jobs that are not final and were received before the given time, oldest first."""


@frozen
class MapProgress:
    """Live counts of the newest Distributed Map run of an execution."""

    total: int
    succeeded: int
    running: int
    failed: int


class Executions(Protocol):
    """Runs of the workflow (Step Functions)."""

    def start(self, source: Source, attempt: int = 1) -> str:
        """Start the workflow for a source, named by its job id and the attempt, and return the execution's ARN.
        Starting one that exists already (running or closed) is success: an attempt is made once.
        """

    def arn(self, job_id: str, attempt: int) -> str:
        """The ARN that ``start`` gives the execution, whether it exists or not."""

    def status(self, execution: str) -> str | None:
        """``RUNNING``, ``SUCCEEDED``, ``FAILED``, ``TIMED_OUT``, ``ABORTED``; None where there is no such execution."""

    def progress(self, execution: str) -> MapProgress | None:
        """None before the first Map run has started."""


class Notices(Protocol):
    """Messages to people and machines (SNS)."""

    def publish(self, subject: str, text: str, document: dict[str, Any], attributes: dict[str, str]) -> None:
        """``text`` goes to e-mail; ``document``, as JSON, to every other protocol (``MessageStructure=json``).
        ``attributes`` (``status``, ``dataset``) serve filter policies. ``subject``: see SNS' rules (ASCII, < 100).
        """


class Ports(Protocol):
    """All of them together, as the steps and the triggers are handed them. A dataclass with these attributes fits, and
    so does a class that makes each port when it is first asked for.
    """

    @property
    def objects(self) -> Objects: ...

    @property
    def jobs(self) -> Jobs: ...

    @property
    def executions(self) -> Executions: ...

    @property
    def notices(self) -> Notices: ...

    @property
    def clock(self) -> Callable[[], datetime]:
        """The time now, with its zone (UTC)."""
