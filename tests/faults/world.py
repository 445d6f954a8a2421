"""One upload in a fresh AWS (moto, served over HTTP), and everything that its job left behind."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Final
from unittest.mock import patch

import boto3
from cryptography.hazmat.primitives.asymmetric import rsa
from moto.backends import list_of_moto_modules
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_api._internal import mock_random
from moto.moto_api._internal.models import moto_api_backend
from moto.s3.models import s3_backends
from moto.sqs.models import sqs_backends
from moto.stepfunctions.models import stepfunctions_backends

from chalicelib import wiring
from chalicelib.aws import clients
from chalicelib.aws.jobs import DynamoJobs
from chalicelib.aws.objects import S3Objects
from chalicelib.model import JSON, Job, Source, Status, timestamp
from chalicelib.stages import references
from ops.target import Names
from tests.adapters.support import table_definition
from tests.events import event
from tests.fakes import NOON
from tests.faults import upstream
from tests.faults.catalogue import FAULTS, Deed
from tests.faults.proxy import Call, Order, Proxy, Seen
from tests.faults.workflow import ExecutionDied, Workflow, deliver

NAMES: Final = Names("test", DEFAULT_ACCOUNT_ID, "us-east-1")
_SERVICES: Final = ("s3", "dynamodb", "sns", "sqs", "stepfunctions", "ssm")
INBOX, RESULTS = NAMES.bucket("inbox"), NAMES.bucket("results")
_TABLE: Final = table_definition()
_PART_SIZE_BYTES: Final = 400
"""Small, so that small files take S3's multipart uploads (moto's own minimum is lowered with it)."""


@dataclass(frozen=True)
class Scenario:
    """What is uploaded; ``expected``: how the job ends without a fault."""

    name: str
    body: bytes
    contract: JSON | None
    chunk_size_bytes: int
    key: str = "incoming/orders/a.csv"
    expected: Status = Status.SUCCEEDED
    others: dict[str, bytes] = field(default_factory=dict)
    """More objects in the results bucket, by key."""
    versioned: bool = True
    """Whether the inbox keeps versions."""
    first: bool = False
    """Whether the dataset has no current job yet."""

    @property
    def dataset(self) -> str:
        return self.key.split("/")[1]

    @property
    def current(self) -> str:
        return f"datasets/{self.dataset}/current.json"

    @property
    def before(self) -> bytes | None:
        """What ``current`` holds before the upload."""
        return None if self.first else EARLIER


@dataclass(frozen=True)
class Ended:
    """How a run ended, and what it left."""

    execution: str
    """The execution's own status."""
    job: Job | None
    outputs: dict[str, bytes]
    """Key → bytes of everything under ``jobs/`` and ``datasets/``."""
    messages: list[JSON]
    """The documents of all notifications, in order."""
    seen: list[Seen]
    hits: int


