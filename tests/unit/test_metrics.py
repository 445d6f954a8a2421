"""What is counted, on a whole job through the functions, and what its log lines carry."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib import metrics, sweeper, triggers
from chalicelib.model import JSON, Status, timestamp
from chalicelib.settings import from_environment
from chalicelib.stages import publish
from tests import witness
from tests.events import event
from tests.fakes import MemoryPorts, source
from tests.pipeline import contract

SETTINGS = from_environment({})
ID: Any = {"name": "id", "type": "integer", "constraints": {"required": True}}
NAME: Any = {"name": "name", "type": "string"}
THINGS = contract(ID, NAME)
GUESSED_WRONG = b'id,name\n1,"\n999,x\n999,y\n"\n2,z\n'
"""A chunk of eight bytes in the middle of the quoted cell looks like records."""
BODY = b"id,name\n1,a\nx,b\n3,c\n\n4,d\n"
NOW = datetime.fromisoformat(event("schedule")["time"])


@pytest.fixture
def seen() -> witness.Witness:
    with witness.listening() as listener:
        witness.whole_job(listener, BODY, THINGS, chunk_size=8)
    return listener


def test_a_job_is_counted_by_stage_and_by_dataset(seen: witness.Witness) -> None:
    assert {name: seen.values(name) for name in ("RowsRead", "RowsValid", "RowsRejected", "SourceSize")} == {
        "RowsRead": [5], "RowsValid": [3], "RowsRejected": [1], "SourceSize": [len(BODY)]
    }  # fmt: skip
    assert seen.values("RejectedPercent") == [20]
    assert (seen.values("JobsSucceeded"), seen.values("JobsFailed")) == ([1], [0])
    for each in seen.metrics:
        (described,) = each["_aws"]["CloudWatchMetrics"]
        assert described["Namespace"] == "Sluice"
        assert described["Dimensions"][0] == ["stage"]
        assert each["stage"] == "test"
        if "OldestJobSeconds" not in each:
            assert described["Dimensions"][1:] == [["stage", "dataset"]]
            assert (each["dataset"], each["job_id"]) == ("things", seen.job.job_id if seen.job else "")


def test_the_seconds_of_each_state_are_those_of_the_reports_timeline(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[JSON] = []

    def render(document: JSON) -> str:
        shown.extend(document["timeline"])
        return ""

    monkeypatch.setattr(publish, "render", render)
    with witness.listening() as seen:
        witness.whole_job(seen, GUESSED_WRONG, THINGS, chunk_size=8)
    counted = [
        (name.removesuffix("Seconds"), each[name][0])
        for each in seen.metrics
        for name in each
        if name.removesuffix("Seconds") in metrics.STATES
    ]
    times = [(each["stage"], *map(datetime.fromisoformat, (each["start"], each["end"]))) for each in shown]
    assert sorted(counted) == sorted((stage, (end - start).total_seconds()) for stage, start, end in times)
    assert {stage for stage, _ in counted} == set(metrics.STATES)
    assert all(seconds > 0 for _, seconds in counted)


@pytest.mark.parametrize(
    "body, described, repairs",
    [
        (BODY, THINGS, 0),
        (GUESSED_WRONG, THINGS, 1),
        (BODY, None, 0),
        (GUESSED_WRONG, None, 1),
    ],
    ids=["contract", "contract, wrong guess", "survey", "survey, wrong guess"],
)
def test_rounds_of_repair_are_those_beyond_what_every_job_takes(
    body: bytes, described: JSON | None, repairs: int
) -> None:
    with witness.listening() as seen:
        job = witness.whole_job(seen, body, described, chunk_size=8)
    assert job.status is Status.SUCCEEDED
    assert seen.values("RepairRounds") == [repairs]


def test_a_job_that_fails_counts_as_failed_and_tells_its_states_up_to_there() -> None:
    with witness.listening() as seen:
        witness.whole_job(seen, BODY, contract(ID, NAME, sluice={"tolerance": {"maxRejectedRows": 0}}))
        assert (seen.values("JobsSucceeded"), seen.values("JobsFailed")) == ([0], [1])
        assert seen.values("RejectedPercent") == [20]
        assert [bool(seen.values(f"{state}Seconds")) for state in metrics.STATES] == [True, True, True, True]


def test_a_job_that_is_refused_before_its_chunks_tells_no_seconds() -> None:
    with witness.listening() as seen:
        witness.whole_job(seen, b"", THINGS)
        assert [bool(seen.values(f"{state}Seconds")) for state in metrics.STATES] == [False] * 4


def test_a_job_without_counted_rows_has_no_percentage() -> None:
    with witness.listening() as seen:
        witness.whole_job(seen, b"", THINGS)
        assert seen.values("JobsFailed") == [1]
        assert seen.values("RejectedPercent") == []


def test_an_upload_counts_when_it_is_seen_and_a_sweep_counts_none(seen: witness.Witness) -> None:
    assert seen.values("UploadsSeen") == [1, 0]


def test_an_upload_that_only_the_sweeper_saw_is_counted() -> None:
    ports = MemoryPorts()
    ports.objects.add(SETTINGS.inbox_bucket, "incoming/orders/a.csv", b"a\n", NOW - timedelta(hours=1))
    with witness.listening() as seen:
        sweeper.sweep(ports, SETTINGS, event("schedule"))
    assert seen.values("UploadsSeen") == [0, 1]


def oldest(ports: MemoryPorts) -> float:
    with witness.listening() as seen:
        sweeper.sweep(ports, SETTINGS, event("schedule"))
    return seen.values("OldestJobSeconds")[0]


def test_the_oldest_unfinished_job_is_aged_from_when_it_was_taken_up_or_received() -> None:
    ports = MemoryPorts()
    assert oldest(ports) == 0
    for number, minutes in enumerate((3, 20, 10)):
        ports.jobs.register(source(f"incoming/orders/{number}.csv"), timestamp(NOW - timedelta(minutes=minutes)))
    assert oldest(ports) == 1_200
    taken = ports.jobs.claim(source("incoming/orders/0.csv"), "arn", timestamp(NOW - timedelta(minutes=1)))
    assert taken is not None
    assert oldest(ports) == 1_200
    ended = ports.jobs.records[source("incoming/orders/1.csv").job_id]
    ports.jobs.add(ended.with_(status=Status.SUCCEEDED))
    assert oldest(ports) == 600
    ports.jobs.add(ports.jobs.records[source("incoming/orders/2.csv").job_id].with_(status=Status.FAILED))
    assert oldest(ports) == 60


def test_a_record_that_cannot_be_read_does_not_hide_its_age() -> None:
    ports = MemoryPorts()
    job = ports.jobs.register(source(), timestamp(NOW - timedelta(minutes=20)))
    ports.jobs.broken.add(job.job_id)
    assert oldest(ports) == 1_200


def test_a_listing_that_lags_behind_does_not_age_a_job_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = MemoryPorts()
    job = ports.jobs.register(source(), timestamp(NOW - timedelta(minutes=20)))
    ports.jobs.add(job.with_(status=Status.SUCCEEDED))
    monkeypatch.setattr(ports.jobs, "unfinished", lambda before: iter([job]))
    assert oldest(ports) == 0


def test_a_folder_is_no_upload() -> None:
    with witness.listening() as seen:
        triggers.upload_seen(MemoryPorts(), SETTINGS, event("s3-folder-marker"))
    assert seen.values("UploadsSeen") == []


# Log lines.


def test_every_line_of_the_workflow_carries_its_job_and_dataset(seen: witness.Witness) -> None:
    assert seen.job is not None
    by_function = itertools.groupby(seen.lines, key=lambda line: line.get("function"))
    functions = [name for name, _ in by_function]
    assert functions[:3] == ["on_upload", "sweep", "validate_data"]
    for line in seen.lines:
        assert {"function", "cold_start", "request_id", "level", "timestamp"} <= line.keys()
        if line["function"] not in ("on_upload", "sweep"):
            assert line["job_id"] == seen.job.job_id
        if line["function"] not in ("on_upload", "sweep", "notify_end"):
            assert line["dataset"] == "things"


def test_every_line_of_a_chunk_carries_its_number(seen: witness.Witness) -> None:
    chunks = [(line["chunk"], line["round"]) for line in seen.lines if line["function"] == "process_chunk"]
    assert chunks == [(index, 1) for index in range(-(-len(BODY) // 8)) for _ in ("started", "ended")]
    assert not any("chunk" in line for line in seen.lines if line["function"] != "process_chunk")


def test_a_failing_chunks_line_carries_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> Any:
        raise KeyError("amount")

    monkeypatch.setattr("chalicelib.steps.transforms.find", lambda dataset: broken)
    with witness.listening() as seen:
        witness.whole_job(seen, BODY, THINGS, chunk_size=16)
    failed = [line for line in seen.lines if line["level"] == "ERROR"]
    assert [line["chunk"] for line in failed] == [0, 1]
    assert all("transform-failed" in line["message"] for line in failed)
