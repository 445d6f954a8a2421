"""``ports.Notices`` on SNS. Delivery is at least once: a publish whose reply was lost is sent again by the retry, and a
standard topic cannot tell. Machines recognise a repetition by the ``job_id`` in the document.
"""

from __future__ import annotations

import json
import re
import unicodedata
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from chalicelib.aws.clients import aws_errors, client
from chalicelib.settings import KIB

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sns.type_defs import MessageAttributeValueTypeDef

MESSAGE_LIMIT_BYTES: Final = 256 * KIB
"""Message and attributes together: https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html"""

SUBJECT_LIMIT_CHARS: Final = 99
"""https://docs.aws.amazon.com/sns/latest/api/API_Publish.html: ASCII, no line breaks or control characters, begins
with a letter, digit or punctuation mark, less than 100 characters."""

_SHORTENED: Final = "\n[shortened: the whole message exceeds what SNS takes]"


class SnsNotices:
    """Messages on one topic."""

    def __init__(self, topic_arn: str, client: SNSClient | None = None) -> None:
        self._topic_arn = topic_arn
        self._given = client

    @cached_property
    def _sns(self) -> SNSClient:
        return self._given or client("sns")

    def publish(self, subject: str, text: str, document: dict[str, Any], attributes: dict[str, str]) -> None:
        sent = sns_attributes(attributes)
        taken = sum(len((name + "String" + value["StringValue"]).encode()) for name, value in sent.items())
        message = sns_message(text, document, MESSAGE_LIMIT_BYTES - taken)
        with aws_errors("sns:Publish"):
            self._sns.publish(
                TopicArn=self._topic_arn,
                Subject=sns_subject(subject),
                Message=message,
                MessageStructure="json",
                MessageAttributes=sent,
            )


def sns_subject(subject: str) -> str:
    """``subject`` within SNS' rules: accents dropped, other foreign letters as ``?``, one line, 99 characters.

    >>> sns_subject("Données :\\n réussi")
    'Donnees : reussi'
    """
    decomposed = unicodedata.normalize("NFKD", subject)
    letters = "".join(mark for mark in decomposed if not unicodedata.combining(mark))
    ascii_only = letters.encode("ascii", "replace").decode()
    line = re.sub(r"[\x00-\x20\x7f]+", " ", ascii_only).strip()
    if len(line) > SUBJECT_LIMIT_CHARS:
        line = line[: SUBJECT_LIMIT_CHARS - 3].rstrip() + "..."
    return line or "Sluice"


def sns_attributes(attributes: dict[str, str]) -> dict[str, MessageAttributeValueTypeDef]:
    """``attributes`` as SNS takes them; those without a value are left out, for SNS refuses the whole message else."""
    return {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value}


def sns_message(text: str, document: dict[str, Any], limit_bytes: int) -> str:
    """The ``MessageStructure=json`` envelope: ``text`` for e-mail, ``document`` as JSON for every other protocol.

    Where it exceeds ``limit_bytes``, the document first loses its largest entries (and says so by
    ``"shortened": true``) until it fits half of that; then the text is cut, with a word that says so.
    """
    document_json = _fitting(document, limit_bytes // 2)
    message = _envelope(text, document_json)
    if len(message.encode()) <= limit_bytes:
        return message
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if len(_envelope(text[:middle] + _SHORTENED, document_json).encode()) <= limit_bytes:
            fits = middle
        else:
            too_long = middle
    return _envelope(text[:fits] + _SHORTENED, document_json)


def _envelope(text: str, document_json: str) -> str:
    return json.dumps({"default": document_json, "email": text}, ensure_ascii=False)


def _fitting(document: dict[str, Any], limit_bytes: int) -> str:
    """The document as JSON; measured as it stands in the envelope, where its quotes are escaped once more."""

    def size_bytes(value: Any) -> int:
        return len(json.dumps(_json(value), ensure_ascii=False).encode())

    kept = dict(document)
    for name in sorted(document, key=lambda name: size_bytes(document[name]), reverse=True):
        if size_bytes(kept) <= limit_bytes:
            break
        del kept[name]
        kept["shortened"] = True
    return _json(kept)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
