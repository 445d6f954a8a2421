"""What only DynamoDB can do to its adapter: pages cut by size, races, attributes of another release, refused writes."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.aws import jobs as module
from chalicelib.aws.jobs import DynamoJobs
from chalicelib.errors import Terminal, Transient
from chalicelib.model import Chunks, Job, Status
from tests.adapters.support import Faulty, client_error, source

AT = "2026-11-24T10:00:00Z"


@pytest.fixture
def jobs(dynamodb: Any) -> DynamoJobs:
    return DynamoJobs("jobs", dynamodb)


def test_only_what_changed_is_written(jobs: DynamoJobs, dynamodb: Faulty) -> None:
    jobs.claim(source(), "e1", AT)
    jobs.advance(source().job_id, "e1", Status.PROCESSING, chunks=Chunks(3))
    request = dynamodb.sent("update_item")[-1]
    assert request["UpdateExpression"] == "SET #status = :status, #chunks = :chunks, #revision = :revision"
    assert request["ConditionExpression"] == "#revision = :read"
    jobs.advance(source().job_id, "e1", Status.PROCESSING, chunks=Chunks(3))
    assert len(dynamodb.sent("update_item")) == 2


def test_reads_before_a_write_are_consistent(jobs: DynamoJobs, dynamodb: Faulty) -> None:
    jobs.register(source(), AT)
    jobs.get(source().job_id)
    assert [request["ConsistentRead"] for request in dynamodb.sent("get_item")] == [True, True]


def test_attributes_of_a_later_release_survive(jobs: DynamoJobs, dynamodb: Any) -> None:
    jobs.claim(source(), "e1", AT)
    key = {"job_id": {"S": source().job_id}}
    dynamodb.update_item(
        TableName="jobs",
        Key=key,
        UpdateExpression="SET priority = :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    jobs.advance(source().job_id, "e1", Status.PROCESSING)
    assert dynamodb.get_item(TableName="jobs", Key=key)["Item"]["priority"] == {"N": "1"}


def test_a_writer_that_always_loses_gives_up_for_a_while(jobs: DynamoJobs, dynamodb: Faulty) -> None:
    dynamodb.fail("update_item", *[client_error("ConditionalCheckFailedException")] * 10)
    with pytest.raises(Transient, match="contended"):
        jobs.register(source(), AT)


@pytest.mark.parametrize(
    "code,kind,name",
    [
        ("ProvisionedThroughputExceededException", Transient, "aws-unavailable"),
        ("AccessDeniedException", Terminal, "access-denied"),
        ("ValidationException", Terminal, "aws-refused"),
        ("ResourceNotFoundException", Terminal, "aws-refused"),
    ],
)
@pytest.mark.parametrize("operation", ["get_item", "update_item", "query"])
def test_every_call_translates_its_errors(
    jobs: DynamoJobs, dynamodb: Faulty, operation: str, code: str, kind: type[Exception], name: str
) -> None:
    dynamodb.fail(operation, client_error(code))
    with pytest.raises(kind, match=f"{name}: dynamodb:"):
        jobs.list() if operation == "query" else jobs.register(source(), AT)


def in_pages_of(size: int, dynamodb: Faulty) -> None:
    """Let every Query stop after ``size`` items that it looked at, as DynamoDB does after 1 MB."""
    real = dynamodb._client.query
    dynamodb._client.query = lambda **request: real(**request | {"Limit": min(size, request.get("Limit", size))})


@pytest.mark.parametrize("size", [1, 2, 5])
def test_pages_are_filled_though_queries_stop_early(jobs: DynamoJobs, dynamodb: Faulty, size: int) -> None:
    for number in range(9):
        upload = source(f"incoming/orders/{number}.csv")
        jobs.register(upload, f"{AT[:-2]}{number}Z")
        if number % 4 == 0:
            jobs.claim(upload, "e1", AT)
    in_pages_of(size, dynamodb)
    first = jobs.list(dataset="orders", status=Status.VALIDATING, limit=2)
    assert [job.source.key[-5] for job in first.jobs] == ["8", "4"]
    second = jobs.list(dataset="orders", status=Status.VALIDATING, limit=2, cursor=first.cursor)
    assert [job.source.key[-5] for job in second.jobs] == ["0"]
    assert second.cursor is None
    assert len(jobs.list(limit=9).jobs) == 9
    assert len(list(jobs.unfinished("2027"))) == 9


def test_a_search_that_finds_little_stops_with_a_cursor(
    jobs: DynamoJobs, dynamodb: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_QUERIES", 3)
    for number in range(8):
        jobs.register(source(f"incoming/orders/{number}.csv"), f"{AT[:-2]}{number}Z")
    jobs.claim(source("incoming/orders/0.csv"), "e1", AT)
    in_pages_of(1, dynamodb)
    found: list[Job] = []
    cursor, rounds = None, 0
    while rounds == 0 or cursor is not None:
        page = jobs.list(dataset="orders", status=Status.VALIDATING, cursor=cursor)
        found += page.jobs
        cursor, rounds = page.cursor, rounds + 1
    assert [job.source.key for job in found] == ["incoming/orders/0.csv"]
    assert rounds == 3


def test_a_job_seen_in_two_statuses_is_told_once(jobs: DynamoJobs, dynamodb: Faulty) -> None:
    """An index that lags shows a job as RECEIVED that the next query shows as VALIDATING."""
    jobs.register(source(), AT)

    def seen_then_claimed(query: Any) -> Any:
        response = query()
        jobs.claim(source(), "e1", AT)
        return response

    dynamodb.fail("query", seen_then_claimed)
    assert [job.status for job in jobs.unfinished("2027")] == [Status.RECEIVED]
