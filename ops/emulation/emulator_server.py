"""``ministack``, with five answers made those of AWS and two manners made those of a laptop: this program is run in the
place of ``python -m ministack``. (ministack 1.5.33; what is mended here should go when a later one answers so itself.)

* An "Object Created" event in a bucket with versioning lacks the ``version-id``, which S3's own notification of the
  same upload has: the two would name two jobs.
* A Python function that raises is reported with the errorType ``Runtime.HandlerError`` instead of the exception's class
  name, by which a workflow retries and catches.
* A function that is refused for concurrency reaches a workflow as ``Lambda.Unknown``, which is what a function that was
  killed is, and not as ``Lambda.TooManyRequestsException``.
* A ranged read of one version is answered with the whole object: a chunk's worker would be sent all of the file.
* Whether a role may describe a Map run is asked of the resource ``*``: a policy that names Map runs would refuse it.
* A function that was created or changed is ready after half a second, for each of a dozen functions in turn: nothing
  becomes ready in that time, so it is a fiftieth.
* Every invocation at the same time starts a process of its own, which costs a second of CPU and 200 MB. A function has
  as many processes as the machine has cores; more invocations wait for one.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

_version_id: ContextVar[str | None] = ContextVar("version_id", default=None)
Answer = tuple[int, dict[str, str], bytes]
_RANGE: Final = re.compile(r"bytes=(\d+)-(\d*)")
_READY_SECONDS: Final = 0.01
_WORKERS: Final = max(2, os.cpu_count() or 1)
"""Processes of one function. Not one: a job's chunks are processed beside each other."""
_RAISED: Final = re.compile(r"^(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*)(?:: |$)")
"""The last line of a traceback that begins with a class: ``package.module.Class: message``."""


def mend() -> None:
    """Replace the functions that answer otherwise than AWS. Errors: ``AttributeError`` where ministack has not them."""
    from ministack.core import iam_actions
    from ministack.services import eventbridge, lambda_svc, s3

    s3._fire_s3_event = _knowing_the_version(s3._fire_s3_event)
    eventbridge._dispatch_event = _telling_the_version(eventbridge._dispatch_event)
    s3._get_object = _keeping_to_the_range(s3._get_object)
    lambda_svc._execute_function_warm = _waiting_for_a_worker(_naming_the_class(lambda_svc._execute_function_warm))
    invoke = lambda_svc._execute_function_with_config_scope
    lambda_svc._execute_function_with_config_scope = _naming_the_throttle(invoke)
    assert lambda_svc._LAMBDA_STATE_TRANSITION_DELAY > _READY_SECONDS
    lambda_svc._LAMBDA_STATE_TRANSITION_DELAY = _READY_SECONDS
    iam_actions.extract_resource_arn = _naming_the_map_run(iam_actions.extract_resource_arn)


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


def _keeping_to_the_range(get: Callable[..., Answer]) -> Callable[..., Answer]:
    def get_object(bucket: str, key: str, headers: dict[str, str], query: dict[str, Any] | None = None) -> Answer:
        status, answered, body = get(bucket, key, headers, query)
        asked = _RANGE.fullmatch(headers.get("range", ""))
        if status != 200 or asked is None:
            return status, answered, body
        size, first, last = len(body), int(asked[1]), int(asked[2] or len(body) - 1)
        if first >= size:
            error = f"<Error><Code>InvalidRange</Code><ActualObjectSize>{size}</ActualObjectSize></Error>".encode()
            return 416, {"Content-Type": "application/xml", "Content-Range": f"bytes */{size}"}, error
        part = body[first : last + 1]
        whole_only = ("content-length", "x-amz-checksum-")  # a checksum is that of the whole object
        ranged = {name: value for name, value in answered.items() if not name.lower().startswith(whole_only)}
        ranged |= {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{size}", "Content-Length": str(len(part))}
        return 206, ranged, part

    return get_object


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


def _naming_the_throttle(execute: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def execute_function(*args: Any, **kwargs: Any) -> dict[str, Any]:
        answer = execute(*args, **kwargs)
        if answer.get("throttle"):
            body = answer["body"]
            named = {"errorType": "Lambda.TooManyRequestsException", "errorMessage": body["message"]}
            answer = {**answer, "body": body | named}
        return answer

    return execute_function


def _waiting_for_a_worker(execute: Callable[..., dict[str, Any]], workers: int = _WORKERS) -> Callable[..., Any]:
    """No function of Sluice calls another one and waits for it, so whoever has a worker gives it back."""
    places: dict[str, threading.BoundedSemaphore] = {}

    def execute_function_warm(function: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        arn = (function.get("config") or function).get("FunctionArn", "")
        with places.setdefault(arn, threading.BoundedSemaphore(workers)):
            return execute(function, *args, **kwargs)

    return execute_function_warm


def _naming_the_map_run(extract: Callable[..., str]) -> Callable[..., str]:
    def extract_resource_arn(
        service: str, method: str, path: str, headers: dict[str, str], body: bytes, *others: Any
    ) -> str:
        resource = extract(service, method, path, headers, body, *others)
        if service != "states" or resource != "*":
            return resource
        named: str = json.loads(body or b"{}").get("mapRunArn", resource)
        return named

    return extract_resource_arn


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
