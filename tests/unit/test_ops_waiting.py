"""Waiting for CloudFormation and for deleted resources, where AWS looks done for a moment before it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops import change_sets, leftovers, stacks
from ops.change_sets import Change, Stack
from ops.target import Target

AWS = Target("test", "us-east-1")
EMULATOR = Target(
    "test", "us-east-1", "http://127.0.0.1:1", {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
)


def following(*answers: Any) -> Any:
    """Gives each answer once, and then the last one for ever."""
    rest: Iterator[Any] = iter(answers)
    return lambda *_: next(rest, answers[-1])


def test_a_stack_between_import_and_creation_is_not_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_sets, "is_executing", following(True, True, True, False))
    statuses = following("IMPORT_IN_PROGRESS", "IMPORT_COMPLETE", "CREATE_IN_PROGRESS", "CREATE_COMPLETE")
    monkeypatch.setattr(stacks, "_status", statuses)
    monkeypatch.setattr(stacks, "_events", lambda *_: [])
    assert stacks._wait(EMULATOR, "stack", lambda _: None, set(), "change-set") == ("CREATE_COMPLETE", [])


def test_a_stack_that_only_adopted_what_was_there_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "describe", lambda *_: None)
    changes = (Change("Import", "InboxBucket", "AWS::S3::Bucket"),)
    monkeypatch.setattr(change_sets, "create", lambda *_: ("change-set", changes))
    monkeypatch.setattr(stacks, "_events", lambda *_: [])
    monkeypatch.setattr(stacks, "_wait", lambda *_: ("IMPORT_COMPLETE", []))
    monkeypatch.setattr(EMULATOR.cloudformation, "execute_change_set", lambda **_: None)
    stack = Stack("stack", Path("never-read.yaml"))
    assert stacks.apply(EMULATOR, stack, lambda _: None) == changes


def test_what_aws_still_lists_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_POLL_SECONDS", 0)
    monkeypatch.setattr(leftovers, "find", following(["table: jobs", "role: late"], ["table: jobs"], ["never asked"]))
    assert leftovers.settled(AWS, ["table: jobs"]) == ["table: jobs"]


def test_what_stays_is_told_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "SETTLING_SECONDS", 0.05)
    monkeypatch.setattr(leftovers, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(leftovers, "find", lambda _: ["role: forgotten"])
    assert leftovers.settled(AWS, []) == ["role: forgotten"]


def test_the_emulator_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "find", following(["role: forgotten"], []))
    assert leftovers.settled(EMULATOR, []) == ["role: forgotten"]
