"""Those who write job records, all at once: executions of the workflow (also such as were stopped, and go on for a
while), the sweeper, the status handler and those who retry, each the code that runs on AWS, cut wherever one of them
calls the table or Step Functions. In no order of these calls does a stale writer overwrite a newer state.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chalicelib import failure, retry, sweeper, triggers
from chalicelib.aws.jobs import DynamoJobs
from chalicelib.errors import SluiceError
from chalicelib.model import Job, Rows, Status, event_from_source
from chalicelib.ports import Jobs
from ops.check.disk import DiskJobs
from tests import pipeline
from tests.adapters.support import empty_table
from tests.fakes import MemoryExecutions, MemoryPorts, execution_arn

pytestmark = pytest.mark.usefixtures("aws_throughout")

SETTINGS = pipeline.settings(1 << 20)
AT = "2026-03-01T13:00:00.000Z"
MOVES = (Status.PROCESSING, Status.AGGREGATING, Status.STORING, Status.SUCCEEDED)
WRITES = ("register", "claim", "retry", "advance", "fail", "update_item")
MOST_ACTORS = 8
CALLS = st.integers(0, 12)


class Actor:
    """A thread that goes on only when it is told to, up to its next call on what is ``Cut``."""

    def __init__(self, work: Callable[[], Any], execution: str | None) -> None:
        self._work = work
        self.execution = execution
        """In whose name alone it may write."""
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self.done = False
        self.before = ""
        """The call that it waits to do."""
        self.fault: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        _actors[self._thread] = self
        self._thread.start()

    def _run(self) -> None:
        self._go.acquire()
        try:
            self._work()
        except SluiceError:
            pass  # refused, as it should be where it comes too late
        except Exception as fault:  # noqa: BLE001 - told to the test's own thread, which raises it
            self.fault = fault
        self.done = True
        self._stopped.release()

    def pause(self, call: str) -> None:
        self.before = call
        self._stopped.release()
        self._go.acquire()

    def step(self) -> bool:
        """Do the next call; whether it may have written a record."""
        call, self.before = self.before, ""
        self._go.release()
        self._stopped.acquire()
        if self.fault is not None:
            raise self.fault
        return call in WRITES


_actors: dict[threading.Thread, Actor] = {}


class Cut:
    """Something whose every call, by an actor, waits until the actor may go on."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        actor = _actors.get(threading.current_thread())
        if actor is None or not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            actor.pause(name)
            return found(*arguments, **named)

        return call


