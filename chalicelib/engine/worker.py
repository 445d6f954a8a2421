"""One chunk, in order: find its records, parse, check, settle repeated keys, transform, aggregate, profile, write.

Takes the chunk's bytes and the plan, gives bytes and a report: no input or output of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from chalicelib.engine import coding
from chalicelib.engine.arrays import Mask
from chalicelib.engine.checks import uniqueness
from chalicelib.engine.checks.check import Checked, Checker
from chalicelib.engine.checks.formulas import is_rejects, restore_column
from chalicelib.engine.checks.references import KeySet
from chalicelib.engine.checks.repeats import Repeats, settle
from chalicelib.engine.checks.unmended import clear_unmended
from chalicelib.engine.codebook import Codebook, Coding
from chalicelib.engine.contract import Contract
from chalicelib.engine.contract.binding import Binding
from chalicelib.engine.delivery.deliver import Delivered, Delivery
from chalicelib.engine.delivery.parquet import Part
from chalicelib.engine.delivery.transform import Transform
from chalicelib.engine.plan import Plan, Task
from chalicelib.engine.records import padded
from chalicelib.engine.records.chunk import Origin, Records
from chalicelib.engine.records.parse import Parsed, parse
from chalicelib.engine.records.split import Block, Offsets
from chalicelib.engine.records.tape import Tape
from chalicelib.engine.rejects.rejected import Rejected, texts_of
from chalicelib.engine.rejects.render import Renderer
from chalicelib.engine.types.infer import Surveys
from chalicelib.errors import Terminal
from chalicelib.model import JSON, Rows


@dataclass(slots=True)
class Result:
    """What a chunk gives."""

    report: JSON
    """See ``ledger.Report``."""
    parts: list[Part] = field(default_factory=list)
    """The delivered rows as Parquet files."""
    rejects: bytes = b""
    """A draft of the chunk's part of ``rejects.csv`` and ``rejects.jsonl`` (``rejects.drafts``)."""
    reasons: Sequence[Any] = ()
    """``Reasons.to_json``."""
    keys: list[bytes] = field(default_factory=list)
    """One ``Occurrences.dump`` per key of the contract; none where the chunk has no record."""
    aggregates: bytes = b""
    profile: bytes = b""
    failure: Terminal | None = None
    """Why the rows could not be delivered; the report then says so, and still where the records are."""


def run(
    task: Task,
    plan: Plan,
    tape: Tape,
    transform: Transform | None,
    repeats: Repeats,
    references: Sequence[KeySet],
) -> Result:
    """Do one chunk.

    Where the transform or an aggregate cannot be applied the report says so, instead of an exception: the chunk may
    have guessed its start wrong, and then the fault was not in the data. Errors: those of the tape.
    """
    records = Records(task, plan, tape)
    if task.mode == "survey":
        return _survey(plan, records)
    return _Process(task, plan, records, transform, repeats, references).run()


def not_read(task: Task, error: Terminal) -> Result:
    """The result of a chunk whose bytes could not be had."""
    report = {
        "index": task.index,
        "round": task.round,
        "start": task.start,
        "end": task.end,
        "first_record": None,
        "next_record": None,
        "continuations": {},
        "lines": 0,
        "size_bytes": 0,
        "rows": Rows().to_json(),
        "failure": _told(error, None),
        "read": False,
    }
    return Result(report, failure=error)


def _told(failure: Terminal, records: tuple[int, int] | None) -> JSON:
    """See ``ledger.Report.failure``."""
    return {"code": failure.code, "message": failure.message, "records": records}


def keys(task: Task, plan: Plan, tape: Tape) -> list[bytes]:
    """Only what ``Result.keys`` of the chunk would be: for a chunk that is to be done again, and whose keys others wait
    for.
    """
    return _Process(task, plan, Records(task, plan, tape), None, {}, None).keys()


def _survey(plan: Plan, records: Records) -> Result:
    """Learn the columns' types; nothing is delivered."""
    surveys, rows = Surveys(len(plan.labels)), Rows()
    for block in records:
        parsed = _parsed(block, records.origin(block), plan, {})
        surveys.add(parsed.columns)
        rejected = len(parsed.structure.faulty)
        rows += Rows(block.count, len(parsed.records) - rejected, rejected, parsed.blank)
    return Result(records.report() | {"rows": rows.to_json(), "surveys": surveys.to_json()})


def _parsed(block: Block, origin: Origin, plan: Plan, coded: Mapping[int, Codebook]) -> Parsed:
    """The rows of a block; those of a corrected rejects.csv without what neutralised their formulas there, or stands
    there for bytes that were no characters.
    """
    if not is_rejects(plan.labels):
        return parse(block, origin, plan.layout, coded)
    parsed = padded.parse(block, origin, plan.layout, plan.padding, coded)
    parsed.columns = [coding.mapped(column, restore_column) for column in parsed.columns]
    clear_unmended(parsed, plan.labels)
    return parsed


