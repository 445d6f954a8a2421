"""A failed job once more: what is done again, what is not, who may ask, and who is refused from then on."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from chalicelib import failure, retry, sweeper, triggers
from chalicelib.engine import ledger
from chalicelib.engine.delivery import transform as transforms
from chalicelib.errors import Terminal, Transient
from chalicelib.model import Failure, Job, Source, Status, event_from_source, execution_name
from chalicelib.settings import Settings
from chalicelib.stages import code, outputs, publish
from chalicelib.stages.code import code_digest
from tests import pipeline
from tests.fakes import MemoryPorts, execution_arn
from tests.pipeline import INBOX, RESULTS, contract

AT = "2026-03-01T13:00:00.000Z"
ID: Any = {"name": "id", "type": "integer", "constraints": {"required": True}}
NAME: Any = {"name": "name", "type": "string"}
ROWS = b"id,name\n" + b"".join(b"%d,name %d\n" % (number, number) for number in range(40))
CHUNK = 64
UNKNOWN_OUTPUT = "data/country=DE/part-00000.parquet"


@dataclass
class Workflow:
    """Executes jobs over the ports in memory, attempt by attempt."""

    ports: MemoryPorts = field(default_factory=MemoryPorts)
    settings: Settings = field(default_factory=lambda: pipeline.settings(CHUNK))

    def agree(self, document: Any) -> None:
        self.ports.objects.add(INBOX, "contracts/things.json", json.dumps(document).encode())

    def upload(self, body: bytes) -> Source:
        return pipeline.upload(self.ports, body, "incoming/things/a.csv")

    def execute(self, source: Source) -> list[tuple[int, int]]:
        """The newest attempt; gives (round, chunk) of every call of ProcessChunk."""
        job = self.ports.jobs.get(source.job_id)
        execution = job.execution if job and job.execution else execution_arn(source.job_id)
        return pipeline.execute(self.ports, self.settings, source, execution)

    def retry(self, job_id: str) -> Job:
        return retry.retry(self.ports.jobs, self.ports.executions, job_id, AT)

    def job(self, source: Source) -> Job:
        job = self.ports.jobs.get(source.job_id)
        assert job is not None
        return job

    def work(self, source: Source, name: str) -> list[str]:
        """Keys of the job's intermediate results that end so."""
        found = self.ports.objects.list(RESULTS, f"work/{source.job_id}/")
        return [stored.key for stored in found if stored.key.endswith(name)]

    def outputs(self, source: Source) -> dict[str, bytes]:
        prefix = f"jobs/{source.job_id}/"
        found = self.ports.objects.list(RESULTS, prefix)
        return {stored.key.removeprefix(prefix): self.ports.objects.get(RESULTS, stored.key) for stored in found}


@pytest.fixture
def workflow() -> Workflow:
    made = Workflow()
    made.agree(contract(ID, NAME))
    return made


