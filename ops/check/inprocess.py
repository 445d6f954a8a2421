"""The workflow without Step Functions: the same steps over ports on a folder, for ``local.py check``.

statemachine.json says what runs after what on AWS; ``Run`` says it here.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final, Self

from chalicelib import failure, steps
from chalicelib.engine import contract as contracts
from chalicelib.engine.plan import Plan, Task
from chalicelib.engine.types.infer import Survey
from chalicelib.errors import SluiceError, Terminal, Transient
from chalicelib.frozen import frozen
from chalicelib.model import JSON, Job, Rows, Source, event_from_source
from chalicelib.settings import MIB, Settings, from_environment
from chalicelib.stages import settling
from chalicelib.stages.workspace import Workspace
from ops.check import disk, misfits, workers
from ops.check.scratch import scratch
from ops.jobs import outputs
from ops.jobs.uploads import Upload, make_folder
from ops.jobs.watch import Sight, View

CHUNK_SIZE_BYTES: Final = 48 * MIB
"""Half as much again as on AWS, where more workers end sooner: a chunk costs some 18 ms beyond its rows, and here each
core does many. It makes a file of 186 MB take 2 to 4 % less time, and a worker 15 MB more than with 32 MiB."""

_EXECUTION = "local-check"


@frozen
class Draft:
    """What ``infer`` gives."""

    contract: JSON
    rows: Rows
    """Those that the contract rejects among them."""
    reasons: Mapping[str, int]
    """Why: code of a fault → rows that have it."""
    plan: Plan
    """How the file was read."""
    surveys: Sequence[Survey]
    """What its columns are, those among them that rejects.csv puts before a file's own."""


@frozen
class FolderPorts:
    """``ports.Ports`` on one folder."""

    objects: disk.DiskObjects
    jobs: disk.DiskJobs
    executions: disk.NoExecutions
    notices: disk.RecordedNotices

    @classmethod
    def at(cls, folder: Path) -> Self:
        jobs = disk.DiskJobs(folder / "jobs")
        return cls(disk.DiskObjects(folder / "objects"), jobs, disk.NoExecutions(), disk.RecordedNotices())

    @property
    def clock(self) -> Callable[[], datetime]:
        return _now


def check(upload: Upload, out: Path, chunk_size_bytes: int | None, view: View) -> Job:
    """Run one file through the pipeline; its outputs are then under ``out/<job_id>/``.

    The job comes back SUCCEEDED or FAILED. Errors: ``UsageError`` where ``out`` cannot be made, ``OSError`` where it
    cannot be written.
    """
    make_folder(out)
    with scratch(out) as folder:
        run = Run(FolderPorts.at(folder), _settings(chunk_size_bytes), upload.path.name, view)
        job = run.to_the_end(_put(run.ports, run.settings, upload))
        objects = run.ports.objects
        return outputs.fetch(objects, run.settings.results_bucket, job, out, objects.export)


def infer(upload: Upload) -> Draft:
    """A draft contract from the whole file. The dataset's transform has no part in it: it wants what the contract says.

    Errors: ``SluiceError`` where the file cannot be read as CSV.
    """
    with tempfile.TemporaryDirectory(prefix="sluice-infer-") as folder:
        run = Run(FolderPorts.at(Path(folder)), _settings(None), upload.path.name, _Nobody())
        return run.to_the_draft(_put(run.ports, run.settings, replace(upload, contract=None)))


