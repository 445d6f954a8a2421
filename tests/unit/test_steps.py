"""The workflow's steps over the ports in memory: what is published, what is refused and how it is said."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chalicelib import failure, steps
from chalicelib.errors import Terminal, Transient
from chalicelib.model import Chunks, Job, Rows, Status, event_from_source
from chalicelib.stages import publish
from tests import pipeline
from tests.fakes import NOON, MemoryPorts
from tests.pipeline import INBOX, RESULTS, Outcome, contract

ID: Any = {"name": "id", "type": "integer", "constraints": {"required": True}}
NAME: Any = {"name": "name", "type": "string"}
THINGS = contract(ID, NAME)


def run(body: bytes, described: Any = THINGS, **options: Any) -> Outcome:
    return pipeline.run(body, described, **options)


def error_of(outcome: Outcome) -> tuple[str, str]:
    assert outcome.job.status is Status.FAILED
    assert outcome.job.error is not None
    return outcome.job.error.code, outcome.job.error.message


def test_every_output_is_published_and_listed_in_the_manifest() -> None:
    outcome = run(b"id,name\n1,a\nx,b\n\n3,c\n", chunk_size=5)
    assert outcome.job.status is Status.SUCCEEDED
    assert outcome.job.rows == Rows(read=4, valid=2, rejected=1, blank=1)
    manifest = outcome.document("manifest.json")
    listed = {each["key"].removeprefix(f"jobs/{outcome.job.job_id}/") for each in manifest["outputs"]}
    assert listed == set(outcome.published) - {"manifest.json"}
    assert all(len(each["sha256"]) == 64 for each in manifest["outputs"])
    assert manifest["ledger"]["rows"] == {"read": 4, "valid": 2, "rejected": 1, "blank": 1}
    assert outcome.current == [outcome.job.job_id]
    assert outcome.table.to_pylist() == [{"id": 1, "name": "a"}, {"id": 3, "name": "c"}]


def test_a_chunks_results_are_written_side_by_side_and_its_report_last(monkeypatch: pytest.MonkeyPatch) -> None:
    ports, two, written = MemoryPorts(), Barrier(2, timeout=10), []
    put = ports.objects.put

    def together(bucket: str, key: str, *rest: Any, **options: Any) -> Any:
        result = "/round-1/chunk-" in key and not key.endswith("report.json")
        if result:
            two.wait()
        stored = put(bucket, key, *rest, **options)
        if "/round-1/chunk-" in key:
            written.append(key.rpartition("-")[2])
        return stored

    monkeypatch.setattr(ports.objects, "put", together)
    assert run(b"id,name\n1,a\nx,b\n", ports=ports).job.status is Status.SUCCEEDED
    assert sorted(written[:-1]) == ["00000.parquet", "measures", "reasons", "rejects"]
    assert written[-1] == "report.json"


def test_a_finding_names_record_line_byte_field_code_and_both_texts() -> None:
    outcome = run(b'id,name\n1,"a\nb"\nx,"c"\n')
    assert outcome.rejects == [
        {
            "record": 2,
            "line": 4,
            "byte": 16,
            "errors": [{"field": "id", "code": "type-error", "note": 'type is "integer/default", found "x"'}],
            "raw": 'x,"c"',
        }
    ]
    assert outcome.body("rejects.csv").decode().splitlines() == [
        "_record,_line,_errors,id,name",
        '2,4,"id: type is ""integer/default"", found ""x""",x,c',
    ]


def test_all_findings_of_a_row_are_told() -> None:
    outcome = run(b"id,name\nx\ny,b,c,d\n\xff,z\n")
    assert outcome.findings == {
        (1, "id", "type-error"),
        (1, "name", "missing-cell"),
        (2, "id", "type-error"),
        (2, "", "extra-cell"),
        (3, "", "encoding-error"),
    }
    assert [len(each["errors"]) for each in outcome.rejects] == [2, 3, 1]
    assert outcome.rejects[2]["raw_base64"] == "/yx6"


def test_corrected_rejects_can_be_uploaded_as_they_are() -> None:
    rejects = run(b"id,name\n1,a\nx,b\n").body("rejects.csv")
    corrected = run(rejects.replace(b",x,b", b",2,b"))
    assert corrected.job.rows == Rows(read=1, valid=1)
    assert corrected.table.to_pylist() == [{"id": 2, "name": "b"}]


