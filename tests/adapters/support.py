"""What the adapters' tests share: a client that misbehaves on demand, and sources to work on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.exceptions import ClientError, ConnectionClosedError

from chalicelib.model import Source
from chalicelib.ports import Stored

FOUNDATION = Path(__file__).parents[2] / "infrastructure" / "foundation.yaml"


def source(key: str = "incoming/orders/a.csv", version_id: str = "v1", etag: str = "e1") -> Source:
    return Source("inbox", key, version_id, 10, etag)


def source_of(stored: Stored) -> Source:
    return Source(stored.bucket, stored.key, stored.version_id, stored.size_bytes, stored.etag)


def client_error(code: str, status: int = 400, message: str = "secret words") -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "R1"},
    }
    return ClientError(response, "Operation")


class Faulty:
    """A boto3 client whose next calls go wrong as ``plan`` says.

    ``plan[operation]`` is a queue of faults, one per call: ``before`` (the connection breaks before the request),
    ``lost`` (after it took effect), ``retried`` (its reply is lost and botocore sends it again), an exception to raise,
    a function from the real call to a response, or None. ``calls`` keeps what was sent.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self.plan: dict[str, deque[Any]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def fail(self, operation: str, *faults: Any) -> None:
        self.plan.setdefault(operation, deque()).extend(faults)

    def sent(self, operation: str) -> list[dict[str, Any]]:
        return [request for name, request in self.calls if name == operation]

    def __getattr__(self, operation: str) -> Any:
        real = getattr(self._client, operation)
        if operation in ("meta", "exceptions", "get_paginator"):
            return real

        def call(**request: Any) -> Any:
            self.calls.append((operation, request))
            faults = self.plan.get(operation)
            fault = faults.popleft() if faults else None
            return _with(fault, lambda: real(**request))

        return call


def _with(fault: Any, real: Callable[[], Any]) -> Any:
    broken = ConnectionClosedError(endpoint_url="http://aws", request=None)
    if fault == "before":
        raise broken
    if isinstance(fault, Exception):
        raise fault
    if callable(fault):
        return fault(real)
    response = real()
    if fault == "lost":
        raise broken
    return real() if fault == "retried" else response


@cache
def client(service: str) -> Any:
    """A client that all tests of this process share: making one takes longer than most of them. moto answers it while a
    mock is on, whenever it was made.
    """
    return boto3.client(service)  # type: ignore[call-overload]


def empty_table() -> Any:
    """A client of DynamoDB, where the table ``jobs`` holds nothing (whatever was there before)."""
    found = client("dynamodb")
    if "jobs" in found.list_tables()["TableNames"]:
        found.delete_table(TableName="jobs")
    found.create_table(TableName="jobs", **table_definition())
    return found


@cache
def table_definition() -> dict[str, Any]:
    """The jobs table as infrastructure/foundation.yaml declares it: the tests run on the real keys and indexes."""

    class Loader(yaml.SafeLoader):
        pass

    def function(loader: Any, tag: str, node: yaml.Node) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return loader.construct_scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_mapping(node, deep=True)

    Loader.add_multi_constructor("!", function)
    template = yaml.load(FOUNDATION.read_text(encoding="utf-8"), Loader)
    resources = [found for found in template["Resources"].values() if isinstance(found, dict)]  # no Fn::ForEach
    (table,) = (found for found in resources if found["Type"] == "AWS::DynamoDB::Table")
    wanted = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    return {name: table["Properties"][name] for name in wanted}
