"""What every Lambda handler does around its one call: hand it the ports, log, name errors as the workflow does."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, Protocol

from chalice.app import AuthRequest, AuthResponse, Chalice, ChaliceAuthorizer

from chalicelib import errors, metrics, telemetry, wiring
from chalicelib.errors import SluiceError, Terminal, ToleranceExceeded, Transient
from chalicelib.model import JSON
from chalicelib.ports import Ports
from chalicelib.settings import Settings

MESSAGE_LIMIT_CHARS: Final = 8_000
"""Longest message, as JSON, that leaves a function of the workflow. Step Functions cuts the cause that it stands in at
32,768 characters, and would leave JSON that nobody can read:
https://docs.aws.amazon.com/step-functions/latest/apireference/API_TaskFailedEventDetails.html"""
_CUT: Final = " … (cut; the log of the function has the rest)"

Handled = Callable[[Ports, Settings, JSON], JSON]
Authorizing = Callable[[AuthRequest], AuthResponse]


class Event(Protocol):
    """What Chalice hands to an event handler (``S3Event``, ``CloudWatchEvent``)."""

    context: Any

    def to_dict(self) -> JSON: ...


def step(handled: Handled) -> Callable[[JSON, Any], JSON]:
    """A Lambda function of the workflow.

    Errors leave as a class named exactly ``Terminal`` or ``Transient`` with the message ``"code: message"``, because
    Step Functions matches a Retry's and a Catch's error names to the letter (a subclass would match neither). Any other
    exception is a fault in the code, and leaves as ``Terminal("internal-error")`` that names its class and line: its
    own text, which may quote a cell, would stand in the log, the execution's history, the job and its notice.
    """

    @wraps(handled)
    def handler(payload: JSON, context: Any) -> JSON:
        settings = wiring.settings()
        try:
            with telemetry.invocation(handled.__name__, context, payload):
                result = handled(wiring.ports(), settings, payload)
                metrics.step_ended(settings.stage, payload, result)
                return result
        except SluiceError as error:
            if isinstance(error, ToleranceExceeded):
                metrics.step_ended(settings.stage, payload, error.result)
            raise _as_the_workflow_knows_it(error) from error
        except Exception as error:  # noqa: BLE001 - whatever it is; it was logged, and fails the state
            raise Terminal("internal-error", f"{errors.place(error)}: the function's log has the rest") from None

    return handler


def trigger(handled: Handled) -> Callable[[Event], JSON]:
    """A handler of events from outside the workflow. An exception fails the invocation: Lambda retries it twice."""

    @wraps(handled)
    def handler(event: Event) -> JSON:
        document = event.to_dict()
        with telemetry.invocation(handled.__name__, event.context, document):
            return handled(wiring.ports(), wiring.settings(), document)

    return handler


def authorizer(app: Chalice, name: str, ttl_seconds: int) -> Callable[[Authorizing], Any]:
    """Chalice's ``app.authorizer``, logged with its invocation's id: Chalice hands the function itself no context."""

    def register(authorizing: Authorizing) -> ChaliceAuthorizer:
        made = app.authorizer(name=name, ttl_seconds=ttl_seconds)(authorizing)
        logged = _LoggedAuthorizer(name, authorizing)
        logged.config = made.config
        app.handler_map[name] = logged
        return logged

    return register


class _LoggedAuthorizer(ChaliceAuthorizer):
    def __call__(self, event: JSON, context: Any) -> JSON:
        with telemetry.invocation(self.name, context, {}):
            answer: JSON = super().__call__(event, context)
            return answer


def _as_the_workflow_knows_it(error: SluiceError) -> Terminal | Transient:
    kind = Transient if isinstance(error, Transient) else Terminal
    return kind(error.code, _bounded(error.message))


def _bounded(message: str) -> str:
    """A message that leaves room for the rest of a cause; escaped as JSON a character may be twelve."""
    if len(json.dumps(message)) <= MESSAGE_LIMIT_CHARS:
        return message
    kept = message[:MESSAGE_LIMIT_CHARS]
    while len(json.dumps(kept)) > MESSAGE_LIMIT_CHARS:
        kept = kept[: len(kept) * 3 // 4]
    return kept + _CUT
