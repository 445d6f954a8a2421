"""What happens outside the workflow: an upload seen, a contract uploaded, an execution that ended badly.

Each takes the whole event document, may be handed the same one twice, and in any order with the workflow's own writes:
the job record's rules (``transitions.py``) decide who is late. ``sweeper.py`` finds what no event told.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote_plus

from chalicelib import metrics, notify, publication
from chalicelib.errors import InvalidContract, Terminal
from chalicelib.model import (
    CONTRACTS_PREFIX,
    JSON,
    NO_DATASET,
    Failure,
    Job,
    Source,
    contract_key,
    is_dataset,
    is_folder_marker,
    source_from_event,
    time_of_event,
    timestamp,
    version_of,
)
from chalicelib.ports import Ports
from chalicelib.settings import Settings
from chalicelib.telemetry import logger

_ENDED: Final = {
    "FAILED": ("execution-failed", "the execution failed outside its own error handling"),
    "TIMED_OUT": ("timed-out", "the execution took longer than its time limit and was ended"),
    "ABORTED": ("aborted", "the execution was stopped from outside"),
}
"""Status of an execution → the job's error."""


def execution_ended_badly(state_machine_arn: str) -> JSON:
    """EventBridge's pattern for a run of this state machine that did not succeed.
    https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
    """
    return {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"stateMachineArn": [state_machine_arn], "status": sorted(_ENDED)},
    }


def upload_seen(ports: Ports, settings: Settings, document: JSON) -> JSON:
    """Register the job of each uploaded object as RECEIVED at the event's time; one that exists stays as it is, but for
    an earlier time.

    ``document``: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    Returns ``{"registered": [job id, ...]}``. A folder's marker (an empty object whose key ends in ``/``) is no upload.
    """
    registered = []
    for record in document["Records"]:
        source = source_from_notification(record)
        if is_folder_marker(source.key, source.size_bytes):
            continue
        job = ports.jobs.register(source, _instant(record["eventTime"]))
        registered.append(job.job_id)
        metrics.upload_seen(settings.stage, job.dataset, job.job_id)
        logger.info("upload registered", job_id=job.job_id, dataset=job.dataset, status=str(job.status))
    return {"registered": registered}


def contract_uploaded(ports: Ports, settings: Settings, document: JSON) -> JSON:
    """Check each uploaded contract, and publish what is wrong with it (attribute ``status``: CONTRACT_INVALID).

    Returns ``{"refused": [key, ...]}``. The check has no other effect: a job reads the contract itself.
    """
    refused = []
    for record in document["Records"]:
        source = source_from_notification(record)
        dataset = dataset_of_contract(source.key)
        fault = _contract_fault(ports, source, dataset)
        if fault is None:
            continue
        logger.warning("contract refused", key=source.key, code=fault.code, reason=fault.message)
        notify.publish(ports.notices, notify.compose_contract_fault(source.bucket, source.key, dataset, fault))
        refused.append(source.key)
    return {"refused": refused}


def execution_status_changed(ports: Ports, settings: Settings, document: JSON) -> JSON:
    """Mark the job of a run that failed, timed out or was aborted as FAILED, and tell; unless the run's own catch (or
    an earlier event) brought the job to its end already, or the job belongs to another run.

    Returns ``{"job_id": text or null, "failed": bool}``. Delivered twice it tells twice: should the function die
    between writing and telling, Lambda's retry must still tell.
    """
    detail = document["detail"]
    at = _instant(document["time"])
    job = job_of_execution(ports, detail, at)
    if job is None:
        logger.warning("no job found for the execution", execution=detail["executionArn"])
        return {"job_id": None, "failed": False}
    ended = end_job(ports, settings, job, detail["executionArn"], detail["status"], at, detail.get("error"))
    return {"job_id": job.job_id, "failed": ended}


def end_job(
    ports: Ports, settings: Settings, job: Job, execution: str, status: str | None, at: str, error: str | None = None
) -> bool:
    """End a job whose execution has ended, and tell: FAILED, or SUCCEEDED where its outputs are decided. False where
    nothing changed: the job is final already, or another execution holds it.

    ``status``: None where there is no such execution any more; ``error``: the error's name, as States.Timeout. The
    cause is left out: it may quote what the failing code had in hand.
    """
    lost = ("execution-lost", "the execution is over, and left the job unfinished")
    code, message = _ENDED.get(status or "", lost)
    message += f" ({error})" if error else ""
    ended = publication.end(ports, settings.results_bucket, job.job_id, execution, Failure(code, message), at)
    if ended is None:
        logger.info("the job's end is known already", job_id=job.job_id, dataset=job.dataset)
        return False
    status = str(ended.status)
    logger.warning("job ended by its execution's end", job_id=job.job_id, dataset=job.dataset, code=code, status=status)
    notify.notify(ports, settings, {"job_id": job.job_id})
    return True


def job_of_execution(ports: Ports, detail: JSON, at: str) -> Job | None:
    """The job that an execution works on, by its input; by its name, where the sweeper started it; else by the records;
    and where its upload was never registered, it is now.

    The event carries no input where it would be longer than 248 KB:
    https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
    """
    source, received_at = _upload_of_input(detail.get("input"))
    for job_id in [detail["name"]] if source is None else [source.job_id, detail["name"]]:
        job = ports.jobs.get(job_id)
        if job is not None:
            return job
    for job in ports.jobs.unfinished(at):
        if job.execution == detail["executionArn"]:
            return job
    return None if source is None else ports.jobs.register(source, received_at or at)


def source_from_notification(record: JSON) -> Source:
    """The source of one record of S3's notification, the same as of EventBridge's event for the same upload.

    Here the key is URL-encoded, with ``+`` for a space; ``versionId`` is absent in a bucket without versioning.
    """
    described = record["s3"]["object"]
    etag = described.get("eTag", "")
    return Source(
        bucket=record["s3"]["bucket"]["name"],
        key=unquote_plus(described["key"]),
        version_id=version_of(described.get("versionId"), etag),
        size_bytes=int(described.get("size", 0)),
        etag=etag,
        sequencer=described.get("sequencer", ""),
    )


def dataset_of_contract(key: str) -> str:
    """The dataset whose contract has this key, or NO_DATASET.

    >>> dataset_of_contract("contracts/orders.json"), dataset_of_contract("contracts/x/y.json")
    ('orders', '(none)')
    """
    name = key.removeprefix(CONTRACTS_PREFIX).removesuffix(".json")
    return name if key == contract_key(name) and is_dataset(name) else NO_DATASET


def _contract_fault(ports: Ports, source: Source, dataset: str) -> Terminal | None:
    from chalicelib.engine import contract

    if dataset == NO_DATASET:
        return Terminal("no-dataset", f"{source.key} names no dataset")
    found = ports.objects.get_with_etag(source.bucket, source.key)
    if found is None:
        logger.info("contract is gone again", key=source.key)
        return None
    try:
        accepted = contract.parse(found[0])
    except InvalidContract as fault:
        return fault
    logger.info("contract accepted", key=source.key, dataset=dataset, fields=len(accepted.fields))
    return None


def _instant(text: str) -> str:
    return timestamp(datetime.fromisoformat(text))


def _upload_of_input(text: Any) -> tuple[Source, str | None] | tuple[None, None]:
    """The upload and, where it is told, its time; None where the input is absent, or is not the event of an upload."""
    if not isinstance(text, str):
        return None, None
    try:
        event = json.loads(text)
        return source_from_event(event), time_of_event(event)
    except (ValueError, KeyError, TypeError, AttributeError):
        logger.warning("the execution's input is not an upload's event")
        return None, None
