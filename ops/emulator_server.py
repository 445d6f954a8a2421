"""``ministack``, with two answers made those of AWS; ``python ops/emulator_server.py`` takes the place of
``python -m ministack``. (ministack 1.5.33; what is mended here should go when a later one answers so itself.)

* An "Object Created" event in a bucket with versioning lacks the ``version-id``, which S3's own notification of the
  same upload has: the two would name two jobs.
* A Python function that raises is reported with the errorType ``Runtime.HandlerError`` instead of the exception's class
  name, by which a workflow retries and catches.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

_version_id: ContextVar[str | None] = ContextVar("version_id", default=None)
_RAISED: Final = re.compile(r"^(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*)(?:: |$)")
"""The last line of a traceback that begins with a class: ``package.module.Class: message``."""


def mend() -> None:
    """Replace the functions that answer otherwise than AWS. Errors: ``AttributeError`` where ministack has not them."""
    from ministack.services import eventbridge, lambda_svc, s3

    s3._fire_s3_event = _knowing_the_version(s3._fire_s3_event)
    eventbridge._dispatch_event = _telling_the_version(eventbridge._dispatch_event)
    lambda_svc._execute_function_warm = _naming_the_class(lambda_svc._execute_function_warm)


def _knowing_the_version(fire: Callable[..., None]) -> Callable[..., None]:
    def fire_s3_event(*args: Any, **kwargs: Any) -> None:
        token = _version_id.set(kwargs.get("version_id"))
        try:
            fire(*args, **kwargs)
        finally:
            _version_id.reset(token)

    return fire_s3_event


def _telling_the_version(dispatch: Callable[..., Any]) -> Callable[..., Any]:
    def dispatch_event(event: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        version_id = _version_id.get()
        if version_id is not None and event.get("Source") == "aws.s3":
            detail = json.loads(event["Detail"])
            detail["object"].setdefault("version-id", version_id)
            event = {**event, "Detail": json.dumps(detail)}
        return dispatch(event, *args, **kwargs)

    return dispatch_event


def _naming_the_class(execute: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def execute_function_warm(*args: Any, **kwargs: Any) -> dict[str, Any]:
        answer = execute(*args, **kwargs)
        body = answer.get("body")
        if answer.get("error") and isinstance(body, dict) and body.get("errorType") == "Runtime.HandlerError":
            name = raised_class(answer.get("log", ""), body.get("errorMessage", ""))
            if name is not None:
                answer = {**answer, "body": {**body, "errorType": name}}
        return answer

    return execute_function_warm


def raised_class(log: str, message: str) -> str | None:
    """The class name of the exception whose traceback ends ``log`` and whose text is ``message``; None without one."""
    if "Traceback (most recent call last):" not in log:
        return None
    last = log[: len(log.rstrip()) - len(message)] if log.rstrip().endswith(message) else log.rstrip()
    raised = _RAISED.match(last.rpartition("\n")[2])
    return raised.group(1) if raised else None


if __name__ == "__main__":
    mend()
    from ministack import app

    app.main()
