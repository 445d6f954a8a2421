"""One changes a stage at a time, and whatever ends the change gives the stage free."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from ops.stage import lock
from ops.target import OperatorError, Target


@pytest.fixture
def target() -> Iterator[Target]:
    with mock_aws():
        yield Target("test", "us-east-1", None, {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"})


def is_held(target: Target) -> bool:
    return bool(target.client("ssm").describe_parameters()["Parameters"])


def test_who_holds_it_is_told_to_the_other_at_once(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "sleep", Mock(side_effect=AssertionError("it waits for a lock that is held")))
    refused = pytest.raises(OperatorError, match=r"^up of this stage is under way, by \S+ on .* since 20")
    with lock.held(target, "up"):
        with refused as told, lock.held(target, "down"):
            raise AssertionError
        assert is_held(target)  # the one that was refused has not given it free
    assert target.names.lock_parameter in str(told.value)
    assert not is_held(target)


@pytest.mark.parametrize("end", [KeyboardInterrupt, OperatorError, SystemExit])
def test_whatever_ends_it_gives_it_free(target: Target, end: type[BaseException]) -> None:
    with pytest.raises(end), lock.held(target, "up"):
        raise end
    assert not is_held(target)


@pytest.mark.parametrize("end", [None, KeyboardInterrupt])
def test_a_lock_that_was_taken_though_nobody_was_told_is_ones_own(
    target: Target, monkeypatch: pytest.MonkeyPatch, end: type[BaseException] | None
) -> None:
    """The reply is lost and botocore asks again; or Ctrl-C comes before it."""
    ssm = target.client("ssm")
    real = ssm.put_parameter

    def put(**request: Any) -> Any:
        real(**request)
        if end is not None:
            raise end
        return real(**request)

    monkeypatch.setattr(ssm, "put_parameter", put)
    if end is not None:
        with pytest.raises(end), lock.held(target, "up"):
            raise AssertionError
    else:
        with lock.held(target, "up"):
            assert is_held(target)
    assert not is_held(target)


def refusing(target: Target, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """SSM says as many times that the lock exists, though there is none when its holder is asked for: it was given free
    in between, or SSM lags behind a deletion, as it may for half a minute.
    """
    ssm = target.client("ssm")
    real, refusals = ssm.put_parameter, iter(range(times))

    def put(**request: Any) -> Any:
        if next(refusals, None) is not None:
            raise ssm.exceptions.ParameterAlreadyExists({"Error": {"Code": "ParameterAlreadyExists"}}, "PutParameter")
        return real(**request)

    monkeypatch.setattr(ssm, "put_parameter", put)
    passed = itertools.count(step=5.0)
    monkeypatch.setattr(lock, "sleep", lambda _: None)
    monkeypatch.setattr(lock, "monotonic", lambda: next(passed))


def test_a_lock_that_was_given_free_meanwhile_is_taken(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing(target, monkeypatch, 3)
    with lock.held(target, "up"):
        assert is_held(target)
    assert not is_held(target)


def test_without_the_lock_nothing_is_done(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing(target, monkeypatch, 1000)
    with pytest.raises(OperatorError, match=r"^a change of this stage is under way"), lock.held(target, "up"):
        raise AssertionError


def test_without_the_permission_nothing_is_done(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    ssm = target.client("ssm")
    refused = ClientError({"Error": {"Code": "AccessDeniedException", "Message": ""}}, "PutParameter")
    monkeypatch.setattr(ssm, "put_parameter", lambda **_: (_ for _ in ()).throw(refused))
    with pytest.raises(ClientError, match="AccessDenied"), lock.held(target, "up"):
        raise AssertionError
