"""How a job record may move: the rules of ``ports.Jobs`` as pure functions, from the record as it stands to the record
as it should be.

Both adapters (DynamoDB and disk) apply these functions under compare-and-swap: read the record, ask here, write only if
the record is still the one that was read, else start again. So the rules exist once; a stale writer finds the newer
record and is judged by it; and a writer whose reply was lost finds its own record, for which each function returns that
same record, which needs no further write.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from chalicelib.errors import Terminal
from chalicelib.model import Failure, Job, Source, Status

MESSAGE_LIMIT_CHARS: Final = 32_768
"""Longest error message that a record keeps. A DynamoDB item holds 400 KB, and a page of jobs should hold many:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

JOB_ID: Final = re.compile(r"[a-z0-9-]{1,80}")
"""What ``Source.job_id`` makes; whatever else is asked for does not exist."""

_CUT: Final = " … (shortened)"


def given(**values: Any) -> dict[str, Any]:
    """The keyword arguments that were given, for ``advanced``: None means "leave as it is"."""
    return {name: value for name, value in values.items() if value is not None}


def registered(current: Job | None, source: Source, received_at: str) -> Job:
    """A new record as RECEIVED, or the one that exists."""
    return current if current is not None else Job.received(source, received_at)


def claimed(current: Job | None, source: Source, execution: str, at: str) -> Job | None:
    """The record bound to ``execution``; None where another execution has it, or where it is final unclaimed.

    The same execution gets its own record back as it stands, final or not; but one that a retry has only meant for it
    becomes VALIDATING, as any other.
    """
    if current is None:
        current = Job.received(source, at)
    if current.execution not in (None, execution):
        return None
    if current.status is not Status.RECEIVED:
        return current if current.execution == execution else None
    # S3's notification and EventBridge's event race to register; the one that came first may lack the ETag or size.
    known = current.source if current.source.etag else source
    known = replace(known, sequencer=known.sequencer or source.sequencer)
    return replace(current, status=Status.VALIDATING, execution=execution, started_at=at, source=known)


def retried(current: Job | None, attempt: int, execution: str, at: str) -> Job | None:
    """The FAILED record meant for ``execution``, RECEIVED again, its failure forgotten; None where that may not be.

    The condition is the attempt: of any number of retries of one failure, told of the same next attempt, one moves the
    record, and the others find it moved. A retry that arrives when its own attempt has failed, too, moves nothing.
    """
    if current is None:
        return None
    if (current.attempt, current.execution) == (attempt, execution):
        return current
    if current.status is not Status.FAILED or current.attempt + 1 != attempt:
        return None
    fresh = Job.received(current.source, current.received_at)
    return replace(fresh, attempt=attempt, execution=execution, started_at=at)


def advanced(current: Job | None, job_id: str, execution: str, status: Status, changes: Mapping[str, Any]) -> Job:
    """The record moved forward to ``status`` (or left there) with ``changes`` (Job field → value) applied.

    A record that is final in ``status`` already is returned untouched: its facts were published with it.
    Errors: ``Terminal("stale-execution")``; ``ValueError`` for FAILED, which only ``failed`` may set.
    """
    if status is Status.FAILED:
        raise ValueError("a job is set FAILED by fail(), which records why")
    if current is None:
        raise Terminal("stale-execution", f"job {job_id} does not exist")
    if current.execution != execution:
        raise Terminal("stale-execution", f"job {job_id} belongs to another execution")
    if current.status is status and status.is_final:
        return current
    if current.status.is_final or status.rank < current.status.rank:
        raise Terminal("stale-execution", f"job {job_id} is {current.status} and cannot become {status}")
    return replace(current, status=status, **changes)


def failed(current: Job | None, execution: str | None, error: Failure, at: str) -> Job | None:
    """The record as FAILED; None where that may not be (no record, final otherwise, its outputs decided, or held by
    another execution).

    ``execution`` None fails only what nobody has claimed. An unclaimed record that an execution fails becomes that
    execution's, so that a late claim of another finds it taken. Failing again alike (``at`` aside) returns the record.
    """
    if current is None:
        return None
    error = _bounded(error)
    if current.status.is_final:
        return current if (current.execution, current.error) == (execution, error) else None
    if current.is_decided or (current.execution is not None and current.execution != execution):
        return None
    return replace(current, status=Status.FAILED, execution=execution, error=error, finished_at=at)


def _bounded(error: Failure) -> Failure:
    if len(error.message) <= MESSAGE_LIMIT_CHARS:
        return error
    return Failure(error.code, error.message[: MESSAGE_LIMIT_CHARS - len(_CUT)] + _CUT)
