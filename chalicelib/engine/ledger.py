"""The proof that nothing was lost: where each chunk's first record truly is, and whether all counts balance.

Chunks are chained from the file's known first record. A chunk that guessed its first record right is proven; for one
that guessed wrong, its own report still tells where the next chunk's first record is, so that a single pass over the
reports finds every chunk that has to be done again, and what it has to be told.

A report is sealed with its digest when it is written, and must be its task's when it is read: so what the counts are
reconciled from is what the workers said.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import field
from itertools import pairwise
from typing import Any, Self

from chalicelib import errors
from chalicelib.engine.checks.findings import Base
from chalicelib.engine.plan import Task
from chalicelib.engine.records import speculate
from chalicelib.frozen import frozen
from chalicelib.model import JSON, Rows


@frozen
class Report:
    """What a worker says of its chunk. Offsets are those of the object."""

    index: int
    round: int
    start: int
    end: int
    first_record: int | None
    """None: no record begins in the chunk."""
    next_record: int | None
    """Where the first record after the chunk begins (the object's size at its end); None with ``first_record``."""
    continuations: speculate.Continuations
    lines: int
    """Line breaks from the first record to the next one after the chunk."""
    rows: Rows
    size_bytes: int = 0
    """Of the records that were gone through, added up block by block."""
    delivered: int = 0
    """Rows that came out of the transform."""
    findings: int = 0
    schema: str | None = None
    surveys: list[Any] = field(default_factory=list)
    outputs: JSON = field(default_factory=dict)
    """What was written, by name."""
    failure: JSON | None = None
    """``{"code", "message", "records"}`` where the chunk's rows could not be delivered; ``records``: the first and the
    last that were at hand, counted in the chunk, or None.
    """
    read: bool = True
    """False: the chunk's bytes could not be had, and nothing is known of its records."""

    @classmethod
    def from_json(cls, document: JSON) -> Self:
        known = dict(document)
        known["rows"] = Rows(**known["rows"])
        known["continuations"] = {state: tuple(chain) for state, chain in known["continuations"].items()}
        return cls(**known)


def sealed(report: JSON) -> bytes:
    """A report as it is stored."""
    return json.dumps(report | {"digest": _digest(report)}).encode()


def unsealed(body: bytes, task: Task) -> Report:
    """The report of a task. Errors: ``Terminal("ledger-unbalanced")`` where it is not what the task's worker wrote."""
    try:
        document = json.loads(body)
        intact = document.pop("digest") == _digest(document)
    except (ValueError, KeyError, TypeError, AttributeError):
        intact = False
    if not intact:
        raise _unbalanced(f"chunk {task.index}: its report is not what its worker wrote")
    document.pop("task", None)
    report = Report.from_json(document)
    if (report.index, report.round, report.start, report.end) != (task.index, task.round, task.start, task.end):
        raise _unbalanced(f"chunk {task.index}: its report is that of another task")
    return report


def is_intact(body: bytes, task: Task) -> bool:
    """Whether a stored report is what the task's worker wrote."""
    try:
        unsealed(body, task)
    except errors.Terminal:
        return False
    return True


def _digest(report: JSON) -> str:
    return hashlib.sha256(json.dumps(report, sort_keys=True).encode()).hexdigest()


def raise_failure(reports: Sequence[Report]) -> None:
    """``reports``: those of the chunks from the file's start on, without gap, if records are to be told.

    Errors: ``Terminal``, the failure of the first chunk that has one, with the records' numbers in the file.
    """
    failed = next((report for report in reports if report.failure), None)
    if failed is None or failed.failure is None:
        return
    message = failed.failure["message"]
    if failed.failure["records"] is not None:
        before = sum(report.rows.read for report in reports if report.index < failed.index)
        first, last = (before + number for number in failed.failure["records"])
        message += f" (records {first:,} to {last:,} of the file)"
    raise errors.Terminal(failed.failure["code"], message)


Resolve = Callable[[Report, int], int]
"""Chunk, its true first record → offset of the first record after it, by reading the chunk."""


def first_records(reports: Sequence[Report], data_start: int, resolve: Resolve) -> list[int]:
    """The true offset of the first record at or after each chunk's start, and at last that of the object's end.

    ``resolve`` is asked only where a chunk's report does not tell: after an unclosed quote was cut in it.
    """
    firsts = [data_start]
    for report in reports:
        first = firsts[-1]
        if first >= report.end:
            firsts.append(first)
        elif report.first_record == first and report.next_record is not None:
            firsts.append(report.next_record)
        else:
            known = speculate.next_record(report.continuations, first)
            firsts.append(resolve(report, first) if known is None else known)
    return firsts


def unproven(reports: Sequence[Report], firsts: Sequence[int]) -> list[int]:
    """Indexes of the chunks that did not start where their first record is."""
    return [
        report.index
        for report, first in zip(reports, firsts, strict=False)
        if report.first_record != (first if first < report.end else None)
    ]


def bases(reports: Sequence[Report], header_lines: int) -> dict[int, Base]:
    """Chunk → records and lines of the file before its first record."""
    records, lines, found = 0, header_lines, {}
    for report in reports:
        found[report.index] = Base(records, lines)
        records += report.rows.read
        lines += report.lines
    return found


def balance(reports: Sequence[Report], data_start: int, size_bytes: int, *, transformed: bool) -> JSON:
    """The ledger, for the manifest. Errors: ``Terminal("ledger-unbalanced")`` naming what does not add up."""
    _tile([(report.start, report.end) for report in reports], 0, size_bytes, "ranges")
    consumed = [(report.first_record, report.next_record or 0) for report in reports if report.first_record is not None]
    _tile(consumed, data_start, size_bytes, "records")
    for report in reports:
        rows = report.rows
        ranged = (report.next_record or 0) - (report.first_record or 0)
        if report.size_bytes != ranged:
            raise _unbalanced(
                f"chunk {report.index}: its records have {report.size_bytes} bytes, their range has {ranged}"
            )
        if not rows.balances or min(rows.read, rows.valid, rows.rejected, rows.blank) < 0:
            raise _unbalanced(f"chunk {report.index}: {rows.read} records read are not {_sum(rows)}")
        if report.first_record is None and rows.read:
            raise _unbalanced(f"chunk {report.index}: {rows.read} records read, but none begins in it")
        if not transformed and report.delivered != rows.valid:
            raise _unbalanced(f"chunk {report.index}: {rows.valid} valid rows, but {report.delivered} delivered")
        written = sum(part["rows"] for part in report.outputs.get("data", ()))
        if written != report.delivered:
            raise _unbalanced(f"chunk {report.index}: {report.delivered} rows delivered, but {written} written")
        if ("rejects" in report.outputs) != (rows.rejected > 0):
            raise _unbalanced(f"chunk {report.index}: {rows.rejected} records rejected, but not so written")
    total = sum((report.rows for report in reports), Rows())
    return {
        "size_bytes": size_bytes,
        "data_start": data_start,
        "rows": total.to_json(),
        "delivered": sum(report.delivered for report in reports),
        "findings": sum(report.findings for report in reports),
        "chunks": [_entry(report) for report in reports],
    }


def _entry(report: Report) -> JSON:
    return {
        "index": report.index,
        "range": [report.start, report.end],
        "records": [report.first_record, report.next_record],
        "size_bytes": report.size_bytes,
        "round": report.round,
        **report.rows.to_json(),
        "delivered": report.delivered,
    }


def _tile(ranges: Sequence[tuple[int, int]], start: int, end: int, what: str) -> None:
    """The ranges follow each other without gap or overlap from ``start`` to ``end``."""
    edges = [(start, start), *ranges, (end, end)]
    for (_, before), (after, _) in pairwise(edges):
        if before != after:
            raise _unbalanced(f"the chunks' {what} do not tile the object: {before} is followed by {after}")


def _sum(rows: Rows) -> str:
    return f"{rows.valid} valid + {rows.rejected} rejected + {rows.blank} blank"


def _unbalanced(message: str) -> errors.Terminal:
    return errors.Terminal("ledger-unbalanced", message)