def fails_before_the_end(workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    """StoreResults breaks in this test: S3 is away after every chunk was done."""

    def breaks(*_: Any) -> None:
        raise Transient("aws-unavailable", "s3:PutObject got no answer")

    monkeypatch.setattr(publish, "publish", breaks)


def failed(workflow: Workflow, monkeypatch: pytest.MonkeyPatch, body: bytes = ROWS) -> tuple[Source, list[Any]]:
    """A job of several chunks that failed when all were done, and the calls of ProcessChunk that it took."""
    source = workflow.upload(body)
    with monkeypatch.context() as broken:
        fails_before_the_end(workflow, broken)
        called = workflow.execute(source)
    assert workflow.job(source).status is Status.FAILED
    assert len(called) > 5
    return source, called


def error_code(workflow: Workflow, source: Source) -> str | None:
    error = workflow.job(source).error
    return None if error is None else error.code


def rows(outputs: dict[str, bytes]) -> list[dict[str, Any]]:
    parts = [outputs[name] for name in sorted(outputs) if name.startswith("data/")]
    return [row for part in parts for row in pq.read_table(io.BytesIO(part)).to_pylist()]


# What is done again.


def test_no_chunk_that_stands_is_processed_again(workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    source, _ = failed(workflow, monkeypatch)
    workflow.retry(source.job_id)
    assert workflow.execute(source) == []
    job = workflow.job(source)
    assert (job.status, job.attempt, job.error, job.rows.valid) == (Status.SUCCEEDED, 2, None, 40)
    assert rows(workflow.outputs(source)) == [{"id": number, "name": f"name {number}"} for number in range(40)]


@pytest.mark.parametrize(
    "harm",
    [
        *("report gone", "report damaged", "report of another task", "report of a failure"),
        *("output gone", "output replaced"),
    ],
)
def test_a_chunk_that_does_not_stand_is_processed_again_and_no_other(
    workflow: Workflow, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    source, _ = failed(workflow, monkeypatch)
    (report,) = workflow.work(source, "chunk-00003-report.json")
    objects = workflow.ports.objects
    document = json.loads(objects.get(RESULTS, report))
    data = document["outputs"]["data"][0]["key"]
    if harm == "report gone":
        objects.delete(RESULTS, report)
    elif harm == "report damaged":
        objects.add(RESULTS, report, json.dumps(document | {"round": 2}).encode())
    elif harm == "output gone":
        objects.delete(RESULTS, data)
    elif harm == "output replaced":
        objects.add(RESULTS, data, b"PAR1, and cut short")
    else:
        del document["digest"]
        if harm == "report of another task":
            document["task"]["end"] -= 1
        else:
            document["failure"] = {"code": "transform-failed", "message": "it raised"}
        objects.add(RESULTS, report, ledger.sealed(document))
    workflow.retry(source.job_id)
    assert workflow.execute(source) == [(1, 3)]
    assert workflow.job(source).status is Status.SUCCEEDED
    assert len(rows(workflow.outputs(source))) == 40


def test_rounds_of_repair_stand_as_well(workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repeated key and cells with line breaks make a second round, which is not done again either."""
    workflow.agree(contract(ID, NAME, schema={"primaryKey": ["id"]}))
    body = ROWS + b'7,"again\n1,x\n2,y"\n' + ROWS.partition(b"\n")[2].replace(b"name", b"other")
    whole = Workflow()
    whole.agree(contract(ID, NAME, schema={"primaryKey": ["id"]}))
    untroubled = whole.upload(body)
    whole.execute(untroubled)
    source, called = failed(workflow, monkeypatch, body)
    again = [each for each in called if each[0] > 1]
    assert again
    (lost,) = workflow.work(source, f"round-2/chunk-{again[0][1]:05}-report.json")
    workflow.ports.objects.delete(RESULTS, lost)
    workflow.retry(source.job_id)
    assert workflow.execute(source) == [again[0]]
    assert rows(workflow.outputs(source)) == rows(whole.outputs(untroubled))
    assert workflow.outputs(source)["rejects.csv"] == whole.outputs(untroubled)["rejects.csv"]


def test_a_survey_stands_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = Workflow()  # no contract: the types are inferred in a round of its own
    source, _ = failed(workflow, monkeypatch)
    workflow.retry(source.job_id)
    assert workflow.execute(source) == []
    assert (workflow.job(source).status, workflow.job(source).contract) == (Status.SUCCEEDED, "inferred")


def test_a_rewritten_text_stands_as_well(workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    source, _ = failed(workflow, monkeypatch, ROWS.decode().encode("utf-16"))
    workflow.retry(source.job_id)
    assert workflow.execute(source) == []
    assert workflow.job(source).rows.valid == 40


def test_the_contract_as_it_stands_now_applies_and_then_all_is_done_again(
    workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, called = failed(workflow, monkeypatch)
    workflow.agree(contract(ID, {**NAME, "constraints": {"maxLength": 6}}))
    workflow.retry(source.job_id)
    assert workflow.execute(source) == called
    assert workflow.job(source).rows.valid == 10


def test_columns_in_another_order_are_another_contract(workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    derive = {"twice": "id * 2", "half": "id / 2"}
    workflow.agree(contract(ID, NAME, sluice={"derive": derive}))
    source, called = failed(workflow, monkeypatch)
    workflow.agree(contract(ID, NAME, sluice={"derive": dict(reversed(derive.items()))}))
    workflow.retry(source.job_id)
    assert workflow.execute(source) == called
    data = [body for name, body in workflow.outputs(source).items() if name.startswith("data/")]
    assert pq.read_schema(io.BytesIO(data[0])).names == ["id", "name", "half", "twice"]


def test_of_another_release_all_is_done_again(workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    source, called = failed(workflow, monkeypatch)
    monkeypatch.setattr("chalicelib.stages.workspace.code_digest", lambda: "another")
    workflow.retry(source.job_id)
    assert workflow.execute(source) == called


def test_the_code_is_known_by_every_source_that_is_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "transforms").mkdir()
    monkeypatch.setattr("chalicelib.__file__", str(tmp_path / "__init__.py"))
    seen = []
    for text in ("x = 1", "x = 2", "x = 1"):
        (tmp_path / "transforms" / "things.py").write_text(text)
        seen.append(code_digest.__wrapped__())
    assert seen[0] == seen[2] != seen[1]


@pytest.mark.parametrize("library", code._LIBRARIES)
def test_the_code_is_known_by_the_versions_of_what_computes(library: str) -> None:
    assert code._installed(library) == [f"{library}-{version(library)}.dist-info"]


def test_a_chunk_that_failed_by_a_transform_is_done_again_with_the_mended_one(
    workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(frame: Any) -> Any:
        raise KeyError("no such column")

    source = workflow.upload(ROWS)
    monkeypatch.setattr(transforms, "find", lambda _: broken)
    called = workflow.execute(source)
    assert error_code(workflow, source) == "transform-failed"
    monkeypatch.setattr(transforms, "find", lambda _: None)
    workflow.retry(source.job_id)
    assert workflow.execute(source) == called
    assert workflow.job(source).status is Status.SUCCEEDED


def test_what_an_earlier_attempt_published_and_this_one_does_not_is_removed(
    workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, _ = failed(workflow, monkeypatch)
    objects = workflow.ports.objects
    objects.add(RESULTS, f"jobs/{source.job_id}/{UNKNOWN_OUTPUT}", b"rows of another partitioning")
    objects.add(RESULTS, f"jobs/{source.job_id}0/data/part-00000.parquet", b"another job's")
    workflow.retry(source.job_id)
    workflow.execute(source)
    manifest = json.loads(workflow.outputs(source)["manifest.json"])
    listed = {each["key"].removeprefix(f"jobs/{source.job_id}/") for each in manifest["outputs"]}
    assert set(workflow.outputs(source)) == listed | {"manifest.json"}
    assert objects.get(RESULTS, f"jobs/{source.job_id}0/data/part-00000.parquet") == b"another job's"


def test_of_many_files_only_those_are_copied_that_an_earlier_try_has_not(
    workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk times a folder makes a file: there may be more than can be copied in the time that a function has."""
    monkeypatch.setattr(outputs, "_MANY_PARTS", 2)
    source, _ = failed(workflow, monkeypatch)
    objects, copied = workflow.ports.objects, list[str]()
    copy = objects.copy

    def copy_once(bucket: str, key: str, target: str, etag: str, size_bytes: int) -> Any:
        if len(copied) == 3:
            copied.append("")
            raise Transient("aws-unavailable", "the function's time is up")
        copied.append(target)
        return copy(bucket, key, target, etag, size_bytes)

    monkeypatch.setattr(objects, "copy", copy_once)
    for _ in range(2):
        workflow.retry(source.job_id)
        workflow.execute(source)
        if error_code(workflow, source):
            objects.add(RESULTS, copied[0], b"not what was copied")
    assert workflow.job(source).status is Status.SUCCEEDED
    first, second = copied[:3], copied[4:]
    assert set(first) & set(second) == {copied[0]}
    assert rows(workflow.outputs(source)) == [{"id": number, "name": f"name {number}"} for number in range(40)]


def test_an_output_that_a_stopped_attempt_still_overwrites_is_noticed(
    workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, _ = failed(workflow, monkeypatch)
    workflow.retry(source.job_id)
    write_report = publish._write_report

    def slip_in(*arguments: Any) -> None:
        write_report(*arguments)
        workflow.ports.objects.add(RESULTS, f"jobs/{source.job_id}/data/part-00000.parquet", b"of the first attempt")

    monkeypatch.setattr(publish, "_write_report", slip_in)
    workflow.execute(source)
    assert error_code(workflow, source) == "output-replaced"
    assert "manifest.json" not in workflow.outputs(source)


def test_a_refused_file_is_refused_again_and_a_lost_one_too(workflow: Workflow) -> None:
    source = workflow.upload(b"id;wrong\n1;a\n")
    workflow.execute(source)
    first = workflow.job(source).error
    workflow.retry(source.job_id)
    workflow.execute(source)
    assert (workflow.job(source).attempt, workflow.job(source).error) == (2, first)
    workflow.ports.objects.delete(INBOX, source.key)
    workflow.retry(source.job_id)
    workflow.execute(source)
    assert error_code(workflow, source) == "object-not-found"


# Who may ask, and what is told.


def lost(ports: MemoryPorts) -> Job:
    """A job that failed at once."""
    source = pipeline.upload(ports, ROWS, "incoming/things/a.csv")
    ports.jobs.claim(source, execution_arn(source.job_id), AT)
    job = ports.jobs.fail(source.job_id, execution_arn(source.job_id), Failure("throttled", "too many"), AT)
    assert job is not None
    return job


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.FAILED])
def test_only_a_failed_job_can_be_retried(workflow: Workflow, status: Status) -> None:
    job = replace(lost(workflow.ports), status=status, error=None)
    job = workflow.ports.jobs.add(replace(job, execution=None) if status is Status.RECEIVED else job)
    with pytest.raises(Terminal, match=f"job-not-failed: the job is {status}"):
        workflow.retry(job.job_id)
    assert workflow.ports.jobs.get(job.job_id) == job
    assert workflow.ports.executions.started == []
    with pytest.raises(Terminal, match="job-not-found"):
        workflow.retry("no-such-job")


def test_the_record_forgets_how_it_failed_and_keeps_when_it_came(workflow: Workflow) -> None:
    job = lost(workflow.ports)
    again = workflow.retry(job.job_id)
    name = execution_name(job.job_id, 2)
    assert again == replace(
        Job.received(job.source, job.received_at), attempt=2, execution=execution_arn(name), started_at=AT
    )
    assert workflow.ports.executions.statuses == {execution_arn(name): "RUNNING"}


def test_the_name_of_an_execution_is_short_and_its_own() -> None:
    longest = Source(INBOX, f"incoming/{'x' * 64}/a.csv", "v1").job_id
    names = [execution_name(longest, attempt) for attempt in (1, 2, 11, 10**9)]
    assert len(set(names)) == 4
    assert max(map(len, names)) <= 80


def test_two_who_retry_at_once_start_one_execution(workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    job = lost(workflow.ports)
    move = workflow.ports.jobs.retry

    def overtaken(*arguments: Any) -> Job | None:
        monkeypatch.setattr(workflow.ports.jobs, "retry", move)
        workflow.retry(job.job_id)
        return move(*arguments)

    monkeypatch.setattr(workflow.ports.jobs, "retry", overtaken)
    assert workflow.retry(job.job_id).attempt == 2
    assert workflow.ports.executions.started == [job.source]


@pytest.mark.parametrize("is_deleted", [False, True])
def test_one_that_was_overtaken_by_further_attempts_goes_on_with_the_last(
    workflow: Workflow, monkeypatch: pytest.MonkeyPatch, is_deleted: bool
) -> None:
    """Between its reading and its writing the next attempt failed, too, and was retried, or the record was deleted."""
    job = lost(workflow.ports)
    move = workflow.ports.jobs.retry

    def overtaken(*arguments: Any) -> Job | None:
        monkeypatch.setattr(workflow.ports.jobs, "retry", move)
        again = workflow.retry(job.job_id)
        workflow.ports.jobs.fail(job.job_id, again.execution, Failure("throttled", "too many"), AT)
        workflow.retry(job.job_id)
        if is_deleted:
            del workflow.ports.jobs.records[job.job_id]
        return move(*arguments)

    monkeypatch.setattr(workflow.ports.jobs, "retry", overtaken)
    if is_deleted:
        with pytest.raises(Terminal, match="job-not-found"):
            workflow.retry(job.job_id)
    else:
        assert workflow.retry(job.job_id).attempt == 3
    assert workflow.ports.executions.started == [job.source] * 2  # of attempts 2 and 3


def test_a_retry_that_comes_late_restarts_nothing(workflow: Workflow) -> None:
    """The request was sent for the first failure and arrives after the second."""
    job = lost(workflow.ports)
    again = workflow.retry(job.job_id)
    workflow.ports.jobs.fail(job.job_id, again.execution, Failure("throttled", "too many"), AT)
    kept = workflow.ports.jobs.get(job.job_id)
    assert workflow.ports.jobs.retry(job.job_id, 2, execution_arn(execution_name(job.job_id, 2)), AT) == kept
    assert workflow.ports.jobs.retry(job.job_id, 2, "another", AT) is None
    assert workflow.ports.jobs.get(job.job_id) == kept


@pytest.mark.parametrize("who", ["the person", "the sweeper"])
def test_a_retry_whose_start_failed_is_gone_on_with(
    workflow: Workflow, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    job = lost(workflow.ports)
    start = workflow.ports.executions.start

    def refused(*_: Any) -> str:
        raise Transient("aws-unavailable", "states:StartExecution was not answered")

    monkeypatch.setattr(workflow.ports.executions, "start", refused)
    with pytest.raises(Transient):
        workflow.retry(job.job_id)
    monkeypatch.setattr(workflow.ports.executions, "start", start)
    if who == "the person":
        assert workflow.retry(job.job_id).attempt == 2
    else:
        swept = sweeper.sweep(workflow.ports, workflow.settings, {"time": "2026-03-01T14:00:00Z"})
        assert swept["started"] == 1
    assert workflow.ports.executions.started == [job.source]
    assert list(workflow.ports.executions.statuses) == [execution_arn(execution_name(job.job_id, 2))]


# Who is refused from then on, and what stays stopped.


def test_the_execution_before_is_too_late(workflow: Workflow) -> None:
    job = lost(workflow.ports)
    workflow.retry(job.job_id)
    stands = workflow.ports.jobs.get(job.job_id)
    assert job.execution is not None
    caught = {"execution": job.execution, "event": event_from_source(job.source), "failure": {"Error": "Terminal"}}
    failure.record_failure(workflow.ports, workflow.settings, caught)
    assert workflow.ports.jobs.claim(job.source, job.execution, AT) is None
    assert workflow.ports.jobs.claim(job.source, "an event delivered twice", AT) is None
    with pytest.raises(Terminal, match="stale-execution"):
        workflow.ports.jobs.advance(job.job_id, job.execution, Status.SUCCEEDED)
    assert workflow.ports.jobs.get(job.job_id) == stands
    assert workflow.ports.notices.sent == []


def test_a_job_stopped_on_purpose_stays_stopped(workflow: Workflow) -> None:
    source = workflow.upload(ROWS)
    ports, settings = workflow.ports, workflow.settings
    execution = execution_arn("by-the-rule")
    ports.jobs.claim(source, execution, "2026-03-01T12:00:00.000Z")
    ports.executions.statuses[execution] = "ABORTED"
    detail = {"executionArn": execution, "name": "by-the-rule", "status": "ABORTED"}
    detail["input"] = json.dumps(event_from_source(source))
    triggers.execution_status_changed(ports, settings, {"detail": detail, "time": "2026-03-01T12:05:00Z"})
    stopped = workflow.job(source)
    assert stopped.error == Failure("aborted", "the execution was stopped from outside")
    for hour in range(13, 20):
        sweeper.sweep(ports, settings, {"time": f"2026-03-01T{hour}:00:00Z"})
    assert ports.jobs.claim(source, "the upload's event, delivered again", AT) is None
    assert (workflow.job(source), ports.executions.started) == (stopped, [])
    assert workflow.retry(source.job_id).attempt == 2
    workflow.execute(source)
    assert workflow.job(source).status is Status.SUCCEEDED


def test_an_attempt_that_was_stopped_before_its_first_state_stays_stopped(workflow: Workflow) -> None:
    again = workflow.retry(lost(workflow.ports).job_id)
    assert again.execution is not None
    workflow.ports.executions.statuses[again.execution] = "ABORTED"
    for minutes in (0, 5):
        sweeper.sweep(workflow.ports, workflow.settings, {"time": f"2026-03-01T14:0{minutes}:00Z"})
    job = workflow.ports.jobs.get(again.job_id)
    assert job is not None
    assert job.error is not None
    assert (job.status, job.error.code, job.attempt) == (Status.FAILED, "aborted", 2)
    assert workflow.ports.executions.started == [again.source]
