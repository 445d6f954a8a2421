"""Jobs of one dataset that become current at the same time, some of them by two functions, cut wherever one of these
asks for an object: in no order of the calls does ``hive/symlink.txt`` end up other than what ``current.json`` says.
"""

from __future__ import annotations

import json
from functools import cache, partial
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib import publication
from chalicelib.errors import Transient
from chalicelib.model import Job, Status
from tests import pipeline
from tests.adapters.test_job_interleavings import Actor, Cut
from tests.fakes import MemoryObjects, MemoryPorts

KINDS = [(mode, rows) for mode in ("append", "replace") for rows in (0, 1)]
MOST = 6
ALL = 1000
"""More calls than a job has."""


class Undecided(MemoryObjects):
    """Nothing can be made current yet."""

    def get_with_etag(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        if key.endswith("/current.json"):
            raise Transient("aws-unavailable", "s3:GetObject got no answer")
        return super().get_with_etag(bucket, key)


@cache
def decided(second: int, mode: str, rows: int) -> tuple[Job, bytes]:
    """A job that is to be made current, with its manifest."""
    ports = MemoryPorts(objects=Undecided())
    described = pipeline.contract({"name": "id", "type": "integer"}, sluice={"mode": mode})
    ports.objects.add(pipeline.INBOX, "contracts/things.json", json.dumps(described).encode())
    source = pipeline.upload(ports, b"id\n" + b"1\n" * rows, f"incoming/things/{second}-{mode}-{rows}.csv")
    with pytest.raises(Transient):
        pipeline.execute(
            ports, pipeline.settings(1 << 20), source, "arn:x", event_time=f"2026-03-01T12:00:{second:02}Z"
        )
    (job,) = ports.jobs.records.values()
    assert job.is_decided
    return job, ports.objects.get(pipeline.RESULTS, f"jobs/{job.job_id}/manifest.json")


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from(KINDS)), min_size=2, max_size=MOST, unique=True),
    st.lists(st.tuples(st.integers(0, MOST), st.integers(1, 12) | st.just(ALL)), max_size=20),
)
# The second waits before its put of the list; by then that has been filled, and is empty again.
@example([(0, KINDS[0]), (1, KINDS[1]), (2, KINDS[1]), (3, KINDS[2])], [(0, ALL), (1, 6), (2, ALL), (3, ALL)])
def test_the_list_says_what_is_current_in_whatever_order_jobs_end(
    jobs: list[tuple[int, tuple[str, int]]], turns: list[tuple[int, int]]
) -> None:
    """``turns``: who goes on, and for how many calls. The last job is finished by two."""
    ports = MemoryPorts()
    cut: Any = MemoryPorts(objects=ports.objects, jobs=ports.jobs)
    cut.objects = Cut(ports.objects)
    made = [decided(second, *kind) for second, kind in jobs]
    for job, manifest in made:
        ports.jobs.add(job)
        ports.objects.add(pipeline.RESULTS, f"jobs/{job.job_id}/manifest.json", manifest)
    actors = [Actor(partial(publication.finish, cut, pipeline.RESULTS, job), None) for job, _ in [*made, made[-1]]]
    for who, calls in [*turns, *((each, ALL) for each in range(len(actors)))]:
        actor = actors[who % len(actors)]
        for _ in range(calls):
            if not actor.done:
                actor.step()
    assert all(actor.done for actor in actors)
    for job, _ in made:
        if ports.jobs.records[job.job_id].status is not Status.SUCCEEDED:  # others were faster each time
            publication.finish(ports, pipeline.RESULTS, job)
    current = json.loads(ports.objects.get(pipeline.RESULTS, publication.current_key("things")))["jobs"]
    listed = ports.objects.get(pipeline.RESULTS, publication.symlink_key("things")).decode().splitlines()
    assert listed == [f"s3://results/{job['data']}part-00000.parquet" for job in current if job["rows"]]
