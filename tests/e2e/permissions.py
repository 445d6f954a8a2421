"""What the functions do under their own policies, function by function, so that each permission is asked for.

A permission is an action on a resource as it stands in one statement of a function's policy
(``tests.faults.permissions.grains``). The emulator enforces the policy that the role has at the moment of the call.
"""

from __future__ import annotations

import gzip
import itertools
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from chalicelib import publication
from chalicelib.model import Source, event_from_source, timestamp
from ops.chalice import functions
from ops.emulation.emulator import ACCOUNT, REGION
from ops.emulation.laptop import STAGE
from ops.target import Names
from tests.e2e.conftest import CHUNK_SIZE_BYTES, Pipeline
from tests.events import event
from tests.faults import permissions

Grain = tuple[str, str, str]
DATASET, COUNTRIES, STRICT = "permitted", "permitted-countries", "permitted-strict"
REFUSALS: Final = ("access-denied", "or this role may not read it")
"""What a function logs where AWS refuses it. S3 answers for an object that may not be read as for one that is not there
where its bucket may not be listed."""
LOGGED_SECONDS: Final = 2.0
"""How long the emulator may take to write a function's log."""

NAMES: Final = Names(STAGE, ACCOUNT, REGION)
EVERY: Final = [
    (name, grain)
    for name in functions.template()["lambda_functions"]
    for grain in permissions.grains(functions.policy(name, NAMES))
    if grain[0] not in permissions.LAMBDAS_OWN
]
"""Every permission of every function, but for what Lambda does in its name: the emulator does that without asking."""


_bodies = itertools.count()


