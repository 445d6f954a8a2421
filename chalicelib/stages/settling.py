"""AggregateData's decisions: which chunks are to be done again, told what; once all stand, what they add up to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import numpy as np

from chalicelib import errors
from chalicelib.engine import ledger, worker
from chalicelib.engine.checks import uniqueness
from chalicelib.engine.checks.repeats import Repeats
from chalicelib.engine.checks.uniqueness import Occurrences
from chalicelib.engine.contract import Contract
from chalicelib.engine.delivery import transform as transforms
from chalicelib.engine.delivery.schemas import decode_schema, encode_schema, unify
from chalicelib.engine.ledger import Report
from chalicelib.engine.measure.aggregate import Aggregates
from chalicelib.engine.measure.profile import Profile
from chalicelib.engine.plan import Plan, Task
from chalicelib.engine.records.split import blocks
from chalicelib.engine.types import infer
from chalicelib.frozen import frozen
from chalicelib.model import JSON, Chunks, Rows, timestamp
from chalicelib.parallel import parallel
from chalicelib.stages.tape import ObjectTape
from chalicelib.stages.workspace import Workspace

MAX_ROUNDS: Final = 5
"""A survey, its repair, processing, its repair, and one more where a repaired chunk's rows have yet other types."""

MOST_IDLE: Final = timedelta(minutes=15)
"""How long no chunk of a job may find a free function: as long as the other functions are waited for. Rounds take two
minutes for as many chunks as may run at once, and are ended."""

MERGED_AT_ONCE: Final = 16
"""Chunks whose partial results are read and merged together: a profile of 200 columns takes up to 4 MB."""


@frozen
class State:
    """A job after a round: every chunk's last task, and its report."""

    workspace: Workspace
    number: int
    plan_key: str
    plan: Plan
    tasks: list[Task]
    reports: list[Report]
    """Of all tasks but the postponed ones."""
    postponed: list[Task]
    """Those that no function was free for: they have no report."""

    @classmethod
    def load(cls, workspace: Workspace, number: int) -> State:
        tasks = workspace.latest_tasks(number)
        plan_key = max(task.plan for task in tasks)  # the last round's: of fewer than ten the numbers sort as texts
        found = workspace.reports(tasks)
        postponed = [task for task, report in zip(tasks, found, strict=True) if report is None]
        reports = [report for report in found if report is not None]
        return cls(workspace, number, plan_key, workspace.plan(plan_key), tasks, reports, postponed)

    @property
    def contract(self) -> Contract:
        if self.plan.contract is None:
            raise ValueError("the job has no contract yet")
        return self.plan.contract

    @property
    def surveying(self) -> bool:
        return self.plan.contract is None

    @property
    def repair_rounds(self) -> int:
        """Of a settled job: rounds beyond the one that every job takes, or two where a survey had to come first."""
        return self.number - (2 if self.contract.inferred else 1)

    @property
    def rows(self) -> Rows:
        return sum((report.rows for report in self.reports), Rows())

    @property
    def chunks(self) -> Chunks:
        first = min(task.round for task in self.tasks)
        again = sum(task.round > first for task in self.tasks)
        return Chunks(planned=len(self.tasks), done=len(self.reports), repaired=again)


def once_more(state: State, job: JSON, now: datetime) -> JSON:
    """What is new in ``job`` (see ``steps.aggregate_data``) where its round is to be done once more, as far as it was
    postponed: the ``round``, and as ``waited`` how often that happened by now, and since when no chunk was done.

    Errors: ``Terminal("throttled")``.
    """
    before: JSON = job.get("waited", {"rounds": 0, "idle_since": job["timeline"][-1]["end"]})
    is_idle = len(state.postponed) == job["round"]["chunks"]
    since = before["idle_since"] if is_idle else timestamp(now)
    if is_idle and now - datetime.fromisoformat(since) >= MOST_IDLE:
        raise errors.Terminal("throttled", f"none of {len(state.postponed)} chunks found a free function since {since}")
    rounds = before["rounds"] + 1
    return {
        "round": state.workspace.put_postponed(state.number, rounds, state.postponed),
        "waited": {"rounds": rounds, "idle_since": since},
    }


def next_round(state: State) -> JSON | None:
    """The reference to the next round's tasks; None where every chunk stands.

    Errors: ``Terminal("not-settled")``; the failure of a chunk.
    """
    following = _following(state)
    if following is not None and state.number >= MAX_ROUNDS:
        raise errors.Terminal("not-settled", f"the chunks do not agree after {state.number} rounds")
    return following


def _following(state: State) -> JSON | None:
    """``next_round``, however many there were.

    One round repairs wrong guesses and repeated keys alike: the keys of a chunk that guessed wrong are gathered here,
    so that the others need not wait for its repair.
    """
    ledger.raise_failure([report for report in state.reports if not report.read])
    number = state.number + 1
    firsts = ledger.first_records(state.reports, state.plan.data_start, _reader(state))
    proven = [replace(task, round=number, first_record=first) for task, first in zip(state.tasks, firsts, strict=False)]
    wrong = set(ledger.unproven(state.reports, firsts))
    # A chunk that guessed wrong may have failed on what are no rows at all: it is done again. Until it has been, the
    # records after it have no numbers.
    ledger.raise_failure(state.reports[: min(wrong, default=None)])
    if state.surveying and wrong:
        return state.workspace.put_round(number, [task for task in proven if task.index in wrong])
    if state.surveying:
        return _typed_round(state, number, proven)
    return _agreeing_round(state, number, proven, wrong)


