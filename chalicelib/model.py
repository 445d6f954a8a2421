"""The nouns that travel between stages, frozen. Units stand in the names (``size_bytes``); times are ISO 8601, UTC.

Everything here turns into plain JSON with ``to_json`` and back with ``from_json``: Step Functions states, DynamoDB
items, manifests and the REST API all speak the same words.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self, TypedDict

from chalicelib.frozen import frozen

JSON = dict[str, Any]

NO_DATASET = "(none)"
"""Stands as the dataset of an upload outside any ``incoming/<dataset>/`` folder; no folder can have this name."""

INCOMING_PREFIX = "incoming/"
CONTRACTS_PREFIX = "contracts/"
_DATASET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def timestamp(moment: datetime) -> str:
    """UTC as records have it, always of the same length, so that texts sort as times do.

    >>> timestamp(datetime.fromisoformat("2026-03-01T12:00:00+01:00"))
    '2026-03-01T11:00:00.000Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def second(time: str) -> str:
    """The second of a ``timestamp``, cut off: all that is known of some.

    >>> second("2026-03-01T11:00:00.250Z")
    '2026-03-01T11:00:00'
    """
    return time.partition(".")[0]


class Status(StrEnum):
    """Where a job is. The order of the members is the only order in which a job moves."""

    RECEIVED = "RECEIVED"
    VALIDATING = "VALIDATING"
    PROCESSING = "PROCESSING"
    AGGREGATING = "AGGREGATING"
    STORING = "STORING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    @property
    def rank(self) -> int:
        return list(Status).index(self)

    @property
    def is_final(self) -> bool:
        return self in (Status.SUCCEEDED, Status.FAILED)


@frozen
class Source:
    """One version of one uploaded object."""

    bucket: str
    key: str
    version_id: str
    """S3's version id; for a bucket without versioning, the ETag stands in its place."""
    size_bytes: int = 0
    etag: str = ""
    sequencer: str = field(default="", compare=False)
    """Orders the uploads of one key, whenever their events come; empty where no event told it."""

    @property
    def dataset(self) -> str:
        return dataset_of(self.key)

    @property
    def job_id(self) -> str:
        """A pure function of bucket, key and version, so that an event delivered twice is one job.

        Safe as a Step Functions execution name: at most 80 characters of ``[a-z0-9-]``.
        """
        digest = hashlib.sha256("\0".join((self.bucket, self.key, self.version_id)).encode()).hexdigest()[:20]
        slug = re.sub(r"[^a-z0-9]+", "-", self.dataset.lower()).strip("-")[:40].rstrip("-") or "none"
        return f"{slug}-{digest}"

    def to_json(self) -> JSON:
        return asdict(self)

    @classmethod
    def from_json(cls, document: JSON) -> Self:
        return cls(**document)


def dataset_of(key: str) -> str:
    """The dataset that an object key belongs to: the folder under ``incoming/``, else ``NO_DATASET``.

    >>> dataset_of("incoming/orders/2026/a.csv")
    'orders'
    >>> dataset_of("incoming/a.csv")
    '(none)'
    """
    parts = key.removeprefix(INCOMING_PREFIX).split("/")
    if not key.startswith(INCOMING_PREFIX) or len(parts) < 2 or ".." in parts or not is_dataset(parts[0]):
        return NO_DATASET
    return parts[0]


def version_of(told: str | None, etag: str) -> str:
    """S3's version id; for a bucket without versioning the ETag in its place. So it is for ``null``, too: where
    versioning is suspended that is the id of every upload of a key, one in the place of the other.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/AddingObjectstoVersionSuspendedBuckets.html

    >>> version_of("096fKKXT", "d41d8c"), version_of(None, "d41d8c"), version_of("null", "d41d8c")
    ('096fKKXT', 'd41d8c', 'd41d8c')
    """
    return etag if told in (None, "", "null") else told


def is_dataset(name: str) -> bool:
    """Whether a folder of this name under ``incoming/`` is a dataset: 1 to 64 of ``[A-Za-z0-9._-]``, a letter or digit
    first.
    """
    return _DATASET.fullmatch(name) is not None


def contract_key(dataset: str) -> str:
    """Where in the inbox a dataset's contract is."""
    return f"{CONTRACTS_PREFIX}{dataset}.json"


def is_folder_marker(key: str, size_bytes: int) -> bool:
    """Whether an object only stands for a folder, as the S3 console makes them."""
    return key.endswith("/") and size_bytes == 0


@frozen
class Rows:
    """The ledger's row counts. ``read == valid + rejected + blank``, always."""

    read: int = 0
    valid: int = 0
    rejected: int = 0
    blank: int = 0

    def __add__(self, other: Rows) -> Rows:
        return Rows(
            self.read + other.read, self.valid + other.valid, self.rejected + other.rejected, self.blank + other.blank
        )

    def to_json(self) -> JSON:
        return asdict(self)

    @property
    def balances(self) -> bool:
        return self.read == self.valid + self.rejected + self.blank


@frozen
class Chunks:
    """A job's chunks, counted."""

    planned: int = 0
    done: int = 0
    repaired: int = 0