def test_beyond_tolerance_the_rejects_are_kept_and_nothing_becomes_current() -> None:
    strict = contract(ID, NAME, sluice={"tolerance": {"maxRejectedRatio": 0.1}})
    outcome = run(b"id,name\n1,a\nx,b\n", strict)
    assert error_of(outcome) == (
        "tolerance-exceeded", "1 of 2 rows (50.00%) were rejected, at most 10.00% may be"
    )  # fmt: skip
    assert set(outcome.published) == {"rejects.csv", "rejects.jsonl", "summary.json", "contract.json", "report.html"}
    assert outcome.current == []
    assert outcome.job.outputs["rejects"] == f"s3://{RESULTS}/jobs/{outcome.job.job_id}/rejects.csv"
    assert outcome.job.reasons[0].count == 1


def test_the_record_takes_no_label_of_any_length() -> None:
    """A record of DynamoDB has 400 KB at the most, and the labels of a file without a header are whatever it holds."""
    labels = [f"{place:02}" + "ü" * 25_000 for place in range(20)]
    rows = [",".join("1" * cells) for cells in range(1, 21)]
    outcome = pipeline.run("\n".join([",".join(labels), *rows, ""]).encode())
    assert len(json.dumps(outcome.job.to_json(), ensure_ascii=False).encode()) < 20_000
    assert {reason.field for reason in outcome.job.reasons} <= {label[:256] + "…" for label in labels}
    assert {each["field"] for each in outcome.document("summary.json")["findings"]["reasons"]} <= set(labels)


def test_reasons_beyond_those_on_the_record_are_counted() -> None:
    fields = [{"name": f"f{place:02}", "type": "integer"} for place in range(13)]
    body = (",".join(field["name"] for field in fields) + "\n" + ",".join("x" * 13) + "\n").encode()
    outcome = run(body, contract(*fields))
    assert [reason.field for reason in outcome.job.reasons] == [f"f{place:02}" for place in range(10)]
    assert outcome.job.reasons_omitted == 3
    assert len(outcome.document("summary.json")["findings"]["reasons"]) == 13


def test_long_labels_leave_room_on_the_record() -> None:
    """DynamoDB takes 400 KB of a record; a header has up to a megabyte, and a label of it may be all of that.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
    """
    labels = [f"{place}" + "n" * 60_000 for place in range(10)]
    fields = [{"name": label, "type": "integer"} for label in labels]
    outcome = run((",".join(labels) + "\n" + ",".join("x" * 10) + "\n").encode(), contract(*fields))
    shown = [reason.field for reason in outcome.job.reasons]
    assert shown == [label[: publish.FIELD_ON_JOB_CHARS] + "…" for label in labels]
    assert len(json.dumps(outcome.job.to_json())) < 10_000
    told = outcome.document("summary.json")["findings"]["reasons"]
    assert [reason["field"] for reason in told] == labels


def test_the_absolute_tolerance_is_named() -> None:
    strict = contract(ID, NAME, sluice={"tolerance": {"maxRejectedRows": 0}})
    assert error_of(run(b"id,name\nx,b\n", strict))[1] == "1 of 1 rows were rejected, at most 0 may be"


@pytest.mark.parametrize("tolerance", [{"maxRejectedRows": 1, "maxRejectedRatio": 1}, {"maxRejectedRatio": 0.5}])
def test_so_many_rejected_rows_as_may_be_are_tolerated(tolerance: Any) -> None:
    tolerant = contract(ID, NAME, sluice={"tolerance": tolerance})
    assert run(b"id,name\n1,a\nx,b\n", tolerant).job.status is Status.SUCCEEDED
    assert error_of(run(b"id,name\n1,a\nx,b\nx,c\n", tolerant))[0] == "tolerance-exceeded"


