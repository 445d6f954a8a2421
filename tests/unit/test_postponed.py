"""Chunks that no function was free for: they are done once more, and nothing of the result tells of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import retry
from chalicelib.engine import ledger
from chalicelib.model import JSON, Job, Source, Status
from chalicelib.stages.settling import MOST_IDLE
from tests import pipeline
from tests.fakes import MemoryPorts, execution_arn
from tests.pipeline import INBOX, RESULTS, contract

THINGS = contract(
    {"name": "id", "type": "integer", "constraints": {"required": True, "unique": True}},
    {"name": "name", "type": "string"},
    sluice={"tolerance": {"maxRejectedRatio": 1}, "aggregates": [{"name": "all", "measures": {"n": {"count": "*"}}}]},
)
BODY = b"id,name\n" + b"".join(
    [*(b"%d,name %d\n" % (number, number) for number in range(20)), b'7,"a\n8,b\n9,c"\n', b"x,y\n", b"30,z\n"]
)
"""In chunks of 64 bytes: a key that repeats one of another chunk, and line feeds in a cell over an edge."""
CHUNK = 64


def start(described: JSON | None = THINGS, body: bytes = BODY) -> tuple[MemoryPorts, Source]:
    ports = MemoryPorts()
    if described is not None:
        ports.objects.add(INBOX, "contracts/things.json", json.dumps(described).encode())
    return ports, pipeline.upload(ports, body, "incoming/things/a.csv")


def execute(
    ports: MemoryPorts, source: Source, is_postponed: Callable[[JSON], bool] = lambda task: False
) -> list[tuple[int, int]]:
    job = ports.jobs.get(source.job_id)
    execution = job.execution if job and job.execution else execution_arn(source.job_id)
    return pipeline.execute(ports, pipeline.settings(CHUNK), source, execution, is_postponed=is_postponed)


def ended(ports: MemoryPorts, source: Source) -> Job:
    job = ports.jobs.get(source.job_id)
    assert job is not None
    return job


def outputs(ports: MemoryPorts) -> dict[str, bytes]:
    """All but what tells times."""
    keys = [stored.key for stored in ports.objects.list(RESULTS, "jobs/")]
    timed = ("report.html", "manifest.json", "summary.json")
    return {key: ports.objects.get(RESULTS, key) for key in keys if not key.endswith(timed)}


@pytest.mark.parametrize("described", [THINGS, None], ids=["a contract", "a survey first"])
@given(times=st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_the_result_is_that_of_an_undisturbed_run(described: JSON | None, times: list[int]) -> None:
    ports, source = start(described)
    left: dict[tuple[int, int], int] = {}

    def is_postponed(task: JSON) -> bool:
        """So many times in each round as is drawn for the chunk."""
        number, index = chunk = (task["round"], task["index"])
        left[chunk] = left.get(chunk, times[(number + index) % len(times)]) - 1
        return left[chunk] >= 0

    execute(ports, source, is_postponed)
    undisturbed, same = start(described)
    execute(undisturbed, same)
    assert ended(ports, source).status is Status.SUCCEEDED
    assert (ended(ports, source).rows, ended(ports, source).chunks) == (
        ended(undisturbed, same).rows,
        ended(undisturbed, same).chunks,
    )
    assert outputs(ports) == outputs(undisturbed)


def test_only_what_was_postponed_is_done_once_more_and_the_job_tells_of_the_others() -> None:
    ports, source = start()
    asked: list[tuple[int, int]] = []
    seen: list[Any] = []

    def is_postponed(task: JSON) -> bool:
        chunk = (task["round"], task["index"])
        asked.append(chunk)
        seen.append(ended(ports, source).chunks.done)
        return task["index"] in (1, 2) and asked.count(chunk) < 3

    called = execute(ports, source, is_postponed)
    assert sorted(called) == sorted(set(called))
    first = [index for number, index in asked if number == 1]
    chunks = ended(ports, source).chunks.planned
    assert first == [*range(chunks), 1, 2, 1, 2]
    assert seen[chunks] == chunks - 2


def test_a_job_none_of_whose_chunks_finds_a_free_function_gives_up_after_a_quarter_of_an_hour() -> None:
    ports, source = start()
    asked: list[int] = []

    def is_postponed(task: JSON) -> bool:
        asked.append(task["index"])
        if task["index"] == 0:
            ports.now += timedelta(minutes=4)
        return True

    execute(ports, source, is_postponed)
    job = ended(ports, source)
    assert job.status is Status.FAILED
    assert job.error is not None
    assert job.error.code == "throttled"
    assert asked == 4 * list(range(job.chunks.planned))


def test_as_long_as_a_chunk_is_done_now_and_then_it_does_not_give_up() -> None:
    ports, source = start()
    done: list[int] = []

    def is_postponed(task: JSON) -> bool:
        """Of each round that is one at least ten minutes after the one before, one chunk is done."""
        if task["round"] > 1:
            return False
        ports.now += timedelta(minutes=2)
        if done and ports.now - began[-1] < timedelta(minutes=12):
            return True
        began.append(ports.now)
        done.append(task["index"])
        return False

    began: list[datetime] = []
    execute(ports, source, is_postponed)
    assert ended(ports, source).status is Status.SUCCEEDED
    assert began[-1] - began[0] > 2 * MOST_IDLE


def test_what_an_earlier_attempt_told_of_a_chunk_is_not_taken_for_what_comes_of_this_one() -> None:
    """A chunk failed, is to be done again, and finds no free function: its old report still says that it failed."""
    ports, source = start()
    calls: list[int] = []

    def fails(task: JSON) -> bool:
        """Chunk 1 is read, and its report says that it could not be."""
        if task["index"] == 2:
            (report,) = [
                each.key for each in ports.objects.list(RESULTS, "work/") if each.key.endswith("00001-report.json")
            ]
            document = json.loads(ports.objects.get(RESULTS, report))
            document.pop("digest")
            told = {"code": "aws-unavailable", "message": "no answer", "records": None}
            ports.objects.add(RESULTS, report, ledger.sealed(document | {"read": False, "failure": told}))
        return False

    execute(ports, source, fails)
    assert ended(ports, source).status is Status.FAILED
    retry.retry(ports.jobs, ports.executions, source.job_id, "2026-03-01T13:00:00.000Z")

    def is_postponed(task: JSON) -> bool:
        calls.append(task["index"])
        return calls.count(1) == 1 and task["index"] == 1

    execute(ports, source, is_postponed)
    assert calls[:2] == [1, 1]
    assert ended(ports, source).status is Status.SUCCEEDED
