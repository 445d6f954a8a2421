"""Messages within SNS' rules, and what subscribers get of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.aws.notices import (
    MESSAGE_LIMIT_BYTES,
    SUBJECT_LIMIT_CHARS,
    SnsNotices,
    sns_attributes,
    sns_message,
    sns_subject,
)
from chalicelib.errors import Terminal, Transient
from tests.adapters.support import Faulty, client, client_error

TEXT = "Données reçues : 3\nrejetées : 1\n"
DOCUMENT = {"job_id": "orders-1", "status": "SUCCEEDED", "rows": {"read": 3}, "note": "“é”"}


@pytest.fixture
def sns(aws: None) -> Faulty:
    return Faulty(client("sns"))


def test_machines_get_the_document_and_the_attributes(sns: Any) -> None:
    topic = sns.create_topic(Name="notices")["TopicArn"]
    sqs = client("sqs")
    queue = sqs.create_queue(QueueName="machines")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    SnsNotices(topic, sns).publish("Réussi: orders", TEXT, DOCUMENT, {"status": "SUCCEEDED", "dataset": ""})
    (received,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    envelope = json.loads(received["Body"])
    assert json.loads(envelope["Message"]) == DOCUMENT
    assert envelope["Subject"] == "Reussi: orders"
    assert envelope["MessageAttributes"] == {"status": {"Type": "String", "Value": "SUCCEEDED"}}
    assert json.loads(sns.sent("publish")[0]["Message"])["email"] == TEXT


@pytest.mark.parametrize(
    "code,kind",
    [("Throttled", Transient), ("KMSThrottling", Transient), ("NotFound", Terminal), ("AuthorizationError", Terminal)],
)
def test_a_publish_that_fails_says_whether_to_try_again(sns: Any, code: str, kind: type[Exception]) -> None:
    sns.fail("publish", client_error(code))
    with pytest.raises(kind, match="sns:Publish"):
        SnsNotices("arn:aws:sns:us-east-1:123456789012:notices", sns).publish("s", TEXT, DOCUMENT, {})


@given(st.text(max_size=200) | st.text(st.characters(codec="latin-1"), min_size=90, max_size=120))
def test_every_subject_obeys_the_rules(subject: str) -> None:
    sent = sns_subject(subject)
    assert 1 <= len(sent) <= SUBJECT_LIMIT_CHARS
    assert all(" " <= letter <= "~" for letter in sent)
    assert sent == sent.strip()


@pytest.mark.parametrize(
    "subject,sent",
    [
        ("Sluice: orders SUCCEEDED", "Sluice: orders SUCCEEDED"),
        ("", "Sluice"),
        (" \n\x00", "Sluice"),
        ("日本", "??"),
        ("x" * 99, "x" * 99),
        ("x" * 100, "x" * 96 + "..."),
    ],
)
def test_subjects(subject: str, sent: str) -> None:
    assert sns_subject(subject) == sent


def test_an_attribute_without_a_value_is_left_out() -> None:
    assert sns_attributes({"status": "FAILED", "dataset": ""}) == {
        "status": {"DataType": "String", "StringValue": "FAILED"}
    }


@given(text=st.text(max_size=300), document=st.dictionaries(st.text(max_size=5), st.text(max_size=50), max_size=6))
def test_every_message_fits_and_says_when_it_is_shortened(text: str, document: dict[str, str]) -> None:
    whole = sns_message(text, document, MESSAGE_LIMIT_BYTES)
    assert json.loads(whole)["email"] == text
    assert json.loads(json.loads(whole)["default"]) == document
    for limit in (200, 300, 600):
        message = sns_message(text, document, limit)
        assert len(message.encode()) <= limit
        envelope = json.loads(message)
        kept = json.loads(envelope["default"])
        assert envelope["email"] == text or envelope["email"].endswith("takes]")
        assert kept == document or kept.pop("shortened") is True
        assert kept.items() <= document.items()


@pytest.mark.parametrize("letter", ["x", "é", '"', "\n", "🚰"])
def test_a_message_too_large_for_sns_is_shortened_to_just_fit(letter: str) -> None:
    message = sns_message(letter * 300_000, DOCUMENT, MESSAGE_LIMIT_BYTES)
    assert MESSAGE_LIMIT_BYTES - 8 <= len(message.encode()) <= MESSAGE_LIMIT_BYTES
    assert json.loads(json.loads(message)["default"]) == DOCUMENT


def test_a_large_document_keeps_its_small_entries() -> None:
    message = sns_message(TEXT, DOCUMENT | {"reasons": ["x" * 300_000]}, MESSAGE_LIMIT_BYTES)
    assert json.loads(json.loads(message)["default"]) == DOCUMENT | {"shortened": True}
    assert json.loads(message)["email"] == TEXT