@frozen
class Reason:
    """How often one check failed: what notifications and tables show, without any cell's value."""

    code: str
    field: str
    count: int


@frozen
class Failure:
    """Why a job ended FAILED."""

    code: str
    message: str


@frozen
class Job:
    """The job record: what DynamoDB keeps, the REST API answers and ``local.py --json`` prints."""

    job_id: str
    dataset: str
    status: Status
    source: Source
    received_at: str
    started_at: str | None = None
    finished_at: str | None = None
    execution: str | None = None
    """ARN of the Step Functions execution that claimed the job, or, before that, that a retry wants to claim it."""
    attempt: int = 1
    """How many times the job was to be done: 1, and one more with each retry."""
    contract: str | None = None
    """``given``, or ``inferred`` where the dataset has no contract."""
    encoding: str | None = None
    """The file's, once it is known: stated by the contract, or found."""
    compression: str | None = None
    """``gzip``, ``zstd``, ``bzip2``, ``xz``, ``zip``; None where the file is not compressed, or not known yet."""
    rows: Rows = field(default_factory=Rows)
    delivered: int | None = None
    """Rows that the job delivered: the valid ones, or what a transform made of them; None until it has, and where it
    failed.
    """
    chunks: Chunks = field(default_factory=Chunks)
    reasons: tuple[Reason, ...] = ()
    """The most frequent (code, field) pairs among the findings, most frequent first, ten at the most."""
    reasons_omitted: int = 0
    """How many more such pairs there are."""
    outputs: dict[str, str] = field(default_factory=dict)
    """Output name (``manifest``, ``report``, ``rejects``, ``summary``, ``contract``, ``data``) → ``s3://`` URI."""
    error: Failure | None = None

    @classmethod
    def received(cls, source: Source, received_at: str) -> Self:
        return cls(source.job_id, source.dataset, Status.RECEIVED, source, received_at)

    @property
    def is_decided(self) -> bool:
        """Whether every output is written, and recorded: the job can only succeed now (``publication.py``)."""
        return self.status is Status.STORING and "manifest" in self.outputs

    def with_(self, **changes: Any) -> Job:
        return replace(self, **changes)

    def to_json(self) -> JSON:
        document = asdict(self)
        document["status"] = str(self.status)
        document["reasons"] = [asdict(reason) for reason in self.reasons]
        return document

    @classmethod
    def from_json(cls, document: JSON) -> Self:
        known = dict(document)
        known["status"] = Status(known["status"])
        known["source"] = Source.from_json(known["source"])
        known["rows"] = Rows(**known.get("rows") or {})
        known["chunks"] = Chunks(**known.get("chunks") or {})
        known["reasons"] = tuple(Reason(**reason) for reason in known.get("reasons") or ())
        known["error"] = Failure(**known["error"]) if known.get("error") else None
        return cls(**known)


class Facts(TypedDict, total=False):
    """Fields of a job that become known on its way; None leaves one as it is."""

    rows: Rows | None
    delivered: int | None
    chunks: Chunks | None
    contract: str | None
    encoding: str | None
    compression: str | None
    reasons: tuple[Reason, ...] | None
    reasons_omitted: int | None
    outputs: dict[str, str] | None
    finished_at: str | None


def execution_name(job_id: str, attempt: int) -> str:
    """The name of the execution that does a job for the ``attempt``-th time, at most 80 characters of ``[a-z0-9-]``.

    An attempt has a name of its own, because a closed execution's name cannot be used again for 90 days:
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html

    >>> execution_name("orders-0a98506ec5f4f8734f10", 1), execution_name("orders-0a98506ec5f4f8734f10", 2)
    ('orders-0a98506ec5f4f8734f10', 'orders-0a98506ec5f4f8734f10-2')
    """
    return job_id if attempt == 1 else f"{job_id}-{attempt}"


def source_from_event(event: JSON) -> Source:
    """The source of an EventBridge "Object Created" event (or of one in the same shape, made by the sweeper).

    Unlike the keys of S3's own notifications, EventBridge's are not URL-encoded:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """
    detail = event["detail"]
    described = detail["object"]
    etag = described.get("etag", "")
    return Source(
        bucket=detail["bucket"]["name"],
        key=described["key"],
        version_id=version_of(described.get("version-id"), etag),
        size_bytes=int(described.get("size", 0)),
        etag=etag,
        sequencer=described.get("sequencer", ""),
    )


def time_of_event(event: JSON) -> str | None:
    """When S3 had the object, as EventBridge tells it, to the second; None of an input that the sweeper or a retry has
    made (their jobs have a record, which has the time), or somebody by hand.
    https://docs.aws.amazon.com/eventbridge/latest/ref/events-structure.html
    """
    return timestamp(datetime.fromisoformat(event["time"])) if "time" in event else None


def event_from_source(source: Source) -> JSON:
    """The workflow's input for a source: the part of an "Object Created" event that the workflow reads."""
    described = {"key": source.key, "size": source.size_bytes, "etag": source.etag, "version-id": source.version_id}
    described |= {"sequencer": source.sequencer} if source.sequencer else {}
    return {"source": "sluice", "detail": {"bucket": {"name": source.bucket}, "object": described}}
