"""The pipeline in the emulator on this machine: deployed by the code of ``deploy.py``, moved by its own events."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.markup import escape

from chalicelib.errors import Terminal
from chalicelib.frozen import frozen
from chalicelib.model import Job, Source
from chalicelib.ports import Executions, Jobs, Objects
from ops import ports
from ops.chalice import functions, record
from ops.emulation.emulator import Emulator
from ops.jobs import outputs, progress
from ops.jobs.uploads import Upload, names
from ops.jobs.watch import watch
from ops.stage import deployment
from ops.target import OperatorError, Target, Tell

STAGE = "local"


@frozen
class Stack:
    """The deployed pipeline, and how to reach it from this process."""

    emulator: Emulator
    target: Target
    api_url: str
    """Of the REST API, without a slash at the end."""
    api_token: str
    project: Path
    """What ``chalice invoke`` takes for the project that it finds the functions of."""
    objects: Objects
    jobs: Jobs
    executions: Executions

    @property
    def inbox(self) -> str:
        return self.target.names.bucket("inbox")

    @property
    def results(self) -> str:
        return self.target.names.bucket("results")

    def upload(self, key: str, path: Path) -> Source:
        """Put a file into the inbox and return its new version. Not by the port: a person's upload is any client's."""
        with path.open("rb") as body:
            answer = self.target.s3.put_object(Bucket=self.inbox, Key=key, Body=body)
        return Source(self.inbox, key, answer["VersionId"], path.stat().st_size, answer["ETag"].strip('"'))


@contextmanager
def started(chunk_size_bytes: int | None = None, log: Path | None = None) -> Iterator[Stack]:
    """The emulator with the pipeline deployed in it, for as long as the ``with`` block lasts.

    ``log``: where the emulator's own output goes; by default it is removed with the emulator.
    Errors: ``Terminal("deployment-failed")`` where the emulator does not start or the deployment fails.
    """
    options = deployment.Options(chunk_size_bytes=chunk_size_bytes, max_concurrency=_concurrency())
    with ExitStack() as stack:
        try:
            with _setting_up() as tell:
                tell("the AWS emulator")
                emulator = stack.enter_context(Emulator(log=log))
                target = emulator.target(STAGE)
                deployed = deployment.up(target, options, tell)
        except OperatorError as error:
            raise Terminal("deployment-failed", str(error)) from error
        yield Stack(
            emulator,
            target,
            deployed.api_url,
            deployment.api_token(target),
            _invocable(target, emulator.folder / "functions"),
            ports.objects(target),
            ports.jobs(target),
            ports.executions(target),
        )


def _invocable(target: Target, folder: Path) -> Path:
    """Write into ``folder`` what ``chalice --project-dir`` needs to ``invoke`` the functions that stand; returns it."""
    deployed = folder / ".chalice" / "deployed"
    deployed.mkdir(parents=True)
    (deployed / f"{target.stage}.json").write_text(json.dumps(record.load(target)["chalice"]))
    (deployed.parent / "config.json").write_text(json.dumps(functions.template()))
    return folder


@contextmanager
def _setting_up() -> Iterator[Tell]:
    """Tells a person what is being set up: the step at work on a terminal, a line before and after elsewhere."""
    begun = time.monotonic()
    if sys.stderr.isatty():
        from rich.console import Console

        console = Console(file=sys.stderr)
        with console.status("setting up") as status:
            yield lambda step: status.update(f"setting up: {escape(step)}")
    else:
        print("setting up the AWS emulator and the pipeline in it ...", file=sys.stderr, flush=True)
        yield lambda step: None
    print(f"set up in {time.monotonic() - begun:.1f} s", file=sys.stderr, flush=True)


def _concurrency() -> int:
    """Chunks at the same time: each is a process of its own here, so as many as there are cores."""
    return max(2, os.cpu_count() or 1)


def run(stack: Stack, uploads: Sequence[Upload], out: Path) -> list[Job]:
    """Upload, watch, fetch: the jobs in their final state, their outputs under ``out/<job_id>/``.

    Errors: ``Terminal("no-progress")`` where the pipeline stands still; ``SluiceError`` where it cannot be asked.
    """
    for upload in {upload.dataset: upload for upload in uploads if upload.contract}.values():
        assert upload.contract is not None
        stack.upload(upload.contract_key, upload.contract)
    jobs_of = [stack.upload(upload.key, upload.path).job_id for upload in uploads]
    sources = list(zip(names(uploads), jobs_of, strict=True))
    with progress.view() as view:
        jobs = watch(stack.jobs, stack.executions, sources, view, sleep=lambda seconds: pause(stack, seconds))
    return [outputs.fetch(stack.objects, stack.results, job, out) for job in jobs]


def instructions(stack: Stack) -> str:
    """How a person reaches what is up, as lines for a shell."""
    exports = [f"export {name}={shlex.quote(value)}" for name, value in stack.emulator.environment.items()]
    chalice = shlex.quote(str(Path(sys.executable).with_name("chalice")))
    project = shlex.quote(str(stack.project))
    endpoint = f"--endpoint-url {stack.emulator.endpoint_url}"
    return "\n".join(
        [
            "The pipeline is up until Ctrl-C. In another shell:",
            "",
            *(f"  {line}" for line in exports),
            "",
            f"  aws {endpoint} s3 cp contracts/orders.json s3://{stack.inbox}/contracts/orders.json",
            f"  aws {endpoint} s3 cp samples/orders.csv s3://{stack.inbox}/incoming/orders/orders.csv",
            f"  aws {endpoint} s3 ls --recursive s3://{stack.results}/jobs/",
            "",
            f"  curl -H 'Authorization: Bearer {stack.api_token}' {stack.api_url}/jobs",
            "",
            f"  SLUICE_STAGE={STAGE} {chalice} local",
            f"  {chalice} --project-dir {project} invoke --stage {STAGE} --name sweep < tests/events/schedule.json",
            "",
            f"API    {stack.api_url}",
            f"token  {stack.api_token}",
        ]
    )


def wait(stack: Stack) -> None:
    """Until Ctrl-C or SIGTERM (``KeyboardInterrupt``). Errors: as ``pause``."""
    while True:
        pause(stack, 0.5)


def pause(stack: Stack, seconds: float) -> None:
    """Sleep. Errors: ``Terminal("emulator-ended")`` where the emulator is gone: nothing is left to be waited for."""
    if not stack.emulator.is_running:
        raise Terminal("emulator-ended", "the AWS emulator has ended")
    time.sleep(seconds)
