"""Chalice's client against a Lambda that is as strict as the real one about functions that are not ready."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from chalice.awsclient import TypedAWSClient

from ops.chalice import chalice_client
from ops.chalice.chalice_client import API_BURST, API_RATE_PER_SECOND, EmulatedStageClient, StageClient

POLLS_UNTIL_READY = 3


class Session:
    """What Chalice asks of a session when its client is made."""

    def get_component(self, _: str) -> Any:
        raise AssertionError("nothing is resolved here")


class StrictLambda:
    """A function is Pending (or its update InProgress) until it was asked after a few times; until then everything that
    changes it is refused, as AWS does: https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
    """

    class exceptions:
        class InvalidParameterValueException(Exception): ...

        class ResourceInUseException(Exception): ...

    def __init__(self) -> None:
        self.functions: dict[str, dict[str, Any]] = {}
        self._polls: dict[str, int] = {}
        self.changed: list[str] = []

    def create_function(self, FunctionName: str, **_: Any) -> dict[str, Any]:
        self.functions[FunctionName] = {"State": "Pending", "LastUpdateStatus": "InProgress", "CodeSha256": "x"}
        self._polls[FunctionName] = 0
        return {"FunctionArn": f"arn:{FunctionName}", **self.functions[FunctionName]}

    def get_function_configuration(self, FunctionName: str) -> dict[str, Any]:
        return dict(self.functions[FunctionName])

    def update_function_configuration(self, FunctionName: str, **_: Any) -> dict[str, Any]:
        self._change(FunctionName, "UpdateFunctionConfiguration")
        self.functions[FunctionName]["LastUpdateStatus"] = "InProgress"
        self._polls[FunctionName] = 0
        return dict(self.functions[FunctionName])

    def update_function_code(self, FunctionName: str, **_: Any) -> dict[str, Any]:
        self._change(FunctionName, "UpdateFunctionCode")
        self.functions[FunctionName]["LastUpdateStatus"] = "InProgress"
        self._polls[FunctionName] = 0
        return dict(self.functions[FunctionName])

    def delete_function_concurrency(self, FunctionName: str) -> None:
        self._change(FunctionName, "DeleteFunctionConcurrency")

    def add_permission(self, FunctionName: str, **_: Any) -> None:
        self._change(FunctionName, "AddPermission")

    def get_waiter(self, name: str) -> Waiter:
        assert name in ("function_active_v2", "function_updated_v2")
        return Waiter(self)

    def poll(self, function: str) -> None:
        self._polls[function] += 1
        if self._polls[function] >= POLLS_UNTIL_READY:
            self.functions[function] |= {"State": "Active", "LastUpdateStatus": "Successful"}

    def is_ready(self, function: str) -> bool:
        found = self.functions[function]
        return (found["State"], found["LastUpdateStatus"]) == ("Active", "Successful")

    def _change(self, function: str, operation: str) -> None:
        if not self.is_ready(function):
            message = f"The operation cannot be performed at this time. {function} is in the state Pending"
            raise ClientError({"Error": {"Code": "ResourceConflictException", "Message": message}}, operation)
        self.changed.append(operation)


class Waiter:
    def __init__(self, service: StrictLambda) -> None:
        self._service = service

    def wait(self, FunctionName: str, WaiterConfig: dict[str, Any]) -> None:
        for _ in range(WaiterConfig["MaxAttempts"]):
            self._service.poll(FunctionName)
            if self._service.is_ready(FunctionName):
                return
        raise AssertionError("waited too short a time")


@pytest.fixture
def strict() -> StrictLambda:
    return StrictLambda()


@pytest.fixture(params=[StageClient, EmulatedStageClient])
def client(request: pytest.FixtureRequest, strict: StrictLambda, monkeypatch: pytest.MonkeyPatch) -> StageClient:
    made: StageClient = request.param(Session(), "test")
    monkeypatch.setattr(made, "_client", lambda service: {"lambda": strict}[service])
    return made


def test_a_new_function_is_ready_before_the_next_call_on_it(client: StageClient, strict: StrictLambda) -> None:
    client.create_function("f", "role", "zip", "python3.13", "app.f")
    client.delete_function_concurrency("f")
    assert strict.changed == ["DeleteFunctionConcurrency"]


def test_a_changed_function_is_ready_before_the_next_call_on_it(client: StageClient, strict: StrictLambda) -> None:
    client.create_function("f", "role", "zip", "python3.13", "app.f")
    client._do_update_function_config("f", {"Timeout": 5})
    client.delete_function_concurrency("f")
    assert strict.changed == ["UpdateFunctionConfiguration", "DeleteFunctionConcurrency"]


def test_what_an_interrupted_attempt_left_pending_is_waited_for(client: StageClient, strict: StrictLambda) -> None:
    strict.create_function("f")
    client._update_function_code("f", b"zip")
    client._do_update_function_config("f", {"Timeout": 5})
    assert strict.changed == ["UpdateFunctionCode", "UpdateFunctionConfiguration"]


def test_the_stub_is_as_strict_as_aws(strict: StrictLambda) -> None:
    strict.create_function("f")
    with pytest.raises(ClientError, match="ResourceConflictException"):
        strict.add_permission("f")


class DoubtfulS3:
    """S3 that does not see at first that it may invoke the function, or refuses for another reason."""

    def __init__(self, refusals: int, message: str) -> None:
        self._refusals, self._message = refusals, message
        self.put: list[Any] = []

    def get_bucket_notification_configuration(self, Bucket: str) -> dict[str, Any]:
        return {"EventBridgeConfiguration": {}, "ResponseMetadata": {}}

    def put_bucket_notification_configuration(self, Bucket: str, NotificationConfiguration: Any) -> None:
        if self._refusals:
            self._refusals -= 1
            error: Any = {"Error": {"Code": "InvalidArgument", "Message": self._message}}
            raise ClientError(error, "PutBucketNotificationConfiguration")
        self.put.append(NotificationConfiguration)


NOT_SEEN_YET = "Unable to validate the following destination configurations"


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[[DoubtfulS3], None]:
    """Have an S3 tell a function of its uploads, by a client for which time passes by itself."""
    made, passed = StageClient(Session(), "test"), itertools.count(step=5.0)

    def connect(s3: DoubtfulS3) -> None:
        monkeypatch.setattr(made, "_client", lambda _: s3)
        made.connect_s3_bucket_to_lambda(
            bucket="b", function_arn="f", events=["s3:ObjectCreated:*"], prefix="incoming/"
        )

    monkeypatch.setattr(chalice_client, "sleep", lambda _: None)
    monkeypatch.setattr(chalice_client, "monotonic", lambda: next(passed))
    return connect


def test_a_permission_that_s3_does_not_see_yet_is_waited_for(connect: Callable[[DoubtfulS3], None]) -> None:
    s3 = DoubtfulS3(3, NOT_SEEN_YET)
    connect(s3)
    (put,) = s3.put
    assert put["EventBridgeConfiguration"] == {}
    assert [each["LambdaFunctionArn"] for each in put["LambdaFunctionConfigurations"]] == ["f"]


@pytest.mark.parametrize(("refusals", "message"), [(1000, NOT_SEEN_YET), (1, "Configurations overlap")])
def test_a_permission_that_never_comes_and_another_refusal_are_told(
    connect: Callable[[DoubtfulS3], None], refusals: int, message: str
) -> None:
    s3 = DoubtfulS3(refusals, message)
    with pytest.raises(ClientError, match=message):
        connect(s3)
    assert s3.put == []


@pytest.mark.parametrize("kind", [StageClient, EmulatedStageClient])
def test_every_method_of_the_deployed_api_is_throttled(
    kind: type[StageClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the stage's default for all methods: Chalice's document has no place for it."""
    order: list[str] = []
    client = kind(Session(), "test")
    gateway = boto3.client("apigateway")
    monkeypatch.setattr(client, "_client", lambda service: {"apigateway": gateway}[service])
    monkeypatch.setattr(TypedAWSClient, "deploy_rest_api", lambda *_: order.append("deployed"))
    values = {"rateLimit": str(API_RATE_PER_SECOND), "burstLimit": str(API_BURST)}
    patches = [{"op": "replace", "path": f"/*/*/throttling/{name}", "value": value} for name, value in values.items()]
    with Stubber(gateway) as stubber:
        stubber.add_response("update_stage", {}, {"restApiId": "a1", "stageName": "api", "patchOperations": patches})
        client.deploy_rest_api("a1", "api", True)
        stubber.assert_no_pending_responses()
    assert order == ["deployed"]
    assert 0 < API_RATE_PER_SECOND <= API_BURST
