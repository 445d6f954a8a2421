"""Events as AWS delivers them, whole, and what they do to the job records and the mailbox."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import triggers
from chalicelib.model import NO_DATASET, Failure, Job, Source, Status, event_from_source, source_from_event
from chalicelib.settings import from_environment
from tests.events import event, names
from tests.fakes import MemoryPorts, execution_arn

SETTINGS = from_environment({})
INBOX = SETTINGS.inbox_bucket
CONTRACT = json.dumps({"name": "orders", "schema": {"fields": [{"name": "id", "type": "integer"}]}}).encode()


@pytest.fixture
def ports() -> MemoryPorts:
    return MemoryPorts()


def upload() -> Source:
    """The upload that the captured executions worked on."""
    return source_from_event(event("eventbridge-upload"))


# Uploads.


@pytest.mark.parametrize(
    "name, key, version_id, size_bytes, dataset",
    [
        ("s3-upload", "incoming/orders/2026/a.csv", "096fKKXTRTtl3on89fVO.nfljtsv6qko", 1024, "orders"),
        ("s3-upload-unversioned", "incoming/orders/2026/a.csv", "d41d8cd98f00b204e9800998ecf8427e", 1024, "orders"),
        ("s3-upload-multipart", "incoming/orders/big.csv", "096fKKXTRTtl3on89fVO.nfljtsv6qko", 73400320, "orders"),
        (
            "s3-upload-odd-key",
            "incoming/orders/Sales (May)+100% été 日本.csv",
            "096fKKXTRTtl3on89fVO.nfljtsv6qko",
            1024,
            "orders",
        ),
        ("s3-upload-no-dataset", "incoming/loose.csv", "096fKKXTRTtl3on89fVO.nfljtsv6qko", 1024, NO_DATASET),
    ],
    ids=lambda value: value if str(value).startswith("s3-") else "",
)
def test_an_upload_is_registered(
    ports: MemoryPorts, name: str, key: str, version_id: str, size_bytes: int, dataset: str
):
    document = event(name)
    answer = triggers.upload_seen(ports, SETTINGS, document)
    etag = document["Records"][0]["s3"]["object"]["eTag"]
    expected = Source(INBOX, key, version_id, size_bytes, etag)
    assert answer == {"registered": [expected.job_id]}
    assert ports.jobs.records == {expected.job_id: Job.received(expected, "2026-03-01T12:00:05.123Z")}
    assert ports.jobs.records[expected.job_id].dataset == dataset


@pytest.mark.parametrize("suffix", ["", "-unversioned", "-odd-key"])
def test_s3s_notification_and_eventbridges_event_name_the_same_job(suffix: str):
    notified = triggers.source_from_notification(event(f"s3-upload{suffix}")["Records"][0])
    told = source_from_event(event(f"eventbridge-upload{suffix}"))
    assert notified == told
    assert notified.sequencer == told.sequencer == source_from_event(event_from_source(told)).sequencer
    assert notified.sequencer == "0055AED6DCD90281E5"


@pytest.mark.parametrize("name", names("s3-upload"))
def test_an_upload_told_twice_is_one_job(ports: MemoryPorts, name: str):
    first = triggers.upload_seen(ports, SETTINGS, event(name))
    records = dict(ports.jobs.records)
    assert triggers.upload_seen(ports, SETTINGS, event(name)) == first
    assert ports.jobs.records == records


def test_an_upload_told_late_does_not_set_its_job_back(ports: MemoryPorts):
    claimed = ports.jobs.claim(upload(), execution_arn("e1"), "2026-03-01T12:00:06.000Z")
    assert claimed is not None
    triggers.upload_seen(ports, SETTINGS, event("s3-upload"))
    assert ports.jobs.records == {claimed.job_id: claimed.with_(received_at="2026-03-01T12:00:05.123Z")}


def test_two_versions_of_one_key_are_two_jobs(ports: MemoryPorts):
    document = event("s3-upload")
    second = event("s3-upload")["Records"][0]
    second["s3"]["object"]["versionId"] = "another"
    document["Records"].append(second)
    assert len(set(triggers.upload_seen(ports, SETTINGS, document)["registered"])) == 2


def test_where_versioning_is_suspended_two_uploads_of_one_key_are_two_jobs():
    """The id of every upload is ``null`` there: taken for a version, it made the second upload the first one's job."""

    def sources(etag: str) -> list[Source]:
        notified, told = event("s3-upload"), event("eventbridge-upload")
        notified["Records"][0]["s3"]["object"] |= {"versionId": "null", "eTag": etag}
        told["detail"]["object"] |= {"version-id": "null", "etag": etag}
        return [triggers.source_from_notification(notified["Records"][0]), source_from_event(told)]

    first, second = sources("d41d8cd98f00b204e9800998ecf8427e"), sources("0cc175b9c0f1b6a831c399e269772661")
    assert [len({source.job_id for source in told}) for told in (first, second, first + second)] == [1, 1, 2]


