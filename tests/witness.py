"""One upload through the system's own functions, handlers and all, and everything that they say meanwhile."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import StringIO

import pytest
from chalice.test import Client

import app
from chalicelib import wiring
from chalicelib.model import JSON, Job, Source, event_from_source, timestamp
from tests import pipeline
from tests.events import event
from tests.fakes import MemoryPorts


class Ports(MemoryPorts):
    """Whose clock goes on by a second whenever it is asked."""

    def clock(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@dataclass
class Witness:
    ports: Ports
    output: StringIO = field(default_factory=StringIO)
    """Standard output and standard error, as they stand in the function's log: the log lines and the metrics."""
    logged: list[str] = field(default_factory=list)
    """The records of every logger, those of libraries included, as text."""
    answers: list[JSON] = field(default_factory=list)
    """What the functions returned, in order."""
    causes: list[str] = field(default_factory=list)
    """What the execution's history holds of each failed function."""
    job: Job | None = None

    @property
    def documents(self) -> list[JSON]:
        """Every line of the output that is JSON."""
        return [json.loads(line) for line in self.output.getvalue().splitlines() if line.startswith("{")]

    @property
    def lines(self) -> list[JSON]:
        return [each for each in self.documents if "_aws" not in each]

    @property
    def metrics(self) -> list[JSON]:
        return [each for each in self.documents if "_aws" in each]

    def values(self, name: str) -> list[float]:
        """The values of one metric, in order."""
        return [each[name][0] for each in self.metrics if name in each]

    @property
    def told(self) -> str:
        """All that leaves the system but for outputs: logs, metrics, notices, the execution's history, the record."""
        assert self.job is not None
        notices = [(each.subject, each.text, each.document, each.attributes) for each in self.ports.notices.sent]
        rest = [self.answers, self.causes, notices, self.job.to_json()]
        return "\n".join([self.output.getvalue(), *self.logged, json.dumps(rest, ensure_ascii=False)])


class _Records(logging.Handler):
    def __init__(self, kept: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self.kept = kept

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append(self.format(record))


@contextmanager
def listening() -> Iterator[Witness]:
    """Everything said while this lasts is kept; the functions work on ports in memory."""
    witness = Witness(Ports())
    records = _Records(witness.logged)
    (handler,) = [each for each in logging.getLogger("sluice").handlers if isinstance(each, logging.StreamHandler)]
    settings = pipeline.settings(1 << 20)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(witness.output), redirect_stderr(witness.output):
        patch.setattr(wiring, "ports", lambda: witness.ports)
        patch.setattr(wiring, "settings", lambda: settings)
        patch.setattr(handler, "stream", witness.output)
        logging.getLogger().addHandler(records)
        try:
            yield witness
        finally:
            logging.getLogger().removeHandler(records)


def whole_job(
    witness: Witness, body: bytes, described: JSON | None, *, chunk_size: int = 1 << 20, sweeps: bool = True
) -> Job:
    """What happens to one upload: seen, swept, validated, processed, aggregated, stored, told of; or failed, and told
    of. The order is that of statemachine.json.
    """
    ports = witness.ports
    with pytest.MonkeyPatch.context() as patch:
        settings = pipeline.settings(chunk_size)
        patch.setattr(wiring, "settings", lambda: settings)
        source = pipeline.upload(ports, body, "incoming/things/a.csv")
        if described is not None:
            ports.objects.add(pipeline.INBOX, "contracts/things.json", json.dumps(described).encode())
        with Client(app.app) as client:

            def call(function: str, payload: JSON) -> JSON:
                answer: JSON = client.lambda_.invoke(function, json.loads(json.dumps(payload))).payload
                witness.answers.append(answer)
                return answer

            call("on-upload", _notification(source))
            if sweeps:
                call("sweep", event("schedule") | {"time": timestamp(ports.now + timedelta(minutes=5))})
            _execute(witness, call, source)
    job = ports.jobs.get(source.job_id)
    assert job is not None
    witness.job = job
    return job


def _execute(witness: Witness, call: Callable[[str, JSON], JSON], source: Source) -> None:
    execution, started = f"arn:{source.job_id}", event_from_source(source)
    try:
        job = call("validate-data", {"execution": execution, "event": started})
        while job["action"] == "process":
            for task in json.loads(witness.ports.objects.get(pipeline.RESULTS, job["round"]["key"])):
                call("process-chunk", {"task": task, "job_id": job["job_id"], "dataset": job["dataset"]})
            job = call("aggregate-data", {"job": job, "execution": execution})
        told = call("store-results", {"job": job, "execution": execution})
    except Exception as error:  # noqa: BLE001 - States.ALL
        failure = {"Error": type(error).__name__, "Cause": json.dumps({"errorMessage": str(error)})}
        witness.causes.append(json.dumps(failure))
        told = call("record-failure", {"execution": execution, "event": started, "failure": failure})
    call("notify", {"job_id": told["job_id"]})


def _notification(source: Source) -> JSON:
    document = event("s3-upload")
    described: JSON = document["Records"][0]["s3"]
    described["bucket"]["name"] = source.bucket
    described["object"] |= {"key": source.key, "size": source.size_bytes}
    described["object"] |= {"eTag": source.etag, "versionId": source.version_id}
    return document
