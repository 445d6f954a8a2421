"""What a person reads at the end: one table of the jobs, their reasons, and a panel for each that failed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from chalicelib.model import Job, Status
from ops.jobs.uploads import Upload, names

_REASONS_SHOWN = 5
_NO_CONTRACT = "none: the types were inferred from the file (give --contract, or --dataset)"


def seconds(job: Job) -> float | None:
    """From the upload's arrival to the job's end; None while it runs."""
    if job.finished_at is None:
        return None
    return (datetime.fromisoformat(job.finished_at) - datetime.fromisoformat(job.received_at)).total_seconds()


def show(jobs: Sequence[Job], uploads: Sequence[Upload], console: Console) -> None:
    """Print every job, one of each upload: counts, top reasons, contract, paths; and why it failed, if it did."""
    files = names(uploads)
    console.print(_counts(jobs, files))
    for job, upload, name in zip(jobs, uploads, files, strict=True):
        if len(jobs) > 1:  # whose reasons and paths these are
            console.rule(f"[bold]{escape(name)}[/]", align="left")
        if job.error is not None:
            console.print(_failure(job))
        if job.reasons:
            console.print(_reasons(job))
        _show_paths(job, upload, console)


def _counts(jobs: Sequence[Job], files: Sequence[str]) -> Table:
    table = Table(header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("file", overflow="fold")
    table.add_column("status", no_wrap=True)
    made = any(job.delivered not in (None, job.rows.valid) for job in jobs)  # by a transform
    for name in ("rows read", "valid", "rejected", "blank", *(["delivered"] if made else []), "chunks", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for job, file in zip(jobs, files, strict=True):
        colour = "green" if job.status is Status.SUCCEEDED else "red"
        took = seconds(job)
        counts = (job.rows.read, job.rows.valid, job.rows.rejected, job.rows.blank, *([job.delivered] if made else []))
        table.add_row(
            escape(file),
            f"[{colour}]{job.status}[/]",
            *("" if count is None else f"{count:,}" for count in counts),
            f"{job.chunks.done}/{job.chunks.planned}",
            "" if took is None else f"{took:.1f}",
        )
    return table


def _failure(job: Job) -> Panel:
    assert job.error is not None
    text = f"[bold]{escape(job.error.code)}[/]\n{escape(job.error.message)}"
    return Panel(text, title=f"{escape(job.source.key)} failed", title_align="left", border_style="red")


def _reasons(job: Job) -> RenderableType:
    table = Table(header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("why rows were rejected")
    table.add_column("field")
    table.add_column("findings", justify="right")
    for reason in job.reasons[:_REASONS_SHOWN]:
        table.add_row(escape(reason.code), escape(reason.field), f"{reason.count:,}")
    more = len(job.reasons[_REASONS_SHOWN:]) + job.reasons_omitted
    if more:
        table.add_row(f"and {more} more: see the report", "", "")
    return table


def _show_paths(job: Job, upload: Upload, console: Console) -> None:
    """A line each, never broken, so that it can be copied whole."""
    contract = _NO_CONTRACT if upload.contract is None else str(upload.contract)
    places = {"job": job.job_id, "contract used": contract, **job.outputs}
    width = max(len(name) for name in places)
    for name, place in places.items():
        console.print(f"[bold]{escape(name):<{width}}[/]  {escape(place)}", soft_wrap=True, highlight=False)
