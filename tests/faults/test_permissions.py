"""Each function's policy against the calls that its code makes: all are allowed, and nothing else is.

The calls are those of whole jobs and of every other thing the functions do. Then each permission is taken away by
itself, and the call that needed it is found; for the workflow's own, the job is run without it and does not succeed.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.aws.jobs import DynamoJobs
from chalicelib.model import JSON, Chunks, Source, Status, timestamp
from ops.chalice import functions
from tests.events import event
from tests.fakes import NOON
from tests.faults import permissions, scenarios, world
from tests.faults.catalogue import FAULTS
from tests.faults.permissions import Need
from tests.faults.proxy import Call, Order, Seen
from tests.faults.wire import Reply, Request
from tests.faults.workflow import deliver, invoke
from tests.faults.world import NAMES, World

POLICIES = {
    name: policy | {"Statement": [each for each in policy["Statement"] if each["Sid"] not in permissions.LAMBDAS_OWN]}
    for name in functions.template()["lambda_functions"]
    for policy in [functions.policy(name, NAMES)]
}
GRAINS = [(name, grain) for name, policy in POLICIES.items() for grain in permissions.grains(policy)]


@pytest.fixture(scope="module")
def here() -> Iterator[World]:
    logging.disable(logging.CRITICAL)
    with world.opened() as opened:
        yield opened
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def needed(here: World) -> dict[str, set[Need]]:
    """Function → what its calls need, from all that it does."""
    found: dict[str, set[Need]] = defaultdict(set)
    for act in ACTS:
        act(here)
        for seen in here.proxy.seen:
            found[seen.worker] |= permissions.needs(seen.request, seen.status, NAMES)
    return found


# What the functions do.


def jobs(here: World) -> None:
    seen = []
    unversioned = replace(scenarios.REFUTED, versioned=False)
    nothing_to_refer_to = replace(scenarios.REFERRING, others={})
    for scenario in (*scenarios.ALL, unversioned, nothing_to_refer_to):
        seen += here.run(scenario).seen
    here.proxy.seen = seen


def broken_uploads(here: World) -> None:
    """A multipart upload that cannot go on is given up: the rejects', and the text's of a compressed file."""
    seen = []
    for scenario, target in ((scenarios.ORDERS, "jobs/*/rejects.jsonl"), (scenarios.PACKED, "work/*/text.csv")):
        plain = here.run(scenario)
        calls = {each.call for each in plain.seen if each.call.operation == "UploadPart"}
        call = next(each for each in calls if each.target.partition(" part")[0].rpartition(".")[0] in target)
        seen += here.run(scenario, Order(_outage(), call)).seen
    here.proxy.seen = seen


def decided_jobs(here: World) -> None:
    """StoreResults cannot make the job current: RecordFailure does; neither can: the status handler; the sweeper."""
    seen = []
    for operation in ("PutObject", "GetObject"):
        call = Call(operation, scenarios.ORDERS.current, 1)
        seen += here.run(scenarios.ORDERS, Order(_outage(), call)).seen
    for ends in (_record_failure, _sweep_late):
        source = _decided(here)
        ends(here, source)
        seen += here.proxy.seen
    # A dataset's first job: there is no current.json yet.
    for ends in (_record_failure, _end_by_status, _sweep_late):
        source = _decided(here)
        here.operator["s3"].delete_object(Bucket=world.RESULTS, Key=scenarios.ORDERS.current)
        here.proxy.reset()
        ends(here, source)
        seen += here.proxy.seen
    here.proxy.seen = seen


def ended_without_input(here: World) -> None:
    """The job of an execution is looked for in the records."""
    source, arn = here.begin(scenarios.ORDERS)
    DynamoJobs(NAMES.jobs_table, here.operator["dynamodb"]).claim(source, arn, timestamp(NOON - timedelta(hours=1)))
    here.proxy.reset()
    document = event("execution-timed-out-without-input")
    document["detail"] |= {"executionArn": arn, "name": "rule-1"}
    assert deliver(here.proxy, "on-execution-status", document)


def contracts(here: World) -> None:
    here.begin(scenarios.ORDERS)
    here.operator["s3"].put_object(Bucket=world.INBOX, Key="contracts/bad.json", Body=b"{}")
    here.proxy.reset()
    for key in ("contracts/orders.json", "contracts/bad.json", "contracts/gone.json"):
        document = event("s3-contract")
        document["Records"][0]["s3"]["bucket"]["name"] = world.INBOX
        document["Records"][0]["s3"]["object"]["key"] = key
        assert deliver(here.proxy, "on-contract", document)


def sweeps(here: World) -> None:
    """An upload without a job, one that never started, one that is stuck, one whose execution is over."""
    source, arn = here.begin(scenarios.ORDERS)
    records = DynamoJobs(NAMES.jobs_table, here.operator["dynamodb"])
    records.register(replace(source, version_id="v-waiting"), timestamp(NOON))
    records.claim(replace(source, version_id="v-stuck"), arn, timestamp(NOON))
    here.proxy.reset()
    assert deliver(here.proxy, "sweep", world.schedule(NOON + timedelta(minutes=31)))
    stored = here.operator["s3"].head_object(Bucket=world.INBOX, Key=source.key)
    assert deliver(here.proxy, "sweep", world.schedule(stored["LastModified"] + timedelta(hours=1)))


def the_api(here: World) -> None:
    source, arn = here.begin(scenarios.ORDERS)
    here.operator["ssm"].put_parameter(Name=NAMES.token_parameter, Value="the-token", Type="SecureString")
    records = DynamoJobs(NAMES.jobs_table, here.operator["dynamodb"])
    records.claim(source, arn, timestamp(NOON))
    records.advance(source.job_id, arn, Status.PROCESSING, chunks=Chunks(planned=2))
    here.proxy.reset()
    forward, here.proxy.forward = here.proxy.forward, _with_a_map_run(here.proxy.forward)
    try:
        for query in ({}, {"dataset": "orders"}, {"status": "RECEIVED"}):
            assert _get(here, "/jobs", None, query)["statusCode"] == 200
        answer = _get(here, "/jobs/{job_id}", {"job_id": source.job_id}, {})
        assert json.loads(answer["body"])["chunks"]["done"] == 1
        document = event("authorizer")
        assert invoke(here.proxy, "authorize", document)["policyDocument"]["Statement"][0]["Effect"] == "Allow"
    finally:
        here.proxy.forward = forward


def retries(here: World) -> None:
    """A failed job is done again: what its first attempt had written goes, and what stands is not done again, neither
    of the first round nor of the round of repair.
    """
    source, arn = here.begin(scenarios.REFUSED)
    here.workflow(source, arn)
    here.operator["s3"].put_object(Bucket=world.RESULTS, Key=f"jobs/{source.job_id}/left-over", Body=b"")
    seen = _retried(here, source, Status.FAILED)
    source, arn = here.begin(scenarios.ORDERS)
    here.proxy.reset(Order(_outage(), Call("PutObject", "jobs/*/summary.json", 1)))
    assert here.workflow(source, arn) == "FAILED"
    here.proxy.seen = seen + _retried(here, source, Status.SUCCEEDED)


def _retried(here: World, source: Source, end: Status) -> list[Seen]:
    here.proxy.reset()
    answer = _get(here, "/jobs/{job_id}/retry", {"job_id": source.job_id}, {}, method="POST")
    assert answer["statusCode"] == 202
    here.workflow(source, json.loads(answer["body"])["execution"])
    job = here.job(source)
    assert job is not None
    assert (job.status, job.attempt) == (end, 2)
    return here.proxy.seen


ACTS = [retries, jobs, broken_uploads, decided_jobs, ended_without_input, contracts, sweeps, the_api]


def _outage() -> Any:
    return next(fault for fault in FAULTS if fault.name == "outage")


def _decided(here: World) -> Source:
    """A job whose outputs are decided, and whose execution is over."""
    source, arn = here.begin(scenarios.ORDERS)
    order = Order(_outage(), Call("PutObject", scenarios.ORDERS.current, 1))
    here.proxy.reset(order)
    here.workflow(source, arn)
    job = here.job(source)
    assert job is not None
    assert job.is_decided
    here.proxy.reset()
    return source


def _record_failure(here: World, source: Source) -> None:
    job = here.job(source)
    assert job is not None
    payload = {"execution": job.execution, "event": world.uploaded(source), "failure": {"Error": "States.Timeout"}}
    invoke(here.proxy, "record-failure", payload)


def _end_by_status(here: World, source: Source) -> None:
    job = here.job(source)
    assert job is not None
    assert deliver(
        here.proxy, "on-execution-status", world.status_change(str(job.execution), "FAILED", world.uploaded(source))
    )


def _sweep_late(here: World, source: Source) -> None:
    assert deliver(here.proxy, "sweep", world.schedule(NOON + timedelta(hours=2)))


def _get(
    here: World, resource: str, parameters: JSON | None, query: dict[str, str], method: str = "GET"
) -> JSON:  # fmt: skip
    document = (
        event("api-jobs")
        | {"httpMethod": method}
        | {"resource": resource, "path": resource, "pathParameters": parameters}
    )
    document["multiValueQueryStringParameters"] = {name: [value] for name, value in query.items()} or None
    document["requestContext"] |= {"resourcePath": resource, "httpMethod": method}
    return invoke(here.proxy, "api_handler", document)


def _with_a_map_run(forward: Callable[[Request], Reply]) -> Callable[[Request], Reply]:
    """moto runs no Distributed Map: the two answers about one are given here."""
    run = NAMES.arn("states", f"mapRun:{NAMES.state_machine}/Chunks:1")
    counts = dict.fromkeys(("total", "pending", "running", "failed", "timedOut", "aborted", "resultsWritten"), 0)
    answers = {
        "ListMapRuns": {"mapRuns": [{"mapRunArn": run, "startDate": 0}]},
        "DescribeMapRun": {"mapRunArn": run, "itemCounts": counts | {"total": 2, "succeeded": 1}},
    }

    def answer(request: Request) -> Reply:
        if request.service != "states" or request.operation not in answers:
            return forward(request)
        body = json.dumps(answers[request.operation]).encode()
        return Reply(200, (("Content-Type", "application/x-amz-json-1.0"),), body)

    return answer


# What holds.


def test_every_call_is_allowed_to_its_own_function(needed: dict[str, set[Need]]) -> None:
    denied = [(name, need) for name in needed for need in needed[name] if not permissions.grants(POLICIES[name], need)]
    assert denied == []
    assert needed.keys() == POLICIES.keys()


@pytest.mark.parametrize(
    ("name", "grain"), GRAINS, ids=lambda value: value if isinstance(value, str) else "-".join(value[:2])
)
def test_without_any_one_permission_some_call_is_denied(needed: dict[str, set[Need]], name: str, grain: Any) -> None:
    reduced = permissions.without(POLICIES[name], grain)
    assert any(not permissions.grants(reduced, need) for need in needed[name]), f"{name} does not need {grain}"


STEPS = {"validate-data", "process-chunk", "aggregate-data", "store-results", "notify"}
WORKFLOW = [(name, grain) for name, grain in GRAINS if name in STEPS]


@pytest.fixture(scope="module")
def plain(here: World) -> world.Ended:
    return here.run(scenarios.REFUTED)


def test_a_job_without_any_one_permission_does_not_succeed(here: World, plain: world.Ended) -> None:
    """Every permission of the workflow's functions that this upload needs, taken away for a run of its own."""
    needed_here = {
        (seen.worker, need) for seen in plain.seen for need in permissions.needs(seen.request, seen.status, NAMES)
    }
    tried = 0
    for name, grain in WORKFLOW:
        reduced = permissions.without(POLICIES[name], grain)
        if all(permissions.grants(reduced, need) for worker, need in needed_here if worker == name):
            continue
        here.proxy.denies = _by(name, reduced)
        try:
            ended = here.run(scenarios.REFUTED)
        finally:
            here.proxy.denies = lambda request, status, worker: False
        tried += 1
        assert ended.execution == "FAILED", (name, grain)
        assert ended.job is not None
        is_current = scenarios.REFUTED.current in ended.outputs
        # What StoreResults had decided, RecordFailure has finished.
        assert is_current is (ended.job.status is Status.SUCCEEDED), (name, grain)
        assert not is_current or name in ("store-results", "notify"), (name, grain)
    assert tried >= 12


def _by(name: str, policy: JSON) -> Callable[[Request, int, str], bool]:
    """What IAM denies to a function that has this policy."""

    def denies(request: Request, status: int, worker: str) -> bool:
        if worker != name:
            return False
        return any(not permissions.grants(policy, need) for need in permissions.needs(request, status, NAMES))

    return denies
