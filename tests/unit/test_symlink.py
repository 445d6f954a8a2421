"""``hive/symlink.txt``: the Parquet files of a dataset's current jobs, those and no others, whatever jobs end when."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chalicelib import publication
from chalicelib.errors import Terminal, Transient
from chalicelib.model import JSON, Status
from tests import pipeline
from tests.fakes import MemoryObjects, MemoryPorts

BUCKET = pipeline.RESULTS
CURRENT, SYMLINK = publication.current_key("things"), publication.symlink_key("things")
CONTRACT = pipeline.contract({"name": "id", "type": "integer"})


def listed(ports: MemoryPorts) -> list[str]:
    return ports.objects.get(BUCKET, SYMLINK).decode().splitlines()


def current_files(ports: MemoryPorts) -> list[str]:
    """As a reader of current.json would find them: whatever lies under each job's ``data`` and has a row."""
    found = []
    for job in json.loads(ports.objects.get(BUCKET, CURRENT))["jobs"]:
        for stored in ports.objects.list(BUCKET, job["data"]):
            if rows(ports, stored.key):
                found.append(stored.uri)
    return found


def rows(ports: MemoryPorts, key: str) -> int:
    return pq.ParquetFile(pa.BufferReader(ports.objects.get(BUCKET, key))).metadata.num_rows


def run(ports: MemoryPorts, name: str, body: bytes = b"id\n1\n2\n", chunk_size: int = 1 << 20, **sluice: Any) -> None:
    described = CONTRACT | {"sluice": {"tolerance": {"maxRejectedRatio": 1}} | sluice}
    outcome = pipeline.run(body, described, chunk_size=chunk_size, key=f"incoming/things/{name}.csv", ports=ports)
    assert outcome.job.status is Status.SUCCEEDED


def test_all_parts_of_all_current_jobs_are_listed_in_their_order() -> None:
    ports = MemoryPorts()
    run(ports, "a", b"id\n1\n2\n3\n", chunk_size=5)
    run(ports, "b")
    assert listed(ports) == current_files(ports)
    assert len(listed(ports)) == 3
    assert all(uri.startswith(f"s3://{BUCKET}/jobs/things-") for uri in listed(ports))
    assert ports.objects.get(BUCKET, SYMLINK).endswith(b"\n")


def test_a_job_that_replaces_leaves_no_file_of_those_before() -> None:
    ports = MemoryPorts()
    run(ports, "a")
    run(ports, "b", mode="replace")
    assert listed(ports) == current_files(ports)
    assert len(listed(ports)) == 1


def test_files_in_folders_are_listed_by_their_keys() -> None:
    ports = MemoryPorts()
    described = pipeline.contract(
        {"name": "id", "type": "integer"}, {"name": "city", "type": "string"}, sluice={"partitionBy": ["city"]}
    )
    pipeline.run("id,city\n1,München\n2,\n3,a b\n".encode(), described, ports=ports)
    assert sorted(listed(ports)) == sorted(current_files(ports))
    assert [uri.split("/data/")[1].split("/")[0] for uri in listed(ports)] == [
        "city=M%C3%BCnchen",
        "city=__HIVE_DEFAULT_PARTITION__",
        "city=a%20b",
    ]


def test_a_job_without_a_delivered_row_lists_nothing() -> None:
    """Its one empty file has not the columns that a transform would have made."""
    ports = MemoryPorts()
    run(ports, "a", b"id\nx\n")
    assert listed(ports) == []
    run(ports, "b")
    assert listed(ports) == current_files(ports)
    assert len(listed(ports)) == 1