def test_a_file_of_too_few_valid_rows_replaces_nothing() -> None:
    ports = MemoryPorts()
    guarded = contract(ID, NAME, sluice={"mode": "replace", "tolerance": {"maxRejectedRatio": 1, "minValidRows": 2}})
    first = run(b"id,name\n1,a\n2,b\n", guarded, ports=ports)
    assert first.job.status is Status.SUCCEEDED
    for body in (b"id,name\n", b"id,name\n1,a\nx,b\n"):
        outcome = run(body, guarded, ports=ports)
        code, said = error_of(outcome)
        assert (code, said[1:]) == ("tolerance-exceeded", " rows are valid, at least 2 must be")
        assert outcome.current == [first.job.job_id]


def test_a_header_alone_succeeds_with_no_rows_and_typed_columns() -> None:
    outcome = run(b"id,name\n")
    assert outcome.job.status is Status.SUCCEEDED
    assert outcome.job.rows == Rows()
    assert outcome.table.schema == pa.schema([("id", pa.int64()), ("name", pa.string())])


def _zip() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("a.csv", "id,name\n1,a\n")
        archive.writestr("b.csv", "id,name\n2,b\n")
    return sink.getvalue()


def _parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": [1]}), sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    "body, code, said",
    [
        pytest.param(b"", "empty-file", "no bytes", id="empty"),
        pytest.param(b"\x89PNG\r\n\x1a\n\x00\x00", "not-csv", "PNG", id="PNG"),
        pytest.param(_zip(), "unsupported-compression", "holds 2 files", id="zip"),
        pytest.param(_parquet(), "not-csv", "Parquet", id="Parquet"),
        pytest.param(b"<!DOCTYPE html><html></html>", "not-csv", "HTML", id="HTML"),
        pytest.param(
            b"id,nmae\n1,a\n", "header-mismatch", 'label in position 2 is "nmae", expected "name"', id="label"
        ),
        pytest.param(b"id,id\n1,a\n", "header-mismatch", "the same as in position 1", id="duplicate label"),
    ],
)
def test_what_is_not_the_dataset_is_refused(body: bytes, code: str, said: str) -> None:
    outcome = run(body)
    assert error_of(outcome)[0] == code
    assert said in error_of(outcome)[1]
    assert outcome.published == []


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("incoming/a.csv", "not in a folder incoming/<dataset>/"),
        ("elsewhere/things/a.csv", "not in a folder incoming/<dataset>/"),
        ("incoming/not a dataset!/a.csv", 'the folder "not a dataset!" cannot be a dataset: letters'),
        ("incoming//a.csv", 'the folder "" cannot be a dataset'),
        ("incoming/things/../a.csv", '".."'),
    ],
)
def test_an_upload_outside_any_dataset_is_refused(key: str, said: str) -> None:
    code, message = error_of(run(b"id,name\n", None, key=key))
    assert code == "no-dataset"
    assert said in message


def test_every_output_is_documented() -> None:
    api = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text()
    names = run(b"id,name\n1,a\n").job.outputs
    assert len(names) == 7
    for name in names:
        assert f"`{name}`" in api


def test_an_invalid_contract_is_named_by_its_key() -> None:
    outcome = run(
        b"id\n1\n", {"name": "things", "path": "a.csv", "schema": {"fields": [{"name": "id", "type": "int"}]}}
    )
    assert error_of(outcome)[0] == "invalid-contract"
    assert "schema.fields[0].type" in error_of(outcome)[1]


def test_a_deleted_object_is_told() -> None:
    ports = MemoryPorts()
    source = pipeline.upload(ports, b"id,name\n1,a\n", "incoming/things/a.csv")
    ports.objects.delete(INBOX, source.key)
    with pytest.raises(Terminal, match="object-not-found"):
        steps.validate_data(
            ports, pipeline.settings(10), {"execution": "arn:1", "event": event_from_source(source)}
        )  # fmt: skip


def test_a_second_execution_of_the_same_upload_is_skipped() -> None:
    ports = MemoryPorts()
    source = pipeline.upload(ports, b"id,name\n1,a\n", "incoming/things/a.csv")
    payload = {"execution": "arn:1", "event": event_from_source(source)}
    assert steps.validate_data(ports, pipeline.settings(10), payload)["action"] == "process"
    assert steps.validate_data(ports, pipeline.settings(10), payload | {"execution": "arn:2"})["action"] == "skip"
    assert steps.validate_data(ports, pipeline.settings(10), payload)["action"] == "process"


