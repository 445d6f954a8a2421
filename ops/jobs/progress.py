"""Views for a person who waits: a live display on a terminal, one line per change elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from chalicelib.model import Status
from ops.jobs.watch import Sight, View

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_STEPS = [status for status in Status if status is not Status.FAILED]


@contextmanager
def view(stream: TextIO | None = None) -> Iterator[View]:
    """The view that fits ``stream`` (standard error where none is given, so that standard output stays clean)."""
    target = stream or sys.stderr
    if not target.isatty():
        yield Lines(target)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        TextColumn("{task.fields[chunks]}"),
        TextColumn("{task.fields[status]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=target)) as progress:
        yield Live(progress)


class Lines:
    """One line whenever a job's status or its number of finished chunks changes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last: dict[str, str] = {}

    def show(self, sights: Sequence[Sight]) -> None:
        for sight in sights:
            line = f"{sight.name}: {sight.status}{_chunks(sight, ', chunk ')}"
            if self._last.get(sight.job_id) != line:
                self._last[sight.job_id] = line
                print(line, file=self._stream, flush=True)


class Live:
    """One bar per job: a step for each status, and within PROCESSING one for each chunk."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def show(self, sights: Sequence[Sight]) -> None:
        from rich.markup import escape

        for sight in sights:
            if sight.job_id not in self._tasks:
                name = escape(sight.name)
                self._tasks[sight.job_id] = self._progress.add_task(name, total=None, chunks="", status="")
            task = self._tasks[sight.job_id]
            done, total = completion(sight)
            if sight.status == Status.FAILED:
                # The bar stays where the job stopped.
                self._progress.update(task, status="[red]FAILED[/]")
                self._progress.stop_task(task)
                continue
            colour = "green" if sight.is_final else "cyan"
            status = f"[{colour}]{sight.status}[/]"
            self._progress.update(task, completed=done, total=total, chunks=_chunks(sight, "chunk "), status=status)


def completion(sight: Sight) -> tuple[int, int]:
    """Steps done, steps in all: one per status on the way to SUCCEEDED, one per chunk. A failed job has done none."""
    total = len(_STEPS) + sight.chunks_total
    if sight.job is None or sight.job.status is Status.FAILED:
        return 0, total
    return 1 + _STEPS.index(sight.job.status) + sight.chunks_done, total


def _chunks(sight: Sight, before: str) -> str:
    return f"{before}{sight.chunks_done}/{sight.chunks_total}" if sight.chunks_total else ""