class Interleavings(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ports: Any = MemoryPorts()
        self.source = pipeline.upload(self.ports, b"id\n1\n", "incoming/things/a.csv")
        self.executions = MemoryExecutions()
        cut: Any = Cut(self.executions)
        self.ports.executions = cut
        self.actors: list[Actor] = []
        self.record: Job | None = None
        self.first = execution_arn("by-the-rule")
        self.executions.statuses[self.first] = "RUNNING"
        self.begun: set[str] = set()

    def jobs(self) -> Jobs:
        """To look at the record, uncut."""
        raise NotImplementedError

    def act(self, work: Callable[[], Any], calls: int, execution: str | None = None) -> None:
        """Somebody comes, and does so many calls before anyone else goes on."""
        self.actors.append(Actor(work, execution))
        self.one_goes_on(-1, calls)

    # Who writes.

    @precondition(lambda self: len(self.actors) < MOST_ACTORS)
    @rule(moves=st.integers(0, len(MOVES)), calls=CALLS, data=st.data())
    def an_execution_works(self, moves: int, calls: int, data: st.DataObject) -> None:
        """One that was started; it succeeds, or fails after so many moves."""
        waiting = sorted(self.executions.statuses.keys() - self.begun)
        if not waiting:
            return
        execution = data.draw(st.sampled_from(waiting))
        self.begun.add(execution)
        jobs, source = self.ports.jobs, self.source

        def work() -> None:
            if jobs.claim(source, execution, AT) is None:
                return
            for number, status in enumerate(MOVES[:moves]):
                jobs.advance(source.job_id, execution, status, rows=Rows(number, number))
            if moves < len(MOVES):
                caught = {"Error": "Terminal", "Cause": json.dumps({"errorMessage": "throttled: too many"})}
                payload = {"execution": execution, "event": event_from_source(source), "failure": caught}
                failure.record_failure(self.ports, SETTINGS, payload)

        self.act(work, calls, execution)

    @precondition(lambda self: len(self.actors) < MOST_ACTORS)
    @rule(status=st.sampled_from(["ABORTED", "TIMED_OUT", "FAILED"]), calls=CALLS, data=st.data())
    def an_execution_ends_and_its_functions_go_on(self, status: str, calls: int, data: st.DataObject) -> None:
        execution = data.draw(st.sampled_from(sorted(self.executions.statuses)))
        self.executions.statuses[execution] = status
        detail = {"executionArn": execution, "name": execution.rpartition(":")[2], "status": status}
        detail["input"] = json.dumps(event_from_source(self.source))
        document = {"detail": detail, "time": "2026-03-01T13:00:00Z"}
        self.act(lambda: triggers.execution_status_changed(self.ports, SETTINGS, document), calls, execution)

    @precondition(lambda self: len(self.actors) < MOST_ACTORS)
    @rule(calls=CALLS)
    def somebody_retries(self, calls: int) -> None:
        self.act(lambda: retry.retry(self.ports.jobs, self.ports.executions, self.source.job_id, AT), calls)

    @precondition(lambda self: len(self.actors) < MOST_ACTORS)
    @rule(calls=CALLS)
    def the_sweeper_comes(self, calls: int) -> None:
        self.act(lambda: sweeper.sweep(self.ports, SETTINGS, {"time": "2026-03-01T15:00:00Z"}), calls)

    @precondition(lambda self: len(self.actors) < MOST_ACTORS)
    @rule(calls=CALLS)
    def the_upload_is_seen(self, calls: int) -> None:
        self.act(lambda: self.ports.jobs.register(self.source, "2026-03-01T12:00:00.000Z"), calls)

    # In which order.

    @precondition(lambda self: self.actors)
    @rule(who=st.integers(0, MOST_ACTORS), calls=CALLS)
    def one_goes_on(self, who: int, calls: int) -> None:
        actor = self.actors[who % len(self.actors)]
        for _ in range(calls):
            if not actor.done and actor.step():
                self.look(actor)
        if actor.done:
            self.actors.remove(actor)

    def look(self, actor: Actor) -> None:
        """At the record after one call, which wrote it once at the most."""
        before, self.record = self.record, self.jobs().get(self.source.job_id)
        if self.record == before:
            return
        assert self.record is not None
        if actor.execution is not None and self.record.execution is not None:
            assert self.record.execution == actor.execution
        if before is not None:
            check(before, self.record)

    @invariant()
    def an_attempt_has_one_execution(self) -> None:
        """Whoever asks for it, and however often: it is named by the attempt, and was asked for after a failure."""
        names = [execution.rpartition(":")[2] for execution in self.executions.statuses]
        attempts = self.record.attempt if self.record else 1
        allowed = {"by-the-rule", self.source.job_id} | {f"{self.source.job_id}-{n}" for n in range(2, attempts + 1)}
        assert set(names) <= allowed

    def teardown(self) -> None:
        while self.actors:
            self.one_goes_on(0, 100)


def check(before: Job, after: Job) -> None:
    """The move is one that ``model.Status`` and the docs of ``ports.Jobs`` allow."""
    if after.attempt != before.attempt:
        assert (before.status, after.status, after.attempt) == (Status.FAILED, Status.RECEIVED, before.attempt + 1)
        assert after == replace(
            Job.received(before.source, before.received_at),
            attempt=after.attempt,
            execution=execution_arn(f"{before.job_id}-{after.attempt}"),
            started_at=AT,
        )
        return
    assert not before.status.is_final
    assert after.status.rank >= before.status.rank
    assert before.execution in (None, after.execution)
    assert after.rows.read >= before.rows.read
    assert after.source == before.source
    assert after.received_at <= before.received_at
    assert (after.error is None) == (after.status is not Status.FAILED)


class OnDisk(Interleavings):
    """The folder's records change under a lock: its methods are what can be interleaved."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._jobs = DiskJobs(Path(self._folder.name))
        self.ports.jobs = Cut(self._jobs)

    def jobs(self) -> Jobs:
        return self._jobs

    def teardown(self) -> None:
        super().teardown()
        self._folder.cleanup()


class OnDynamoDB(Interleavings):
    """Cut between a method's reading of the item and its writing, too."""

    def __init__(self) -> None:
        super().__init__()
        client = empty_table()
        self._jobs = DynamoJobs("jobs", client)
        cut: Any = Cut(client)
        self.ports.jobs = DynamoJobs("jobs", cut)

    def jobs(self) -> Jobs:
        return self._jobs


TestOnDisk = OnDisk.TestCase
# What goes wrong here needs three or four to come in one order: many runs, be they short.
TestOnDisk.settings = settings(stateful_step_count=50, max_examples=10 * settings().max_examples)


TestOnDynamoDB = OnDynamoDB.TestCase
# moto takes some milliseconds for a call, and an example makes hundreds.
TestOnDynamoDB.settings = settings(stateful_step_count=30, max_examples=max(5, settings().max_examples // 3))
