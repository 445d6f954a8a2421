"""The emulator killed in the middle of a job and started again: what was stored is kept, what ran is gone."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from chalicelib.aws.objects import S3Objects
from chalicelib.errors import Terminal
from chalicelib.model import JSON, Job, Source, Status, timestamp
from ops.emulation.emulator import Emulator
from ops.stage import deployment, replay
from ops.target import Target
from tests.e2e.conftest import CHUNK_SIZE_BYTES
from tests.events import event
from tests.infrastructure import jobs

KEY = "incoming/crashed/a.csv"
BODY = b"id,name\n" + b"".join(b"%08d,name %05d\n" % (number, number) for number in range(CHUNK_SIZE_BYTES // 16))


class DurableEmulator(Emulator):
    """Its services keep what they held when it was killed."""

    server = Path(__file__).with_name("durable_server.py")

    def __init__(self, folder: Path) -> None:
        super().__init__(log=folder / "emulator.log")
        self._kept = folder
        self._crash_at = folder / "crash"

    def _process_environment(self) -> dict[str, str]:
        return super()._process_environment() | {
            "PERSIST_STATE": "1",
            "S3_PERSIST": "1",
            "STATE_DIR": str(self._kept / "state"),
            "S3_DATA_DIR": str(self._kept / "s3"),
            "CRASH_AT": str(self._crash_at),
        }

    def crash_at(self, key: str) -> None:
        """``key``: how it ends."""
        self._crash_at.write_text(key)

    def restart(self) -> None:
        """Start again, once it has crashed."""
        done = self._crash_at.with_suffix(".done")
        wait_for(done.exists)
        done.unlink()
        self.stop()
        self.__enter__()


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DurableEmulator]:
    with DurableEmulator(tmp_path_factory.mktemp("durable")) as emulator:
        deployment.up(emulator.target(), deployment.Options(chunk_size_bytes=CHUNK_SIZE_BYTES), lambda step: None)
        yield emulator


@pytest.fixture(scope="module")
def undisturbed(emulator: DurableEmulator) -> dict[str, Any]:
    """The outputs of the same upload where nothing happens."""
    target = emulator.target()
    upload(target)
    job = ended(target, newest(target))
    assert job.status is Status.SUCCEEDED, job.error
    assert job.chunks.planned == 2
    return outputs(target, job)


def upload(target: Target) -> None:
    """Whether or not the answer comes; it is not tried again."""
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    s3 = target.session.client("s3", endpoint_url=target.endpoint_url, config=config)
    with suppress(BotoCoreError):
        s3.put_object(Bucket=target.names.bucket("inbox"), Key=KEY, Body=BODY)


def newest(target: Target) -> Source:
    bucket = target.names.bucket("inbox")
    found = target.s3.head_object(Bucket=bucket, Key=KEY)
    return Source(bucket, KEY, found["VersionId"], found["ContentLength"], found["ETag"].strip('"'))


def ended(target: Target, source: Source, attempt: int = 1) -> Job:
    def final() -> Job | None:
        job = jobs.port(target).get(source.job_id)
        return job if job is not None and job.status.is_final and job.attempt == attempt else None

    job: Job = wait_for(final)
    return job


def sweep(target: Target, later: timedelta) -> JSON:
    """As the schedule would, so much later."""
    document = event("schedule") | {"time": timestamp(datetime.now(UTC) + later)}
    payload = json.dumps(document).encode()
    answer = target.lambda_.invoke(FunctionName=target.names.function("sweep"), Payload=payload)
    tally: JSON = json.loads(answer["Payload"].read())
    return tally


def outputs(target: Target, job: Job) -> dict[str, Any]:
    """The outputs but for what is the job's own: its id, its version, its times, the checksums of what holds those. The
    report draws the times: that it is there must do.
    """
    objects, bucket, folder = S3Objects(target.s3), target.names.bucket("results"), f"jobs/{job.job_id}/"
    own = re.compile(rf"{job.job_id}|{job.source.version_id}|\d{{4}}-\d\d-\d\d[T ][\d:.]+(Z| UTC)".encode())
    found: dict[str, Any] = {
        stored.key.removeprefix(folder): own.sub(b"", objects.get(bucket, stored.key))
        for stored in objects.list(bucket, folder)
    }
    assert found["report.html"]
    return found | {"report.html": None, "manifest.json": json.loads(found["manifest.json"])["ledger"]}


def current(target: Target) -> list[str]:
    """The jobs whose rows a reader of the dataset gets."""
    try:
        found = S3Objects(target.s3).get(target.names.bucket("results"), "datasets/crashed/current.json")
    except Terminal:
        return []
    return [each["job_id"] for each in json.loads(found)["jobs"]]


@pytest.mark.parametrize(
    ("stored", "looked_after", "status"),
    [
        ("/a.csv", {"found", "started"}, Status.SUCCEEDED),  # the upload itself: its events are gone, or all but one
        ("-report.json", {"ended"}, Status.FAILED),  # in ProcessData
        ("/report.html", {"ended"}, Status.FAILED),  # in StoreResults
        ("/current.json", {"ended"}, Status.SUCCEEDED),
    ],
)
def test_a_job_ends_cleanly_though_all_that_ran_was_killed(
    emulator: DurableEmulator, undisturbed: dict[str, Any], stored: str, looked_after: set[str], status: Status
) -> None:
    target = emulator.target()
    before = current(target)
    emulator.crash_at(stored)
    upload(target)
    emulator.restart()

    source = newest(target)
    left = jobs.port(target).get(source.job_id)
    assert left is None or not left.status.is_final
    tally = sweep(target, timedelta(minutes=31))
    assert [tally.pop(each) for each in looked_after if tally[each]] == [1]
    assert not any(tally.values())
    job = ended(target, source)
    assert job.status is status
    if status is Status.FAILED:
        assert current(target) == before
        assert job.error is not None
        assert job.error.code == "execution-failed"
        assert [redriven.refused for redriven in replay.redrive(target, [job.job_id])] == [None]
        job = ended(target, source, attempt=2)
    assert job.status is Status.SUCCEEDED, job.error
    assert current(target) == [*before, job.job_id]
    assert outputs(target, job) == undisturbed
    assert not any(sweep(target, timedelta(hours=2)).values())
