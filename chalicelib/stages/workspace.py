"""Where a job's intermediate results lie under ``work/<job_id>/``, and in which words they are written.

Every round writes under its own prefix, so a worker that was given up and finishes late overwrites nothing that a later
round wrote; within a round a chunk's results are a function of its task, so doing it twice changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from chalicelib.engine.ledger import Report
from chalicelib.engine.plan import Plan, Task
from chalicelib.engine.worker import Repeats, Result
from chalicelib.model import JSON
from chalicelib.ports import Objects, Stored

T = TypeVar("T")
R = TypeVar("R")

JSON_TYPE: Final = "application/json"
BINARY_TYPE: Final = "application/octet-stream"
PARQUET_TYPE: Final = "application/vnd.apache.parquet"

_PARALLEL_REQUESTS: Final = 16
"""Small objects read at a time: each waits for S3, none for the processor."""


def parallel(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """``function`` of each item, in order, several at a time."""
    with ThreadPoolExecutor(_PARALLEL_REQUESTS) as threads:
        return list(threads.map(function, items))


@dataclass(frozen=True, slots=True)
class Workspace:
    objects: Objects
    bucket: str
    """The results bucket."""
    job_id: str

    def key(self, name: str) -> str:
        return f"work/{self.job_id}/{name}"

    def put_json(self, name: str, document: Any) -> str:
        """Write a document and return its key."""
        self.objects.put(self.bucket, self.key(name), json.dumps(document).encode(), JSON_TYPE)
        return self.key(name)

    def get_json(self, name: str) -> Any:
        return json.loads(self.objects.get(self.bucket, self.key(name)))

    def put_plan(self, number: int, plan: Plan) -> str:
        """Write the plan as it is from round ``number`` on, and return its key."""
        return self.put_json(f"round-{number}/plan.json", plan.to_json())

    def plan(self, key: str) -> Plan:
        return Plan.from_json(json.loads(self.objects.get(self.bucket, key)))

    def put_round(self, number: int, tasks: Sequence[Task]) -> JSON:
        """Write a round's tasks and return the reference to them that travels through the workflow."""
        key = self.put_json(f"round-{number}/tasks.json", [task.to_json() for task in tasks])
        return {"number": number, "bucket": self.bucket, "key": key, "chunks": len(tasks)}

    def tasks(self, number: int) -> list[Task]:
        return [Task.from_json(each) for each in self.get_json(f"round-{number}/tasks.json")]

    def latest_tasks(self, number: int) -> list[Task]:
        """Each chunk's task in the last round up to ``number`` that did it, by chunk."""
        latest: dict[int, Task] = {}
        for each in range(1, number + 1):
            latest |= {task.index: task for task in self.tasks(each)}
        return [latest[index] for index in sorted(latest)]

    def put_repeats(self, number: int, chunk: int, repeats: Repeats) -> str:
        return self.put_json(f"round-{number}/repeats-{chunk:05}.json", sorted(repeats.items()))

    def repeats(self, key: str | None) -> Repeats:
        if key is None:
            return {}
        document = json.loads(self.objects.get(self.bucket, key))
        return {record: [tuple(each) for each in found] for record, found in document}

    def put_result(self, task: Task, result: Result) -> None:
        """Write what a chunk gave; its report is written last."""
        outputs: JSON = {
            "data": [
                self._put(task, f"part-{number:05}.parquet", part.body, PARQUET_TYPE)
                | {"folder": part.folder, "rows": part.rows}
                for number, part in enumerate(result.parts)
            ],
            "keys": [
                self._put(task, f"keys-{number}.arrow", body, BINARY_TYPE) for number, body in enumerate(result.keys)
            ],
        }
        for name, body in (
            ("rejects_csv", result.rejects_csv),
            ("rejects_jsonl", result.rejects_json),
            ("reasons", json.dumps(result.reasons).encode() if result.reasons else b""),
            ("aggregates", result.aggregates),
            ("profile", result.profile),
        ):
            if body:
                outputs[name] = self._put(task, name, body, BINARY_TYPE)
        self.put_json(self._chunk(task, "report.json"), result.report | {"outputs": outputs})

    def _put(self, task: Task, name: str, body: bytes, content_type: str) -> JSON:
        stored = self.objects.put(self.bucket, self.key(self._chunk(task, name)), body, content_type)
        return _reference(stored)

    @staticmethod
    def _chunk(task: Task, name: str) -> str:
        return f"round-{task.round}/chunk-{task.index:05}/{name}"

    def reports(self, tasks: Sequence[Task]) -> list[Report]:
        """The chunks' reports, in the tasks' order."""

        def load(task: Task) -> Report:
            return Report.from_json(self.get_json(self._chunk(task, "report.json")))

        return parallel(load, tasks)

    def body(self, reference: JSON) -> bytes:
        return self.objects.get(self.bucket, reference["key"])

    def bodies(self, references: Iterable[JSON]) -> list[bytes]:
        return parallel(self.body, references)


def _reference(stored: Stored) -> JSON:
    return {
        "key": stored.key, "size_bytes": stored.size_bytes, "etag": stored.etag, "sha256": stored.checksum_sha256
    }  # fmt: skip
