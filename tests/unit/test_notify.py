"""The messages, as their readers get them."""

from __future__ import annotations

import json

import pytest

from chalicelib import notify
from chalicelib.errors import InvalidContract, Terminal
from chalicelib.model import Chunks, Failure, Job, Reason, Rows, Status
from chalicelib.settings import from_environment
from tests.fakes import MemoryPorts, execution_arn, source

SETTINGS = from_environment({})
RESULTS = SETTINGS.results_bucket
RECEIVED = Job.received(source(), "2026-03-01T12:00:00.000Z")
OUTPUTS = {
    name: f"s3://{RESULTS}/jobs/{RECEIVED.job_id}/{file}"
    for name, file in {
        "manifest": "manifest.json",
        "data": "data/",
        "rejects": "rejects.csv",
        "report": "report.html",
        "summary": "summary.json",
        "contract": "contract.json",
    }.items()
}
REASONS = tuple(
    Reason(code, field, count)
    for code, field, count in [
        ("type-error", "quantity", 1200),
        ("constraint-error", "country", 7),
        ("extra-cell", "", 6),
        ("missing-cell", "note", 5),
        ("unique-error", "order_id", 4),
        ("encoding-error", "note", 3),
    ]
)
SUCCEEDED = RECEIVED.with_(
    status=Status.SUCCEEDED,
    execution=execution_arn("e1"),
    finished_at="2026-03-01T12:00:12.500Z",
    contract="given",
    rows=Rows(5000, 3797, 1200, 3),
    reasons=REASONS,
    outputs=OUTPUTS,
)


def failed(code: str, message: str = "what happened") -> Job:
    return RECEIVED.with_(status=Status.FAILED, error=Failure(code, message), finished_at="2026-03-01T12:00:03.000Z")


def test_success_tells_what_came_of_the_file_where_it_is_and_what_to_do():
    message = notify.compose(SUCCEEDED, RESULTS)
    assert message.subject == "Sluice: orders SUCCEEDED, 1,200 of 5,000 rows rejected"
    assert message.text == (
        "incoming/orders/a.csv was processed.\n"
        "\n"
        "  Dataset    orders (contract given)\n"
        f"  Job        {RECEIVED.job_id}\n"
        "  Source     s3://sluice-dev-inbox/incoming/orders/a.csv, 1,000 bytes, version v1\n"
        "  Received   2026-03-01T12:00:00.000Z\n"
        "  Finished   2026-03-01T12:00:12.500Z, after 12.5 s\n"
        f"  Execution  {execution_arn('e1')}\n"
        "\n"
        "  Rows read      5,000\n"
        "  Rows valid     3,797\n"
        "  Rows rejected  1,200  (24.00%)\n"
        "  Rows blank         3\n"
        "\n"
        "The most frequent findings:\n"
        "  1,200  type-error in quantity\n"
        "      7  constraint-error in country\n"
        "      6  extra-cell\n"
        "      5  missing-cell in note\n"
        "      4  unique-error in order_id\n"
        "  and 1 more: see the report\n"
        "\n"
        f"Where it is (all under s3://{RESULTS}/jobs/{RECEIVED.job_id}/):\n"
        f"  report    {OUTPUTS['report']}\n"
        f"  rejects   {OUTPUTS['rejects']}\n"
        f"  data      {OUTPUTS['data']}\n"
        f"  summary   {OUTPUTS['summary']}\n"
        f"  contract  {OUTPUTS['contract']}\n"
        f"  manifest  {OUTPUTS['manifest']}\n"
        "\n"
        "What to do next:\n"
        "Fetch the rejected rows, correct them (leave the columns _record, _line and _errors as they are), and"
        " upload them as a file of the same dataset:\n"
        f"  aws s3 cp {OUTPUTS['rejects']} rejects.csv\n"
        "  aws s3 cp rejects.csv s3://sluice-dev-inbox/incoming/orders/\n"
        'Where the contract has the mode "replace", correct and upload the whole file: an upload replaces all rows.\n'
    )


def test_delivered_rows_are_told_where_a_transform_made_them_others():
    made = notify.compose(SUCCEEDED.with_(delivered=7594), RESULTS).text
    assert "  Rows blank          3\n  Rows delivered  7,594\n" in made
    assert "delivered" not in notify.compose(SUCCEEDED.with_(delivered=3797), RESULTS).text


def test_reasons_that_the_record_does_not_hold_are_counted_too():
    assert "  and 31 more: see the report\n" in notify.compose(SUCCEEDED.with_(reasons_omitted=30), RESULTS).text


def test_a_clean_file_leaves_nothing_to_do():
    clean = SUCCEEDED.with_(rows=Rows(10, 10, 0, 0), reasons=())
    message = notify.compose(clean, RESULTS)
    assert message.subject == "Sluice: orders SUCCEEDED, 0 of 10 rows rejected"
    assert "What to do next" not in message.text
    assert "findings" not in message.text


def test_a_draft_contract_is_offered_where_there_was_none():
    message = notify.compose(SUCCEEDED.with_(contract="inferred", rows=Rows(10, 10, 0, 0)), RESULTS)
    assert f"aws s3 cp {OUTPUTS['contract']} s3://sluice-dev-inbox/contracts/orders.json" in message.text


