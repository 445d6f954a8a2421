"""The faults: what is done to a request that a call sends, and how long it goes on.

A *call* is one use of an AWS operation by the code; botocore may send several *requests* for it (its retries).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Deed(StrEnum):
    """What happens to one request."""

    RESET = "reset"
    LOST = "lost"
    THROTTLED = "throttled"
    FAILED = "failed"
    DUPLICATE = "duplicate"
    CUT = "cut"
    SHORT = "short"
    DAMAGED = "damaged"
    HIDDEN_ERROR = "hidden-error"
    KILLED_BEFORE = "killed-before"
    KILLED_AFTER = "killed-after"


class Reach(StrEnum):
    """Which requests it happens to."""

    REQUEST = "the call's first request"
    CALL = "every request of the call"
    OUTAGE = "every such call from then on, until the execution has ended"


@dataclass(frozen=True)
class Fault:
    name: str
    deed: Deed
    reach: Reach
    meaning: str


FAULTS: Final = tuple(
    Fault(*each)
    for each in (
        ("reset", Deed.RESET, Reach.REQUEST, "the connection is reset before the request arrives"),
        ("reply lost", Deed.LOST, Reach.REQUEST, "the request takes effect, its reply is lost"),
        ("throttled", Deed.THROTTLED, Reach.REQUEST, "refused with the service's own throttling error"),
        ("error 500", Deed.FAILED, Reach.REQUEST, "refused with the service's internal error"),
        ("late duplicate", Deed.DUPLICATE, Reach.REQUEST, "arrives again after the next request, and at the end"),
        ("reply cut off", Deed.CUT, Reach.REQUEST, "the connection breaks in the middle of the reply's body"),
        ("reply too short", Deed.SHORT, Reach.REQUEST, "half of the object comes, as if it were all of it"),
        ("body cut short", Deed.DAMAGED, Reach.REQUEST, "S3 received part of the body and refuses it"),
        ("error after 200", Deed.HIDDEN_ERROR, Reach.REQUEST, "status 200 with an error as its body (S3's long calls)"),
        ("killed before", Deed.KILLED_BEFORE, Reach.REQUEST, "the Lambda worker dies before the call"),
        ("killed after", Deed.KILLED_AFTER, Reach.REQUEST, "the Lambda worker dies after the call took effect"),
        ("replies lost", Deed.LOST, Reach.CALL, "every attempt takes effect and every reply is lost: the state fails"),
        ("unavailable", Deed.FAILED, Reach.CALL, "every attempt is refused with the internal error: the state fails"),
        ("outage", Deed.FAILED, Reach.OUTAGE, "refused with the internal error, whatever is tried again"),
        ("killed each time", Deed.KILLED_AFTER, Reach.OUTAGE, "the worker dies after this call, in every attempt"),
    )
)  # fmt: skip

THROTTLING: Final = {
    "s3": (503, "SlowDown"),
    "dynamodb": (400, "ProvisionedThroughputExceededException"),
    "states": (400, "ThrottlingException"),
    "sns": (400, "Throttling"),
}
INTERNAL: Final = {
    "s3": (500, "InternalError"),
    "dynamodb": (500, "InternalServerError"),
    "states": (500, "InternalServerException"),
    "sns": (500, "InternalError"),
}
