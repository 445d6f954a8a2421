"""``ports.Executions`` and ``ports.Notices`` where there is neither a workflow nor anyone to tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chalicelib.errors import Terminal
from chalicelib.frozen import frozen
from chalicelib.model import Source, execution_name
from chalicelib.ports import MapProgress


@frozen
class RecordedNotice:
    """A message as it was handed to ``publish``."""

    subject: str
    text: str
    document: dict[str, Any]
    attributes: dict[str, str]


@dataclass(slots=True)
class RecordedNotices:
    """Keeps the messages, oldest first, in ``messages``."""

    messages: list[RecordedNotice] = field(default_factory=list)

    def publish(self, subject: str, text: str, document: dict[str, Any], attributes: dict[str, str]) -> None:
        self.messages.append(RecordedNotice(subject, text, dict(document), dict(attributes)))


class NoExecutions:
    """The steps are called one after the other in this process: there is no workflow to start or to ask."""

    def start(self, source: Source, attempt: int = 1) -> str:
        raise Terminal("no-workflow", f"there is no workflow to start for {source.key}")

    def arn(self, job_id: str, attempt: int) -> str:
        return execution_name(job_id, attempt)

    def status(self, execution: str) -> str | None:
        return None

    def progress(self, execution: str) -> MapProgress | None:
        return None
