"""The job record against a small model: any order of calls by the workflow, the sweeper, the status handler and those
who retry, with lost replies, duplicates that arrive late, and writers that slip in between another's reading and
writing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chalicelib.aws.jobs import DynamoJobs
from chalicelib.errors import Terminal, Transient
from chalicelib.model import Failure, Job, Rows, Status
from chalicelib.ports import Jobs
from ops.check.disk import DiskJobs
from tests.adapters.support import Faulty, empty_table, source

pytestmark = pytest.mark.usefixtures("aws_throughout")

SOURCE = source()
AT = "2026-11-24T10:00:00.000Z"
TIMES = [f"2026-11-24T09:00:0{time}Z" for time in ("0.000", "0.123", "1.000", "1.456")]
"""What S3 and EventBridge may tell of the upload's time; of 0.123 and 1.456 EventBridge tells the second alone."""
MOVES: list[Status] = [status for status in Status if status is not Status.FAILED]
FAULTS = ["before", "lost", "retried"]

Operation = tuple[Any, ...]


@dataclass
class Model:
    """The contract of ``ports.Jobs`` in a few plain words, written without looking at ``transitions``."""

    status: str | None = None
    owner: str | None = None
    error: str | None = None
    rows_read: int = 0
    attempt: int = 1
    told: tuple[str, ...] = ()
    """Every time that was told of the upload while the job was open."""

    @property
    def received_at(self) -> str:
        """The most exact one of the earliest second."""
        second = min(self.told)[: -len("000Z")]
        return max(time for time in self.told if time.startswith(second))

    def apply(self, operation: Operation) -> str:
        """What the caller should see: ``job``, ``None`` or ``stale``."""
        return str(getattr(self, operation[0])(*operation[1:]))

    def register(self, time: str) -> str:
        self.status = self.status or "RECEIVED"
        if self.status not in ("SUCCEEDED", "FAILED"):
            self.told += (time,)
        return "job"

    def claim(self, execution: str, time: str | None) -> str:
        if self.status is None or (self.status == "RECEIVED" and self.owner in (None, execution)):
            self.told += (time,) if time else () if self.told else (AT,)
            self.status, self.owner = "VALIDATING", execution
        return "job" if self.owner == execution else "None"

    def retry(self, attempt: int) -> str:
        if self.status is None:
            return "None"
        if self.status == "FAILED" and attempt == self.attempt + 1:
            self.status, self.owner, self.attempt = "RECEIVED", f"e{attempt}", attempt
            self.error, self.rows_read = None, 0
        return "job" if (attempt, f"e{attempt}") == (self.attempt, self.owner) else "None"

    def advance(self, execution: str, status: Status, rows_read: int) -> str:
        if self.status is None or self.owner != execution:
            return "stale"
        if self.status in ("SUCCEEDED", "FAILED"):
            return "job" if self.status == status else "stale"
        if MOVES.index(status) < MOVES.index(Status(self.status)):
            return "stale"
        self.status, self.rows_read = str(status), rows_read
        return "job"

    def fail(self, execution: str | None, error: str) -> str:
        if self.status in (None, "SUCCEEDED"):
            return "None"
        if self.status == "FAILED":
            return "job" if (self.owner, self.error) == (execution, error) else "None"
        if self.owner not in (None, execution):
            return "None"
        self.status, self.owner, self.error = "FAILED", execution, error
        return "job"


def call(jobs: Jobs, operation: Operation) -> str:
    """Do it; after a lost or broken call do it once more, as the workflow's Retry does."""
    try:
        return once(jobs, operation)
    except Transient:
        return once(jobs, operation)


def once(jobs: Jobs, operation: Operation) -> str:
    name, *arguments = operation
    steps: dict[str, Callable[..., Job | None]] = {
        "register": lambda time: jobs.register(SOURCE, time),
        "claim": lambda execution, time: jobs.claim(SOURCE, execution, AT, time),
        "advance": lambda execution, status, read: jobs.advance(SOURCE.job_id, execution, status, rows=Rows(read)),
        "retry": lambda attempt: jobs.retry(SOURCE.job_id, attempt, f"e{attempt}", AT),
        "fail": lambda execution, error: jobs.fail(SOURCE.job_id, execution, Failure(error, ""), AT),
    }
    try:
        return "job" if steps[name](*arguments) else "None"
    except Terminal as error:
        return error.code.removesuffix("-execution")


