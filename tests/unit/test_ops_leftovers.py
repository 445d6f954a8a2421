"""What is left of a stage is found among everything else that an account has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws
from moto.sqs.models import sqs_backends

from ops.cloudformation import stacks
from ops.stage import leftovers, ownership, regions
from ops.target import Target


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """Without what moto asks for more than is installed, and what other tests look at."""
    monkeypatch.setattr(stacks, "find", lambda *_: None)
    monkeypatch.setattr(regions, "roles", lambda _: [])
    for name in ("functions", "rules", "log_groups"):
        monkeypatch.setattr(ownership, name, lambda _: [])
    with mock_aws():
        yield Target("test", "us-east-1", None, {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"})


def found(target: Target, kind: str) -> list[str]:
    return next(names for each, names in leftovers._found(target) if each == kind)


def test_a_queue_is_found_behind_a_thousand_others(target: Target) -> None:
    """SQS lists no more than that to whoever sets no size of a page, and says nothing of others.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ListQueues.html
    """
    account = sqs_backends[target.names.account][target.region]
    for number in range(1_001):
        account.create_queue(f"another-{number}")
    queue = target.client("sqs").create_queue(QueueName=target.names.dead_letters)["QueueUrl"]
    assert found(target, "queue") == [queue]


def test_parameters_are_asked_for_by_their_names(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSM lists ten of them at a time, a few times a second: an account's thousands would take minutes."""
    names, ssm = target.names, target.client("ssm")
    for name in (names.token_parameter, names.lock_parameter, *(f"/another/{number}" for number in range(50))):
        ssm.put_parameter(Name=name, Value="x", Type="String")
    asked: list[str] = []
    ssm.meta.events.register("before-call.ssm", lambda model, **_: asked.append(model.name))
    assert sorted(found(target, "parameter")) == [names.token_parameter, names.lock_parameter]
    assert len(asked) == 1
