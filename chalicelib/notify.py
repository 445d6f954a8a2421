"""A job's end, a job that is stuck, a faulty contract → the message, as data; then published.

Messages name files, counts, fields and codes, never a cell's value: a mailbox is no place for the rows of a file.
"""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import Final

from chalicelib import metrics, telemetry
from chalicelib.errors import SluiceError, Terminal
from chalicelib.frozen import frozen
from chalicelib.model import CONTRACTS_PREFIX, INCOMING_PREFIX, JSON, NO_DATASET, Job, Rows, Status, contract_key
from chalicelib.ports import Notices, Ports
from chalicelib.publication import outputs_prefix
from chalicelib.settings import Settings

REASONS_SHOWN: Final = 5
MESSAGE_SHOWN_CHARS: Final = 4_000

CONTRACT_INVALID: Final = "CONTRACT_INVALID"
STUCK: Final = "STUCK"
"""The values of the attribute ``status`` beside a job's own SUCCEEDED and FAILED."""

_UPLOAD_AGAIN: Final = "Upload the file again: that makes a new job."
_RETRY: Final = "Then retry the job: POST /jobs/{job_id}/retry, or `deploy.py redrive {job_id}`."
_CONTRACT: Final = "Correct what is named in {contract}. {retry}"
_FILE: Final = "Have the file exported as delimited text (CSV) in UTF-8. {again}"
_TRANSFORM: Final = "Correct the dataset's transform, and deploy it. {retry}"
_ENCODING: Final = 'State the file\'s "encoding" in {contract}, or have the file written as UTF-8. {again}'
_UNAVAILABLE: Final = "AWS did not answer, or not in full, in spite of retries. {retry}"
_FAULT: Final = "This is a fault in Sluice or in its set-up: look at the logs of the function. {retry}"
_ADVICE: Final[dict[str, str]] = {
    # the contract
    "invalid-contract": _CONTRACT,
    "unknown-column": _CONTRACT,
    "bad-measure": _CONTRACT,
    "bad-partition": _CONTRACT,
    "too-many-partitions": _CONTRACT,
    "reference-type": _CONTRACT,
    "reference-missing": (
        "Upload the dataset that the foreign key names first, or remove the key from {contract}. {retry}"
    ),
    "reference-too-large": "Remove the foreign key from {contract}, and check it where the data is read. {retry}",
    "header-mismatch": "Rename the columns that are named, or change the fields of {contract}. {again}",
    "tolerance-exceeded": (
        "Open the rejects, which name every finding, correct the file, and upload it again. "
        "If so many rejected rows, or so few valid ones, are to be expected, change sluice.tolerance in {contract}."
    ),
    # the file
    "empty-file": "Look why the sender's file has no bytes. {again}",
    "not-csv": _FILE,
    "unsupported-encoding": _ENCODING,
    "encoding-mismatch": _ENCODING,
    "corrupt-compression": "The file was damaged or cut short on its way: have the sender pack and send it again.",
    "unsupported-compression": "Upload one CSV per file, as it is or packed with gzip, zstd, bzip2, xz or zip. {again}",
    "nested-compression": "Unpack the file once before it is uploaded. {again}",
    "expansion-limit": "Upload the file unpacked, or in several parts. {again}",
    "header-too-long": _FILE,
    "no-dataset": "Upload the file into a dataset's folder: s3://{bucket}/incoming/<dataset>/.",
    "object-not-found": "The file was deleted before it was read. {again}",
    "object-replaced": (
        "The file was replaced while it was read. The newer version has a job of its own: there is nothing to do,"
        " unless that one fails."
    ),
    # the transform
    "bad-transform": _TRANSFORM,
    "transform-failed": _TRANSFORM,
    "transform-schema": _TRANSFORM,
    # the execution
    "timed-out": (
        "Look at the execution's history for the slow state. Its function is the faster the more memory it has"
        " (.chalice/config.json, then `deploy.py up`); a smaller file takes less time. {retry}"
    ),
    "out-of-memory": (
        "Look at the execution's history for the state that failed, and give its function more memory"
        " (.chalice/config.json, then `deploy.py up`). {retry}"
    ),
    "aborted": "Someone stopped the execution, and the job stays stopped. Look why it was stopped. {retry}",
    "execution-failed": "Look at the execution's history and the logs of the function that failed. {retry}",
    "execution-lost": "The execution ended without a trace in the job. Look at the logs. {retry}",
    # the set-up
    "chunk-failed": (
        "Look at the log of the function process-chunk. Where it ran out of time or memory, choose a smaller"
        " --chunk-size. {retry}"
    ),
    "throttled": (
        "Ask AWS for more concurrent executions of Lambda functions in this account and region, or deploy with a lower"
        " --max-concurrency. {retry}"
    ),
    "access-denied": "Grant the function's role the permission that is named (`deploy.py up` does). {retry}",
    "aws-refused": "Look up the error code that is named in AWS's documentation, and remove the cause. {retry}",
    "aws-unavailable": _UNAVAILABLE,
    "short-read": _UNAVAILABLE,
    "contended": _UNAVAILABLE,
    "upload-gone": _UNAVAILABLE,
    "output-replaced": "A function that had been given up, or stopped, was still writing. {retry}",
    "stale-execution": "Someone deleted the job's record while it was processed. {retry}",
    "internal-error": _FAULT,
    "ledger-unbalanced": _FAULT,
    "not-settled": _FAULT,
    "parser-disagrees": _FAULT,
    "invalid-range": _FAULT,
}
"""Code of a failed job → what its reader can do. Of other codes, the message says what is wrong."""


