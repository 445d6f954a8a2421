"""Structured logs and metrics.

Every log line is JSON and names the function, whether the process is new (``cold_start``), and, as far as the event
tells, the job, its dataset and the chunk. Metrics leave in CloudWatch's embedded format, as a line of the log: no call,
no throttle, no permission. Neither ever holds a cell's value.

Traces need no code: with active tracing Lambda and Step Functions send their segments themselves, and every log line
carries the trace's id. The X-Ray SDK is left out: it is in maintenance only, and lengthens every cold start.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from time import perf_counter
from typing import Any, Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from chalicelib.errors import SluiceError
from chalicelib.model import JSON, Job, Status, source_from_event

NAMESPACE: Final = "Sluice"

logger: Final = Logger(service="sluice", serialize_stacktrace=False)
"""Its underlying logger is ``logging.getLogger("sluice")``, the one that Chalice's ``app.log`` is."""

_process = {"cold": True}


@contextmanager
def invocation(function: str, context: Any, payload: JSON) -> Iterator[None]:
    """Log the start, the end and the seconds of one invocation; every line in between carries its keys.

    ``context`` is Lambda's context object or None. An exception passes through: one of ours is logged by code and
    message, an unexpected one with its traceback.
    """
    keys = {
        "function": function,
        "request_id": getattr(context, "aws_request_id", None),
        "cold_start": _process.pop("cold", False),
        **subject(payload),
    }
    with logger.append_context_keys(**keys):
        began = perf_counter()
        logger.info("started")
        try:
            yield
        except SluiceError as error:
            kind, code, reason = type(error).__name__, error.code, error.message
            logger.warning("refused", seconds=round(perf_counter() - began, 3), kind=kind, code=code, reason=reason)
            raise
        except Exception:
            logger.exception("failed", seconds=round(perf_counter() - began, 3))
            raise
        logger.info("ended", seconds=round(perf_counter() - began, 3))


def subject(payload: JSON) -> dict[str, str | int]:
    """Which job, dataset and chunk a workflow's payload is about, as far as it tells; an odd payload gives ``{}``."""
    found: dict[str, str | int] = {}
    try:
        source = source_from_event(payload["event"])
        found = {"job_id": source.job_id, "dataset": source.dataset}
    except (KeyError, TypeError, ValueError, AttributeError):
        pass  # not the execution's input: the step itself says what is wrong with it
    for part in (payload, payload.get("job"), payload.get("task")):
        if isinstance(part, dict):
            found |= {key: part[key] for key in ("job_id", "dataset", "chunk") if isinstance(part.get(key), str | int)}
    return found


def job_ended(job: Job, stage: str) -> None:
    """Publish one job's counts as metrics, by stage and dataset: rows, bytes, and seconds from upload to end."""
    metrics = EphemeralMetrics(namespace=NAMESPACE, service="sluice")
    metrics.set_default_dimensions(stage=stage, dataset=job.dataset)
    metrics.add_metric("JobsSucceeded", MetricUnit.Count, int(job.status is Status.SUCCEEDED))
    metrics.add_metric("JobsFailed", MetricUnit.Count, int(job.status is Status.FAILED))
    metrics.add_metric("RowsRead", MetricUnit.Count, job.rows.read)
    metrics.add_metric("RowsValid", MetricUnit.Count, job.rows.valid)
    metrics.add_metric("RowsRejected", MetricUnit.Count, job.rows.rejected)
    metrics.add_metric("SourceSize", MetricUnit.Bytes, job.source.size_bytes)
    if job.finished_at is not None:
        metrics.add_metric("SecondsToEnd", MetricUnit.Seconds, _seconds(job.received_at, job.finished_at))
    metrics.add_metadata("job_id", job.job_id)
    metrics.flush_metrics()


def _seconds(start: str, end: str) -> float:
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())