def test_a_folder_made_in_the_console_is_no_upload(ports: MemoryPorts):
    assert triggers.upload_seen(ports, SETTINGS, event("s3-folder-marker")) == {"registered": []}
    assert ports.jobs.records == {}


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_any_key_survives_s3s_encoding(name: str):
    from urllib.parse import quote_plus

    record = event("s3-upload")["Records"][0]
    record["s3"]["object"]["key"] = quote_plus(f"incoming/orders/{name}", safe="/")
    assert triggers.source_from_notification(record).key == f"incoming/orders/{name}"


# Contracts.


def test_a_good_contract_is_no_news(ports: MemoryPorts):
    ports.objects.add(INBOX, "contracts/orders.json", CONTRACT)
    assert triggers.contract_uploaded(ports, SETTINGS, event("s3-contract")) == {"refused": []}
    assert ports.notices.sent == []


@pytest.mark.parametrize(
    "body, told",
    [
        (b'{"name": "orders", "schema": {"fields": [{"name": "id", "type": "money"}]}}', "schema.fields[0].type"),
        (b"{not json", "contract"),
        (b"\xff\xfe\x00", "contract"),
        (b"", "contract"),
    ],
    ids=["unknown type", "not JSON", "not UTF-8", "empty"],
)
def test_a_faulty_contract_is_told(ports: MemoryPorts, body: bytes, told: str):
    ports.objects.add(INBOX, "contracts/orders.json", body)
    answer = triggers.contract_uploaded(ports, SETTINGS, event("s3-contract"))
    assert answer == {"refused": ["contracts/orders.json"]}
    (notice,) = ports.notices.sent
    assert notice.attributes == {"status": "CONTRACT_INVALID", "dataset": "orders"}
    assert "contracts/orders.json" in notice.text
    assert told in notice.text
    assert notice.document["error"]["code"] == "invalid-contract"


def test_a_contract_that_names_no_dataset_is_told(ports: MemoryPorts):
    ports.objects.add(INBOX, "contracts/orders/v2.json", CONTRACT)
    answer = triggers.contract_uploaded(ports, SETTINGS, event("s3-contract-no-dataset"))
    assert answer == {"refused": ["contracts/orders/v2.json"]}
    (notice,) = ports.notices.sent
    assert notice.attributes == {"status": "CONTRACT_INVALID", "dataset": NO_DATASET}
    assert "contracts/<dataset>.json" in notice.text


def test_a_contract_deleted_before_it_was_read_is_no_news(ports: MemoryPorts):
    assert triggers.contract_uploaded(ports, SETTINGS, event("s3-contract")) == {"refused": []}
    assert ports.notices.sent == []


@pytest.mark.parametrize(
    "key, dataset",
    [
        ("contracts/orders.json", "orders"),
        ("contracts/a.b-c_d.json", "a.b-c_d"),
        ("contracts/orders.json.json", "orders.json"),
        ("contracts/.json", NO_DATASET),
        ("contracts/..json", NO_DATASET),
        ("contracts/two words.json", NO_DATASET),
        ("contracts/x/y.json", NO_DATASET),
        ("contracts/" + "x" * 65 + ".json", NO_DATASET),
        ("orders.json", NO_DATASET),
    ],
)
def test_which_dataset_a_contract_is_for(key: str, dataset: str):
    assert triggers.dataset_of_contract(key) == dataset


# Executions that ended badly.


def matches(pattern: Any, document: Any) -> bool:
    """EventBridge's matching, as far as exact values go."""
    if isinstance(pattern, dict):
        return all(key in document and matches(wanted, document[key]) for key, wanted in pattern.items())
    return document in pattern


@pytest.mark.parametrize("name", names("execution-"))
def test_the_rule_takes_runs_of_this_machine_that_did_not_succeed(name: str):
    pattern = triggers.execution_ended_badly(SETTINGS.state_machine_arn)
    document = event(name)
    assert matches(pattern, document)
    assert not matches(triggers.execution_ended_badly("arn:another"), document)
    document["detail"]["status"] = "SUCCEEDED"
    assert not matches(pattern, document)


