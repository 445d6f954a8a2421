"""Deploy Sluice into an AWS account: ``python deploy.py plan|up|status|down --stage S``, put jobs right there
(``redrive``, ``dead-letters``), and read what came out (``athena``).

Results go to standard output (``--json``: as JSON, and nothing else there), progress to standard error. Exit status: 0
done, 1 something failed (what was rolled back and what stands is said), 2 usage. Which account: the AWS credentials in
use; which region: ``--region``, or the one that is configured. With AWS_ENDPOINT_URL set, it is an emulator there.
"""

from __future__ import annotations

from ops import requirement

if __name__ == "__main__":
    requirement.explain()

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from chalicelib.model import Job
from ops.chalice import dead_letters
from ops.interrupts import terminated_as_interrupted
from ops.sizes import size
from ops.stage import athena, data, deployment, inspection, replay
from ops.stage.deployment import Deployed, Options
from ops.stage.inspection import Resource
from ops.stage.rollback import UpFailed
from ops.stage.workflow import Alarms
from ops.target import NOTE, Names, OperatorError, Target, Tell

PIPED_WIDTH_CHARS = 160
"""Of a table where nobody's terminal says how wide it may be."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    out = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH_CHARS)
    log = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        target = _target(options)
        names = target.names
        log.print(f"stage {names.stage} in account {names.account}, {names.region}", style="bold")
        with terminated_as_interrupted():
            return _COMMANDS[options.command](target, options, out, log)
    except OperatorError as error:
        log.print(f"error: {error}", style="red", markup=False)
        if options.json and isinstance(error, UpFailed):
            out.print_json(data={"error": error.reason, "rolled_back": error.rolled_back, "stands": error.stands})
    except ClientError as error:
        log.print(f"error: AWS refused: {error}", style="red", markup=False)
    except BotoCoreError as error:  # AWS was not asked, or not reached
        log.print(f"error: {error}", style="red", markup=False)
    except KeyboardInterrupt:
        log.print("interrupted: what was done stands; run the same command again to go on", style="red")
    return 1


def _plan(target: Target, options: argparse.Namespace, out: Console, log: Console) -> int:
    with log.status("comparing") as shown:
        changes = deployment.plan(target, _options(options), _teller(shown, log))
    if options.json:
        out.print_json(data={"stage": target.stage, "changes": [change.to_json() for change in changes]})
    else:
        out.print("\n".join(map(str, changes)) or "no changes", markup=False)
    return 0


def _up(target: Target, options: argparse.Namespace, out: Console, log: Console) -> int:
    with log.status("starting") as shown:
        deployed = deployment.up(target, _options(options), _teller(shown, log))
    if options.json:
        out.print_json(data=deployed.to_json())
        return 0
    out.print("\n".join(deployed.changes) or "no changes", markup=False)
    _print_endpoints(deployed, out)
    return 0


def _status(target: Target, options: argparse.Namespace, out: Console, log: Console) -> int:
    with log.status("looking") as shown:
        found = inspection.inspect(target, _teller(shown, log))
    if options.json:
        out.print_json(data=found.to_json())
        return 0
    for part in dict.fromkeys(resource.part for resource in found.resources):
        out.print(_resources(part, [resource for resource in found.resources if resource.part == part]))
    for each in found.existing if found.deployed is None else ():
        out.print(each, markup=False)
    if found.jobs:
        out.print(_jobs(found.jobs))
    for note in found.notes:
        out.print(f"{NOTE}{note}", markup=False)
    if found.deployed is not None:
        _print_endpoints(found.deployed, out)
    elif set(found.existing) <= set(data.kept(target)):
        out.print("nothing is deployed" + (": this is the data of an earlier deployment" if found.existing else ""))
    else:
        out.print("this is not a whole deployment: run up, or down")
    return 0


def _down(target: Target, options: argparse.Namespace, out: Console, log: Console) -> int:
    what = "and all its data (uploads, results, job records)" if options.delete_data else "but its data"
    if not options.yes:
        if not sys.stdin.isatty():
            raise OperatorError("down asks before it removes anything: give --yes where nobody can answer")
        if input(f'Remove stage "{target.stage}" {what}? Type the stage\'s name: ').strip() != target.stage:
            raise OperatorError("nothing was removed")
    with log.status("starting") as shown:
        left = deployment.down(target, _teller(shown, log), delete_data=options.delete_data)
    kept = [each for each in left if each in data.kept(target) and not options.delete_data]
    forgotten = [each for each in left if each not in kept]
    if options.json:
        out.print_json(data={"stage": target.stage, "kept": kept, "left": forgotten})
    else:
        out.print("removed, and kept:" if kept else "removed" if forgotten else "removed: nothing is left")
        for each in kept:
            out.print(f"  {each}", markup=False)
    if forgotten:
        raise OperatorError("these are still there:\n" + "\n".join(f"  {each}" for each in forgotten))
    return 0


def _resources(part: str, resources: Sequence[Resource]) -> Table:
    table = Table(title=part, title_justify="left", header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("resource", "type", "state", "drift"):
        table.add_column(column, overflow="fold")
    for each in resources:
        cells = (each.name, each.kind.removeprefix("AWS::"), each.state, str(each.drift))
        table.add_row(*map(escape, cells))
    return table


def _jobs(jobs: Sequence[Job]) -> Table:
    table = Table(title="last jobs", title_justify="left", header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("received", "job", "status", "rows read", "rejected", "error"):
        table.add_column(column, overflow="fold")
    for job in jobs:
        error = job.error.code if job.error else ""
        counts = (f"{job.rows.read:,}", f"{job.rows.rejected:,}")
        table.add_row(*map(escape, (job.received_at, job.job_id, str(job.status), *counts, error)))
    return table


def _teller(shown: Status, log: Console) -> Tell:
    """Shows each line as progress, and leaves it standing where it is a note, or nothing can be overwritten."""

    def tell(line: str) -> None:
        shown.update(escape(line))
        if line.startswith(NOTE) or not log.is_terminal:
            log.print(line, markup=False)

    return tell


def _print_endpoints(deployed: Deployed, out: Console) -> None:
    rows = {
        "upload to": f"s3://{deployed.inbox_bucket}/incoming/<dataset>/",
        "contracts": f"s3://{deployed.inbox_bucket}/contracts/<dataset>.json",
        "results": f"s3://{deployed.results_bucket}/",
        "API": deployed.api_url,
        "API token": f"aws ssm get-parameter --with-decryption --name {deployed.api_token_parameter}"
        " --query Parameter.Value --output text",
        "workflow": deployed.state_machine_arn,
        "notices": deployed.notices_topic_arn,
    }
    for name, value in rows.items():
        out.print(f"{name:<10} {value}", markup=False)


def _options(options: argparse.Namespace) -> Options:
    return Options(
        notify=options.notify,
        chunk_size_bytes=options.chunk_size,
        max_concurrency=options.max_concurrency,
        architecture=options.architecture,
        kms_key=options.kms_key,
        alarms=Alarms(options.alarm_rejected, options.alarm_job_age, options.alarm_no_upload),
    )


def _target(options: argparse.Namespace) -> Target:
    region = options.region or boto3.Session().region_name or os.environ.get("AWS_REGION")
    if not region:
        parser().error("no region: give --region, or configure one (aws configure, AWS_REGION)")
    endpoint_url = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint_url is None:
        return Target(options.stage, region)
    known = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    return Target(options.stage, region, endpoint_url, {name: os.environ[name] for name in known if name in os.environ})


def parser() -> argparse.ArgumentParser:
    """The command line; ``docs/deploy.md`` is tested against it."""
    root = argparse.ArgumentParser(prog="deploy.py", description="Deploy Sluice into an AWS account.")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--stage",
        required=True,
        type=_stage_name,
        help='which deployment: lower-case letters and digits, such as "prod"',
    )
    common.add_argument("--region", help="AWS region (default: the configured one)")
    common.add_argument("--json", action="store_true", help="print the result as JSON")
    wanted = argparse.ArgumentParser(add_help=False)
    wanted.add_argument(
        "--notify",
        action="append",
        metavar="EMAIL",
        help="gets notices and alarms; repeat for more (default: as it is)",
    )
    wanted.add_argument("--chunk-size", type=size, metavar="BYTES", help="of a file, for one Lambda invocation")
    wanted.add_argument("--max-concurrency", type=_count, metavar="N", help="chunks of one file at the same time")
    wanted.add_argument("--architecture", choices=("x86_64", "arm64"), help="of the functions (at first x86_64)")
    wanted.add_argument(
        "--kms-key", metavar="KEY", help="encrypt everything at rest with this key of yours (ARN, id or alias)"
    )
    alarms = (
        ("--alarm-rejected", "PERCENT", _between(0, 100), "more of a job's rows are rejected"),
        ("--alarm-job-age", "MINUTES", _between(5, 1440), "a job is unfinished for longer"),
        ("--alarm-no-upload", "HOURS", _between(0, 168), "nothing was uploaded for so long; 0: no alarm"),
    )
    for option, unit, kind, what in alarms:
        wanted.add_argument(option, type=kind, metavar=unit, help=f"raise an alarm when {what}")
    commands.add_parser("plan", parents=[common, wanted], help="print what up would change, and change nothing")
    commands.add_parser("up", parents=[common, wanted], help="create or change the stage; twice changes nothing")
    commands.add_parser("status", parents=[common], help="print what exists, and the endpoints")
    down = commands.add_parser("down", parents=[common], help="remove the stage, but for its data")
    down.add_argument("--delete-data", action="store_true", help="remove uploads, results and job records too")
    down.add_argument("--yes", action="store_true", help="do not ask")
    replay.add_command(commands, common)
    dead_letters.add_command(commands, common)
    athena.add_command(commands, common)
    return root


def _between(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"from {least} to {most}")
        return int(text)

    return number


def _count(text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 1 to 10000, the most that a Distributed Map runs")
    return int(text)


def _stage_name(text: str) -> str:
    try:
        return Names(text, account="", region="").stage
    except OperatorError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


_COMMANDS = {
    "plan": _plan,
    "up": _up,
    "status": _status,
    "down": _down,
    "redrive": replay.command,
    "dead-letters": dead_letters.command,
    "athena": athena.command,
}

if __name__ == "__main__":
    sys.exit(main())