def _reader(state: State) -> ledger.Resolve:
    """Finds the first record after a chunk by reading the chunk's records from the given one on."""

    def read(report: Report, first: int) -> int:
        plan = state.plan
        task, after = replace(state.tasks[report.index], first_record=first), first
        with ObjectTape(state.workspace.objects, plan, task) as tape:
            for block in blocks(tape, first, task.end, plan.grammar, plan.block_size_bytes, plan.block_rows):
                after = block.end
        return after

    return read


def surveys(state: State) -> list[infer.Survey]:
    """What the rounds of a survey have learned, a column each."""
    found = infer.Surveys(len(state.plan.labels))
    for report in state.reports:
        found.merge(infer.Surveys.from_json(report.surveys))
    return found.columns


def _typed_round(state: State, number: int, proven: Sequence[Task]) -> JSON:
    """Every chunk once more, with the contract that the survey of all of them gives."""
    plan = state.plan
    contract = infer.draft(plan.source.dataset, plan.labels, surveys(state), plan.dialect, plan.text.encoding)
    key = state.workspace.put_plan(number, plan.with_contract(contract))
    return state.workspace.put_round(number, [replace(task, plan=key, mode="process") for task in proven])


def _agreeing_round(state: State, number: int, proven: Sequence[Task], wrong: set[int]) -> JSON | None:
    """The chunks that guessed wrong, that repeat an earlier chunk's key, or whose rows have other types than the
    others'.
    """
    gathered = {}
    for task in proven:
        if task.index in wrong and uniqueness.keys_of(state.contract):
            with ObjectTape(state.workspace.objects, state.plan, task) as tape:
                gathered[task.index] = worker.keys(task, state.plan, tape)
    repeats = _repeats(state, gathered)
    schemas = {
        report.index: report.schema
        for report in state.reports
        if report.schema is not None and report.index not in wrong
    }
    agreed = encode_schema(unify([decode_schema(each) for each in sorted(set(schemas.values()))])) if schemas else None
    differing = {index for index, schema in schemas.items() if schema != agreed}
    again = wrong | differing | repeats.keys()
    if not again:
        return None
    key = state.plan_key
    if differing:
        key = state.workspace.put_plan(number, replace(state.plan, schema=agreed))
    tasks = []
    for task in proven:
        if task.index in again:
            told = repeats.get(task.index)
            known = task.repeats if told is None else state.workspace.put_repeats(number, task.index, told)
            tasks.append(replace(task, plan=key, repeats=known))
    return state.workspace.put_round(number, tasks)


def _repeats(state: State, gathered: Mapping[int, list[bytes]]) -> Mapping[int, Repeats]:
    """Chunk → its records whose key stands in an earlier chunk. ``gathered``: keys that are not those of a report."""
    found: dict[int, dict[int, list[tuple[int, int, int]]]] = defaultdict(dict)

    def keys_of(position: int, report: Report) -> bytes | None:
        if report.index in gathered:
            return gathered[report.index][position] if gathered[report.index] else None
        written = report.outputs["keys"]
        return state.workspace.body(written[position]) if written else None

    for position in range(len(uniqueness.keys_of(state.contract))):
        bodies = parallel(state.workspace.objects, partial(keys_of, position), state.reports)
        held = [
            (report.index, Occurrences.load(body)) for report, body in zip(state.reports, bodies, strict=True) if body
        ]
        if len(held) < 2:
            continue
        whole = Occurrences.concat([keys for _, keys in held])
        chunks = np.repeat([index for index, _ in held], [len(keys.hashes) for _, keys in held])
        later, first = whole.repeats()
        told = (chunks[later], whole.records[later], chunks[first], whole.records[first])
        for chunk, record, of_chunk, of_record in zip(*(each.tolist() for each in told), strict=True):
            found[chunk].setdefault(record, []).append((position, of_chunk, of_record))
    return found


def merge(state: State) -> None:
    """Reconcile the ledger and merge the partial aggregates and profiles into ``work/<job_id>/merged.json``.

    Errors: ``Terminal("ledger-unbalanced")``.
    """
    plan = state.plan
    transformed = transforms.find(plan.source.dataset) is not None
    balanced = ledger.balance(state.reports, plan.data_start, plan.text.source.size_bytes, transformed=transformed)
    aggregates, profile = Aggregates(state.contract.aggregates), Profile()
    written = [report.outputs["measures"] for report in state.reports if report.delivered]
    for start in range(0, len(written), MERGED_AT_ONCE):
        workspace, some = state.workspace, written[start : start + MERGED_AT_ONCE]
        profiles = []
        for aggregated, profiled in parallel(workspace.objects, workspace.measures, some):
            aggregates.merge(Aggregates.load(state.contract.aggregates, aggregated))
            profiles.append(Profile.load(profiled))
        profile.merge(*profiles)
    keys = () if transformed else uniqueness.keys_of(state.contract)
    columns = _proven(profile.result(), {key.fields[0] for key in keys if len(key.fields) == 1})
    document = {"ledger": balanced, "aggregates": aggregates.result(), "profile": columns}
    state.workspace.put_json("merged.json", document)


def _proven(profile: list[JSON], unique: Set[str]) -> list[JSON]:
    """The profile, with the exact number of distinct values where no two rows have the same: an estimate of it looks as
    if some had. ``unique``: columns whose values were compared over the whole file.
    """
    for column in profile:
        if column["approxDistinct"] is None:  # lists and structures
            column["unique"] = None
            continue
        column["unique"] = column["name"] in unique
        if column["unique"]:
            column["approxDistinct"] = column["count"]
    return profile
