"""The REST API: jobs, newest first; one job with its live progress; a failed one retried; health. docs/api.md tells it
to its users.

Every answer is JSON, every error ``{"code", "message"}``. Access is closed but for ``/health``, which tells nothing
that an uptime check does not need.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from chalice.app import Authorizer, AuthRequest, AuthResponse, Blueprint, Request, Response

from chalicelib import telemetry, wiring
from chalicelib.errors import Terminal, Transient
from chalicelib.model import JSON, NO_DATASET, Job, Status, is_dataset, timestamp
from chalicelib.ports import Ports
from chalicelib.retry import retry
from chalicelib.settings import Settings
from chalicelib.telemetry import logger
from chalicelib.transitions import JOB_ID
from chalicelib.version import VERSION

AUTHORIZATION_TTL_SECONDS: Final = 60
"""How long API Gateway keeps an authorizer's answer for a token. The token itself is kept as long by ``ApiToken``, so a
rotated one is refused after two minutes at the most."""

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 100
RETRY_AFTER_SECONDS: Final = 2
LISTED_MESSAGE_CHARS: Final = 1_000
"""Longest error message in a list; the job's own route has all of it."""
_CUT: Final = " … (cut; GET /jobs/{job_id} has the rest)"

_STATUS_CODES: Final = {"bad-query": 400, "bad-cursor": 400, "job-not-found": 404, "job-not-failed": 409}
"""Error code → HTTP status; any other Terminal is a fault of ours: 500."""

Query = Mapping[str, Sequence[str]]
"""Parameter → its values, in order; more than one where the parameter was repeated."""


def blueprint(authorizer: Authorizer) -> Blueprint:
    """The routes, closed by ``authorizer``."""
    routes = Blueprint(__name__)

    @routes.route("/jobs", authorizer=authorizer)
    def jobs() -> Response:
        request = routes.current_request
        return _answer(request, lambda: list_jobs(wiring.ports(), _query(request)))

    @routes.route("/jobs/{job_id}", authorizer=authorizer)
    def job(job_id: str) -> Response:
        request = routes.current_request
        return _answer(request, lambda: get_job(wiring.ports(), job_id, _query(request)))

    # No body is read, so none is asked to be JSON.
    @routes.route("/jobs/{job_id}/retry", methods=["POST"], authorizer=authorizer, content_types=[])
    def job_retry(job_id: str) -> Response:
        request = routes.current_request
        return _answer(request, lambda: retry_job(wiring.ports(), job_id, _query(request)), status_code=202)

    @routes.route("/health")
    def healthy() -> Response:
        return _answer(routes.current_request, lambda: health(wiring.settings()))

    routes.register_middleware(_logged, "http")
    routes.register_middleware(_chalices_own_errors, "http")
    return routes


class Refusal(AuthResponse):
    """Denies the routes that it names, in so many words. Chalice knows permission alone: a response without routes is a
    policy that allows an empty list of resources, which IAM's grammar does not have.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
    """

    def to_dict(self, request: AuthRequest) -> dict[str, Any]:
        document: dict[str, Any] = super().to_dict(request)
        for statement in document["policyDocument"]["Statement"]:
            statement["Effect"] = "Deny"
        return document


def authorize(request: AuthRequest) -> AuthResponse:
    """Allow every route to the bearer of the token, and none to anyone else. Compared in constant time."""
    scheme, _, given = request.token.strip().partition(" ")
    expected = wiring.api_token().value()
    same = hmac.compare_digest(given.strip().encode(errors="surrogatepass"), expected.encode())
    if scheme.lower() == "bearer" and expected and same:
        return AuthResponse(routes=["*"], principal_id="token-bearer")
    logger.warning("API access refused")
    return Refusal(routes=["*"], principal_id="stranger")


def list_jobs(ports: Ports, query: Query) -> JSON:
    """``{"jobs": [job record, ...], "cursor": text or null}``, newest first.

    Errors: ``Terminal("bad-query")`` and ``Terminal("bad-cursor")``, whose messages name the parameter.
    """
    given = _single_values(query, known=("dataset", "status", "limit", "cursor"))
    dataset, cursor = given.get("dataset"), given.get("cursor")
    if dataset is not None and not (dataset == NO_DATASET or is_dataset(dataset)):
        raise _bad("dataset", f"not a dataset's name (letters, digits, '.', '_', '-', at most 64), nor {NO_DATASET}")
    try:
        page = ports.jobs.list(dataset=dataset, status=_status(given), limit=_limit(given), cursor=cursor)
    except Terminal as error:
        if error.code != "bad-cursor":
            raise
        raise Terminal("bad-cursor", "cursor: not one that this API gave for the same query") from error
    return {"jobs": [_in_a_list(job) for job in page.jobs], "cursor": page.cursor}


def get_job(ports: Ports, job_id: str, query: Query) -> JSON:
    """The job record; ``chunks.done`` is live while the job is PROCESSING. Errors: ``Terminal("job-not-found")``."""
    _single_values(query, known=())
    job = ports.jobs.get(job_id)
    if job is None:
        raise Terminal("job-not-found", "there is no job of this id")
    return _with_live_progress(ports, job).to_json()


