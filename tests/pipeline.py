"""One upload through every step of the workflow, over the ports in memory."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from chalicelib import failure, steps
from chalicelib.errors import SluiceError
from chalicelib.model import JSON, Job, Source, event_from_source
from chalicelib.settings import Settings, from_environment
from tests.fakes import MemoryPorts

INBOX, RESULTS = "inbox", "results"


@dataclass(frozen=True)
class Outcome:
    job: Job
    ports: MemoryPorts

    def body(self, name: str) -> bytes:
        return self.ports.objects.get(RESULTS, f"jobs/{self.job.job_id}/{name}")

    def document(self, name: str) -> Any:
        return json.loads(self.body(name))

    @property
    def published(self) -> list[str]:
        prefix = f"jobs/{self.job.job_id}/"
        return [stored.key.removeprefix(prefix) for stored in self.ports.objects.list(RESULTS, prefix)]

    @property
    def rejects(self) -> list[JSON]:
        return [json.loads(line) for line in self.body("rejects.jsonl").splitlines()]

    @property
    def findings(self) -> set[tuple[int, str, str]]:
        """Each finding as (record, field, code)."""
        return {(each["record"], found["field"], found["code"]) for each in self.rejects for found in each["errors"]}

    @property
    def table(self) -> pa.Table:
        parts = [name for name in self.published if name.startswith("data/")]
        return pa.concat_tables([pq.read_table(io.BytesIO(self.body(name))) for name in parts])

    @property
    def current(self) -> list[str]:
        """The ids of the dataset's current jobs."""
        found = self.ports.objects.get_with_etag(RESULTS, f"datasets/{self.job.dataset}/current.json")
        return [each["job_id"] for each in json.loads(found[0])["jobs"]] if found else []


def settings(chunk_size_bytes: int) -> Settings:
    names = {"SLUICE_STAGE": "test", "SLUICE_INBOX_BUCKET": INBOX, "SLUICE_RESULTS_BUCKET": RESULTS}
    return replace(from_environment(names), chunk_size_bytes=chunk_size_bytes)


def upload(ports: MemoryPorts, body: bytes, key: str) -> Source:
    stored = ports.objects.add(INBOX, key, body)
    return Source(INBOX, key, stored.version_id, stored.size_bytes, stored.etag)


def contract(*fields: JSON, **keys: Any) -> JSON:
    """A contract of these fields; ``sluice`` and the other descriptor keys as given; tolerant unless told otherwise."""
    sluice = {"tolerance": {"maxRejectedRatio": 1}} | keys.pop("sluice", {})
    schema = {"fields": list(fields)} | keys.pop("schema", {})
    dialect = keys.pop("dialect", {"delimiter": ",", "header": True})
    return {"name": "things", "path": "things.csv", "dialect": dialect, "schema": schema, "sluice": sluice} | keys


def run(
    body: bytes,
    described: JSON | None = None,
    *,
    chunk_size: int = 1 << 20,
    key: str = "incoming/things/a.csv",
    ports: MemoryPorts | None = None,
    before_chunks: Callable[[MemoryPorts], None] = lambda ports: None,
) -> Outcome:
    """The job's end and its outputs; a failure is recorded as the workflow's Catch records it."""
    ports = ports or MemoryPorts()
    configured = settings(chunk_size)
    source = upload(ports, body, key)
    if described is not None:
        ports.objects.add(INBOX, f"contracts/{source.dataset}.json", json.dumps(described).encode())
    execute(ports, configured, source, f"arn:{source.job_id}", before_chunks)
    job = ports.jobs.get(source.job_id)
    assert job is not None
    return Outcome(job, ports)


def execute(
    ports: MemoryPorts,
    configured: Settings,
    source: Source,
    execution: str,
    before_chunks: Callable[[MemoryPorts], None] = lambda ports: None,
    *,
    event_time: str | None = None,
    is_postponed: Callable[[JSON], bool] = lambda task: False,
) -> list[tuple[int, int]]:
    """One execution of the workflow, as statemachine.json has it. Gives (round, chunk) of each call of ProcessChunk.
    ``event_time``: what EventBridge's event says; None where the sweeper or a retry has started the execution.
    ``is_postponed``: of which tasks ProcessChunk finds no free function and is not called, asked each time anew.
    """
    event = event_from_source(source) | ({"time": event_time} if event_time else {})
    called: list[tuple[int, int]] = []
    try:
        state = steps.validate_data(ports, configured, {"execution": execution, "event": event})
        before_chunks(ports)
        while state["action"] in ("process", "aggregate"):
            if state["action"] == "process":
                for task in json.loads(ports.objects.get(RESULTS, state["round"]["key"])):
                    if is_postponed(task):
                        continue
                    called.append((task["round"], task["index"]))
                    assert steps.process_chunk(ports, configured, {"task": task}) == {}
            state = steps.aggregate_data(ports, configured, {"job": state, "execution": execution})
        if state["action"] == "store":
            steps.store_results(ports, configured, {"job": state, "execution": execution})
    except SluiceError as error:
        caught = {"Error": "Terminal", "Cause": json.dumps({"errorMessage": str(error)})}
        failure.record_failure(ports, configured, {"execution": execution, "event": event, "failure": caught})
    return called