@dataclass(slots=True)
class _Held:
    """A block between checking and delivering."""

    block: Block
    origin: Origin
    records: Offsets
    """Position in the block of each row."""
    cells: Offsets
    """See ``Parsed.cells``."""
    not_text: Offsets
    """The rows whose bytes are not all characters, as far as is known."""
    blank: int
    checked: Checked
    records_before: int
    """Records of the chunk before this block."""
    lines_before: int
    """Line breaks of the chunk before this block."""

    @property
    def numbers(self) -> Offsets:
        """Number in the chunk (from 1) of each row's record."""
        return self.records + (self.records_before + 1)

    def between(self, rejected: Mask) -> tuple[int, int]:
        """Numbers of the first and the last record that is not rejected, of at least one."""
        first, last = np.argmin(rejected), len(rejected) - 1 - np.argmin(rejected[::-1])
        before = self.records_before + 1
        return int(self.records[first]) + before, int(self.records[last]) + before


@lru_cache(maxsize=1)
def _checker(contract: Contract, binding: Binding, references: tuple[KeySet, ...] | None) -> Checker:
    """A warm worker does many chunks of one plan."""
    return Checker(contract, binding, references)


class _Process:
    def __init__(
        self,
        task: Task,
        plan: Plan,
        records: Records,
        transform: Transform | None,
        repeats: Repeats,
        references: Sequence[KeySet] | None,
    ) -> None:
        if plan.contract is None:
            raise ValueError("rows cannot be processed before there is a contract")
        self._task, self._plan, self._records = task, plan, records
        self._checker = _checker(plan.contract, plan.binding, None if references is None else tuple(references))
        self._keys = uniqueness.keys_of(plan.contract)
        self._repeats = repeats
        self._delivery = Delivery(plan, plan.contract, task.index, transform)
        self._rejects = Renderer(plan)
        self._codes = Coding()
        self._failure: Terminal | None = None
        """Why the rows cannot be delivered."""
        self._failed: tuple[int, int] | None = None
        """The first and the last record of the block that could not be delivered."""
        self._rows = Rows()

    def run(self) -> Result:
        held: Iterable[_Held] = map(self._checked, self._records)
        keys: list[bytes] = []
        if self._keys:
            held = list(held)
            keys = self._settled(held)
        delivered = self._delivered(held)
        report = self._records.report() | {
            "rows": self._rows.to_json(),
            "delivered": delivered.rows,
            "findings": self._rejects.reasons.total,
            "schema": delivered.schema,
            "failure": None if self._failure is None else _told(self._failure, self._failed),
        }
        return Result(
            report,
            delivered.parts,
            self._rejects.finish(),
            self._rejects.reasons.to_json(),
            keys,
            delivered.aggregates,
            delivered.profile,
            self._failure,
        )

    def _delivered(self, held: Iterable[_Held]) -> Delivered:
        """What the rows became; nothing where they could not be delivered. All records are gone through."""
        for _ in map(self._try_to_deliver, held):  # unlike a loop's variable, ``map`` does not hold what it has given
            pass
        if self._failure is None:
            try:
                return self._delivery.finish()
            except Terminal as error:
                self._failure = error
        return Delivered(0, None, [], b"", b"")

    def _try_to_deliver(self, held: _Held) -> None:
        try:
            if self._failure is None:
                self._deliver(held)
        except Terminal as error:
            self._failure = error
            self._failed = held.between(held.checked.findings.rejected(len(held.records)))

    def keys(self) -> list[bytes]:
        return self._settled(list(map(self._checked, self._records)))

    def _settled(self, held: Sequence[_Held]) -> list[bytes]:
        """``Result.keys``; ``held``: all blocks of the chunk."""
        blocks = [(each.checked, each.numbers) for each in held]
        return settle(self._keys, blocks, self._repeats, chunk=self._task.index, records=self._records.read)

    def _checked(self, block: Block) -> _Held:
        origin, codes = self._records.origin(block), self._codes
        if codes.wants_glance and block.count >= coding.JUDGED_ROWS:
            codes.glance(_parsed(block.head(coding.JUDGED_ROWS), origin, self._plan, {}).columns)
        parsed = _parsed(block, origin, self._plan, codes.columns)
        codes.revise(parsed.columns)
        checked = self._checker.check(parsed)
        before, lines = self._records.read, self._records.lines
        not_text = parsed.structure.not_text
        return _Held(block, origin, parsed.records, parsed.cells, not_text, parsed.blank, checked, before, lines)

    def _deliver(self, held: _Held) -> None:
        rejected = held.checked.findings.rejected(len(held.records))
        rows = np.flatnonzero(rejected)
        self._rows += Rows(held.block.count, len(held.records) - len(rows), len(rows), held.blank)
        table = held.checked.table
        if len(rows):
            self._reject(held, rows)
            table = held.checked.rows(~rejected)
        if table.num_rows:
            self._delivery.add(table, held.between(rejected))

    def _reject(self, held: _Held, rows: Offsets) -> None:
        at, starts = held.records[rows], held.block.starts
        lines = np.zeros(len(held.records), np.int64)
        lines[rows] = held.block.lines_before(at) + (held.lines_before + 1)
        rejected = Rejected(
            rows=rows,
            numbers=held.numbers[rows],
            lines=lines[rows],
            byte_offsets=held.origin.of(starts[at]),
            cells=held.cells[rows],
            is_text=~np.isin(rows, held.not_text) if len(held.not_text) else np.ones(len(rows), np.bool_),
            texts=texts_of(held.block.data, starts[at], starts[at + 1], self._plan.dialect),
        )
        self._rejects.reasons.count(held.checked.findings, held.numbers, lines)
        self._rejects.add(rejected, held.checked.findings)
