"""One function per state of the workflow: read through the ports, call the engine, write through the ports.

Every function may be called again with the same payload (a lost reply, a retry) and then does the same thing again, to
the same effect. What travels between states is a reference to a round of tasks, never a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from chalicelib import errors, publication
from chalicelib.engine import contract as contracts
from chalicelib.engine import worker
from chalicelib.engine.checks.check import Checker
from chalicelib.engine.contract import Contract
from chalicelib.engine.delivery import transform as transforms
from chalicelib.engine.delivery.deliver import try_out
from chalicelib.engine.plan import Mode, Plan, Task, draw, first_tasks
from chalicelib.model import (
    INCOMING_PREFIX,
    JSON,
    NO_DATASET,
    Chunks,
    Source,
    Status,
    contract_key,
    is_folder_marker,
    source_from_event,
    time_of_event,
    timestamp,
)
from chalicelib.ports import Objects, Ports
from chalicelib.settings import BLOCK_SIZE_BYTES, MAX_CHUNKS, RECORD_LIMIT_BYTES, Settings
from chalicelib.stages import publish, references, settling, texts
from chalicelib.stages.tape import ObjectTape
from chalicelib.stages.workspace import Workspace


def validate_data(ports: Ports, settings: Settings, payload: JSON) -> JSON:
    """Claim the job, read its contract, find out what the file is, and cut it into the first round's tasks.

    ``payload``: ``{"execution": ARN, "event": the workflow's input}``. Gives ``{"job_id", "dataset", "action":
    "process" | "aggregate" | "skip", "attempt": int, "round": {"number", "bucket", "key", "chunks"}, "timeline":
    [...]}``; ``aggregate`` where every chunk stands already, from an earlier attempt.
    """
    started = timestamp(ports.clock())
    source, execution = source_from_event(payload["event"]), payload["execution"]
    told: JSON = {"job_id": source.job_id, "dataset": source.dataset}
    if is_folder_marker(source.key, source.size_bytes):
        return told | {"action": "skip"}
    job = ports.jobs.claim(source, execution, started, time_of_event(payload["event"]))
    if job is None:
        return told | {"action": "skip"}
    plan = _plan(ports, settings, source)
    mode: Mode = "survey" if plan.contract is None else "process"
    workspace = Workspace.of_job(ports.objects, settings.results_bucket, source.job_id, job.attempt)
    plan = references.pin(workspace, plan, execution)
    workspace = workspace.planned(plan)
    tasks = first_tasks(plan, workspace.put_plan(1, plan), mode, MAX_CHUNKS)
    reference = workspace.put_round(1, tasks)
    ports.jobs.advance(
        source.job_id,
        execution,
        Status.PROCESSING,
        chunks=Chunks(planned=len(tasks)),
        contract="given" if mode == "process" else "inferred",
        encoding=plan.text.encoding,
        compression=plan.text.compression,
    )
    timeline = [{"stage": "ValidateData", "start": started, "end": timestamp(ports.clock())}]
    action = "process" if reference["chunks"] else "aggregate"
    return told | {"action": action, "attempt": job.attempt, "round": reference, "timeline": timeline}


def _plan(ports: Ports, settings: Settings, source: Source) -> Plan:
    if source.dataset == NO_DATASET:
        raise errors.Terminal("no-dataset", _why_no_dataset(source.key))
    found = ports.objects.head(source.bucket, source.key, source.version_id)
    source = Source(source.bucket, source.key, source.version_id, found.size_bytes, found.etag)
    contract = _contract(ports.objects, settings, source.dataset)
    transform = transforms.find(source.dataset)
    prepared = texts.prepare(ports.objects, settings, source, contract)
    plan = draw(
        source,
        prepared.text,
        prepared.head,
        prepared.sniffed,
        contract,
        chunk_size_bytes=prepared.chunk_size_bytes,
        record_limit_bytes=RECORD_LIMIT_BYTES,
        block_size_bytes=BLOCK_SIZE_BYTES,
        workers=settings.workers,
    )
    if contract is not None and transform is None:
        try_out(contract, Checker(contract, plan.binding).schema)
    return plan


def _why_no_dataset(key: str) -> str:
    folder, inside, rest = key.removeprefix(INCOMING_PREFIX).partition("/")
    if not inside or not key.startswith(INCOMING_PREFIX):
        return "the object is not in a folder incoming/<dataset>/ of the inbox"
    if ".." in rest.split("/"):
        return 'a folder of the object is called ".."'
    return (
        f'the folder "{folder}" cannot be a dataset: letters, digits, ".", "_" and "-" only, at most 64, beginning with'
        " a letter or digit"
    )


def _contract(objects: Objects, settings: Settings, dataset: str) -> Contract | None:
    found = objects.get_with_etag(settings.inbox_bucket, contract_key(dataset))
    # A draft that somebody has taken over as the dataset's contract is a given one.
    return None if found is None else replace(contracts.parse(found[0]), inferred=False)


def log_failure(task: Task, failure: errors.Terminal) -> None:
    """Log why a chunk's rows could not be delivered: without an exception's own text, which may hold cells."""
    import logging  # with what it imports 2 ms of a start

    log = logging.getLogger("sluice")  # telemetry.py formats the logger of this name
    log.error("chunk %d failed: %s\n%s", task.index, failure, errors.frames(failure.__cause__ or failure))


def process_chunk(
    ports: Ports,
    settings: Settings,
    payload: JSON,
    tell: Callable[[Task, errors.Terminal], None] = log_failure,
) -> JSON:
    """Do one chunk: ``payload`` is ``{"task": an item of the round's tasks, "job_id", "dataset"}``, the latter for the
    log. Gives ``{}``: a Map's results count against the limit on a state's output, however many there are.

    A chunk that cannot be done says so in its report, for AggregateData to judge: a Map tells no more of a child's
    error than that there were too many. ``tell`` is for a person to see why; only ``local.py check`` gives another.
    """
    task = Task.from_json(payload["task"])
    workspace = Workspace.holding(ports.objects, settings.results_bucket, task.plan)
    plan = workspace.plan(task.plan)
    transform = transforms.find(plan.source.dataset) if task.mode == "process" else None
    repeats = workspace.repeats(task.repeats)
    known = references.load(ports.objects, settings.results_bucket, plan)
    try:
        with ObjectTape(ports.objects, plan, task, settings.parts_ahead) as tape:
            result = worker.run(task, plan, tape, transform, repeats, known)
    except errors.Terminal as error:
        result = worker.not_read(task, error)
    if result.failure is not None:
        tell(task, result.failure)
    workspace.put_result(task, result)
    return {}


def aggregate_data(ports: Ports, settings: Settings, payload: JSON) -> JSON:
    """Prove the chunks against each other: either order another round for those that have to be done again, or, once
    all stand, reconcile the ledger and merge their partial results. Before that, chunks that no function was free for
    have their round once more.

    ``payload``: ``{"job": what ValidateData or the previous AggregateData gave, "execution": ARN}``; gives the same
    shape, ``action`` being ``process`` (one more round) or ``store`` (then with ``repair_rounds``, how many it took).
    """
    job: JSON = payload["job"]
    execution = payload["execution"]
    started = timestamp(ports.clock())
    state = settling.State.load(_workspace(ports, settings, job), job["round"]["number"])
    if state.postponed:
        ports.jobs.advance(job["job_id"], execution, Status.PROCESSING, chunks=state.chunks)
        # Its timeline goes on: it is one round.
        return job | {"action": "process"} | settling.once_more(state, job, ports.clock())
    following = settling.next_round(state)
    while following is not None and not following["chunks"]:  # the whole round stands, from an earlier attempt
        job = job | {"round": following}
        state = settling.State.load(state.workspace, following["number"])
        following = settling.next_round(state)
    timeline = [*job["timeline"], {"stage": "ProcessData", "start": job["timeline"][-1]["end"], "end": started}]
    if following is not None:
        ports.jobs.advance(job["job_id"], execution, Status.PROCESSING, chunks=state.chunks)
        timeline.append({"stage": "AggregateData", "start": started, "end": timestamp(ports.clock())})
        return job | {"action": "process", "round": following, "timeline": timeline}
    ports.jobs.advance(job["job_id"], execution, Status.AGGREGATING, chunks=state.chunks, rows=state.rows)
    settling.merge(state)
    timeline.append({"stage": "AggregateData", "start": started, "end": timestamp(ports.clock())})
    return job | {"action": "store", "repair_rounds": state.repair_rounds, "timeline": timeline}


def store_results(ports: Ports, settings: Settings, payload: JSON) -> JSON:
    """Publish what AggregateData merged: the manifest is the last object written, then the dataset's current jobs are
    switched by one put. Takes what ``aggregate_data`` takes; gives ``{"job_id", "dataset", "timeline"}``.

    Errors: ``ToleranceExceeded``, after the rejects and the report have been written.
    """
    job: JSON = payload["job"]
    execution = payload["execution"]
    told: JSON = {"job_id": job["job_id"], "dataset": job["dataset"]}
    record = ports.jobs.get(job["job_id"])
    if record is not None and record.status is Status.SUCCEEDED and record.execution == execution:
        return told | {"timeline": job["timeline"]}  # done before, and the reply was lost
    if record is not None and record.is_decided and record.execution == execution:
        publication.finish(ports, settings.results_bucket, record)
        return told | {"timeline": job["timeline"]}
    ports.jobs.advance(job["job_id"], execution, Status.STORING)
    started = timestamp(ports.clock())
    state = settling.State.load(_workspace(ports, settings, job), job["round"]["number"])
    if state.postponed:
        raise errors.Terminal("ledger-unbalanced", "the report of a chunk that had been done is gone")
    timeline = [*job["timeline"], {"stage": "StoreResults", "start": started, "end": None}]
    timeline = publish.publish(ports, publish.Run(job["job_id"], job["dataset"], execution, timeline), state)
    return told | {"timeline": timeline}


def _workspace(ports: Ports, settings: Settings, job: JSON) -> Workspace:
    """Where the round that ``job`` refers to lies. A job that was begun by an earlier release tells no attempt."""
    return Workspace.holding(ports.objects, settings.results_bucket, job["round"]["key"], job.get("attempt", 1))
