"""Events that come twice, in any order, late or never; executions that die without a word."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from itertools import permutations

import pytest

from chalicelib.model import Source, Status
from tests.fakes import NOON
from tests.faults import scenarios, world
from tests.faults.workflow import deliver
from tests.faults.world import EARLIER, World

SCENARIO = scenarios.REFERRING
"""The shortest."""


@pytest.fixture(scope="module")
def here() -> Iterator[World]:
    logging.disable(logging.CRITICAL)
    with world.opened() as opened:
        yield opened
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("order", sorted(set(permutations("NNWW"))), ids="".join)
def test_every_event_twice_and_in_any_order_is_one_job(here: World, order: tuple[str, ...]) -> None:
    """N: S3's notification of the upload; W: EventBridge's event, which starts an execution."""
    plain = here.run(SCENARIO)
    source, _ = here.begin(SCENARIO)
    for number, kind in enumerate(order):
        if kind == "N":
            assert deliver(here.proxy, "on-upload", world.notification(source))
        else:
            assert here.workflow(source, here.execution(f"rule-{number}")) == "SUCCEEDED"
    job = here.job(source)
    assert job is not None
    assert plain.job is not None
    assert job.with_(execution=None) == plain.job.with_(execution=None)
    assert world.published() == plain.outputs
    assert len(world.messages()) == 1


def test_an_upload_that_no_event_told_of_is_started_by_the_sweeper(here: World) -> None:
    source, _ = here.begin(SCENARIO)
    uploaded_at = here.operator["s3"].head_object(Bucket=world.INBOX, Key=source.key)["LastModified"]
    assert deliver(here.proxy, "sweep", world.schedule(uploaded_at + timedelta(minutes=31)))
    _goes_on(here, source)


def test_an_upload_that_was_registered_but_never_started_is_started_by_the_sweeper(here: World) -> None:
    source, _ = here.begin(SCENARIO)
    assert deliver(here.proxy, "on-upload", world.notification(source))
    assert deliver(here.proxy, "sweep", world.schedule(NOON + timedelta(minutes=31)))
    _goes_on(here, source)


def _goes_on(here: World, source: Source) -> None:
    """The sweeper has started the execution that is named by the job."""
    arn = f"{world.NAMES.arn('states', f'execution:{world.NAMES.state_machine}')}:{source.job_id}"
    assert here.operator["stepfunctions"].describe_execution(executionArn=arn)["status"] == "RUNNING"
    assert here.workflow(source, arn) == "SUCCEEDED"
    job = here.job(source)
    assert job is not None
    assert job.status is Status.SUCCEEDED


def test_a_late_event_about_the_end_changes_nothing(here: World) -> None:
    """The execution that lost the race for the job is stopped by someone; then the winner's own end is told late."""
    plain = here.run(SCENARIO)
    source, arn = here.begin(SCENARIO)
    assert here.workflow(source, arn) == "SUCCEEDED"
    done = here.job(source)
    for execution, status in ((here.execution("late"), "ABORTED"), (arn, "TIMED_OUT")):
        document = world.status_change(execution, status, world.uploaded(source))
        assert deliver(here.proxy, "on-execution-status", document)
    assert here.job(source) == done
    assert world.published() == plain.outputs
    assert len(world.messages()) == 1


@pytest.mark.parametrize("order", sorted(set(permutations("EESU"))), ids="".join)
def test_the_events_of_a_dead_execution_twice_and_in_any_order_end_its_job_once(
    here: World, order: tuple[str, ...]
) -> None:
    """E: Step Functions' event of its end; S: the sweeper's schedule; U: the upload's own events, late."""
    here.workflow(*here.begin(SCENARIO))
    middle = next(seen.call for seen in here.proxy.seen if seen.worker == "aggregate-data")
    source, arn = here.begin(SCENARIO)
    here.dies_after(source, arn, middle)
    ended = None
    for number, kind in enumerate(order):
        if kind == "E":
            document = world.status_change(arn, "ABORTED", world.uploaded(source))
            assert deliver(here.proxy, "on-execution-status", document)
        elif kind == "S":
            assert deliver(here.proxy, "sweep", world.schedule(NOON + timedelta(hours=2)))
        else:
            assert deliver(here.proxy, "on-upload", world.notification(source))
            assert here.workflow(source, here.execution(f"late-{number}")) == "SUCCEEDED"
        job = here.job(source)
        assert job is not None
        assert ended in (None, job), "what has ended stays as it is"
        ended = job if job.status.is_final else None
    assert ended is not None
    assert ended.status is Status.FAILED
    assert world.published() == SCENARIO.others | {SCENARIO.current: EARLIER}
    assert {message["status"] for message in world.messages()} == {"FAILED"}


@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
def test_an_execution_that_dies_between_two_states_leaves_a_clean_end(here: World, told: bool) -> None:
    """Step Functions itself goes away, with everything that ran: the handler of its end, or the sweeper, ends the job.
    Tried after some calls, and after each of the last, with which the job becomes current, and is finished.
    """
    plain = here.run(SCENARIO)
    here.workflow(*here.begin(SCENARIO))
    calls = [seen.call for seen in here.proxy.seen if seen.worker != "notify"][2:]  # claimed
    ends = []
    for call in calls[:-8:6] + calls[-8:]:
        source, arn = here.begin(SCENARIO)
        here.dies_after(source, arn, call)
        left = here.job(source)
        if told:
            document = world.status_change(arn, "ABORTED", world.uploaded(source))
            assert deliver(here.proxy, "on-execution-status", document)
        assert deliver(here.proxy, "sweep", world.schedule(NOON + timedelta(hours=2)))
        job = here.job(source)
        assert job is not None, call
        ends.append(job.status)
        if job.status is Status.FAILED:
            assert world.published()[SCENARIO.current] == EARLIER, call
        else:
            assert world.published() == plain.outputs, call
            assert job == plain.job, call
        # Stopped between StoreResults and NotifySuccess, an execution has told nobody, and nobody else will.
        tells = left is None or not left.status.is_final
        assert [message["status"] for message in world.messages()] == [str(job.status)] * tells, call
    assert set(ends) == {Status.FAILED, Status.SUCCEEDED}
    assert ends == sorted(ends)
