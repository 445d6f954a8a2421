"""``ports.Jobs`` on DynamoDB.

An item is ``Job.to_json()`` as native maps and lists, plus ``kind`` (constant ``job``: the partition key of the index
over all jobs) and ``revision``, which grows by one with every change. A write is one ``UpdateItem`` that sets only the
attributes that changed, on the condition that ``revision`` is still the one that was read; where it is not, the item
is read and judged again by ``transitions``. So neither a stale writer, nor a duplicate that arrives late, nor a retry
after a lost reply changes a newer state, and attributes that a later release added survive.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import fields
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from chalicelib import paging, transitions
from chalicelib.aws.clients import aws_errors, client
from chalicelib.errors import Transient
from chalicelib.model import JSON, Job, Status
from chalicelib.ports import Page

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryOutputTypeDef

KIND: Final = "job"
_ATTEMPTS: Final = 10
"""Writers of one job are a handful (workflow, sweeper, status handler): losing so many races means something else."""
_MAX_QUERIES: Final = 40
"""Per page, of 1 MB each: where a filter finds little, a short page with a cursor comes within the API's 29 s."""
_JOB_FIELDS: Final = frozenset(field.name for field in fields(Job))

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


class DynamoJobs(transitions.Writer):
    """Job records in one table (see infrastructure/foundation.yaml for its keys and indexes)."""

    def __init__(self, table_name: str, client: DynamoDBClient | None = None) -> None:
        self._table = table_name
        self._given = client

    @cached_property
    def _dynamodb(self) -> DynamoDBClient:
        return self._given or client("dynamodb")

    def get(self, job_id: str) -> Job | None:
        return self._load(job_id)[0] if transitions.JOB_ID.fullmatch(job_id) else None

    def list(
        self, *, dataset: str | None = None, status: Status | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page:
        """The indexes are eventually consistent: a job may show up, or change, a moment late."""
        listing = paging.Listing(dataset, status)
        request = _request(listing, paging.checked_limit(limit), cursor)
        jobs: list[Job] = []
        for _ in range(_MAX_QUERIES):
            page = self._query(request)
            jobs += map(_job, page["Items"])
            if len(jobs) > limit:
                return Page(tuple(jobs[:limit]), paging.encode(listing, paging.position_of(jobs[limit - 1])))
            last = page.get("LastEvaluatedKey")
            if not last:
                return Page(tuple(jobs), None)
            request["ExclusiveStartKey"] = last
        last = request["ExclusiveStartKey"]
        return Page(tuple(jobs), paging.encode(listing, paging.Position(last["received_at"]["S"], last["job_id"]["S"])))

    def unfinished(self, received_before: str) -> Iterator[Job]:
        """As ``list``: what is read may be a moment old. Whoever acts on it does so by a conditional write."""
        open_jobs = [self._received_before(status, received_before) for status in Status if not status.is_final]
        seen: set[str] = set()
        for job in heapq.merge(*open_jobs, key=paging.age):
            if job.job_id not in seen:  # it moved from one status to the next between two queries
                seen.add(job.job_id)
                yield job

    def _received_before(self, status: Status, received_before: str) -> Iterator[Job]:
        request: dict[str, Any] = {
            "IndexName": "by-status",
            "KeyConditionExpression": "#status = :status AND received_at < :before",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": {":status": {"S": str(status)}, ":before": {"S": received_before}},
        }
        while True:
            page = self._query(request)
            yield from map(_job, page["Items"])
            if not page.get("LastEvaluatedKey"):
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _query(self, request: dict[str, Any]) -> QueryOutputTypeDef:
        with aws_errors("dynamodb:Query"):
            return self._dynamodb.query(TableName=self._table, **request)

    def _apply(self, job_id: str, step: transitions.Step) -> Job | None:
        for _ in range(_ATTEMPTS):
            current, revision = self._load(job_id)
            job = step(current)
            if job is None or job == current or self._store(job, current, revision):
                return job
        raise Transient("contended", f"job {job_id} changed {_ATTEMPTS} times while it was to be written")

    def _load(self, job_id: str) -> tuple[Job | None, int]:
        """The record and its revision; None and 0 where there is none."""
        with aws_errors("dynamodb:GetItem"):
            response = self._dynamodb.get_item(
                TableName=self._table, Key={"job_id": {"S": job_id}}, ConsistentRead=True
            )
        item = response.get("Item")
        return (_job(item), int(item["revision"]["N"])) if item else (None, 0)

    def _store(self, job: Job, current: Job | None, revision: int) -> bool:
        """Write the difference; False where the item is no longer as it was read."""
        before = _attributes(current) if current else {}
        changed = {name: value for name, value in _attributes(job).items() if before.get(name, ...) != value}
        changed["revision"] = revision + 1
        names = {f"#{name}": name for name in changed}
        values = {f":{name}": _serialize(value) for name, value in changed.items()}
        condition = "attribute_not_exists(job_id)"
        if current:
            condition = "#revision = :read"
            values[":read"] = _serialize(revision)
        raced = Transient("precondition-failed", f"job {job.job_id} was changed by another")
        try:
            with aws_errors("dynamodb:UpdateItem", {"ConditionalCheckFailedException": raced}):
                self._dynamodb.update_item(
                    TableName=self._table,
                    Key={"job_id": {"S": job.job_id}},
                    UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in changed),
                    ConditionExpression=condition,
                    ExpressionAttributeNames=names,
                    ExpressionAttributeValues=values,
                )
        except Transient as error:
            if error is not raced:
                raise
            return False
        return True


def _request(listing: paging.Listing, limit: int, cursor: str | None) -> dict[str, Any]:
    """The parameters of the first Query: one job more than the page holds tells whether another page follows."""
    index, partition, value = _index_of(listing)
    request: dict[str, Any] = {
        "IndexName": index,
        "KeyConditionExpression": "#partition = :partition",
        "ExpressionAttributeNames": {"#partition": partition},
        "ExpressionAttributeValues": {":partition": {"S": value}},
        "ScanIndexForward": False,
    }
    if listing.dataset is not None and listing.status is not None:
        # No Limit here: it would count the items that the filter then drops.
        request["FilterExpression"] = "#status = :status"
        request["ExpressionAttributeNames"]["#status"] = "status"
        request["ExpressionAttributeValues"][":status"] = {"S": str(listing.status)}
    else:
        request["Limit"] = limit + 1
    if cursor is not None:
        position = paging.decode(listing, cursor)
        request["ExclusiveStartKey"] = {
            partition: {"S": value},
            "received_at": {"S": position.received_at},
            "job_id": {"S": position.job_id},
        }
    return request


def _index_of(listing: paging.Listing) -> tuple[str, str, str]:
    """Index, its partition key's name, and the value to look for."""
    if listing.dataset is not None:
        return "by-dataset", "dataset", listing.dataset
    if listing.status is not None:
        return "by-status", "status", str(listing.status)
    return "by-received", "kind", KIND


def _attributes(job: Job) -> JSON:
    """Every attribute of the item but its key and its revision."""
    document = job.to_json() | {"kind": KIND}
    del document["job_id"]
    return document


def _job(item: Mapping[str, Any]) -> Job:
    known = {name: _plain(_deserialize(value)) for name, value in item.items() if name in _JOB_FIELDS}
    return Job.from_json(known)


def _plain(value: Any) -> Any:
    """DynamoDB's numbers are Decimals; every number of a job record is an integer."""
    if isinstance(value, Decimal):
        return int(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value