def test_a_folder_marker_is_no_job() -> None:
    ports = MemoryPorts()
    source = pipeline.upload(ports, b"", "incoming/things/")
    payload = {"execution": "arn:1", "event": event_from_source(source)}
    assert steps.validate_data(ports, pipeline.settings(10), payload)["action"] == "skip"
    assert ports.jobs.records == {}


def test_two_versions_of_one_key_are_two_jobs() -> None:
    ports = MemoryPorts()
    first = run(b"id,name\n1,a\n", ports=ports)
    second = run(b"id,name\n2,b\n", ports=ports)
    assert first.job.job_id != second.job.job_id
    assert second.current == [first.job.job_id, second.job.job_id]


def test_in_replace_mode_the_newest_job_alone_is_current() -> None:
    ports, replacing = MemoryPorts(), contract(ID, NAME, sluice={"mode": "replace"})
    run(b"id,name\n1,a\n", replacing, ports=ports)
    second = run(b"id,name\n2,b\n", replacing, ports=ports)
    assert second.current == [second.job.job_id]


def test_doing_every_step_twice_changes_nothing() -> None:
    ports, configured = MemoryPorts(), pipeline.settings(6)
    ports.objects.add(INBOX, "contracts/things.json", json.dumps(THINGS).encode())
    source = pipeline.upload(ports, b"id,name\n1,a\nx,b\n3,c\n", "incoming/things/a.csv")
    payload: Any = {"execution": "arn:1", "event": event_from_source(source)}
    for _ in range(2):
        state = steps.validate_data(ports, configured, payload)
    while state["action"] == "process":
        for task in json.loads(ports.objects.get(RESULTS, state["round"]["key"])) * 2:
            steps.process_chunk(ports, configured, {"task": task})
        for _ in range(2):
            following = steps.aggregate_data(ports, configured, {"job": state, "execution": "arn:1"})
        state = following
    before = None
    for _ in range(2):
        steps.store_results(ports, configured, {"job": state, "execution": "arn:1"})
        stored = {
            each.key: ports.objects.get(RESULTS, each.key)
            for each in ports.objects.list(RESULTS, "jobs/")
            if not each.key.endswith("report.html")
        }
        assert before in (None, stored)
        before = stored
    current = json.loads(ports.objects.get(RESULTS, "datasets/things/current.json"))["jobs"]
    assert [each["job_id"] for each in current] == [source.job_id]


@pytest.mark.parametrize("is_deleted", [True, False])
def test_a_job_whose_record_was_deleted_or_is_another_executions_by_now_is_not_published(is_deleted: bool) -> None:
    """Even where the other one has decided its outputs: to finish that, and to tell of it, is the other's."""
    ports, configured = MemoryPorts(), pipeline.settings(1 << 20)
    source = pipeline.upload(ports, b"id,name\n1,a\n", "incoming/things/a.csv")
    ports.objects.add(INBOX, "contracts/things.json", json.dumps(THINGS).encode())
    state = steps.validate_data(ports, configured, {"execution": "arn:1", "event": event_from_source(source)})
    for task in json.loads(ports.objects.get(RESULTS, state["round"]["key"])):
        steps.process_chunk(ports, configured, {"task": task})
    state = steps.aggregate_data(ports, configured, {"job": state, "execution": "arn:1"})
    job = ports.jobs.records.pop(source.job_id)
    if not is_deleted:
        ports.jobs.add(job.with_(status=Status.STORING, execution="arn:2", outputs={"manifest": "manifest.json"}))
    with pytest.raises(Terminal, match="stale-execution"):
        steps.store_results(ports, configured, {"job": state, "execution": "arn:1"})
    assert list(ports.objects.list(RESULTS, "jobs/")) == []