def retry_job(ports: Ports, job_id: str, query: Query) -> JSON:
    """The job record, RECEIVED once more. Errors: ``Terminal("job-not-found")``, ``Terminal("job-not-failed")``."""
    _single_values(query, known=())
    job = retry(ports.jobs, ports.executions, job_id, timestamp(ports.clock()))
    logger.info("retried", job_id=job.job_id, dataset=job.dataset, attempt=job.attempt)
    return job.to_json()


def health(settings: Settings) -> JSON:
    """That the API answers, and which stage and version it is. Looks at nothing else: it is open to anyone."""
    return {"status": "ok", "stage": settings.stage, "version": VERSION}


def _in_a_list(job: Job) -> JSON:
    """The record, with its error's message cut: a page of whole ones could exceed the 6 MB that Lambda answers with.
    https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    """
    if job.error is not None and len(job.error.message) > LISTED_MESSAGE_CHARS:
        kept = job.error.message[: LISTED_MESSAGE_CHARS - len(_CUT)] + _CUT
        job = job.with_(error=replace(job.error, message=kept))
    return job.to_json()


def _with_live_progress(ports: Ports, job: Job) -> Job:
    if job.status is not Status.PROCESSING or job.execution is None:
        return job
    try:
        progress = ports.executions.progress(job.execution)
    except Transient as error:
        # The record itself is known: better the count of a moment ago than no answer to someone who polls.
        logger.warning("live progress is not to be had", code=error.code, reason=error.message)
        return job
    if progress is None:
        return job
    # A later round does only the chunks that have to be done again: what it has not done yet is what is missing.
    planned = job.chunks.planned or progress.total
    done = max(0, planned - (progress.total - progress.succeeded))
    return job.with_(chunks=replace(job.chunks, planned=planned, done=done))


def _query(request: Request) -> Query:
    given = request.query_params
    return {} if given is None else {name: given.getlist(name) for name in given}


def _single_values(query: Query, known: Sequence[str]) -> dict[str, str]:
    for name, values in query.items():
        if name not in known:
            raise _bad(name, f"unknown parameter; known are: {', '.join(known) or 'none'}")
        if len(values) != 1:
            raise _bad(name, "given more than once")
        if not values[0]:
            raise _bad(name, "has no value")
    return {name: values[0] for name, values in query.items()}


def _status(given: Mapping[str, str]) -> Status | None:
    if "status" not in given:
        return None
    try:
        return Status(given["status"])
    except ValueError:
        raise _bad("status", f"not one of {', '.join(Status)}") from None


def _limit(given: Mapping[str, str]) -> int:
    text = given.get("limit", str(DEFAULT_LIMIT))
    if not re.fullmatch("[0-9]{1,3}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise _bad("limit", f"not a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def _bad(parameter: str, problem: str) -> Terminal:
    return Terminal("bad-query", f"{parameter[:64]}: {problem}")


def _answer(request: Request, document: Callable[[], JSON], status_code: int = 200) -> Response:
    """The document, or the error that hindered it, as JSON. What is unexpected Chalice logs, and answers with 500."""
    try:
        return _response(status_code, document())
    except Transient as error:
        logger.warning("answered 503", route=request.path, code=error.code, reason=error.message)
        return _response(503, _error(error.code, error.message), {"Retry-After": str(RETRY_AFTER_SECONDS)})
    except Terminal as error:
        status_code = _STATUS_CODES.get(error.code, 500)
        if status_code == 500:
            logger.exception("answered 500", route=request.path)
        return _response(status_code, _error(error.code, error.message))


def _response(status_code: int, body: JSON, headers: Mapping[str, str] | None = None) -> Response:
    always = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Response(body, headers={**always, **(headers or {})}, status_code=status_code)


def _error(code: str, message: str) -> JSON:
    return {"code": code, "message": message}


def _logged(event: Request, get_response: Callable[[Request], Response]) -> Response:
    """Every line of a request carries its keys; the job's id among them, if it is one and not just any text."""
    asked = (event.uri_params or {}).get("job_id", "")
    with telemetry.invocation("api", event.lambda_context, {"job_id": asked} if JOB_ID.fullmatch(asked) else {}):
        response = get_response(event)
        logger.info("answered", route=event.context.get("resourcePath"), status_code=response.status_code)
        return response


def _chalices_own_errors(event: Request, get_response: Callable[[Request], Response]) -> Response:
    """What Chalice answers itself (405, 415, 500), as ``{"Code": "MethodNotAllowedError", ...}``, in our words."""
    response = get_response(event)
    body: Any = response.body
    if isinstance(body, dict) and body.keys() == {"Code", "Message"}:
        name = body["Code"] if body["Code"] == "InternalServerError" else body["Code"].removesuffix("Error")
        response.body = _error(re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower(), body["Message"])
    return response