@frozen
class Message:
    """What ``Notices.publish`` takes. ``document`` is flat, the job record beside ``event``: should it exceed what the
    topic takes, it loses its largest entry, not the job.
    """

    subject: str
    text: str
    document: JSON
    attributes: dict[str, str]


def notify(ports: Ports, settings: Settings, payload: JSON) -> JSON:
    """Publish the end of the job ``payload["job_id"]`` and count it in the metrics; a job that is not at its end (it
    belongs to another execution, which will tell) is left alone.

    Doing it twice publishes twice: a message too many is better than none. Errors: ``Terminal("job-not-found")``.
    """
    job = ports.jobs.get(payload["job_id"])
    if job is None:
        raise Terminal("job-not-found", f"there is no job {payload['job_id']}")
    if job.status.is_final:
        publish(ports.notices, compose(job, settings.results_bucket))
        metrics.job_ended(job, settings.stage)
    else:
        telemetry.logger.warning("not at its end: nothing to tell", status=str(job.status))
    return {"job_id": job.job_id, "dataset": job.dataset, "status": str(job.status)}


def publish(notices: Notices, message: Message) -> None:
    notices.publish(message.subject, message.text, message.document, message.attributes)


def compose(job: Job, results_bucket: str) -> Message:
    """The message for a job at its end."""
    if job.status is Status.SUCCEEDED:
        outcome = f"SUCCEEDED, {job.rows.rejected:,} of {job.rows.read:,} rows rejected"
        opening = f"{_plain(job.source.key)} was processed."
    else:
        code = job.error.code if job.error else "unknown"
        outcome = f"FAILED ({code})"
        opening = f"{_plain(job.source.key)} could not be processed. Nothing of it was published."
    counts = [_counts(job.rows, job.delivered), _reasons(job)]
    parts = [opening, _error(job), _facts(job), *counts, _places(job, results_bucket), _next(job)]
    return Message(
        subject=f"Sluice: {job.dataset} {outcome}",
        text="\n\n".join(part for part in parts if part) + "\n",
        document={"event": "job-ended", **job.to_json()},
        attributes={"status": str(job.status), "dataset": job.dataset},
    )


def compose_stuck(job: Job, minutes: int) -> Message:
    """The message for a job that still runs after so many minutes."""
    text = [
        f"{_plain(job.source.key)} has been in work for {minutes} minutes and is still {job.status}.",
        _facts(job),
        f"Chunks done: {job.chunks.done} of {job.chunks.planned}." if job.chunks.planned else "",
        "What to do next: look at the execution's history. A large file may simply need the time; an execution that"
        " makes no progress can be stopped, and the job retried.",
    ]
    return Message(
        subject=f"Sluice: {job.dataset} still {job.status} after {minutes} minutes",
        text="\n\n".join(part for part in text if part) + "\n",
        document={"event": "job-stuck", "minutes": minutes, **job.to_json()},
        attributes={"status": STUCK, "dataset": job.dataset},
    )


def compose_contract_fault(bucket: str, key: str, dataset: str, error: SluiceError) -> Message:
    """The message for a contract that was uploaded and cannot be used; ``dataset``: NO_DATASET where it names none."""
    effect = (
        f"Until it is corrected, uploads of the dataset {dataset} will fail."
        if dataset != NO_DATASET
        else f"It applies to no dataset: a contract's name is {CONTRACTS_PREFIX}<dataset>.json."
    )
    text = f"The contract s3://{bucket}/{_plain(key)} is refused.\n\n  {_plain(error.message)}\n\n{effect}\n"
    fault = {"code": error.code, "message": error.message}
    return Message(
        subject=f"Sluice: contract {key.removeprefix(CONTRACTS_PREFIX)} is refused",
        text=text,
        document={"event": "contract-refused", "contract": {"bucket": bucket, "key": key}, "error": fault},
        attributes={"status": CONTRACT_INVALID, "dataset": dataset},
    )


