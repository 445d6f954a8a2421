"""Structured logs.

Every log line is JSON and names the function, whether the process is new (``cold_start``), and, as far as the event
tells, the job, its dataset and the chunk. None holds a cell's value: an unexpected exception is logged by its class and
the lines that it came through, for its own text may quote the cell that it choked on. ``metrics.py`` does the counting.

Traces need no code: with active tracing Lambda and Step Functions send their segments themselves, and every log line
carries the trace's id. The X-Ray SDK is left out: it is in maintenance only, and lengthens every cold start.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Final

from aws_lambda_powertools import Logger

from chalicelib import errors
from chalicelib.errors import SluiceError
from chalicelib.model import JSON, source_from_event

logger: Final = Logger(service="sluice", serialize_stacktrace=False)
"""Its underlying logger is ``logging.getLogger("sluice")``, the one that Chalice's ``app.log`` is."""

_process = {"cold": True}


@contextmanager
def invocation(function: str, context: Any, payload: JSON) -> Iterator[None]:
    """Log the start, the end and the seconds of one invocation; every line in between carries its keys.

    ``context`` is Lambda's context object or None. An exception passes through: one of ours is logged by code and
    message, an unexpected one by its class and its way through the code.
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
            logger.warning("refused", seconds=_since(began), kind=kind, code=code, reason=reason)
            raise
        except Exception as error:
            logger.error("failed", seconds=_since(began), kind=type(error).__name__, frames=errors.frames(error))
            raise
        logger.info("ended", seconds=_since(began))


def subject(payload: JSON) -> dict[str, str | int]:
    """Which job, dataset and chunk a workflow's payload is about, as far as it tells; an odd payload gives ``{}``."""
    found: dict[str, str | int] = {}
    try:
        source = source_from_event(payload["event"])
        found = {"job_id": source.job_id, "dataset": source.dataset}
    except (KeyError, TypeError, ValueError, AttributeError):
        pass  # not the execution's input: the step itself says what is wrong with it
    for part in (payload, payload.get("job")):
        if isinstance(part, dict):
            found |= {key: part[key] for key in ("job_id", "dataset") if isinstance(part.get(key), str)}
    task = payload.get("task")
    if isinstance(task, dict):
        found |= {name: task[key] for name, key in _OF_A_TASK.items() if isinstance(task.get(key), int)}
    return found


_OF_A_TASK: Final = {"chunk": "index", "round": "round"}
"""Key of a log line → key of an item of the Distributed Map (``engine.plan.Task``)."""


def _since(began: float) -> float:
    return round(perf_counter() - began, 3)
