"""What the workflow caught is written to the job. Imports nothing heavy, so that it works when all else fails."""

from __future__ import annotations

import json
from typing import Final

from chalicelib import errors, publication
from chalicelib.model import JSON, Failure, source_from_event, time_of_event, timestamp
from chalicelib.ports import Ports
from chalicelib.settings import Settings


def record_failure(ports: Ports, settings: Settings, payload: JSON) -> JSON:
    """Write to the job why its execution failed: ``payload`` is ``{"execution": ARN, "event": the workflow's input,
    "failure": {"Error", "Cause"}}``. Gives ``{"job_id", "dataset"}``. A job whose outputs are
    decided is finished instead (``publication.py``).
    """
    source, execution = source_from_event(payload["event"]), payload["execution"]
    now = timestamp(ports.clock())
    ports.jobs.claim(source, execution, now, time_of_event(payload["event"]))
    failure = failure_of(payload.get("failure") or {})
    publication.end(ports, settings.results_bucket, source.job_id, execution, failure, now)
    return {"job_id": source.job_id, "dataset": source.dataset}


_TIMED_OUT: Final = Failure("timed-out", "a step took longer than it may")
_OUT_OF_MEMORY: Final = Failure("out-of-memory", "a function needed more memory than it has, and was killed")

_BY_NAME: Final[dict[str, Failure]] = {
    "States.Timeout": _TIMED_OUT,
    "Sandbox.Timedout": _TIMED_OUT,
    "Runtime.OutOfMemory": _OUT_OF_MEMORY,
    "Lambda.TooManyRequestsException": Failure(
        "throttled", "Lambda would not run a function, for many attempts: the account's concurrency was used up"
    ),
    "States.ExceedToleratedFailureThreshold": Failure(
        "chunk-failed",
        "the function process-chunk failed on a chunk in every attempt: its log says why",
    ),
}
"""Errors of Step Functions and Lambda, whose own words would help nobody. What ends a chunk reaches the job as the
Map's threshold alone."""

_BY_CAUSE: Final[dict[str, Failure]] = {"Task timed out after": _TIMED_OUT, "signal: killed": _OUT_OF_MEMORY}
_ENDED_BY_LAMBDA: Final = ("Lambda.Unknown", "Runtime.ExitError")
"""Names of errors for a function that Lambda ended, for whatever reason: only the cause tells which.
https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html"""


def failure_of(caught: JSON) -> Failure:
    """The failure behind what a state's Catch was given. A Lambda function's cause is JSON with an ``errorMessage``
    (``"code: message"`` where the pipeline raised it); a state's own error has a plain text or nothing.
    """
    error, cause = str(caught.get("Error", "")), str(caught.get("Cause") or "")
    if error in _BY_NAME:
        return _BY_NAME[error]
    if error in _ENDED_BY_LAMBDA:
        for words, known in _BY_CAUSE.items():
            if words in cause:
                return known
    try:
        message = str(json.loads(cause)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        if cause.startswith("{"):
            # Step Functions cuts a cause at 32,768 characters, and what is left of the JSON is no message.
            return Failure("internal-error", f"{error}: its cause cannot be read; the log of the function has it")
        message = cause
    if error in ("Terminal", "Transient"):
        return Failure(*errors.from_text(message))
    return Failure("internal-error", f"{error or 'unknown error'}: {message[:500]}")