def test_a_chunk_that_is_done_twice_at_the_same_time_is_stored_once_its_report_tells_of_it() -> None:
    """Under a key of KMS the same bytes have another ETag each time, so the part is not the one that was reported."""
    ports, configured = MemoryPorts(), pipeline.settings(1 << 20)
    ports.objects.add(INBOX, "contracts/things.json", json.dumps(THINGS).encode())
    source = pipeline.upload(ports, b"id,name\n1,a\n", "incoming/things/a.csv")
    state = steps.validate_data(ports, configured, {"execution": "arn:1", "event": event_from_source(source)})
    (task,) = json.loads(ports.objects.get(RESULTS, state["round"]["key"]))
    steps.process_chunk(ports, configured, {"task": task})
    state = steps.aggregate_data(ports, configured, {"job": state, "execution": "arn:1"})
    (part,) = (each.key for each in ports.objects.list(RESULTS, "work/") if each.key.endswith(".parquet"))
    ports.objects.add(RESULTS, part, ports.objects.get(RESULTS, part), parts=1)
    with pytest.raises(Transient, match="output-replaced"):
        steps.store_results(ports, configured, {"job": state, "execution": "arn:1"})
    steps.process_chunk(ports, configured, {"task": task})
    steps.store_results(ports, configured, {"job": state, "execution": "arn:1"})
    job = ports.jobs.get(source.job_id)
    assert job is not None
    assert job.status is Status.SUCCEEDED


def test_repeated_keys_are_found_across_chunks_and_name_the_first_record() -> None:
    keyed = contract(ID, {"name": "name", "type": "string", "constraints": {"unique": True}},
                     schema={"primaryKey": ["id"]})  # fmt: skip
    rows = ["1,a", "2,b", "x,c", "1,d", "5,b", "6,c", "1,e"]
    outcome = run(("id,name\n" + "\n".join(rows) + "\n").encode(), keyed, chunk_size=9)
    assert outcome.findings == {
        (3, "id", "type-error"),
        (3, "id", "primary-key"),
        (4, "id", "primary-key"),
        (5, "name", "unique-error"),
        (6, "name", "unique-error"),
        (7, "id", "primary-key"),
    }
    notes = [found["note"] for each in outcome.rejects for found in each["errors"] if found["code"] != "type-error"]
    assert notes[1:] == [
        "the primary key is the same as in record 1",
        "the value is the same as in record 2",
        "the value is the same as in record 3",
        "the primary key is the same as in record 1",
    ]
    assert outcome.table.column("id").to_pylist() == [1, 2]


def test_the_record_tells_on_the_way_how_many_chunks_there_are_and_how_many_are_done_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ports, told = MemoryPorts(), []
    advance = ports.jobs.advance

    def watched(*moved: Any, **facts: Any) -> Job:
        job = advance(*moved, **facts)
        told.append((job.status, job.chunks))
        return job

    monkeypatch.setattr(ports.jobs, "advance", watched)
    run(b"id,name\n1,a\n2,b\n1,c\n", contract(ID, NAME, schema={"primaryKey": ["id"]}), chunk_size=7, ports=ports)
    assert told[:3] == [
        (Status.PROCESSING, Chunks(planned=3)),
        (Status.PROCESSING, Chunks(planned=3, done=3)),
        (Status.AGGREGATING, Chunks(planned=3, done=3, repaired=1)),
    ]


def test_without_a_contract_types_come_from_the_whole_file_and_a_draft_is_published() -> None:
    rows = "".join(f"{number},{number}\n" for number in range(50)) + "x,2.5\n"
    outcome = run(b"id,size\n" + rows.encode(), None, chunk_size=40)
    assert outcome.job.contract == "inferred"
    assert outcome.job.rows == Rows(read=51, valid=51)
    draft = outcome.document("contract.json")
    assert [(field["name"], field["type"]) for field in draft["schema"]["fields"]] == [
        ("id", "string"), ("size", "number")
    ]  # fmt: skip
    again = run(b"id,size\n" + rows.encode(), draft)
    assert again.table == outcome.table.combine_chunks() or again.table.to_pylist() == outcome.table.to_pylist()


def test_rows_are_partitioned_in_hives_style() -> None:
    parted = contract(ID, NAME, sluice={"partitionBy": ["name"]})
    outcome = run(b"id,name\n1,a\n2,\n3,a/b\n4,a\n", parted)
    data = sorted(name for name in outcome.published if name.startswith("data/"))
    assert data == [
        "data/name=__HIVE_DEFAULT_PARTITION__/part-00000.parquet",
        "data/name=a%2Fb/part-00000.parquet",
        "data/name=a/part-00000.parquet",
    ]
    assert pq.read_table(io.BytesIO(outcome.body(data[2]))).to_pylist() == [{"id": 1}, {"id": 4}]