ENDED = {
    "execution-failed": Failure(
        "execution-failed", "the execution failed outside its own error handling (States.Runtime)"
    ),
    "execution-timed-out": Failure("timed-out", "the execution took longer than its time limit and was ended"),
    "execution-aborted": Failure("aborted", "the execution was stopped from outside"),
}


@pytest.mark.parametrize("name", ENDED)
@pytest.mark.parametrize("before", ["claimed", "registered", "unknown"])
def test_the_job_of_a_run_that_ended_badly_is_failed_and_told(ports: MemoryPorts, name: str, before: str):
    document = event(name)
    if before == "claimed":
        ports.jobs.claim(upload(), document["detail"]["executionArn"], "2026-03-01T12:00:06.000Z")
    elif before == "registered":
        ports.jobs.register(upload(), "2026-03-01T12:00:05.000Z")
    answer = triggers.execution_status_changed(ports, SETTINGS, document)
    assert answer == {"job_id": upload().job_id, "failed": True}
    job = ports.jobs.records[upload().job_id]
    assert (job.status, job.error, job.finished_at) == (Status.FAILED, ENDED[name], "2026-03-01T13:00:00.000Z")
    assert job.received_at[:19] == ("2026-03-01T12:00:06" if before == "claimed" else "2026-03-01T12:00:05")
    (notice,) = ports.notices.sent
    assert notice.attributes == {"status": "FAILED", "dataset": "orders"}


def test_what_the_workflow_caught_itself_stands(ports: MemoryPorts):
    document = event("execution-failed")
    execution = document["detail"]["executionArn"]
    ports.jobs.claim(upload(), execution, "2026-03-01T12:00:06.000Z")
    caught = ports.jobs.fail(upload().job_id, execution, Failure("not-csv", "it is a PNG"), "2026-03-01T12:00:07.000Z")
    answer = triggers.execution_status_changed(ports, SETTINGS, document)
    assert answer == {"job_id": upload().job_id, "failed": False}
    assert ports.jobs.records[upload().job_id] == caught
    assert ports.notices.sent == []


@pytest.mark.parametrize("name", names("execution-"))
def test_a_job_that_another_run_holds_is_left_alone(ports: MemoryPorts, name: str):
    held = ports.jobs.claim(upload(), execution_arn("another"), "2026-03-01T12:00:06.000Z")
    assert held is not None
    answer = triggers.execution_status_changed(ports, SETTINGS, event(name))
    assert answer["failed"] is False
    assert ports.jobs.records == {held.job_id: held}
    assert ports.notices.sent == []


def test_told_twice_the_record_stays_and_the_message_is_sent_again(ports: MemoryPorts):
    triggers.execution_status_changed(ports, SETTINGS, event("execution-aborted"))
    records = dict(ports.jobs.records)
    triggers.execution_status_changed(ports, SETTINGS, event("execution-aborted"))
    assert ports.jobs.records == records
    assert len(ports.notices.sent) == 2


class TestWithoutInput:
    """Step Functions leaves out an input that is too long for the event."""

    def test_the_job_is_found_by_the_executions_name(self, ports: MemoryPorts):
        document = event("execution-timed-out-without-input")
        job = ports.jobs.register(upload(), "2026-03-01T12:00:05.000Z")
        arn = ports.executions.start(job.source)
        document["detail"] |= {"name": job.job_id, "executionArn": arn}
        assert triggers.execution_status_changed(ports, SETTINGS, document)["failed"] is True
        assert ports.jobs.records[job.job_id].status is Status.FAILED

    def test_the_job_is_found_by_the_execution_that_claimed_it(self, ports: MemoryPorts):
        document = event("execution-timed-out-without-input")
        ports.jobs.claim(upload(), document["detail"]["executionArn"], "2026-03-01T12:00:06.000Z")
        assert triggers.execution_status_changed(ports, SETTINGS, document)["failed"] is True
        assert ports.jobs.records[upload().job_id].status is Status.FAILED

    def test_an_execution_without_a_job_changes_nothing(self, ports: MemoryPorts):
        document = event("execution-timed-out-without-input")
        assert triggers.execution_status_changed(ports, SETTINGS, document) == {"job_id": None, "failed": False}

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", "null", '{"detail": 1}', '{"detail": {"bucket": "b", "object": 1}}']
    )
    def test_an_input_that_is_no_upload_is_as_good_as_none(self, ports: MemoryPorts, text: str):
        document = event("execution-failed")
        document["detail"]["input"] = text
        assert triggers.execution_status_changed(ports, SETTINGS, document) == {"job_id": None, "failed": False}