class Run:
    """One job on its way from ValidateData to its end."""

    def __init__(self, ports: FolderPorts, settings: Settings, name: str, view: View) -> None:
        self.ports = ports
        self.settings = settings
        self._name = name
        self._view = view

    def to_the_end(self, source: Source) -> Job:
        """Every state of the workflow; a ``SluiceError`` of any of them is recorded as the job's failure."""
        event = event_from_source(source)
        self.ports.jobs.register(source, _now().isoformat())
        self._show(source.job_id, 0, 0)
        try:
            state = self._validate(event)
            while state["action"] == "process":
                state = self._round(state)
            self._show(source.job_id, 0, 0)
            steps.store_results(self.ports, self.settings, {"job": state, "execution": _EXECUTION})
        except SluiceError as error:
            if error.code == "bad-transform":
                _show_trace(error)
            caught = {
                "Error": "Transient" if isinstance(error, Transient) else "Terminal",
                "Cause": json.dumps({"errorMessage": str(error)}),
            }
            payload = {"execution": _EXECUTION, "event": event, "failure": caught}
            failure.record_failure(self.ports, self.settings, payload)
        job = self.ports.jobs.get(source.job_id)
        assert job is not None
        self._show(source.job_id, job.chunks.done, job.chunks.planned)
        return job

    def to_the_draft(self, source: Source) -> Draft:
        """The rounds that survey the file, and the contract that they give."""
        objects, state = self.ports.objects, self._validate(event_from_source(source))
        while True:
            workspace = Workspace.holding(objects, self.settings.results_bucket, state["round"]["key"])
            number = state["round"]["number"]
            tasks = workspace.tasks(number)
            plan = workspace.plan(tasks[0].plan)
            if plan.contract is not None:
                break
            state = self._round(state)
        surveyed = settling.State.load(workspace, number - 1)  # as the last round of the survey has it
        rows = surveyed.rows
        reasons = misfits.count(objects, plan, tasks) if rows.rejected else {}
        return Draft(contracts.to_document(plan.contract), rows, reasons, plan, settling.surveys(surveyed))

    def _validate(self, event: JSON) -> JSON:
        return steps.validate_data(self.ports, self.settings, {"execution": _EXECUTION, "event": event})

    def _round(self, state: JSON) -> JSON:
        self._process(state)
        return steps.aggregate_data(self.ports, self.settings, {"job": state, "execution": _EXECUTION})

    def _process(self, state: JSON) -> None:
        """One round of chunks, on every core that this process may use."""
        tasks = json.loads(self.ports.objects.get(state["round"]["bucket"], state["round"]["key"]))
        done = count(1)
        self._show(state["job_id"], 0, len(tasks))
        workers.each(
            partial(_chunk, self.ports, self.settings),
            tasks,
            lambda: self._show(state["job_id"], next(done), len(tasks)),
            _cores(),
        )

    def _show(self, job_id: str, done: int, total: int) -> None:
        self._view.show([Sight(self._name, job_id, self.ports.jobs.get(job_id), done, total)])


class _Nobody:
    def show(self, sights: Sequence[Sight]) -> None:
        """Nobody watches."""


def _cores() -> int:
    """Those that this process may use; the system's, where it does not tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _chunk(ports: FolderPorts, settings: Settings, task: JSON) -> None:
    steps.process_chunk(ports, settings, {"task": task}, _tell)


def _tell(task: Task, failure: Terminal) -> None:
    """As the log on AWS has it; but what a transform raised with its text. The rows that it may quote belong to the
    person who sees it here, who is probably writing the transform.
    """
    if failure.code == "transform-failed":
        _show_trace(failure, f"chunk {task.index} failed: ")
    else:
        steps.log_failure(task, failure)


def _show_trace(error: SluiceError, before: str = "") -> None:
    """On standard error, at once: several workers may have one to show."""
    trace = "" if error.__cause__ is None else "".join(traceback.format_exception(error.__cause__))
    sys.stderr.write(f"{before}{error}\n{trace}")


def _put(ports: FolderPorts, settings: Settings, upload: Upload) -> Source:
    """Contract and file as objects of the inbox; the file is linked, not copied."""
    if upload.contract is not None:
        document = upload.contract.read_bytes()
        ports.objects.put(settings.inbox_bucket, upload.contract_key, document, "application/json")
    stored = ports.objects.link(settings.inbox_bucket, upload.key, upload.path)
    return Source(stored.bucket, stored.key, stored.version_id, stored.size_bytes, stored.etag)


def _settings(chunk_size_bytes: int | None) -> Settings:
    names = {"SLUICE_STAGE": "check", "SLUICE_INBOX_BUCKET": "inbox", "SLUICE_RESULTS_BUCKET": "results"}
    # A folder answers at once: to read ahead gains nothing, and costs each worker 16 MiB.
    settings = replace(from_environment(names), parts_ahead=0)
    if chunk_size_bytes is not None:
        return replace(settings, chunk_size_bytes=chunk_size_bytes)
    return replace(settings, chunk_size_bytes=CHUNK_SIZE_BYTES, workers=_cores())


def _now() -> datetime:
    return datetime.now(UTC)
