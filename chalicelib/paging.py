"""Cursors for ``ports.Jobs.list``: a position in one particular listing, opaque to its holder.

A cursor is URL-safe base64 of JSON. It names the listing that it came from, so that one given back with other filters
is refused rather than answered with a wrong page. It carries no authority: whoever may list jobs may hold any position.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Final

from chalicelib.errors import Terminal
from chalicelib.frozen import frozen
from chalicelib.model import Job, Status
from chalicelib.transitions import JOB_ID

MAX_PAGE: Final = 1000
_CURSOR_LIMIT_CHARS: Final = 1024
_TIME: Final = re.compile(r"[0-9TZ:.+-]{1,32}")


@frozen
class Listing:
    """Which jobs are listed; None does not filter."""

    dataset: str | None = None
    status: Status | None = None

    def shows(self, job: Job) -> bool:
        return self.dataset in (None, job.dataset) and self.status in (None, job.status)


@frozen
class Position:
    """The last job that a page showed."""

    received_at: str
    job_id: str


def age(job: Job) -> tuple[str, str]:
    """Sorts jobs by when they were received; the id settles ties."""
    return job.received_at, job.job_id


def position_of(job: Job) -> Position:
    return Position(job.received_at, job.job_id)


def encode(listing: Listing, last: Position) -> str:
    """The cursor of the page that follows ``last``."""
    fields = [listing.dataset, listing.status, last.received_at, last.job_id]
    return base64.urlsafe_b64encode(json.dumps(fields, separators=(",", ":")).encode()).decode().rstrip("=")


def decode(listing: Listing, cursor: str) -> Position:
    """The position that ``cursor`` names. Errors: ``Terminal("bad-cursor")`` for anything that ``encode`` did not make
    for this listing.
    """
    try:
        if len(cursor) > _CURSOR_LIMIT_CHARS:
            raise ValueError("too long")
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        fields = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        dataset, status, received_at, job_id = fields
    except (ValueError, TypeError, RecursionError, binascii.Error) as error:
        raise Terminal("bad-cursor", "the cursor was not made by this API") from error
    if (dataset, status) != (listing.dataset, listing.status):
        raise Terminal("bad-cursor", "the cursor belongs to a listing with other filters")
    # DynamoDB refuses as a key what is no text, half a surrogate pair, say.
    parts = ((received_at, _TIME), (job_id, JOB_ID))
    if not all(isinstance(part, str) and form.fullmatch(part) for part, form in parts):
        raise Terminal("bad-cursor", "the cursor was not made by this API")
    return Position(received_at, job_id)


def checked_limit(limit: int) -> int:
    """``limit`` if a page may have that many jobs. Errors: ``ValueError`` outside 1 … ``MAX_PAGE``."""
    if not 1 <= limit <= MAX_PAGE:
        raise ValueError(f"a page has 1 to {MAX_PAGE} jobs, not {limit}")
    return limit
