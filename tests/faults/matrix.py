"""Every call of a job × every fault → how the job ended, judged against the same job without a fault."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from chalicelib.model import Status
from tests.faults.catalogue import FAULTS, Deed, Fault, Reach
from tests.faults.proxy import Order, Seen
from tests.faults.workflow import Stuck
from tests.faults.world import EARLIER, Ended, Scenario, World

_PUTS: Final = {"PutObject", "UploadPart"}
_LONG: Final = {"CopyObject", "UploadPartCopy", "CompleteMultipartUpload"}
"""Operations that S3 may answer with 200 before they are done:
https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html"""


class Outcome(StrEnum):
    SUCCEEDED = "SUCCEEDED"
    """With exactly the outputs of the run without a fault."""
    FAILED = "FAILED cleanly"
    """And nothing of it is current."""
    HALF = "half"
    TWICE = "twice"
    STUCK = "stuck"
    UNKNOWN = "unknown"
    """The run itself broke off, and shows nothing."""


GOOD: Final = (Outcome.SUCCEEDED, Outcome.FAILED)


@dataclass(frozen=True)
class Case:
    scenario: Scenario
    order: Order
    worker: str
    """The Lambda function that makes the call."""

    def __str__(self) -> str:
        return f"{self.order.fault.name} at {self.worker}: {self.order.call} [{self.scenario.name}]"


@dataclass(frozen=True)
class Result:
    case: str
    fault: str
    operation: str
    outcome: Outcome
    wrong: str
    """What is wrong, where the outcome is."""

    def __str__(self) -> str:
        return f"{self.outcome}: {self.case}: {self.wrong}"


def cases(scenario: Scenario, plain: Ended) -> Iterator[Case]:
    """Each call of ``plain``, the run without a fault, with each fault that can happen to it; always in the same order,
    which that of the calls is not.
    """
    for seen in sorted(plain.seen, key=lambda seen: str(seen.call)):
        for fault in FAULTS:
            if _can_happen(fault, seen):
                yield Case(scenario, Order(fault, seen.call), seen.worker)


def sample(every: Iterable[Case]) -> list[Case]:
    """Of each fault at each operation, one case: by turns the first, the second, … that there is, so that all functions
    and targets have their share.
    """
    by_kind: dict[tuple[str, str], list[Case]] = {}
    for case in every:
        by_kind.setdefault((case.order.call.operation, case.order.fault.name), []).append(case)
    return [found[(7 * turn) % len(found)] for turn, found in enumerate(by_kind.values())]


def run(world: World, case: Case, plain: Ended) -> Result:
    try:
        outcome, wrong = judge(case, world.run(case.scenario, case.order), plain)
    except Stuck as stuck:
        outcome, wrong = Outcome.STUCK, str(stuck)
    return Result(str(case), case.order.fault.name, case.order.call.operation, outcome, wrong)


def judge(case: Case, ended: Ended, plain: Ended) -> tuple[Outcome, str]:
    """The outcome, and what is wrong with it."""
    assert ended.hits > 0, f"the fault did not happen: {case}"
    job, current = ended.job, ended.outputs.get(case.scenario.current)
    if job is None or not job.status.is_final:
        return Outcome.STUCK, f"the job is {job.status if job else 'unknown'} after its execution {ended.execution}"
    told = [message["status"] for message in ended.messages]
    if set(told) - {str(job.status)}:
        return Outcome.HALF, f"the job is {job.status}, but {told} was told"
    if not told and not (case.worker == "notify" and case.order.fault.reach is Reach.OUTAGE):
        return Outcome.HALF, "nobody was told"
    if len(told) > 1 and case.worker != "notify":
        return Outcome.TWICE, f"{told} was told"
    if job.status is Status.FAILED and current != (None if case.scenario.first else EARLIER):
        return Outcome.HALF, "the job FAILED, but is current"
    if job.status is plain_status(plain):
        different = _differences(ended.outputs, plain.outputs)
        if different and job.status is Status.SUCCEEDED:
            return Outcome.HALF, f"the outputs differ: {different}"
        if job != plain.job and job.status is Status.SUCCEEDED:
            return Outcome.HALF, f"the record differs: {job} {plain.job}"
    elif job.status is Status.SUCCEEDED:
        return Outcome.HALF, "the job SUCCEEDED, without a fault it does not"
    if job.status is not plain_status(plain) and case.order.fault.reach is Reach.REQUEST:
        return Outcome.HALF, f"a single fault is to be survived, but {job.error}"
    return (Outcome.SUCCEEDED if job.status is Status.SUCCEEDED else Outcome.FAILED), ""


def plain_status(plain: Ended) -> Status:
    assert plain.job is not None
    return plain.job.status


def _differences(found: dict[str, bytes], wanted: dict[str, bytes]) -> list[str]:
    return [key for key in sorted(found.keys() | wanted.keys()) if found.get(key) != wanted.get(key)]


def _can_happen(fault: Fault, seen: Seen) -> bool:
    operation = seen.call.operation
    if fault.reach is Reach.OUTAGE and seen.worker == "on-execution-status":
        return False  # the outage is over by then
    if fault.deed is Deed.CUT:
        return seen.reply_bytes > 1
    if fault.deed is Deed.SHORT:
        return operation == "GetObject" and seen.status < 300 and seen.reply_bytes > 1
    if fault.deed is Deed.DAMAGED:
        return operation in _PUTS
    if fault.deed is Deed.HIDDEN_ERROR:
        return operation in _LONG
    return True