executions = st.sampled_from(["e1", "another", "e2", "e3"])
"""The first attempt's, one that an event delivered twice has started, and those of two retries."""
operations: st.SearchStrategy[Operation] = st.one_of(
    st.tuples(st.just("register"), st.sampled_from(TIMES)),
    st.tuples(st.just("claim"), executions, st.sampled_from(TIMES) | st.none()),
    st.tuples(st.just("advance"), executions, st.sampled_from(MOVES), st.integers(0, 2)),
    st.tuples(st.just("retry"), st.sampled_from([2, 3])),
    st.tuples(st.just("fail"), executions | st.none(), st.sampled_from(["timed-out", "not-csv"])),
)


class JobRecord(RuleBasedStateMachine):
    """What holds for every implementation."""

    jobs: Jobs

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()

    @rule(operation=operations)
    def plainly(self, operation: Operation) -> None:
        assert call(self.jobs, operation) == self.model.apply(operation)

    @rule(operation=operations)
    def twice(self, operation: Operation) -> None:
        first = self.model.apply(operation)
        assert call(self.jobs, operation) == first
        kept = self.jobs.get(SOURCE.job_id)
        assert call(self.jobs, operation) == first == self.model.apply(operation)
        assert self.jobs.get(SOURCE.job_id) == kept

    @invariant()
    def the_record_is_as_the_model(self) -> None:
        job = self.jobs.get(SOURCE.job_id)
        if job is None:
            assert self.model.status is None
            return
        error = job.error.code if job.error else None
        assert job.received_at == self.model.received_at
        assert (job.status, job.execution, error, job.rows.read, job.attempt) == (
            self.model.status,
            self.model.owner,
            self.model.error,
            self.model.rows_read,
            self.model.attempt,
        )


class DiskRecord(JobRecord):
    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.jobs = DiskJobs(Path(self._folder.name))

    def teardown(self) -> None:
        self._folder.cleanup()


class DynamoRecord(JobRecord):
    """DynamoDB over a bad network."""

    def __init__(self) -> None:
        super().__init__()
        self.real = empty_table()
        self.network = Faulty(self.real)
        self.jobs = DynamoJobs("jobs", self.network)  # type: ignore[arg-type]

    @rule(operation=operations, fault=st.sampled_from(FAULTS), what=st.sampled_from(["get_item", "update_item"]))
    def over_a_bad_network(self, operation: Operation, fault: str, what: str) -> None:
        self.network.fail(what, fault)
        assert call(self.jobs, operation) == self.model.apply(operation)
        self.network.plan.clear()

    @rule(operation=operations, other=operations)
    def while_another_slips_in(self, operation: Operation, other: Operation) -> None:
        """``other`` happens whole between the read and the write of ``operation``."""
        answers: list[str] = []

        def slip_in(write: Callable[[], Any]) -> Any:
            answers.append(call(DynamoJobs("jobs", self.real), other))
            return write()

        self.network.fail("update_item", slip_in)
        answer = call(self.jobs, operation)
        self.network.plan.clear()
        if answers:
            assert answers == [self.model.apply(other)]
        assert answer == self.model.apply(operation)

    @rule(data=st.data())
    def a_duplicate_arrives_late(self, data: st.DataObject) -> None:
        sent = self.network.sent("update_item")
        if not sent:
            return
        request = data.draw(st.sampled_from(sent))
        # Only a write that never arrived could still succeed; each of ours was tried again, and won or was refused.
        with pytest.raises(ClientError, match="ConditionalCheckFailedException"):
            self.real.update_item(**request)


TestDiskRecord = DiskRecord.TestCase
TestDiskRecord.settings = settings(stateful_step_count=15)


TestDynamoRecord = DynamoRecord.TestCase
TestDynamoRecord.settings = settings(stateful_step_count=15)
