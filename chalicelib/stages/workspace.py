"""Where a job's intermediate results lie under ``work/<job_id>/``, and in which words they are written.

What a plan's workers write lies in a folder that is named by the plan and the code (``planned``), and there every round
has its own. So a chunk's results are a function of their place: doing it twice changes nothing, a worker that was given
up and finishes late overwrites nothing that another round, contract or release wrote, and a retried job finds what
stands of the attempts before where, and only where, it would write the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, Self

from chalicelib import errors
from chalicelib.engine import ledger
from chalicelib.engine.checks.repeats import Repeats
from chalicelib.engine.ledger import Report
from chalicelib.engine.plan import Plan, Task
from chalicelib.engine.worker import Result
from chalicelib.frozen import frozen
from chalicelib.model import JSON
from chalicelib.parallel import parallel
from chalicelib.ports import Objects, Stored
from chalicelib.stages.code import code_digest

JSON_TYPE: Final = "application/json"
BINARY_TYPE: Final = "application/octet-stream"
PARQUET_TYPE: Final = "application/vnd.apache.parquet"
_NO_REPORT: Final = b""
"""Stands where a report is that holds no more."""


@frozen
class Workspace:
    """A folder of intermediate results, and how each is named and written."""

    objects: Objects
    bucket: str
    """The results bucket."""
    prefix: str
    """``work/<job_id>``, or the folder of one of its plans; without a slash at the end."""
    attempt: int = 1
    """Of the job. Only where it is not the first can results of another stand."""

    @classmethod
    def of_job(cls, objects: Objects, bucket: str, job_id: str, attempt: int = 1) -> Self:
        return cls(objects, bucket, f"work/{job_id}", attempt)

    @classmethod
    def holding(cls, objects: Objects, bucket: str, key: str, attempt: int = 1) -> Self:
        """The workspace in which a plan or a round has this key."""
        return cls(objects, bucket, key.rsplit("/", 2)[0], attempt)

    def planned(self, plan: Plan) -> Self:
        """The folder of what is done by this plan and this code."""
        document = json.dumps([plan.to_json(), code_digest()])  # not sorted: a contract's order is its columns'
        return replace(self, prefix=f"{self.prefix}/{hashlib.sha256(document.encode()).hexdigest()[:16]}")

    def key(self, name: str) -> str:
        return f"{self.prefix}/{name}"

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
        return _parsed_plan(self.objects.get(self.bucket, key))

    def put_round(self, number: int, tasks: Sequence[Task]) -> JSON:
        """Write a round's tasks, and return the reference that travels through the workflow: to those of them that are
        to be done, ``chunks`` in number. In a first attempt that is all of them.
        """
        reference = self._put_tasks(number, "tasks.json", tasks)
        missing = tasks if self.attempt == 1 else self._missing(number, tasks)
        if len(missing) < len(tasks):
            return self._put_tasks(number, f"tasks-{self.attempt}.json", missing)
        return reference

    def put_postponed(self, number: int, time: int, tasks: Sequence[Task]) -> JSON:
        """Write those of a round's tasks that are to be done once more, for the ``time``-th time in this attempt, and
        return the reference to them.
        """
        return self._put_tasks(number, f"postponed-{self.attempt}-{time}.json", tasks)

    def _put_tasks(self, number: int, name: str, tasks: Sequence[Task]) -> JSON:
        key = self.put_json(f"round-{number}/{name}", [task.to_json() for task in tasks])
        return {"number": number, "bucket": self.bucket, "key": key, "chunks": len(tasks)}

    def _missing(self, number: int, tasks: Sequence[Task]) -> list[Task]:
        """The tasks that have no report, one of a failure, or one whose outputs are not all as it says. Such a report
        is emptied: what it says is not to be taken for what comes of the task now.
        """
        found = self.objects.list(self.bucket, self.key(f"round-{number}/"))
        etags = {stored.key: stored.etag for stored in found}

        def holds(task: Task) -> bool:
            body = self.objects.get(self.bucket, self._report(task))
            if not ledger.is_intact(body, task):
                return False
            document = json.loads(body)
            if document["task"] != task.to_json() or document.get("failure") is not None:
                return False
            return all(etags.get(each["key"]) == each["etag"] for each in _references(document["outputs"]))

        def stands(task: Task) -> bool:
            if self._report(task) not in etags:
                return False
            stood = holds(task)
            if not stood:
                self.objects.put(self.bucket, self._report(task), _NO_REPORT, JSON_TYPE)
            return stood

        standing = parallel(self.objects, stands, tasks)
        return [task for task, stood in zip(tasks, standing, strict=True) if not stood]

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
        data = {f"part-{number:05}.parquet": part for number, part in enumerate(result.parts)}
        keys = {f"keys-{number}.arrow": body for number, body in enumerate(result.keys)}
        single = {
            "rejects": result.rejects,
            "reasons": json.dumps(result.reasons).encode() if result.reasons else b"",
            "measures": result.aggregates + result.profile,
        }
        bodies = {name: part.body for name, part in data.items()} | keys
        bodies |= {name: body for name, body in single.items() if body}

        def put(name: str) -> JSON:
            content_type = PARQUET_TYPE if name in data else BINARY_TYPE
            key = self.key(self._chunk(task, name))
            return _reference(self.objects.put(self.bucket, key, bodies[name], content_type))

        references = dict(zip(bodies, parallel(self.objects, put, bodies), strict=True))
        outputs: JSON = {
            "data": [references[name] | {"folder": part.folder, "rows": part.rows} for name, part in data.items()],
            "keys": [references[name] for name in keys],
            **{name: references[name] for name in single if name in references},
        }
        if "measures" in outputs:
            outputs["measures"]["aggregates_bytes"] = len(result.aggregates)
        report = ledger.sealed({"task": task.to_json(), **result.report, "outputs": outputs})
        self.objects.put(self.bucket, self._report(task), report, JSON_TYPE)

    @staticmethod
    def _chunk(task: Task, name: str) -> str:
        # No folder for each: on a disk it would cost as much as the three files in it.
        return f"round-{task.round}/chunk-{task.index:05}-{name}"

    def _report(self, task: Task) -> str:
        return self.key(self._chunk(task, "report.json"))

    def reports(self, tasks: Sequence[Task]) -> list[Report | None]:
        """The chunks' reports, in the tasks' order; None for a chunk that no worker has done. Errors:
        ``Terminal("ledger-unbalanced")``.
        """

        def load(task: Task) -> Report | None:
            found = self.objects.get_with_etag(self.bucket, self._report(task))
            return ledger.unsealed(found[0], task) if found and found[0] != _NO_REPORT else None

        return parallel(self.objects, load, tasks)

    def body(self, reference: JSON) -> bytes:
        """What a report refers to. Errors: ``Terminal("ledger-unbalanced")`` where it is not what was written."""
        body = self.objects.get(self.bucket, reference["key"])
        if hashlib.sha256(body).hexdigest() != reference["sha256"]:
            raise errors.Terminal("ledger-unbalanced", f"{reference['key']} is not what its chunk's worker wrote")
        return body

    def measures(self, reference: JSON) -> tuple[bytes, bytes]:
        """A chunk's partial aggregates, and its partial profile. Errors: as ``body``."""
        body, end = self.body(reference), reference["aggregates_bytes"]
        return body[:end], body[end:]


@lru_cache(maxsize=4)
def _parsed_plan(body: bytes) -> Plan:
    """A warm worker does many chunks of one job."""
    return Plan.from_json(json.loads(body))


def _references(outputs: JSON) -> Iterator[JSON]:
    """Each object among a chunk's outputs."""
    for output in outputs.values():
        yield from output if isinstance(output, list) else [output]


def _reference(stored: Stored) -> JSON:
    return {
        "key": stored.key, "size_bytes": stored.size_bytes, "etag": stored.etag, "sha256": stored.checksum_sha256
    }  # fmt: skip
