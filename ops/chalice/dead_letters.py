"""``deploy.py dead-letters``: events that could not be delivered, listed and sent back.

Two kinds of messages come into the stage's queue: an upload's event for which EventBridge could not start the workflow
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html), and the record of an event handler that
failed in all of its attempts (https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html). Both
are sent where they were to go; a message is deleted only after that. Doing it twice changes nothing: an upload is one
job by whatever way it comes, and the handlers may be told anything twice.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final, Literal

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from chalicelib.errors import SluiceError, Terminal
from chalicelib.frozen import frozen
from chalicelib.model import JSON, source_from_event, time_of_event, timestamp
from ops import ports
from ops.target import OperatorError, Target

HANDLERS: Final = ("on-upload", "on-contract", "on-execution-status")
"""The functions whose failed events are kept. Not the sweeper: the next sweep does what one could not."""

PERMISSION_SECONDS: Final = 60.0
"""How long a role's new permission may take to be seen by Lambda, which checks it."""
_HELD_SECONDS: Final = 900
"""For this long nobody else gets a message that is being looked at: for thousands of them to be read, or sent back."""
_NOT_HELD: Final = frozenset({"InvalidParameterValue", "MessageNotInflight", "ReceiptHandleIsInvalid"})
"""What SQS says of a message whose time has passed."""
_WAIT_SECONDS: Final = 1
"""An answer that was waited for comes from all of the queue's servers, and is empty only if the queue is."""
_BATCH: Final = 10

Kind = Literal["upload", "invocation", "unknown"]


@frozen
class Letter:
    """A message, without what it says of the event beside its subject."""

    message_id: str
    kind: Kind
    about: str
    """The object's URI, or the function's name."""
    sent_at: str
    reason: str
    """Why it was not delivered, as a code."""


@frozen
class _Held:
    """A message that was received, and so is ours for ``_HELD_SECONDS``."""

    letter: Letter
    receipt: str
    document: JSON


@frozen
class Handled:
    letter: Letter
    outcome: str
    """What was done with the message."""
    kept: bool = False
    """Whether it is still in the queue."""

    def to_json(self) -> JSON:
        return {**asdict(self.letter), "outcome": self.outcome, "kept": self.kept}


def catch(target: Target) -> None:
    """Have the handlers' failed events kept in the queue. Their roles have to allow it, or Lambda refuses."""
    client = target.lambda_
    for name in HANDLERS:
        deadline = time.monotonic() + PERMISSION_SECONDS
        while True:
            try:
                client.put_function_event_invoke_config(
                    FunctionName=target.names.function(name),
                    DestinationConfig={"OnFailure": {"Destination": target.names.dead_letters_arn}},
                )
                break
            except client.exceptions.InvalidParameterValueException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(2)


def find(target: Target) -> list[Letter]:
    """The queue's messages, oldest first as far as the queue knows an order; they stay in it."""
    held: list[_Held] = []
    try:
        for batch in _receive(target):
            held += batch
    finally:
        _release(target, held)
    return [each.letter for each in held]


def send_back(target: Target) -> Iterator[Handled]:
    """Start or invoke what each message is about, and delete the message; one that fails stays in the queue."""
    kept: list[_Held] = []
    try:
        for batch in _receive(target):
            kept += batch
            for held in batch:
                try:
                    outcome = _deliver(target, held)
                    target.client("sqs").delete_message(QueueUrl=_queue(target), ReceiptHandle=held.receipt)
                except (SluiceError, ClientError, BotoCoreError) as error:
                    yield Handled(held.letter, str(error), kept=True)
                else:
                    kept.remove(held)
                    yield Handled(held.letter, outcome)
    finally:
        _release(target, kept)


def _deliver(target: Target, held: _Held) -> str:
    if held.letter.kind == "upload":
        return _start(target, held.document)
    if held.letter.kind == "invocation":
        payload = json.dumps(held.document["requestPayload"]).encode()
        target.lambda_.invoke(FunctionName=held.letter.about, InvocationType="Event", Payload=payload)
        return "invoked"
    raise Terminal("unknown-message", "it is no event of this stage")


