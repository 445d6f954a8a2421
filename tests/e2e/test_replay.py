"""Jobs and events once more, under the functions' own policies: retried by the API and by the operator, stopped, sent
back from the dead-letter queue.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib.model import Job, Source, Status, event_from_source
from ops.chalice import dead_letters
from tests.e2e.conftest import CHUNK_SIZE_BYTES, Pipeline
from tests.events import event

ROOT = Path(__file__).resolve().parents[2]
ROWS = 4 * CHUNK_SIZE_BYTES // 20
"""Of 20 bytes each: four chunks, or five."""


def body(faulty: bool = False) -> bytes:
    rows = [b"%08d,name %05d" % (number, number) for number in range(ROWS)]
    if faulty:
        rows[5] = b"x" + rows[5][1:]
    return b"id,name\n" + b"\n".join(rows) + b"\n"


def contract(tolerated: int) -> dict[str, Any]:
    fields = [{"name": "id", "type": "integer"}, {"name": "name", "type": "string"}]
    return {"schema": {"fields": fields}, "sluice": {"tolerance": {"maxRejectedRows": tolerated}}}


def retry(pipeline: Pipeline, job_id: str, token: str | None = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token or pipeline.stack.api_token}"}
    request = urllib.request.Request(f"{pipeline.stack.api_url}/jobs/{job_id}/retry", headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def deploy(pipeline: Pipeline, *arguments: str) -> tuple[int, Any]:
    """The operator's command line: its exit status, and what it printed as JSON."""
    done = subprocess.run(
        [sys.executable, "deploy.py", *arguments, "--stage", pipeline.stack.target.stage, "--json"],
        cwd=ROOT,
        env={**os.environ, **pipeline.stack.emulator.environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)
    return found


def processed(pipeline: Pipeline, job: Job) -> int:
    """How many chunks the job's newest attempt handed to ProcessChunk."""
    assert job.execution is not None
    states = pipeline.stack.target.client("stepfunctions")
    runs = states.list_map_runs(executionArn=job.execution)["mapRuns"]
    counts = [states.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"]["total"] for run in runs]
    return sum(counts)


def again(pipeline: Pipeline, job: Job) -> Job:
    status, answer = retry(pipeline, job.job_id)
    assert (status, answer["status"], answer["attempt"]) == (202, "RECEIVED", job.attempt + 1)
    return ended(pipeline, job.job_id)


def ended(pipeline: Pipeline, job_id: str) -> Job:
    def final() -> Job | None:
        job = pipeline.stack.jobs.get(job_id)
        return job if job is not None and job.status.is_final else None

    job: Job = wait_for(final)
    return job


def test_a_failed_job_is_retried_and_only_what_is_missing_is_processed(pipeline: Pipeline) -> None:
    pipeline.agree("retried", contract(tolerated=0))
    job = pipeline.process("incoming/retried/a.csv", body(faulty=True))
    assert job.error is not None
    assert (job.error.code, job.attempt) == ("tolerance-exceeded", 1)
    planned = processed(pipeline, job)
    assert planned == job.chunks.planned >= 4

    second = again(pipeline, job)
    assert (second.error, second.attempt, processed(pipeline, second)) == (job.error, 2, 0)

    results = pipeline.results(f"work/{job.job_id}/")
    report = next(key for key in results if key.endswith("chunk-00001-report.json"))
    pipeline.stack.objects.delete(pipeline.stack.results, report)
    third = again(pipeline, second)
    assert (third.error, third.attempt, processed(pipeline, third)) == (job.error, 3, 1)

    pipeline.agree("retried", contract(tolerated=1))
    assert deploy(pipeline, "redrive", job.job_id)[0] == 0
    fourth = ended(pipeline, job.job_id)
    assert (fourth.status, fourth.error, fourth.attempt) == (Status.SUCCEEDED, None, 4)
    assert processed(pipeline, fourth) == planned
    assert fourth.rows.valid == ROWS - 1
    assert f"jobs/{job.job_id}/manifest.json" in pipeline.results(f"jobs/{job.job_id}/")
    assert fourth.execution is not None
    assert fourth.execution.endswith(f":{job.job_id}-4")


def test_what_cannot_be_retried_is_told(pipeline: Pipeline) -> None:
    job = pipeline.process("incoming/done/a.csv", b"id\n1\n")
    assert retry(pipeline, job.job_id) == (
        409, {"code": "job-not-failed", "message": "the job is SUCCEEDED: only a FAILED one can be retried"}
    )  # fmt: skip
    assert retry(pipeline, "no-such-job")[0] == 404
    assert retry(pipeline, job.job_id, token="wrong")[0] == 403
    status, answer = deploy(pipeline, "redrive", job.job_id, "no-such-job")
    assert status == 1
    assert [each["refused"].partition(":")[0] for each in answer["jobs"]] == ["job-not-failed", "job-not-found"]
    assert pipeline.stack.jobs.get(job.job_id) == job


def test_jobs_are_redriven_by_what_they_failed_with(pipeline: Pipeline) -> None:
    jobs = [pipeline.process(f"incoming/by-code/{name}.csv", content) for name, content in (("a", b""), ("b", b"\0"))]
    codes = [job.error.code for job in jobs if job.error]
    assert len(set(codes)) == 2
    status, answer = deploy(pipeline, "redrive", "--code", codes[0])
    assert status == 0
    assert jobs[0].job_id in [each["job_id"] for each in answer["jobs"]]
    assert jobs[1].job_id not in [each["job_id"] for each in answer["jobs"]]
    assert ended(pipeline, jobs[0].job_id).attempt == 2
    assert deploy(pipeline, "redrive", "--code", codes[0], "--within", "0") == (0, {"stage": "local", "jobs": []})


def test_a_job_stopped_on_purpose_stays_stopped_until_it_is_retried(pipeline: Pipeline) -> None:
    pipeline.agree("stopped", contract(tolerated=0))
    source = pipeline.upload("incoming/stopped/a.csv", body())
    target = pipeline.stack.target
    execution = wait_for(lambda: (job := pipeline.stack.jobs.get(source.job_id)) and job.execution)
    target.client("stepfunctions").stop_execution(executionArn=execution, error="Person", cause="the wrong file")
    job = ended(pipeline, source.job_id)
    assert job.error is not None
    assert (job.status, job.error.code) == (Status.FAILED, "aborted")

    _sweep(pipeline)
    _announce_again(pipeline, source)
    assert pipeline.stack.jobs.get(source.job_id) == job
    finished = again(pipeline, job)
    assert (finished.status, finished.attempt, finished.rows.valid) == (Status.SUCCEEDED, 2, ROWS)


def _sweep(pipeline: Pipeline) -> None:
    """The sweeper, an hour from now."""
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    function = pipeline.stack.target.names.function("sweep")
    document = json.dumps({**event("schedule"), "time": later}).encode()
    answer = pipeline.stack.target.lambda_.invoke(FunctionName=function, Payload=document)
    assert "FunctionError" not in answer, answer["Payload"].read()


def _announce_again(pipeline: Pipeline, source: Source) -> None:
    """The upload's event, delivered once more."""
    states = pipeline.stack.target.client("stepfunctions")
    started = states.start_execution(
        stateMachineArn=pipeline.stack.target.names.state_machine_arn,
        name=f"announced-again-{source.job_id}",
        input=json.dumps(event_from_source(source)),
    )["executionArn"]
    wait_for(lambda: states.describe_execution(executionArn=started)["status"] == "SUCCEEDED")


# Dead letters.


def put(pipeline: Pipeline, *documents: Any) -> None:
    sqs = pipeline.stack.target.client("sqs")
    url = sqs.get_queue_url(QueueName=pipeline.stack.target.names.dead_letters)["QueueUrl"]
    for document in documents:
        text = document if isinstance(document, str) else json.dumps(document)
        sqs.send_message(QueueUrl=url, MessageBody=text)


def empty(pipeline: Pipeline) -> None:
    sqs = pipeline.stack.target.client("sqs")
    sqs.purge_queue(QueueUrl=sqs.get_queue_url(QueueName=pipeline.stack.target.names.dead_letters)["QueueUrl"])


@pytest.fixture
def deaf(pipeline: Pipeline) -> Iterator[Pipeline]:
    """No upload starts the workflow."""
    events, rule = pipeline.stack.target.client("events"), f"{pipeline.stack.target.names.prefix}-uploads"
    events.disable_rule(Name=rule)
    yield pipeline
    events.enable_rule(Name=rule)


@pytest.fixture
def done(pipeline: Pipeline) -> Job:
    return pipeline.process("incoming/letters/done.csv", b"id\n1\n")


def test_dead_letters_are_listed_and_sent_back(pipeline: Pipeline, done: Job, deaf: Pipeline) -> None:
    empty(pipeline)
    target = pipeline.stack.target
    lost = pipeline.upload("incoming/letters/lost.csv", b"id\n1\n2\n")
    refused = pipeline.upload("contracts/letters-refused.json", b"{}")
    written = {"key": refused.key, "size": 2, "eTag": refused.etag, "versionId": refused.version_id}
    record = {"eventTime": "2026-03-01T12:00:00Z", "s3": {"bucket": {"name": refused.bucket}, "object": written}}
    function = target.names.function("on-contract")
    arn = target.names.arn("lambda", f"function:{function}:$LATEST")
    context = {"condition": "RetriesExhausted", "functionArn": arn}
    handler = {"requestContext": context, "requestPayload": {"Records": [record]}}
    foreign = {**event_from_source(lost), "detail": {"bucket": {"name": "another"}, "object": {"key": "incoming/a/b"}}}
    put(pipeline, event_from_source(lost), event_from_source(done.source), handler, foreign, "not JSON")

    uris = [f"s3://{each.bucket}/{each.key}" for each in (lost, done.source)]
    kinds = [("upload", uris[0]), ("upload", uris[1]), ("invocation", function), ("unknown", ""), ("unknown", "")]
    for _ in range(2):  # what is listed stays
        status, answer = deploy(pipeline, "dead-letters", "list")
        assert status == 0
        assert sorted((each["kind"], each["about"]) for each in answer["messages"]) == sorted(kinds)

    status, answer = deploy(pipeline, "dead-letters", "send-back")
    assert status == 1  # the two that are no event of this stage are kept
    told = {each["about"]: (each["outcome"], each["kept"]) for each in answer["messages"]}
    assert told == {
        uris[0]: (f"started {lost.job_id}", False),
        uris[1]: ("nothing to do: its job is SUCCEEDED", False),
        function: ("invoked", False),
        "": ("unknown-message: it is no event of this stage", True),
    }
    assert ended(pipeline, lost.job_id).rows.valid == 2
    assert pipeline.stack.jobs.get(done.job_id) == done
    assert pipeline.stack.executions.status(pipeline.stack.executions.arn(done.job_id, 1)) is None
    assert [each.letter.kind for each in dead_letters.send_back(target)] == ["unknown", "unknown"]
    wait_for(lambda: _told_twice_of_the_contract(pipeline))
    empty(pipeline)


def _told_twice_of_the_contract(pipeline: Pipeline) -> bool:
    """Whether the handler told of the contract twice: at the upload, and at the event sent back."""
    sqs = pipeline.stack.target.client("sqs")
    answer = sqs.receive_message(QueueUrl=pipeline.queue_url, MaxNumberOfMessages=10)
    for received in answer.get("Messages", []):
        pipeline.messages.append(json.loads(received["Body"]))
        sqs.delete_message(QueueUrl=pipeline.queue_url, ReceiptHandle=received["ReceiptHandle"])
    told = [json.loads(each["Message"]) for each in pipeline.messages]
    refused = [each["contract"]["key"] for each in told if each.get("event") == "contract-refused"]
    return refused.count("contracts/letters-refused.json") >= 2


def test_the_failed_event_of_a_handler_comes_into_the_queue(pipeline: Pipeline) -> None:
    empty(pipeline)
    target = pipeline.stack.target
    for name in dead_letters.HANDLERS:
        kept = target.lambda_.get_function_event_invoke_config(FunctionName=target.names.function(name))
        assert kept["DestinationConfig"]["OnFailure"] == {"Destination": target.names.dead_letters_arn}
    function = target.names.function("on-contract")
    target.lambda_.invoke(FunctionName=function, InvocationType="Event", Payload=b'{"Records": [{}]}')
    found = wait_for(lambda: dead_letters.find(target), seconds=30)
    assert [(each.kind, each.about, each.reason) for each in found] == [("invocation", function, "RetriesExhausted")]
    empty(pipeline)