@pytest.mark.parametrize("ending", list(permutations("abc")), ids="".join)
@pytest.mark.parametrize("modes", [("append", "replace", "append"), ("replace", "append", "replace")])
def test_it_says_what_current_json_says_after_every_end(modes: tuple[str, ...], ending: tuple[str, ...]) -> None:
    ports, configured = MemoryPorts(), pipeline.settings(1 << 20)
    uploads = {name: pipeline.upload(ports, b"id\n1\n", f"incoming/things/{name}.csv") for name in "abc"}
    for name in ending:
        described = CONTRACT | {"sluice": {"mode": modes["abc".index(name)]}}
        ports.objects.add(pipeline.INBOX, "contracts/things.json", json.dumps(described).encode())
        time = f"2026-03-01T12:00:0{'abc'.index(name)}Z"
        pipeline.execute(ports, configured, uploads[name], f"arn:{name}", event_time=time)
        assert listed(ports) == current_files(ports)


class Counting(MemoryObjects):
    def __init__(self) -> None:
        super().__init__()
        self.manifests_read = 0

    def get(self, bucket: str, key: str) -> bytes:
        self.manifests_read += key.endswith("/manifest.json")
        return super().get(bucket, key)

    def get_with_etag(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        self.manifests_read += key.endswith("/manifest.json")
        return super().get_with_etag(bucket, key)


def test_a_dataset_of_many_jobs_costs_no_more_requests_than_one_of_few() -> None:
    objects = Counting()
    ports, read = MemoryPorts(objects=objects), []
    for name in "abcdef":
        before = objects.manifests_read
        run(ports, name)
        read.append(objects.manifests_read - before)
    assert read == [read[0]] * 6
    assert len(listed(ports)) == 6


@pytest.mark.parametrize("stands", [None, b"", b"s3://results/jobs/things-other/data/part-00000.parquet\n"])
def test_what_lacks_in_the_list_is_read_from_the_manifests(stands: bytes | None) -> None:
    """As where jobs became current by a version that did not write it."""
    ports = MemoryPorts()
    for name in "ab":
        run(ports, name)
    if stands is None:
        ports.objects.delete(BUCKET, SYMLINK)
    else:
        ports.objects.add(BUCKET, SYMLINK, stands)
    run(ports, "c")
    assert listed(ports) == current_files(ports)
    assert len(listed(ports)) == 3


def test_a_job_whose_outputs_were_removed_keeps_no_other_from_becoming_current() -> None:
    ports = MemoryPorts()
    run(ports, "a")
    (job,) = json.loads(ports.objects.get(BUCKET, CURRENT))["jobs"]
    for stored in list(ports.objects.list(BUCKET, f"jobs/{job['job_id']}/")):
        ports.objects.delete(BUCKET, stored.key)
    ports.objects.delete(BUCKET, SYMLINK)
    run(ports, "b")
    assert listed(ports) == current_files(ports)
    assert len(listed(ports)) == 1


class Interrupted(MemoryObjects):
    """Something else is done before the first put of the list."""

    meanwhile: Callable[[], None] | None = None

    def put(self, bucket: str, key: str, *args: Any, **options: Any) -> Any:
        if key == SYMLINK and self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return super().put(bucket, key, *args, **options)


@pytest.mark.parametrize("mode", ["append", "replace"])
def test_of_two_jobs_that_end_at_the_same_time_both_are_told(mode: str) -> None:
    """Between one job's reading of ``current.json`` and its put of the list another job becomes current."""
    objects = Interrupted()
    ports = MemoryPorts(objects=objects)
    run(ports, "a")
    objects.meanwhile = lambda: run(ports, "c", mode=mode)
    run(ports, "b")
    assert listed(ports) == current_files(ports)
    jobs: list[JSON] = json.loads(ports.objects.get(BUCKET, CURRENT))["jobs"]
    assert len(listed(ports)) == len(jobs)


class Crowded(MemoryObjects):
    """Another job becomes current before each of this many puts of either object."""

    others = 0

    def put(self, bucket: str, key: str, *args: Any, **options: Any) -> Any:
        if key in (CURRENT, SYMLINK) and self.others:
            others, self.others = self.others, 0
            run(self.ports, f"other-{others}")
            self.others = others - 1
        return super().put(bucket, key, *args, **options)

    ports: MemoryPorts


@pytest.mark.parametrize("others", [1, 19])
def test_a_job_that_loses_every_race_against_many_becomes_current_all_the_same(others: int) -> None:
    """A file that was cut up and uploaded in parts ends as so many jobs within a second: no alarm is due for it."""
    objects = Crowded()
    ports = objects.ports = MemoryPorts(objects=objects)
    objects.others = others
    run(ports, "a")
    assert listed(ports) == current_files(ports)
    assert len(listed(ports)) == others + 1


def test_a_list_that_was_put_again_in_between_is_not_taken_for_the_one_that_was_read() -> None:
    """The list is empty, then tells of a job, and is empty again, with the same ETag, once another has replaced all."""
    objects = Interrupted()
    ports = MemoryPorts(objects=objects)
    run(ports, "a", b"id\nx\n")

    def meanwhile() -> None:
        run(ports, "c")
        run(ports, "d", b"id\nx\n", mode="replace")

    objects.meanwhile = meanwhile
    run(ports, "b")
    assert listed(ports) == current_files(ports) == []


def test_a_list_that_is_deleted_in_between_is_made_of_what_is_current_by_then() -> None:
    objects = Interrupted()
    ports = MemoryPorts(objects=objects)

    def meanwhile() -> None:
        run(ports, "c")
        objects.delete(BUCKET, SYMLINK)

    objects.meanwhile = meanwhile
    run(ports, "b")
    assert listed(ports) == current_files(ports)
    assert len(listed(ports)) == 2


class Forbidden(MemoryObjects):
    """S3 refuses one key. Whoever asks by ``get`` is not told that from its absence (``aws.objects``)."""

    key = ""

    def get(self, bucket: str, key: str) -> bytes:
        if key == self.key:
            raise Terminal("object-not-found", f"{key} does not exist, or this role may not read it")
        return super().get(bucket, key)

    def get_with_etag(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        if key == self.key:
            raise Terminal("access-denied", f"{key} may not be read")
        return super().get_with_etag(bucket, key)


def test_a_manifest_that_may_not_be_read_is_not_taken_for_one_that_was_removed() -> None:
    """The job's rows would be missing from the list, and nobody told."""
    objects = Forbidden()
    ports = MemoryPorts(objects=objects)
    run(ports, "a")
    (job,) = json.loads(objects.get(BUCKET, CURRENT))["jobs"]
    objects.delete(BUCKET, SYMLINK)
    objects.key = job["manifest"]
    with pytest.raises(Terminal, match="access-denied"):
        pipeline.run(b"id\n2\n", CONTRACT, key="incoming/things/b.csv", ports=ports)
    objects.key = ""
    run(ports, "c")
    assert listed(ports) == current_files(ports)
    assert len(listed(ports)) == 3


class Unlinkable(MemoryObjects):
    broken = True

    def put(self, bucket: str, key: str, *args: Any, **options: Any) -> Any:
        if self.broken and key == SYMLINK:
            raise Transient("aws-unavailable", "s3:PutObject got no answer")
        return super().put(bucket, key, *args, **options)


def test_a_job_is_not_succeeded_before_its_files_are_listed() -> None:
    """It is current by then; whoever comes to end it lists them."""
    objects = Unlinkable()
    ports = MemoryPorts(objects=objects)
    with pytest.raises(Transient):
        pipeline.run(b"id\n1\n", CONTRACT, ports=ports)
    (job,) = ports.jobs.records.values()
    assert job.status is Status.STORING
    objects.broken = False
    assert publication.finish(ports, BUCKET, job).status is Status.SUCCEEDED
    assert listed(ports) == current_files(ports)


def test_the_files_hold_the_dataset() -> None:
    ports = MemoryPorts()
    run(ports, "a", b"id\n1\n2\nx\n")
    run(ports, "b", b"id\n3\n")
    keys = [uri.removeprefix(f"s3://{BUCKET}/") for uri in listed(ports)]
    table = pa.concat_tables([pq.read_table(io.BytesIO(ports.objects.get(BUCKET, key))) for key in keys])
    assert table.column("id").to_pylist() == [1, 2, 3]