def test_failure_names_code_reason_and_next_step():
    message = notify.compose(failed("invalid-contract", "schema.fields[2].type: no such type"), RESULTS)
    assert message.subject == "Sluice: orders FAILED (invalid-contract)"
    assert "  invalid-contract: schema.fields[2].type: no such type\n" in message.text
    assert "Nothing of it was published." in message.text
    job = message.document["job_id"]
    assert message.text.endswith(
        "What to do next: Correct what is named in s3://sluice-dev-inbox/contracts/orders.json."
        f" Then retry the job: POST /jobs/{job}/retry, or `deploy.py redrive {job}`.\n"
    )


@pytest.mark.parametrize("code", [*notify._ADVICE, "something-new"])
def test_every_failure_ends_in_a_next_step_without_gaps(code: str):
    advice = notify.compose(failed(code), RESULTS).text.rpartition("What to do next: ")[2]
    assert advice.endswith(".\n")
    assert "{" not in advice


def test_a_long_reason_is_shortened_in_the_text_alone():
    message = notify.compose(failed("header-mismatch", "x" * 10_000), RESULTS)
    assert "x" * 4000 + " … (the job record has the rest)" in message.text
    assert "x" * 4001 not in message.text
    assert message.document["error"]["message"] == "x" * 10_000


def test_machines_get_the_job_record_and_attributes_to_filter_by():
    message = notify.compose(SUCCEEDED, RESULTS)
    assert message.document == {"event": "job-ended", **SUCCEEDED.to_json()}
    assert json.loads(json.dumps(message.document)) == message.document
    assert message.attributes == {"status": "SUCCEEDED", "dataset": "orders"}
    assert notify.compose(failed("aborted"), RESULTS).attributes == {"status": "FAILED", "dataset": "orders"}


def test_control_characters_of_a_key_cannot_forge_lines():
    job = Job.received(source("incoming/orders/a\nRows read 0\x1b[2J.csv"), "2026-03-01T12:00:00.000Z")
    text = notify.compose(job.with_(status=Status.FAILED, error=Failure("not-csv", "a\nb")), RESULTS).text
    assert text.startswith("incoming/orders/a\\nRows read 0\\x1b[2J.csv could not be processed.")
    assert "not-csv: a\\nb" in text


def test_a_stuck_job_is_told_with_its_progress():
    job = RECEIVED.with_(status=Status.PROCESSING, chunks=Chunks(8, 3, 0))
    message = notify.compose_stuck(job, 31)
    assert message.subject == "Sluice: orders still PROCESSING after 31 minutes"
    assert "Chunks done: 3 of 8." in message.text
    assert message.attributes == {"status": "STUCK", "dataset": "orders"}
    assert message.document["event"] == "job-stuck"
    assert message.document["job_id"] == job.job_id


def test_a_stuck_job_without_chunks_leaves_no_gap_in_its_message():
    text = notify.compose_stuck(RECEIVED.with_(status=Status.VALIDATING), 31).text
    assert "Chunks" not in text
    assert "\n\n\n" not in text


def test_a_contract_fault_names_the_key_and_the_path():
    fault = InvalidContract("schema.fields[0].name", "is missing")
    message = notify.compose_contract_fault("in", "contracts/orders.json", "orders", fault)
    assert message.subject == "Sluice: contract orders.json is refused"
    assert "s3://in/contracts/orders.json" in message.text
    assert "schema.fields[0].name: is missing" in message.text
    assert "uploads of the dataset orders will fail" in message.text
    assert message.attributes == {"status": "CONTRACT_INVALID", "dataset": "orders"}
    assert message.document["error"] == {"code": "invalid-contract", "message": "schema.fields[0].name: is missing"}


@pytest.fixture
def ports() -> MemoryPorts:
    return MemoryPorts()


def test_notify_publishes_the_job_and_counts_it(ports: MemoryPorts, capsys: pytest.CaptureFixture[str]):
    ports.jobs.add(SUCCEEDED)
    answer = notify.notify(ports, SETTINGS, {"job_id": SUCCEEDED.job_id})
    assert answer == {"job_id": SUCCEEDED.job_id, "dataset": "orders", "status": "SUCCEEDED"}
    expected = notify.compose(SUCCEEDED, RESULTS)
    (sent,) = ports.notices.sent
    assert (sent.subject, sent.text, sent.document, sent.attributes) == (
        expected.subject,
        expected.text,
        expected.document,
        expected.attributes,
    )
    metrics = json.loads(capsys.readouterr().out)
    counted = {name: metrics[name] for name in ("RowsRead", "RowsValid", "RowsRejected", "SourceSize", "JobSeconds")}
    assert counted == {
        "RowsRead": [5000.0],
        "RowsValid": [3797.0],
        "RowsRejected": [1200.0],
        "SourceSize": [1000.0],
        "JobSeconds": [12.5],
    }
    assert (metrics["JobsSucceeded"], metrics["JobsFailed"]) == ([1.0], [0.0])
    assert (metrics["dataset"], metrics["stage"], metrics["job_id"]) == ("orders", "dev", SUCCEEDED.job_id)
    assert metrics["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Sluice"


@pytest.mark.parametrize("status", [status for status in Status if not status.is_final])
def test_notify_leaves_an_unfinished_job_alone(ports: MemoryPorts, status: Status):
    ports.jobs.add(RECEIVED.with_(status=status))
    assert notify.notify(ports, SETTINGS, {"job_id": RECEIVED.job_id})["status"] == status
    assert ports.notices.sent == []


def test_notify_of_an_unknown_job_is_an_error(ports: MemoryPorts):
    with pytest.raises(Terminal, match=r"^job-not-found: there is no job orders-0$"):
        notify.notify(ports, SETTINGS, {"job_id": "orders-0"})