@pytest.mark.parametrize(
    "caught, code, message",
    [
        ({"Error": "Terminal", "Cause": '{"errorMessage": "empty-file: no bytes"}'}, "empty-file", "no bytes"),
        ({"Error": "States.Timeout", "Cause": ""}, "timed-out", "a step took longer than it may"),
        ({"Error": "KeyError", "Cause": '{"errorMessage": "\'x\'"}'}, "internal-error", "KeyError: 'x'"),
        ({"Error": "States.Runtime", "Cause": "not JSON"}, "internal-error", "States.Runtime: not JSON"),
        ({"Error": "States.Runtime", "Cause": "[1]"}, "internal-error", "States.Runtime: [1]"),
        ({"Error": "States.Runtime", "Cause": "null"}, "internal-error", "States.Runtime: null"),
        ({}, "internal-error", "unknown error: "),
    ],
)
def test_the_failure_behind_a_cause(caught: Any, code: str, message: str) -> None:
    found = failure.failure_of(caught)
    assert (found.code, found.message) == (code, message)


@pytest.mark.parametrize("caught", [{"failure": {"Error": "States.Timeout"}}, {"failure": None}, {}])
def test_a_failure_before_the_job_had_a_record_is_recorded(caught: Any) -> None:
    ports = MemoryPorts()
    source = pipeline.upload(ports, b"", "incoming/things/a.csv")
    payload = {"execution": "arn:1", "event": event_from_source(source)} | caught
    assert failure.record_failure(ports, pipeline.settings(10), payload) == {
        "job_id": source.job_id, "dataset": "things"
    }  # fmt: skip
    job = ports.jobs.get(source.job_id)
    assert job is not None
    assert job.status is Status.FAILED


def test_an_object_replaced_while_it_is_processed_is_told_by_its_own_code() -> None:
    ports = MemoryPorts()

    def replaced(*_: Any) -> bytes:
        raise Terminal("object-replaced", "the object was replaced")

    def replace(ports: MemoryPorts) -> None:
        ports.objects.read_range = replaced  # type: ignore[method-assign, assignment]

    outcome = run(b"id,name\n1,a\n", ports=ports, before_chunks=replace)
    assert error_of(outcome) == ("object-replaced", "the object was replaced")
    assert outcome.published == []


def test_in_replace_mode_an_earlier_upload_that_ends_later_takes_nobodys_place() -> None:
    ports, replacing = MemoryPorts(), contract(ID, NAME, sluice={"mode": "replace"})
    second = run(b"id,name\n2,b\n", replacing, ports=ports)
    ports.now = NOON - timedelta(minutes=1)
    first = run(b"id,name\n1,a\n", replacing, ports=ports)
    assert first.job.status is Status.SUCCEEDED
    assert first.current == [second.job.job_id]


@pytest.mark.parametrize(
    "earlier, later",
    [("0055AED6DCD90281E5", "0055AED6DCD90281E6"), ("0055AED6DCD9", "0055AED6DCD90281E5"), ("0055", "0056AED6")],
)
def test_of_two_uploads_of_one_key_the_later_stays_current_in_whatever_order_events_come(
    earlier: str, later: str
) -> None:
    """Within a second, say: the event of the first comes when the second's job has ended, and is registered later."""
    ports, replacing = MemoryPorts(), contract(ID, NAME, sluice={"mode": "replace"})
    ports.objects.add(INBOX, "contracts/things.json", json.dumps(replacing).encode())
    first = replace(pipeline.upload(ports, b"id,name\n1,a\n", "incoming/things/a.csv"), sequencer=earlier)
    second = replace(pipeline.upload(ports, b"id,name\n2,b\n", "incoming/things/a.csv"), sequencer=later)
    for source in (second, first):
        pipeline.execute(ports, pipeline.settings(1 << 20), source, f"arn:{source.job_id}")
        ports.now += timedelta(milliseconds=300)
    jobs = [ports.jobs.get(source.job_id) for source in (first, second)]
    assert [job.status for job in jobs if job is not None] == [Status.SUCCEEDED] * 2
    current = json.loads(ports.objects.get(RESULTS, "datasets/things/current.json"))
    assert [entry["job_id"] for entry in current["jobs"]] == [second.job_id]
