"""What is mended in the emulator becomes the answer of AWS."""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chalicelib.errors import InvalidContract, Terminal, Transient
from ops.emulation import emulator_server


@pytest.mark.parametrize(
    "raised, name",
    [
        (Terminal("not-csv", "it is a PNG"), "Terminal"),
        (Transient("short-read", "9 of 10 bytes\nin two lines"), "Transient"),
        (InvalidContract("schema", "is missing"), "InvalidContract"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError"),
        (KeyError("a"), "KeyError"),
        (AssertionError(), "AssertionError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
@pytest.mark.parametrize("printed", ["", "a line that the function printed\n"])
def test_the_class_of_an_exception_is_named(raised: Exception, name: str, printed: str):
    try:
        raise raised
    except Exception:  # noqa: BLE001 - whatever it is
        log = printed + traceback.format_exc()
    answer = {"body": {"errorMessage": str(raised), "errorType": "Runtime.HandlerError"}, "error": True, "log": log}
    named = emulator_server._naming_the_class(lambda: answer)()
    assert named["body"] == {"errorMessage": str(raised), "errorType": name}


@pytest.mark.parametrize(
    "answer",
    [
        {"body": {"errorMessage": "x", "errorType": "Runtime.HandlerError"}, "error": True, "log": "worker died"},
        {"body": {"errorMessage": "x", "errorType": "Sandbox.Timedout"}, "error": True, "log": ""},
        {"body": {"errorType": "Runtime.HandlerError"}, "log": "Traceback (most recent call last):\nTerminal: x"},
        {"body": "text"},
    ],
    ids=["no traceback", "time-out", "no error", "no document"],
)
def test_other_answers_stay_as_they_are(answer: dict[str, Any]):
    assert emulator_server._naming_the_class(lambda: dict(answer))() == answer


def test_a_refusal_for_concurrency_has_the_name_by_which_a_workflow_waits():
    body = {"__type": "TooManyRequestsException", "message": "Rate Exceeded", "Reason": "ConcurrentInvocationLimit"}
    refused = emulator_server._naming_the_throttle(lambda: {"throttle": True, "body": body, "error": True})()
    named = {"errorType": "Lambda.TooManyRequestsException", "errorMessage": "Rate Exceeded"}
    assert refused == {"throttle": True, "body": body | named, "error": True}
    done = {"body": {"a": 1}}
    assert emulator_server._naming_the_throttle(lambda: done)() == done


@pytest.mark.parametrize("version_id", ["v1", None])
def test_an_upload_told_to_eventbridge_names_its_version(version_id: str | None):
    dispatched: list[dict[str, Any]] = []
    dispatch = emulator_server._telling_the_version(dispatched.append)
    event = {"Source": "aws.s3", "Detail": json.dumps({"object": {"key": "a"}})}
    fire = emulator_server._knowing_the_version(lambda *_, **__: dispatch(event))
    fire("bucket", "a", version_id=version_id)
    expected = {"key": "a"} | ({"version-id": version_id} if version_id else {})
    assert [json.loads(told["Detail"])["object"] for told in dispatched] == [expected]
    dispatch(event)
    assert json.loads(dispatched[-1]["Detail"])["object"] == {"key": "a"}


@pytest.mark.parametrize(
    "asked, status, part, told",
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=10-12", 416, None, "bytes */10"),
        ("", 200, b"0123456789", None),
    ],
)
def test_a_range_of_a_version_is_kept_to(asked: str, status: int, part: bytes | None, told: str | None):
    whole = (200, {"Content-Length": "10", "ETag": '"e"', "x-amz-checksum-sha256": "c"}, b"0123456789")
    get = emulator_server._keeping_to_the_range(lambda *_: whole)
    answered, headers, body = get("inbox", "a.csv", {"range": asked} if asked else {}, {"versionId": "v1"})
    assert (answered, headers.get("Content-Range")) == (status, told)
    assert part is None or body == part
    assert ("x-amz-checksum-sha256" in headers) == (status == 200)


@pytest.mark.parametrize(
    ("service", "found", "body", "resource"),
    [
        ("states", "*", b'{"mapRunArn": "arn:run"}', "arn:run"),
        ("states", "*", b"{}", "*"),
        ("states", "*", b"", "*"),
        ("states", "arn:execution", b'{"executionArn": "arn:execution"}', "arn:execution"),
        ("sqs", "*", b"Action=ListQueues", "*"),
    ],
)
def test_a_map_run_is_the_resource_that_a_policy_is_asked_about(service: str, found: str, body: bytes, resource: str):
    extract = emulator_server._naming_the_map_run(lambda *_: found)
    assert extract(service, "POST", "/", {}, body, {}, "us-east-1", "000000000000") == resource


def test_a_function_has_so_many_workers_and_the_others_have_their_own() -> None:
    at_work, most = Counter[str](), Counter[str]()
    counting = threading.Lock()

    def execute(function: dict[str, Any]) -> dict[str, Any]:
        arn = function["FunctionArn"]
        with counting:
            at_work[arn] += 1
            most[arn] = max(most[arn], at_work[arn])
        time.sleep(0.02)
        with counting:
            at_work[arn] -= 1
        return {"body": arn}

    invoke = emulator_server._waiting_for_a_worker(execute, workers=2)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda name: invoke({"config": {"FunctionArn": name}, "FunctionArn": name}), "ab" * 6))
    assert [answer["body"] for answer in answers] == ["a", "b"] * 6
    assert most == {"a": 2, "b": 2}


def test_a_worker_that_failed_is_given_back() -> None:
    def execute(function: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError

    invoke = emulator_server._waiting_for_a_worker(execute, workers=1)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            invoke({"FunctionArn": "a"})
