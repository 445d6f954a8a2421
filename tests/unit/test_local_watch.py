from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from chalicelib.errors import Terminal, Transient
from chalicelib.model import Chunks, Failure, Job, Source, Status
from chalicelib.ports import MapProgress
from ops.jobs.progress import Lines, completion
from ops.jobs.watch import Sight, Silence, watch

SOURCE = Source("inbox", "incoming/orders/a.csv", "1")
JOB = Job.received(SOURCE, "2026-01-01T00:00:00+00:00")


def at(status: Status, **changes: Any) -> Job:
    return JOB.with_(status=status, execution="arn", **changes)


class Script:
    """Stands for both ports: answers, look after look, what the test says; the last answer stands."""

    def __init__(self, answers: Sequence[Job | Exception | None], progress: Sequence[MapProgress | None] = ()) -> None:
        self._answers = list(answers)
        self._progress: Iterator[MapProgress | None] = iter(progress)

    def get(self, job_id: str) -> Job | None:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def progress(self, execution: str) -> MapProgress | None:
        return next(self._progress, None)


class Seen:
    def __init__(self) -> None:
        self.sights: list[Sight] = []

    def show(self, sights: Sequence[Sight]) -> None:
        self.sights.extend(sights)


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def look(script: Script, view: Any, **options: Any) -> list[Job]:
    clock = Clock()
    ports: Any = script
    return watch(ports, ports, [("a.csv", SOURCE.job_id)], view, sleep=clock.sleep, monotonic=clock, **options)


def test_it_follows_a_job_from_before_its_event_to_its_end() -> None:
    planned = Chunks(planned=4)
    script = Script(
        [
            None,
            JOB,
            at(Status.PROCESSING, chunks=planned),
            at(Status.PROCESSING, chunks=planned),
            at(Status.STORING, chunks=planned),
            at(Status.SUCCEEDED, chunks=Chunks(4, 4)),
        ],
        [None, MapProgress(total=4, succeeded=3, running=1, failed=0)],
    )
    seen = Seen()
    assert look(script, seen) == [at(Status.SUCCEEDED, chunks=Chunks(4, 4))]
    assert [(sight.status, sight.chunks_done, sight.chunks_total) for sight in seen.sights] == [
        ("UPLOADED", 0, 0),
        ("RECEIVED", 0, 0),
        ("PROCESSING", 0, 4),
        ("PROCESSING", 3, 4),
        ("STORING", 4, 4),
        ("SUCCEEDED", 4, 4),
    ]


def test_a_failed_job_keeps_the_chunks_that_were_done() -> None:
    failed = at(Status.FAILED, chunks=Chunks(planned=4), error=Failure("over-tolerance", "too many"))
    script = Script(
        [at(Status.PROCESSING, chunks=Chunks(planned=4)), failed],
        [MapProgress(total=4, succeeded=2, running=0, failed=0)],
    )
    seen = Seen()
    assert look(script, seen) == [failed]
    assert seen.sights[-1].chunks_done == 2


def test_throttling_is_waited_out_and_other_errors_are_raised() -> None:
    script = Script([Transient("throttled", "slow down"), at(Status.SUCCEEDED)])
    assert look(script, Seen()) == [at(Status.SUCCEEDED)]
    with pytest.raises(Terminal, match="access-denied"):
        look(Script([Terminal("access-denied", "no")]), Seen())


def test_a_job_that_stands_still_for_too_long_is_reported_by_name() -> None:
    with pytest.raises(Silence, match=r"nothing has happened for 30 s: a\.csv \(UPLOADED\)"):
        look(Script([None]), Seen(), silence_seconds=30)


def test_lines_says_each_change_once() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    sight = Sight("a.csv", SOURCE.job_id)
    processing = Sight("a.csv", SOURCE.job_id, at(Status.PROCESSING), 1, 3)
    for shown in (sight, sight, processing, processing, Sight("a.csv", SOURCE.job_id, at(Status.SUCCEEDED), 3, 3)):
        lines.show([shown])
    assert stream.getvalue().splitlines() == [
        "a.csv: UPLOADED",
        "a.csv: PROCESSING, chunk 1/3",
        "a.csv: SUCCEEDED, chunk 3/3",
    ]


def test_completion_never_goes_back_and_ends_full() -> None:
    jobs = [None, *(at(status) for status in Status if status is not Status.FAILED)]
    chunks = [0, 0, 0, 0, 2, 2, 2]
    steps = [
        completion(Sight("a", "a", job, done, 2))
        for job, done in zip([*jobs[:4], at(Status.PROCESSING), *jobs[4:]], [*chunks[:4], 1, *chunks[4:]], strict=True)
    ]
    done = [step for step, _ in steps]
    assert done == sorted(done)
    assert done[0] == 0
    assert steps[-1][0] == steps[-1][1]
