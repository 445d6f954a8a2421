"""Having failed events kept, while Lambda does not yet see what a role may; and messages of every shape."""

from __future__ import annotations

import io
import json
from argparse import Namespace
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError
from rich.console import Console

from chalicelib.errors import Terminal
from chalicelib.model import Failure, source_from_event
from ops import ports
from ops.chalice import dead_letters
from ops.target import Names, OperatorError
from tests.fakes import MemoryExecutions, MemoryJobs

NAMES = Names("test", "111122223333", "eu-central-1")
INBOX = NAMES.bucket("inbox")


class NotYetAllowed(Exception):
    """What Lambda answers while the role's permission to send is not to be seen."""


class Lambda:
    class exceptions:
        InvalidParameterValueException = NotYetAllowed

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.kept: dict[str, Any] = {}

    def put_function_event_invoke_config(self, FunctionName: str, DestinationConfig: Any) -> None:
        self.refusals -= 1
        if self.refusals >= 0:
            raise NotYetAllowed
        self.kept[FunctionName] = DestinationConfig["OnFailure"]["Destination"]


class Stage:
    """As much of a ``Target`` as is asked for."""

    def __init__(self, refusals: int = 0) -> None:
        self.lambda_ = Lambda(refusals)
        self.names = NAMES

    def client(self, service: str) -> str:
        return service


def target(refusals: int = 0) -> Any:
    return Stage(refusals)


def test_a_permission_that_is_not_seen_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("ops.chalice.dead_letters.time.sleep", slept.append)
    stage = target(refusals=3)
    dead_letters.catch(stage)
    assert set(stage.lambda_.kept) == {NAMES.function(name) for name in dead_letters.HANDLERS}
    assert set(stage.lambda_.kept.values()) == {NAMES.dead_letters_arn}
    assert len(slept) == 3


