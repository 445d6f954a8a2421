"""The workflow's path through the real Lambda handlers, with the retries and catches that statemachine.json gives.

No interpreter of its language: the order of the states stands here, as it does in ``ops/check/inprocess.py`` (and the
e2e tests run the definition itself); what is read from the definition is what a fault meets: ``Retry``, ``Catch``, and
the function and payload of each task. Waits between attempts are not waited.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import app
from chalicelib.model import JSON
from tests.faults.proxy import Killed, Proxy
from tests.infrastructure import documents

STATES: Final = dict(documents.states(documents.definition()))
_ASYNC_ATTEMPTS: Final = 3
"""Lambda calls a handler of events again twice:
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html"""
_MOST_STATES: Final = 100
_BEYOND_TOLERANCE: Final = {
    "Error": "States.ExceedToleratedFailureThreshold",
    "Cause": "The specified tolerated failure threshold was exceeded",
}


class StateFailed(Exception):
    """A state failed in spite of its retries: what its Catch is given."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(f"{error}: {cause}")
        self.failure = {"Error": error, "Cause": cause}


class ExecutionDied(Exception):
    """Nothing runs any more, and no state's Catch is reached."""


class Stuck(AssertionError):
    """The workflow does not come to an end."""


@dataclass(frozen=True)
class Workflow:
    proxy: Proxy

    def run(self, execution: str, event: JSON) -> str:
        """The execution's status at its end, SUCCEEDED or FAILED."""
        try:
            job = self._to_the_results(execution, event)
        except _Caught as caught:
            caught.expect("RecordFailure")
            self._tell_the_failure(execution, event, caught.failure)
            return "FAILED"
        if job is None:
            return "SUCCEEDED"
        try:
            self._task("NotifySuccess", {"$": job})
        except _Caught as caught:
            caught.expect("NotificationNotSent")
            return "FAILED"
        return "SUCCEEDED"

    def _to_the_results(self, execution: str, event: JSON) -> JSON | None:
        job = self._task("ValidateData", _context(execution, event))
        if job["action"] == "skip":
            return None
        for _ in range(_MOST_STATES):
            if job["action"] == "store":
                return self._task("StoreResults", _context(execution, event, job))
            if job["action"] == "process":
                self._map("ProcessData", job)
            job = self._task("AggregateData", _context(execution, event, job))
        raise Stuck("AggregateData orders one round after the other")

    def _tell_the_failure(self, execution: str, event: JSON, failure: JSON) -> None:
        context = _context(execution, event, {"failure": failure})
        try:
            recorded = self._task("RecordFailure", context)
            self._task("NotifyFailure", {"$": {"recorded": {"job_id": recorded["job_id"]}}})
        except _Caught as caught:
            caught.expect("Failed")

    def _map(self, name: str, job: JSON) -> None:
        """The Map reads its items by its own role, not by a function: no call of the code, and no fault for it here."""
        state = STATES[name]
        for item in self._items(job["round"]):
            try:
                selected = _filled(state["ItemSelector"], {"$$.Map.Item.Value": item, "$": job})
                self._attempts(STATES["ProcessChunk"], {"$": selected})
            except StateFailed as failed:
                raise _caught(state, _BEYOND_TOLERANCE) from failed

    def _items(self, reference: JSON) -> list[JSON]:
        from tests.faults import world

        items: list[JSON] = json.loads(world.stored(reference["bucket"], reference["key"]))
        return items

    def _task(self, name: str, context: JSON) -> JSON:
        try:
            return self._attempts(STATES[name], context)
        except StateFailed as failed:
            raise _caught(STATES[name], failed.failure) from failed

    def _attempts(self, state: JSON, context: JSON) -> JSON:
        tried: Counter[int] = Counter()
        function = state["Parameters"]["FunctionName"].rpartition(":")[2].removeprefix(f"{documents.NAMES.prefix}-")
        payload = _filled(state["Parameters"]["Payload"], context)
        while True:
            try:
                return invoke(self.proxy, function, payload)
            except StateFailed as failed:
                retry = _retrier(state, failed.failure["Error"])
                if retry is None or tried[retry] == state["Retry"][retry]["MaxAttempts"]:
                    raise
                tried[retry] += 1


class _Caught(Exception):
    def __init__(self, next_state: str, failure: JSON) -> None:
        super().__init__(f"{failure} -> {next_state}")
        self._next, self.failure = next_state, failure

    def expect(self, state: str) -> None:
        """Where the catch leads is a part of what stands here: it must be what the definition says."""
        if self._next != state:
            raise Stuck(f"the definition goes on with {self._next}, not {state}")


def _caught(state: JSON, failure: JSON) -> _Caught:
    for catch in state["Catch"]:
        if {failure["Error"], "States.ALL"} & set(catch["ErrorEquals"]):
            return _Caught(catch["Next"], failure)
    raise Stuck(f"nothing catches {failure}")


def _retrier(state: JSON, error: str) -> int | None:
    for number, retry in enumerate(state["Retry"]):
        if {error, "States.ALL", "States.TaskFailed"} & set(retry["ErrorEquals"]):
            return number
    return None


def _context(execution: str, event: JSON, state_input: JSON | None = None) -> JSON:
    """What the paths of a payload lead to."""
    return {"$$.Execution.Id": execution, "$$.Execution.Input": event, "$": state_input or event}


def _filled(template: JSON, context: JSON) -> JSON:
    """A payload template with its paths followed; as JSON, which is all that a function gets."""
    filled: JSON = {}
    for name, path in template.items():
        value: Any = context.get(path)
        if path not in context:
            value = context["$"]
            for step in path.removeprefix("$.").split("."):
                value = value[step]
        filled[name.removesuffix(".$")] = value
    copied: JSON = json.loads(json.dumps(filled))
    return copied


def invoke(proxy: Proxy, function: str, payload: JSON) -> JSON:
    """One invocation of a Lambda function, in a worker that lives at first.

    Errors: ``StateFailed`` with the name that Lambda gives to what its code raised, or to its death.
    """
    handler: Callable[[JSON, Any], JSON] = app.app.handler_map.get(function, app.app)  # the app itself serves the API
    proxy.worker = function
    proxy.dead.clear()
    try:
        answer: JSON = json.loads(json.dumps(handler(payload, None)))
        return answer
    except Killed:
        if proxy.fatal:
            raise ExecutionDied from None
        raise StateFailed("Runtime.ExitError", json.dumps({"errorMessage": "Runtime exited: signal: killed"})) from None
    except Exception as error:
        cause = {"errorMessage": str(error), "errorType": type(error).__name__}
        raise StateFailed(type(error).__name__, json.dumps(cause)) from error
    finally:
        proxy.worker = ""
        proxy.dead.clear()


def deliver(proxy: Proxy, function: str, document: JSON) -> bool:
    """An event, until its handler takes it; False where it failed in each of Lambda's attempts."""
    for _ in range(_ASYNC_ATTEMPTS):
        try:
            invoke(proxy, function, document)
        except StateFailed as failed:
            if failed.failure["Error"] not in ("Transient", "Runtime.ExitError"):
                raise
            continue
        return True
    return False
