"""What the workflow caught is written to the job. Imports nothing heavy, so that it works when all else fails."""

from __future__ import annotations

import json

from chalicelib import errors
from chalicelib.model import JSON, Failure, source_from_event, timestamp
from chalicelib.ports import Ports
from chalicelib.settings import Settings


def record_failure(ports: Ports, settings: Settings, payload: JSON) -> JSON:
    """Write to the job why its execution failed: ``payload`` is ``{"execution": ARN, "event": the workflow's input,
    "failure": {"Error", "Cause"}}``. Gives ``{"job_id", "dataset"}``.
    """
    source, execution = source_from_event(payload["event"]), payload["execution"]
    now = timestamp(ports.clock())
    ports.jobs.claim(source, execution, now)
    ports.jobs.fail(source.job_id, execution, failure_of(payload.get("failure") or {}), now)
    return {"job_id": source.job_id, "dataset": source.dataset}


def failure_of(caught: JSON) -> Failure:
    """The failure behind what a state's Catch was given. A Lambda function's cause is JSON with an ``errorMessage``
    (``"code: message"`` where the pipeline raised it); a state's own error has a plain text or nothing.
    """
    error, cause = str(caught.get("Error", "")), str(caught.get("Cause") or "")
    if error == "States.Timeout":
        return Failure("timed-out", "a step took longer than it may")
    try:
        message = str(json.loads(cause)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        message = cause
    if error in ("Terminal", "Transient"):
        return Failure(*errors.from_text(message))
    return Failure("internal-error", f"{error or 'unknown error'}: {message[:500]}")
