"""One emulator with the pipeline deployed in it, for all tests of this folder that run in the same xdist worker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chalicelib.model import Job, Source
from ops.emulation import laptop
from ops.jobs import outputs
from ops.jobs.watch import Sight, watch

CHUNK_SIZE_BYTES = 100 * 1024
"""Small, so that the sample takes several chunks."""


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.e2e)


class Unwatched:
    def show(self, sights: Sequence[Sight]) -> None:
        """Nobody watches."""


@dataclass
class Pipeline:
    """What the tests do with the pipeline from outside."""

    stack: laptop.Stack
    folder: Path
    queue_url: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    """Every notification that has been received, oldest first."""

    def upload(self, key: str, body: bytes) -> Source:
        answer = self.stack.target.s3.put_object(Bucket=self.stack.inbox, Key=key, Body=body)
        return Source(self.stack.inbox, key, answer["VersionId"], len(body), answer["ETag"].strip('"'))

    def agree(self, dataset: str, contract: dict[str, Any] | bytes) -> None:
        """Upload a dataset's contract, named like the dataset."""
        body = contract if isinstance(contract, bytes) else json.dumps({"name": dataset} | contract).encode()
        self.upload(f"contracts/{dataset}.json", body)

    def finish(self, *sources: Source) -> list[Job]:
        """The jobs of the sources, once all of them have ended."""
        wanted = [(source.key, source.job_id) for source in sources]
        return watch(self.stack.jobs, self.stack.executions, wanted, Unwatched(), silence_seconds=90)

    def process(self, key: str, body: bytes) -> Job:
        return self.finish(self.upload(key, body))[0]

    def outputs(self, job: Job) -> Path:
        """The folder with the job's outputs."""
        outputs.fetch(self.stack.objects, self.stack.results, job, self.folder)
        return self.folder / job.job_id

    def results(self, prefix: str) -> list[str]:
        """Keys in the results bucket."""
        return [stored.key for stored in self.stack.objects.list(self.stack.results, prefix)]

    def notification(self, job: Job) -> dict[str, Any]:
        """The message about a job's end, as a queue subscribed to the topic gets it."""
        return self.message(lambda document: document.get("job_id") == job.job_id)

    def message(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first message with a document that is wanted."""
        sqs = self.stack.target.client("sqs")
        for _ in range(20):
            for message in self.messages:
                if wanted(json.loads(message["Message"])):
                    return message
            answer = sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for received in answer.get("Messages", []):
                self.messages.append(json.loads(received["Body"]))
                sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=received["ReceiptHandle"])
        raise AssertionError(f"not among {len(self.messages)} notifications")


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    folder = tmp_path_factory.mktemp("pipeline")
    with laptop.started(CHUNK_SIZE_BYTES, log=folder / "emulator.log") as stack:
        target = stack.target
        arn, topic = target.names.arn("sqs", "listener"), target.names.notices_topic_arn
        allowed = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        queue = target.client("sqs").create_queue(QueueName="listener", Attributes={"Policy": policy})
        target.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        yield Pipeline(stack, folder / "out", queue["QueueUrl"])
