"""Waits for jobs, and tells a view how far each of them is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from chalicelib.errors import Terminal, Transient
from chalicelib.frozen import frozen
from chalicelib.model import Job, Status
from chalicelib.ports import Executions, Jobs

POLL_SECONDS = 0.2
"""Often enough for a person to see it move, seldom enough to leave the emulator's time to the work."""

SILENCE_SECONDS = 900.0
"""Give up when nothing at all has changed for this long."""


@frozen
class Sight:
    """What is known of one upload at one moment."""

    name: str
    """What the person called it: the file's name."""
    job_id: str
    job: Job | None = None
    """None until the upload's event has arrived."""
    chunks_done: int = 0
    chunks_total: int = 0

    @property
    def status(self) -> str:
        return str(self.job.status) if self.job else "UPLOADED"

    @property
    def is_final(self) -> bool:
        return self.job is not None and self.job.status.is_final


class View(Protocol):
    """Shows progress to a person."""

    def show(self, sights: Sequence[Sight]) -> None: ...


class Silence(Terminal):
    """Jobs that did not end: nothing has changed for too long."""

    def __init__(self, waiting: Sequence[Sight], seconds: float) -> None:
        listed = ", ".join(f"{sight.name} ({sight.status})" for sight in waiting)
        super().__init__("no-progress", f"nothing has happened for {seconds:.0f} s: {listed}")


def watch(
    jobs: Jobs,
    executions: Executions,
    wanted: Sequence[tuple[str, str]],
    view: View,
    *,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
    silence_seconds: float = SILENCE_SECONDS,
) -> list[Job]:
    """The jobs in their final state, in the order of ``wanted``: pairs of a name to show and a job id.

    Errors: ``Silence``; whatever the ports raise, ``Transient`` excepted: that is asked again.
    """
    sights = [Sight(name, job_id) for name, job_id in wanted]
    changed_at = monotonic()
    while True:
        seen = [_look(jobs, executions, sight) for sight in sights]
        if seen != sights:
            sights, changed_at = seen, monotonic()
        view.show(sights)
        if all(sight.is_final for sight in sights):
            return [sight.job for sight in sights if sight.job is not None]
        if monotonic() - changed_at > silence_seconds:
            raise Silence([sight for sight in sights if not sight.is_final], silence_seconds)
        sleep(POLL_SECONDS)


def _look(jobs: Jobs, executions: Executions, sight: Sight) -> Sight:
    if sight.is_final:
        return sight
    try:
        job = jobs.get(sight.job_id)
        if job is None:
            return sight
        total = job.chunks.planned
        done = max(job.chunks.done, total if job.status.rank > Status.PROCESSING.rank else 0)
        if job.status is Status.PROCESSING and job.execution:
            progress = executions.progress(job.execution)
            if progress is not None:
                total, done = max(total, progress.total), progress.succeeded
    except Transient:
        return sight
    if job.status is Status.FAILED:
        done = sight.chunks_done
    return Sight(sight.name, sight.job_id, job, done, total)