def _start(target: Target, event: JSON) -> str:
    """An upload that has a job by now is left to it: that may have been stopped on purpose."""
    source = source_from_event(event)
    jobs, uploaded = ports.jobs(target), time_of_event(event)
    job = jobs.get(source.job_id)
    if job is not None and (job.execution is not None or job.status.is_final):
        return f"nothing to do: its job is {job.status}"
    if uploaded is not None:  # the execution is not told: to it the upload would be received when it takes it up
        jobs.register(source, uploaded)
    ports.executions(target).start(source)
    return f"started {source.job_id}"


def _queue(target: Target) -> str:
    sqs = target.client("sqs")
    try:
        url: str = sqs.get_queue_url(QueueName=target.names.dead_letters)["QueueUrl"]
    except sqs.exceptions.QueueDoesNotExist as error:
        raise OperatorError(f"there is no queue {target.names.dead_letters}: is the stage deployed?") from error
    return url


def _receive(target: Target) -> Iterator[list[_Held]]:
    """Every message, each once, some at a time, until none is left to be received. One that comes again has been held
    for its time, and is passed over.
    """
    queue = _queue(target)
    seen: set[str] = set()
    while True:
        answer = target.client("sqs").receive_message(
            QueueUrl=queue,
            MaxNumberOfMessages=_BATCH,
            WaitTimeSeconds=_WAIT_SECONDS,
            VisibilityTimeout=_HELD_SECONDS,
            AttributeNames=["SentTimestamp"],
            MessageAttributeNames=["All"],
        )
        received = answer.get("Messages", [])
        if not received:
            return
        fresh = [_held(target, message) for message in received if message["MessageId"] not in seen]
        seen |= {each.letter.message_id for each in fresh}
        yield fresh


def _release(target: Target, held: Sequence[_Held]) -> None:
    for each in held:
        try:
            target.client("sqs").change_message_visibility(
                QueueUrl=_queue(target), ReceiptHandle=each.receipt, VisibilityTimeout=0
            )
        except ClientError as error:
            if error.response["Error"]["Code"].rpartition(".")[2] not in _NOT_HELD:
                raise


def _held(target: Target, message: JSON) -> _Held:
    document = _parsed(message["Body"])
    kind, about, reason = _read(target, document)
    attributes = message.get("MessageAttributes", {})
    reason = attributes.get("ERROR_CODE", {}).get("StringValue", reason)
    sent = datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)
    return _Held(Letter(message["MessageId"], kind, about, timestamp(sent), reason), message["ReceiptHandle"], document)


def _parsed(body: str) -> JSON:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _read(target: Target, document: JSON) -> tuple[Kind, str, str]:
    """Kind, subject and reason of a message; what is not this stage's, or lacks what sending it back takes, is unknown,
    and never sent anywhere.
    """
    names = target.names
    try:
        if "requestContext" in document:
            context = document["requestContext"]
            function = context["functionArn"].split(":function:")[1].split(":")[0]
            if function in map(names.function, HANDLERS) and "requestPayload" in document:
                return "invocation", function, context["condition"]
        source = source_from_event(document)
        time_of_event(document)
        if source.bucket == names.bucket("inbox"):
            return "upload", f"s3://{source.bucket}/{source.key}", ""
    except (KeyError, TypeError, AttributeError, IndexError, ValueError):
        pass  # not in the form of either kind
    return "unknown", "", ""


def add_command(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "dead-letters", parents=[common], help="list events that could not be delivered, or send them back"
    )
    parser.add_argument("action", choices=("list", "send-back"))


def command(target: Target, options: argparse.Namespace, out: Console, log: Console) -> int:
    """Errors: ``OperatorError`` where a message had to be kept."""
    with log.status("reading the queue"):
        if options.action == "list":
            found = [Handled(letter, letter.reason or "not delivered", kept=True) for letter in find(target)]
        else:
            found = list(send_back(target))
    if options.json:
        out.print_json(data={"stage": target.stage, "messages": [each.to_json() for each in found]})
    else:
        for each in found:
            about = each.letter.about or f"message {each.letter.message_id}"
            out.print(f"{each.letter.sent_at}  {each.letter.kind:<10}  {about}  {each.outcome}", markup=False)
        if not found:
            out.print("no dead letters")
    kept = sum(each.kept for each in found)
    if kept and options.action == "send-back":
        raise OperatorError(f"{kept} of {len(found)} messages are still in the queue")
    return 0