@contextmanager
def opened() -> Iterator[World]:
    """A world for any number of runs in this process, one at a time."""
    with ExitStack() as stack:
        # moto reads the limit of a part once, where it is imported.
        stack.enter_context(patch("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1))
        stack.enter_context(patch.object(S3Objects.__init__, "__kwdefaults__", _small_parts()))
        stack.enter_context(patch.object(wiring, "_now", lambda: NOON))
        stack.enter_context(patch("botocore.endpoint.time.sleep", lambda seconds: None))
        # What moto finds out for every request, and makes for every topic, a quarter of a run's time: once is enough.
        modules, key = tuple(list_of_moto_modules()), cache(rsa.generate_private_key)
        stack.enter_context(patch("moto.backends.list_of_moto_modules", lambda: modules))
        stack.enter_context(patch("moto.sns.models.rsa.generate_private_key", key))
        proxy = stack.enter_context(Proxy(upstream.moto()).serving())
        environment = NAMES.environment() | {"AWS_ENDPOINT_URL": proxy.url}
        stack.enter_context(patch.dict(os.environ, environment))
        stack.callback(_forget)
        yield World(proxy, {name: boto3.client(name) for name in _SERVICES})


def _small_parts() -> dict[str, Any]:
    return {**(S3Objects.__init__.__kwdefaults__ or {}), "part_size_bytes": _PART_SIZE_BYTES}


def _forget() -> None:
    """Every function's process is gone: clients, settings and what a warm worker keeps."""
    for made in clients._clients.values():
        made.close()
    clients._clients.clear()
    wiring.ports.cache_clear()
    wiring.settings.cache_clear()
    references._loaded.cache_clear()


@dataclass(frozen=True)
class World:
    proxy: Proxy
    operator: dict[str, Any]
    """Clients of someone who is no part of the pipeline; no fault reaches them."""

    def run(self, scenario: Scenario, order: Order | None = None) -> Ended:
        """The upload, its notifications, its execution; then what AWS would send and call about an unfinished end."""
        source, arn = self.begin(scenario)
        self.proxy.reset(order)
        deliver(self.proxy, "on-upload", notification(source))
        status = self.workflow(source, arn)
        self.proxy.heal()  # from here on, what was left undone can be done
        if status != "SUCCEEDED":
            deliver(self.proxy, "on-execution-status", status_change(arn, status, uploaded(source)))
        job = self.job(source)
        if job is None or not job.status.is_final:
            deliver(self.proxy, "sweep", schedule(NOON.replace(hour=14)))
            job = self.job(source)
        self.proxy.arrive()
        if self.proxy.troubles:
            raise self.proxy.troubles[0]
        return Ended(status, job, published(), messages(), self.proxy.seen, self.proxy.hits)

    def workflow(self, source: Source, arn: str) -> str:
        """The execution, to its end; gives its status."""
        status = Workflow(self.proxy).run(arn, uploaded(source))
        _backend().describe_execution(arn).status = status
        return status

    def execution(self, name: str) -> str:
        """Start an execution, which waits to be carried out; gives its ARN."""
        started = self.operator["stepfunctions"].start_execution(stateMachineArn=NAMES.state_machine_arn, name=name)
        arn: str = started["executionArn"]
        return arn

    def dies_after(self, source: Source, arn: str, call: Call) -> None:
        """The execution, until a call that is the last of everything: then it is aborted, and all that ran is gone."""
        dies = next(fault for fault in FAULTS if fault.deed is Deed.KILLED_AFTER)
        self.proxy.reset(Order(dies, call))
        self.proxy.fatal = True
        with suppress(ExecutionDied):
            Workflow(self.proxy).run(arn, uploaded(source))
        assert self.proxy.hits == 1
        self.proxy.reset()
        _backend().describe_execution(arn).status = "ABORTED"

    def job(self, source: Source) -> Job | None:
        return DynamoJobs(NAMES.jobs_table, self.operator["dynamodb"]).get(source.job_id)

    def begin(self, scenario: Scenario) -> tuple[Source, str]:
        """A fresh account with the stage's resources, where the dataset has a current job already."""
        _forget()
        moto_api_backend.reset()
        mock_random.seed(1)  # version ids are random, and a job's id is made of one
        self.proxy.reset()
        s3, dynamodb, sns, sqs, states, _ = (self.operator[name] for name in _SERVICES)
        for bucket in (INBOX, RESULTS):
            s3.create_bucket(Bucket=bucket)
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        dynamodb.create_table(TableName=NAMES.jobs_table, **_TABLE)
        topic = sns.create_topic(Name=f"{NAMES.prefix}-notices")["TopicArn"]
        sqs.create_queue(QueueName="listener")
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=NAMES.arn("sqs", "listener"))
        role = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/workflow"
        definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
        states.create_state_machine(name=NAMES.state_machine, definition=definition, roleArn=role)
        if scenario.before is not None:
            s3.put_object(Bucket=RESULTS, Key=scenario.current, Body=scenario.before)
        if not scenario.versioned:
            s3.put_bucket_versioning(Bucket=INBOX, VersioningConfiguration={"Status": "Suspended"})
        for key, body in scenario.others.items():
            s3.put_object(Bucket=RESULTS, Key=key, Body=body)
        if scenario.contract is not None:
            body = json.dumps(scenario.contract).encode()
            s3.put_object(Bucket=INBOX, Key=f"contracts/{scenario.dataset}.json", Body=body)
        put = s3.put_object(Bucket=INBOX, Key=scenario.key, Body=scenario.body)
        etag = put["ETag"].strip('"')
        version_id = put["VersionId"] if scenario.versioned else etag
        source = Source(INBOX, scenario.key, version_id, len(scenario.body), etag)
        os.environ["SLUICE_CHUNK_SIZE_BYTES"] = str(scenario.chunk_size_bytes)
        for service in ("s3", "dynamodb", "sns", "stepfunctions", "ssm"):
            clients.client(service).meta.events.register("before-send", self.proxy.before_send)
        return source, self.execution("rule-1")


_EARLIER_JOB: Final = {
    "job_id": "earlier",
    "manifest": "jobs/earlier/manifest.json",
    "data": "jobs/earlier/data/",
    "rows": 3,
    "received_at": "",
}
EARLIER: Final = json.dumps({"dataset": "x", "mode": "append", "jobs": [_EARLIER_JOB]}).encode()
"""A version that listed no files has written it, and somebody has removed the job's outputs since."""


def stored(bucket: str, key: str) -> bytes:
    found = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].get_object(bucket, key)
    assert found is not None
    body: bytes = found.value
    return body


def published() -> dict[str, bytes]:
    """What readers can see."""
    keys = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[RESULTS].keys
    return {key: stored(RESULTS, key) for key in keys if key.startswith(("jobs/", "datasets/"))}


def versions(name: str) -> int:
    """How often objects of this name were written to the results bucket."""
    keys = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[RESULTS].keys
    return sum(len(keys.getlist(key)) for key in keys if key.endswith(f"/{name}"))


def _backend() -> Any:
    return stepfunctions_backends[DEFAULT_ACCOUNT_ID][NAMES.region]


def messages() -> list[JSON]:
    queue = sqs_backends[DEFAULT_ACCOUNT_ID][NAMES.region].queues["listener"]
    return [json.loads(json.loads(message.body)["Message"]) for message in queue._messages]


def uploaded(source: Source) -> JSON:
    """EventBridge's event of the upload."""
    document = event("eventbridge-upload")
    document["time"] = f"{NOON:%Y-%m-%dT%H:%M:%SZ}"
    document["detail"]["bucket"]["name"] = source.bucket
    described = {"key": source.key, "size": source.size_bytes, "etag": source.etag, "version-id": source.version_id}
    document["detail"]["object"] |= described
    return document


def notification(source: Source) -> JSON:
    """S3's own notification of it."""
    document = event("s3-upload")
    described = {"key": source.key, "size": source.size_bytes, "eTag": source.etag, "versionId": source.version_id}
    document["Records"][0]["eventTime"] = timestamp(NOON)
    document["Records"][0]["s3"]["bucket"]["name"] = source.bucket
    document["Records"][0]["s3"]["object"] |= described
    return document


def status_change(arn: str, status: str, given: JSON) -> JSON:
    document = event("execution-failed")
    detail = {"executionArn": arn, "name": arn.rpartition(":")[2], "status": status, "input": json.dumps(given)}
    document["detail"] |= detail
    return document


def schedule(at: datetime) -> JSON:
    return event("schedule") | {"time": timestamp(at)}