def test_a_permission_that_never_comes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("ops.chalice.dead_letters.time.monotonic", lambda: now[0])
    monkeypatch.setattr("ops.chalice.dead_letters.time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    with pytest.raises(NotYetAllowed):
        dead_letters.catch(target(refusals=10_000))
    assert now[0] >= dead_letters.PERMISSION_SECONDS


class Queue:
    """SQS as it may be: it gives one message at a time, and gives it again when the time has passed for which it was
    held; then nobody can give it free.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
    """

    def __init__(self, count: int) -> None:
        self.seconds = 0.0
        self._held_until = dict.fromkeys(map(str, range(count)), 0.0)

    def get_queue_url(self, QueueName: str) -> dict[str, str]:
        return {"QueueUrl": QueueName}

    def receive_message(self, VisibilityTimeout: int, **_: Any) -> dict[str, Any]:
        self.seconds += 1
        for name, until in self._held_until.items():
            if until <= self.seconds:
                self._held_until[name] = self.seconds + VisibilityTimeout
                attributes = {"SentTimestamp": "1772366400000"}
                return {
                    "Messages": [{"MessageId": name, "ReceiptHandle": name, "Body": name, "Attributes": attributes}]
                }
        return {}

    def are_free(self) -> bool:
        return all(until <= self.seconds for until in self._held_until.values())

    def delete_message(self, QueueUrl: str, ReceiptHandle: str) -> None:
        del self._held_until[ReceiptHandle]

    def change_message_visibility(self, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> None:
        if self._held_until[ReceiptHandle] <= self.seconds:
            refused: Any = {
                "Error": {"Code": "InvalidParameterValue", "Message": "not available for visibility timeout"}
            }
            raise ClientError(refused, "ChangeMessageVisibility")
        self._held_until[ReceiptHandle] = self.seconds + VisibilityTimeout


def queued(count: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Queue]:
    """A stage whose queue holds as many messages. To deliver one takes five minutes, and the first one fails."""
    stage, queue = target(), Queue(count)
    monkeypatch.setattr(stage, "client", lambda _: queue)

    def deliver(_: Any, held: Any) -> str:
        queue.seconds += 300
        if held.letter.message_id == "0":
            raise Terminal("unknown-message", "it is no event of this stage")
        return "started"

    monkeypatch.setattr(dead_letters, "_deliver", deliver)
    return stage, queue


def test_many_are_sent_back_though_one_comes_again_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, queue = queued(8, monkeypatch)
    handled = list(dead_letters.send_back(stage))
    assert [each.letter.message_id for each in handled] == [str(number) for number in range(8)]
    assert [each.kept for each in handled] == [True] + [False] * 7
    assert list(queue._held_until) == ["0"]


def test_what_takes_minutes_to_read_is_listed_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, queue = queued(300, monkeypatch)
    assert [letter.message_id for letter in dead_letters.find(stage)] == list(queue._held_until)
    assert queue.are_free()


def test_what_an_interruption_leaves_can_be_sent_back_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, queue = queued(3, monkeypatch)
    monkeypatch.setattr(dead_letters, "_deliver", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        list(dead_letters.send_back(stage))
    assert queue.are_free()


def upload(bucket: str = INBOX, key: str = "incoming/orders/a.csv") -> dict[str, Any]:
    return {"detail": {"bucket": {"name": bucket}, "object": {"key": key, "version-id": "v1"}}}


def failed(function: str) -> dict[str, Any]:
    arn = NAMES.arn("lambda", f"function:{function}:$LATEST")
    return {"requestContext": {"functionArn": arn, "condition": "RetriesExhausted"}, "requestPayload": {}}


@pytest.mark.parametrize(
    "document, kind, about",
    [
        (upload(), "upload", f"s3://{INBOX}/incoming/orders/a.csv"),
        (upload(bucket="another"), "unknown", ""),
        (failed(NAMES.function("on-contract")), "invocation", NAMES.function("on-contract")),
        (failed(NAMES.function("store-results")), "unknown", ""),
        (failed("sluice-prod-on-contract"), "unknown", ""),
        ({"requestContext": failed(NAMES.function("on-contract"))["requestContext"]}, "unknown", ""),
        (upload() | {"time": "yesterday"}, "unknown", ""),
        (
            {"detail": {"bucket": {"name": INBOX}, "object": {"key": "incoming/orders/a.csv", "size": "large"}}},
            "unknown",
            "",
        ),
        ({"requestContext": "odd"}, "unknown", ""),
        ({"requestContext": {"functionArn": "odd"}}, "unknown", ""),
        ({"detail": []}, "unknown", ""),
        ({}, "unknown", ""),
    ],
)
def test_what_a_message_is_about(document: dict[str, Any], kind: str, about: str) -> None:
    assert dead_letters._read(target(), document)[:2] == (kind, about)


@pytest.mark.parametrize("body", ["", "{", "[]", "1", "null"])
def test_a_message_that_is_no_document_is_an_empty_one(body: str) -> None:
    assert dead_letters._parsed(body) == {}


def test_one_that_nothing_can_be_done_with_keeps_no_other_from_being_sent_back(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, queue = target(), Queue(3)
    context = failed(NAMES.function("on-contract"))["requestContext"]
    bodies = {"0": {"requestContext": context}, "1": upload() | {"time": "yesterday"}, "2": upload()}
    receive = queue.receive_message

    def received(**asked: Any) -> dict[str, Any]:
        messages = receive(**asked).get("Messages", [])
        return {"Messages": [each | {"Body": json.dumps(bodies[each["MessageId"]])} for each in messages]}

    monkeypatch.setattr(queue, "receive_message", received)
    monkeypatch.setattr(stage, "client", lambda _: queue)
    monkeypatch.setattr(dead_letters, "_start", lambda *_: "started")
    assert [each.kept for each in dead_letters.send_back(stage)] == [True, True, False]
    assert list(queue._held_until) == ["0", "1"]


def test_the_event_of_a_handler_is_handed_to_it_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, invoked = target(), Mock()
    monkeypatch.setattr(stage.lambda_, "invoke", invoked, raising=False)
    name = NAMES.function("on-contract")
    message: Any = {"MessageId": "1", "ReceiptHandle": "1", "Attributes": {"SentTimestamp": "0"}}
    body = json.dumps(failed(name) | {"requestPayload": {"Records": [1]}})
    assert dead_letters._deliver(stage, dead_letters._held(stage, message | {"Body": body})) == "invoked"
    invoked.assert_called_once_with(FunctionName=name, InvocationType="Event", Payload=b'{"Records": [1]}')


def test_what_is_listed_is_no_failure_and_what_had_to_be_kept_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, _ = queued(2, monkeypatch)
    stage.stage = "test"

    def command(action: str, printed: io.StringIO) -> int:
        given, log = Namespace(action=action, json=True), Console(file=io.StringIO())
        return dead_letters.command(stage, given, Console(file=printed, width=200), log)

    def kept(printed: io.StringIO) -> list[bool]:
        return [each["kept"] for each in json.loads(printed.getvalue())["messages"]]

    listed, sent = io.StringIO(), io.StringIO()
    assert command("list", listed) == 0
    assert kept(listed) == [True, True]
    with pytest.raises(OperatorError, match=r"^1 of 2 messages are still in the queue"):
        command("send-back", sent)
    assert sorted(kept(sent)) == [False, True]


@pytest.mark.parametrize("execution", [None, "arn:1"])
def test_an_upload_whose_job_has_ended_or_is_in_work_is_not_started(
    monkeypatch: pytest.MonkeyPatch, execution: str | None
) -> None:
    jobs, executions = MemoryJobs(), MemoryExecutions()
    monkeypatch.setattr(ports, "jobs", lambda _: jobs)
    monkeypatch.setattr(ports, "executions", lambda _: executions)
    source = source_from_event(upload())
    if execution is None:  # it was failed before anyone took it up
        jobs.register(source, "2026-03-01T12:00:00.000Z")
        jobs.fail(source.job_id, None, Failure("throttled", "too many"), "2026-03-01T13:00:00.000Z")
    else:
        jobs.claim(source, execution, "2026-03-01T12:00:00.000Z")
    before = dict(jobs.records)
    assert dead_letters._start(target(), upload()).startswith("nothing to do: its job is")
    assert (jobs.records, executions.started) == (before, [])


def test_an_upload_that_is_sent_back_was_received_when_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours ago, perhaps: one that came after it is the later one."""
    jobs, executions = MemoryJobs(), MemoryExecutions()
    monkeypatch.setattr(ports, "jobs", lambda _: jobs)
    monkeypatch.setattr(ports, "executions", lambda _: executions)
    event = upload() | {"time": "2026-03-01T12:00:00Z"}
    for _ in range(2):
        dead_letters._start(target(), event)
    (job,) = jobs.records.values()
    assert job.received_at == "2026-03-01T12:00:00.000Z"
    assert [source.job_id for source in executions.started] == [job.job_id]
