"""How a job record may move: the rules of ``ports.Jobs`` as pure functions, from the record as it stands to the record
as it should be.

Both adapters (DynamoDB and disk) are ``Writer`` s: they apply these functions under compare-and-swap, that is, read
the record, ask here, write only if the record is still the one that was read, else start again. So the rules exist
once; a stale writer finds the newer record and is judged by it; and a writer whose reply was lost finds its own
record, for which each function returns that same record, which needs no further write.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Unpack

from chalicelib.errors import Terminal
from chalicelib.model import Facts, Failure, Job, Source, Status, second

MESSAGE_LIMIT_CHARS: Final = 32_768
"""Longest error message that a record keeps. A DynamoDB item holds 400 KB, and a page of jobs should hold many:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

JOB_ID: Final = re.compile(r"[a-z0-9-]{1,80}")
"""What ``Source.job_id`` makes; whatever else is asked for does not exist."""

_CUT: Final = " … (shortened)"

Step = Callable[[Job | None], Job | None]
"""From the record as it stands (None: there is none) to the record as it should be; None: it may not be written."""


class Writer(ABC):
    """What ``ports.Jobs`` writes, for an adapter that can compare and swap."""

    @abstractmethod
    def _apply(self, job_id: str, step: Step) -> Job | None:
        """What the step made of the record, once that is written; the step may be asked several times."""

    def register(self, source: Source, received_at: str) -> Job:
        return self._must(source.job_id, lambda current: registered(current, source, received_at))

    def claim(self, source: Source, execution: str, at: str, received_at: str | None = None) -> Job | None:
        return self._apply(source.job_id, lambda current: claimed(current, source, execution, at, received_at))

    def retry(self, job_id: str, attempt: int, execution: str, at: str) -> Job | None:
        return self._apply(job_id, lambda current: retried(current, attempt, execution, at))

    def advance(self, job_id: str, execution: str, status: Status, **facts: Unpack[Facts]) -> Job:
        given = {name: value for name, value in facts.items() if value is not None}
        return self._must(job_id, lambda current: advanced(current, job_id, execution, status, given))

    def fail(self, job_id: str, execution: str | None, error: Failure, at: str) -> Job | None:
        return self._apply(job_id, lambda current: failed(current, execution, error, at))

    def _must(self, job_id: str, step: Callable[[Job | None], Job]) -> Job:
        job = self._apply(job_id, step)
        assert job is not None
        return job


def registered(current: Job | None, source: Source, received_at: str) -> Job:
    """A new record as RECEIVED, or the one that exists, with the earlier time; a final one stays as it is."""
    if current is None:
        return Job.received(source, received_at)
    if current.status.is_final:
        return current
    return replace(current, received_at=_earlier(current.received_at, received_at))


def claimed(current: Job | None, source: Source, execution: str, at: str, received_at: str | None = None) -> Job | None:
    """The record bound to ``execution``; None where another execution has it, or where it is final unclaimed.

    The same execution gets its own record back as it stands, final or not; but one that a retry has only meant for it
    becomes VALIDATING, as any other. ``received_at``: the upload's time, where the execution was told it.
    """
    if current is None:
        current = Job.received(source, received_at or at)
    if current.execution not in (None, execution):
        return None
    if current.status is not Status.RECEIVED:
        return current if current.execution == execution else None
    # S3's notification and EventBridge's event race to register; the one that came first may lack the ETag or size.
    known = current.source if current.source.etag else source
    known = replace(known, sequencer=known.sequencer or source.sequencer)
    received_at = _earlier(current.received_at, received_at or current.received_at)
    return replace(
        current, status=Status.VALIDATING, execution=execution, started_at=at, source=known, received_at=received_at
    )


def _earlier(one: str, other: str) -> str:
    """Of two times told of one upload the earlier: the later is of whoever came late. Within one second the later:
    EventBridge tells whole seconds, cut off, and S3's notification milliseconds. In whatever order any number of times
    is told of an open job, the same one is left.
    """
    return max(one, other) if second(one) == second(other) else min(one, other)


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