def _error(job: Job) -> str:
    if job.error is None:
        return ""
    message = _plain(job.error.message)
    if len(message) > MESSAGE_SHOWN_CHARS:
        message = message[:MESSAGE_SHOWN_CHARS] + " … (the job record has the rest)"
    return f"  {job.error.code}: {message}"


def _read_as(job: Job) -> str:
    return f"{job.encoding} in {job.compression}" if job.compression else str(job.encoding)


def _facts(job: Job) -> str:
    source = job.source
    uri = f"s3://{source.bucket}/{_plain(source.key)}"
    lines = [
        ("Dataset", job.dataset + (f" (contract {job.contract})" if job.contract else "")),
        ("Job", job.job_id),
        ("Source", f"{uri}, {source.size_bytes:,} bytes, version {source.version_id}"),
        *([("Read as", _read_as(job))] if job.encoding else []),
        ("Received", job.received_at),
    ]
    if job.finished_at:
        seconds = (datetime.fromisoformat(job.finished_at) - datetime.fromisoformat(job.received_at)).total_seconds()
        lines.append(("Finished", f"{job.finished_at}, after {max(seconds, 0):,.1f} s"))
    if job.execution:
        lines.append(("Execution", job.execution))
    return _table(lines)


def _counts(rows: Rows, delivered: int | None) -> str:
    if not rows.read:
        return ""
    counts = {"read": rows.read, "valid": rows.valid, "rejected": rows.rejected, "blank": rows.blank}
    if delivered not in (None, rows.valid):  # a transform made others of them
        counts["delivered"] = delivered
    width = len(f"{max(counts.values()):,}")
    lines = [(f"Rows {name}", f"{count:>{width},}") for name, count in counts.items()]
    lines[2] = (lines[2][0], f"{lines[2][1]}  ({rows.rejected / rows.read:.2%})")
    return _table(lines)


def _reasons(job: Job) -> str:
    if not job.reasons:
        return ""
    shown = job.reasons[:REASONS_SHOWN]
    width = max(len(f"{reason.count:,}") for reason in shown)
    lines = [
        f"  {reason.count:>{width},}  {reason.code}" + (f" in {_plain(reason.field)}" if reason.field else "")
        for reason in shown
    ]
    more = len(job.reasons) - len(shown) + job.reasons_omitted
    return "\n".join(["The most frequent findings:", *lines, *([f"  and {more} more: see the report"] if more else [])])


def _places(job: Job, results_bucket: str) -> str:
    prefix = f"s3://{results_bucket}/{outputs_prefix(job.job_id)}"
    if not job.outputs:
        return ""
    order = ("report", "rejects", "data", "summary", "contract", "manifest")
    names = [name for name in order if name in job.outputs] + sorted(job.outputs.keys() - set(order))
    return f"Where it is (all under {prefix}):\n" + _table([(name, job.outputs[name]) for name in names])


def _next(job: Job) -> str:
    if job.status is Status.FAILED:
        return "What to do next: " + _advice(job)
    steps = []
    if job.rows.rejected and "rejects" in job.outputs:
        steps.append(_correct_the_rejects(job))
    if job.contract == "inferred" and "contract" in job.outputs:
        source, target = shlex.quote(job.outputs["contract"]), shlex.quote(_contract_uri(job))
        steps.append(
            "The dataset has no contract; the types were inferred. To keep them, read the draft through and put it in"
            f" place:\n  aws s3 cp {source} {target}"
        )
    return "What to do next:\n" + "\n".join(steps) if steps else ""


def _correct_the_rejects(job: Job) -> str:
    folder = shlex.quote(f"s3://{job.source.bucket}/{INCOMING_PREFIX}{job.dataset}/")
    return (
        "Fetch the rejected rows, correct them (leave the columns _record, _line and _errors as they are), and"
        f" upload them as a file of the same dataset:\n  aws s3 cp {shlex.quote(job.outputs['rejects'])} rejects.csv\n"
        f"  aws s3 cp rejects.csv {folder}\n"
        'Where the contract has the mode "replace", correct and upload the whole file: an upload replaces all rows.'
    )


def _advice(job: Job) -> str:
    code = job.error.code if job.error else "internal-error"
    template = _ADVICE.get(code, "Remove the cause that the message names. {again}")
    retry = _RETRY.format(job_id=job.job_id)
    return template.format(contract=_contract_uri(job), again=_UPLOAD_AGAIN, retry=retry, bucket=job.source.bucket)


def _contract_uri(job: Job) -> str:
    return f"s3://{job.source.bucket}/{contract_key(job.dataset)}"


def _table(lines: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in lines)


def _plain(text: str) -> str:
    """On one line: control characters, which a key or a label may hold, are shown escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