def _body() -> bytes:
    """Two chunks of one size; the second begins in a quoted cell full of what looks like rows, repeats a key of the
    first, and refers to a country that is unknown. No two bodies are alike: without versions, the same bytes under the
    same key are the same upload.
    """
    rows = [b"%08d,DE,%07d" % (number, number) for number in range(CHUNK_SIZE_BYTES * 3 // 2 // 20)]
    first, last = len(rows) // 2 - 500, len(rows) // 2 + 500
    rows[first:last] = [b'%08d,DE,"' % first, *rows[first:last], b'"']
    rows[-2:] = [b"%08d,DE,%07d" % (0, 0), b"99999999,XX,%07d" % next(_bodies)]
    return b"id,country,text\n" + b"\n".join(rows) + b"\n"


_CONTRACT: Final = {
    "schema": {
        "fields": [{"name": name, "type": kind} for name, kind in (("id", "integer"), ("country", "string"))]
        + [{"name": "text", "type": "string"}],
        "primaryKey": ["id"],
        "foreignKeys": [{"fields": "country", "reference": {"resource": COUNTRIES, "fields": "code"}}],
    },
    "sluice": {"tolerance": {"maxRejectedRatio": 1}},
}


_UNTOLD = "the emulator tells whoever asks that an object is missing; S3 only those who may list the bucket"
_GIVEN_UP = "asked for where an upload of many parts is given up midway"
UNASKED: Final = {
    ("validate-data", "TellMissingFromForbidden", "s3:ListBucket"): _UNTOLD,
    ("record-failure", "TellMissingFromForbidden", "s3:ListBucket"): _UNTOLD,
    ("on-contract", "TellMissingFromForbidden", "s3:ListBucket"): _UNTOLD,
    ("on-execution-status", "TellMissingFromForbidden", "s3:ListBucket"): _UNTOLD,
    ("sweep", "TellMissingFromForbidden", "s3:ListBucket"): _UNTOLD,
    ("validate-data", "WritePlanAndText", "s3:AbortMultipartUpload"): _GIVEN_UP,
    ("store-results", "PublishOutputs", "s3:AbortMultipartUpload"): _GIVEN_UP,
}
"""Function, statement and action of what is not missed here, and why. tests/faults/test_permissions.py asks for it,
over a model of IAM."""


class Stage:
    """The deployed pipeline, where uploads start nothing by themselves, and two jobs that are done."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.target = pipeline.stack.target
        self._states = self.target.client("stepfunctions")
        self._dynamodb = self.target.client("dynamodb")
        pipeline.agree(COUNTRIES, {"schema": {"fields": [{"name": "code", "type": "string"}]}})
        pipeline.agree(STRICT, {"schema": {"fields": [{"name": "id", "type": "integer"}]}})
        pipeline.agree(DATASET, _CONTRACT)
        self.execute(self.upload("countries.csv", b"code\nDE\n", COUNTRIES))
        bodies = _body(), _body()
        self.job, self.lost = (
            self.upload(f"{name}.csv", body) for name, body in zip(("job", "lost"), bodies, strict=True)
        )
        for source, body in zip((self.job, self.lost), bodies, strict=True):
            assert self.execute(source) == "SUCCEEDED"
            assert self._begins_in_a_cell(source, body), "or AggregateData does not read the upload"
        self._record = self._dynamodb.get_item(TableName=self.target.names.jobs_table, Key=self._key(self.job))["Item"]

    # What is done to it from outside.

    def upload(self, name: str, body: bytes, dataset: str = DATASET) -> Source:
        return self._pipeline.upload(f"incoming/{dataset}/{name}", body)

    def execute(self, source: Source, *, versioned: bool = True) -> str:
        """Run the workflow for an upload to its end; gives the execution's status."""
        document = event_from_source(source)
        if not versioned:
            del document["detail"]["object"]["version-id"]
        started = self._states.start_execution(
            stateMachineArn=self.target.names.state_machine_arn, input=json.dumps(document)
        )
        return self._ended(started["executionArn"])

    def invoke(self, name: str, document: Any) -> None:
        """Whether the function fails is seen in its log."""
        answer = self.target.lambda_.invoke(FunctionName=self._function(name), Payload=json.dumps(document).encode())
        answer["Payload"].read()

    def ask(self, path: str, method: str = "GET") -> int:
        headers = {"Authorization": f"Bearer {self._pipeline.stack.api_token}"}
        request = urllib.request.Request(self._pipeline.stack.api_url + path, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    def put_back(self, **changes: Any) -> str:
        """The done job's record is as at its end again, but for changes, and not current. Gives its execution."""
        self._dynamodb.put_item(TableName=self.target.names.jobs_table, Item=self._record | changes)
        for key in (publication.current_key(DATASET), publication.symlink_key(DATASET)):
            self.target.s3.delete_object(Bucket=self._pipeline.stack.results, Key=key)
        execution: str = self._record["execution"]["S"]
        return execution

    def lose(self) -> None:
        """An upload's record, as if it had never been registered."""
        self._dynamodb.delete_item(TableName=self.target.names.jobs_table, Key=self._key(self.lost))

    def fail(self, job: Source) -> None:
        """The done job's record, as if it had failed."""
        self._dynamodb.update_item(
            TableName=self.target.names.jobs_table,
            Key=self._key(job),
            UpdateExpression="SET #status = :failed",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":failed": {"S": "FAILED"}},
        )

    def leave(self, job: Source, name: str) -> None:
        """An output that an earlier attempt of the job would have left."""
        self.target.s3.put_object(Bucket=self._pipeline.stack.results, Key=f"jobs/{job.job_id}/{name}", Body=b"")

    def wait(self, job: Source, attempt: int) -> None:
        """For the end of the job's attempt."""
        self._ended(self._pipeline.stack.executions.arn(job.job_id, attempt))

    def start_anew(self, name: str) -> None:
        """The function's next invocation is a cold start: nothing is remembered from the one before."""
        client, function = self.target.lambda_, self._function(name)
        same = client.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
        # The emulator keeps a worker through an update that does not name what a worker is started with.
        client.update_function_configuration(FunctionName=function, Environment={"Variables": same})

    def close(self) -> None:
        self.put_back()
        for source in (self.job, self.lost):
            self.target.s3.delete_object(Bucket=source.bucket, Key=source.key)
        self.lose()

    # What is looked at.

    @contextmanager
    def without(self, name: str, grain: Grain) -> Iterator[None]:
        """The function's role lacks one permission."""
        iam, role = self.target.client("iam"), self.target.names.role(name)
        policy = iam.get_role_policy(RoleName=role, PolicyName=role)["PolicyDocument"]
        assert grain in permissions.grains(policy)
        reduced = permissions.without(policy, grain)
        reduced["Statement"] = [each for each in reduced["Statement"] if each["Resource"]]
        iam.put_role_policy(RoleName=role, PolicyName=role, PolicyDocument=json.dumps(reduced))
        try:
            yield
        finally:
            iam.put_role_policy(RoleName=role, PolicyName=role, PolicyDocument=json.dumps(policy))

    def denied(self, name: str, since_ms: int) -> list[str]:
        """Lines of the function's log by which it was refused something of AWS."""
        logs = self.target.client("logs")
        deadline = time.monotonic() + LOGGED_SECONDS
        while True:
            group = f"/aws/lambda/{self._function(name)}"
            logged = logs.filter_log_events(logGroupName=group, startTime=since_ms)["events"]
            found = [each["message"] for each in logged if any(words in each["message"] for words in REFUSALS)]
            if found or time.monotonic() > deadline:
                return found
            time.sleep(0.1)

    def _function(self, name: str) -> str:
        return self.target.names.function(name)

    def _begins_in_a_cell(self, job: Source, body: bytes) -> bool:
        """Whether the second chunk does, which then finds its first record wrong."""
        results = self._pipeline.stack.results
        listed = self.target.s3.list_objects_v2(Bucket=results, Prefix=f"work/{job.job_id}/")["Contents"]
        (key,) = (each["Key"] for each in listed if each["Key"].endswith("/round-1/tasks.json"))
        _, second = json.loads(self.target.s3.get_object(Bucket=results, Key=key)["Body"].read())
        return body[: second["start"]].count(b'"') == 1

    def _key(self, source: Source) -> dict[str, Any]:
        return {"job_id": {"S": source.job_id}}

    def _ended(self, execution: str) -> str:
        deadline = time.monotonic() + 60
        while (status := self._states.describe_execution(executionArn=execution)["status"]) == "RUNNING":
            assert time.monotonic() < deadline, execution
            time.sleep(0.05)
        return str(status)


@contextmanager
def opened(pipeline: Pipeline) -> Iterator[Stage]:
    events, rule = pipeline.stack.target.client("events"), f"{NAMES.prefix}-uploads"
    events.disable_rule(Name=rule)
    try:
        stage = Stage(pipeline)
        yield stage
        stage.close()
    finally:
        events.enable_rule(Name=rule)


def noticed(stage: Stage, name: str, grain: Grain) -> list[str]:
    """Take the permission away and do all that the function does, until it is refused something: its log then."""
    with stage.without(name, grain):
        for act in ACTS[name]:
            since_ms = int(time.time() * 1000)
            act(stage)
            if lines := stage.denied(name, since_ms):
                return lines
    return []


# What the functions do.


def plain_job(stage: Stage) -> None:
    stage.execute(stage.upload("plain.csv", _body()))


def unversioned_job(stage: Stage) -> None:
    """Of an upload whose event names no version: its ETag stands in."""
    stage.execute(stage.upload("unversioned.csv", _body()), versioned=False)


def packed_job(stage: Stage) -> None:
    stage.execute(stage.upload("packed.csv.gz", gzip.compress(_body())))


def refused_job(stage: Stage) -> None:
    stage.execute(stage.upload("empty.csv", b""))


def retried_job(stage: Stage) -> None:
    """The second attempt removes what only the first has written."""
    source = stage.upload("retried.csv", b"id\nx\n", STRICT)
    stage.execute(source)
    stage.leave(source, "left-over")
    stage.ask(f"/jobs/{source.job_id}/retry", "POST")
    stage.wait(source, 2)


def retried_job_of_two_rounds(stage: Stage) -> None:
    """Without a contract: the second attempt looks for what stands of the first one's second round."""
    source = stage.upload("loose.csv", _body(), "permitted-loose")
    stage.execute(source)
    stage.fail(source)
    stage.ask(f"/jobs/{source.job_id}/retry", "POST")
    stage.wait(source, 2)


def failure_of_a_decided_job(stage: Stage) -> None:
    execution = stage.put_back(status={"S": "STORING"})
    document = {"execution": execution, "event": event_from_source(stage.job), "failure": {"Error": "States.Timeout"}}
    stage.invoke("record-failure", document)


def upload_told_twice(stage: Stage) -> None:
    source = stage.upload("told.csv", b"id,country,text\n")
    document = event("s3-upload")
    described = {"key": source.key, "size": source.size_bytes, "eTag": source.etag, "versionId": "told-by-hand"}
    document["Records"][0]["s3"]["bucket"]["name"] = source.bucket
    document["Records"][0]["s3"]["object"] |= described
    for _ in range(2):
        stage.invoke("on-upload", document)


def contracts(stage: Stage) -> None:
    """One that is in order, one that is not, one that is gone again."""
    document = event("s3-contract")
    document["Records"][0]["s3"]["bucket"]["name"] = stage.job.bucket
    stage.target.s3.put_object(Bucket=stage.job.bucket, Key="contracts/permitted-bad.json", Body=b"{}")
    for name in (DATASET, "permitted-bad", "permitted-gone"):
        document["Records"][0]["s3"]["object"]["key"] = f"contracts/{name}.json"
        stage.invoke("on-contract", document)


def end_without_input(stage: Stage) -> None:
    """Of an execution whose job is looked for in the records, and found decided."""
    execution = stage.put_back(status={"S": "STORING"})
    document = event("execution-timed-out-without-input")
    document["detail"] |= {"executionArn": execution, "name": execution.rpartition(":")[2]}
    document["time"] = timestamp(datetime.now(UTC))
    stage.invoke("on-execution-status", document)


def sweep(stage: Stage) -> None:
    """An upload that was never registered, and a decided job whose execution is over."""
    stage.put_back(status={"S": "STORING"})
    stage.lose()
    stage.invoke("sweep", event("schedule") | {"time": timestamp(datetime.now(UTC) + timedelta(hours=1))})


def questions(stage: Stage) -> None:
    for query in ("", f"?dataset={DATASET}", "?status=SUCCEEDED"):
        stage.ask(f"/jobs{query}")
    stage.put_back(status={"S": "PROCESSING"})
    stage.ask(f"/jobs/{stage.job.job_id}")


def retry(stage: Stage) -> None:
    stage.put_back(status={"S": "FAILED"})
    stage.ask(f"/jobs/{stage.job.job_id}/retry", "POST")


def letting_in(stage: Stage) -> None:
    stage.start_anew("authorize")
    stage.invoke("authorize", event("authorizer"))


ACTS: Final[Mapping[str, tuple[Callable[[Stage], None], ...]]] = {
    "validate-data": (plain_job, unversioned_job, packed_job),
    "process-chunk": (plain_job, unversioned_job),
    "aggregate-data": (plain_job, unversioned_job, retried_job_of_two_rounds),
    "store-results": (plain_job, retried_job),
    "record-failure": (refused_job, failure_of_a_decided_job),
    "notify": (plain_job,),
    "on-upload": (upload_told_twice,),
    "on-contract": (contracts,),
    "on-execution-status": (end_without_input,),
    "sweep": (sweep,),
    "api_handler": (questions, retry),
    "authorize": (letting_in,),
}
