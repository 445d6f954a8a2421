"""``deploy.py redrive``: failed jobs once more, by their ids or by what they failed with."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from rich.console import Console

from chalicelib.errors import SluiceError
from chalicelib.frozen import frozen
from chalicelib.model import Status, timestamp
from chalicelib.ports import Jobs
from chalicelib.retry import retry
from ops import ports
from ops.cloudformation import stacks
from ops.target import OperatorError, Target

DEFAULT_WITHIN_HOURS: Final = 24
_MOST_WITHIN_HOURS: Final = 87_600
"""Ten years. Some more, and there is no such time."""
_PAGE: Final = 100


@frozen
class Redriven:
    """What became of one job that was to be retried."""

    job_id: str
    attempt: int | None
    """None where it was refused."""
    refused: str | None = None
    """``code: message``."""


def redrive(target: Target, job_ids: Sequence[str]) -> Iterator[Redriven]:
    """Retry each job. One that cannot be retried keeps no other waiting."""
    jobs, executions = ports.jobs(target), ports.executions(target)
    for job_id in job_ids:
        try:
            job = retry(jobs, executions, job_id, timestamp(datetime.now(UTC)))
        except SluiceError as error:
            yield Redriven(job_id, None, str(error))
        else:
            yield Redriven(job_id, job.attempt)


def failed_with(jobs: Jobs, codes: Sequence[str], since: str) -> list[str]:
    """The ids of the FAILED jobs with one of these codes that were received at ``since`` or later, newest first."""
    found: list[str] = []
    cursor = None
    while True:
        page = jobs.list(status=Status.FAILED, limit=_PAGE, cursor=cursor)
        for job in page.jobs:
            if job.received_at < since:
                return found
            if job.error is not None and job.error.code in codes:
                found.append(job.job_id)
        if page.cursor is None:
            return found
        cursor = page.cursor


def add_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """There is no "all that failed": most failed because they were refused, and some were stopped on purpose."""
    parser = commands.add_parser("redrive", parents=[common], help="do failed jobs again, what is missing of them")
    parser.add_argument("job_ids", nargs="*", metavar="JOB_ID")
    parser.add_argument(
        "--code", action="append", default=[], help="every job that failed with this code, such as throttled; repeat"
    )
    parser.add_argument(
        "--within",
        type=_hours,
        default=DEFAULT_WITHIN_HOURS,
        metavar="HOURS",
        help=f"for --code: how long ago the upload may have come (default: {DEFAULT_WITHIN_HOURS})",
    )


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = math.nan
    if not 0 <= hours <= _MOST_WITHIN_HOURS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of hours up to {_MOST_WITHIN_HOURS:,}")
    return hours


def command(target: Target, options: argparse.Namespace, out: Console, log: Console) -> int:
    """Errors: ``OperatorError`` where nothing is deployed; where a job was refused, after all others were started."""
    if not options.job_ids and not options.code:
        raise OperatorError("which jobs? Give their ids, or --code")
    stack = target.names.workflow_stack
    if stacks.describe(target, stack) is None:
        raise OperatorError(f"there is no stack {stack}: is the stage deployed?")
    job_ids = list(options.job_ids)
    if options.code:
        since = timestamp(datetime.now(UTC) - timedelta(hours=options.within))
        try:
            job_ids += failed_with(ports.jobs(target), options.code, since)
        except SluiceError as error:
            raise OperatorError(str(error)) from error
    done: list[Redriven] = []
    with log.status("starting") as shown:
        for each in redrive(target, list(dict.fromkeys(job_ids))):
            done.append(each)
            shown.update(f"started {sum(known.refused is None for known in done)} of {len(job_ids)}")
    if options.json:
        out.print_json(data={"stage": target.stage, "jobs": [asdict(each) for each in done]})
    else:
        for each in done:
            out.print(f"{each.job_id}  {each.refused or f'started, attempt {each.attempt}'}", markup=False)
    if not done:
        log.print("no job failed so")
    refused = [each for each in done if each.refused is not None]
    if refused:
        raise OperatorError(f"{len(refused)} of {len(done)} jobs were not started")
    return 0
