"""What is said of a job with more rejected rows than its contract tolerates, or fewer valid ones: how many, and what to
do about the causes that cost nearly every row."""

from __future__ import annotations

from typing import Final

from chalicelib.engine.contract import Contract, Tolerance
from chalicelib.engine.contract.dialect import below_header
from chalicelib.engine.plan import Plan
from chalicelib.engine.text.encodings import UTF8
from chalicelib.model import JSON, Rows

NEARLY: Final = 0.9
"""Of nearly every row."""

_ENCODING: Final = (
    "; nearly every one of them has bytes that are not UTF-8: if every row with ü, é and the like is among them, the"
    " file is not UTF-8: {stated}; if other rows have such letters, too, it is UTF-8, and the rejected rows are damaged"
)
"""Damaged rows of a good file look the same from here. An encoding stated by mistake reads every row, and most of them
wrongly: so how to tell comes first.
"""
_STATED: Final = 'state its encoding in the {where}: "encoding": "{encoding}"'
_ASKED: Final = (
    'ask whoever made it for its encoding, which the bytes do not tell, and state that in the {where} as "encoding"'
)
_RESEMBLED: Final = "; they would be text in {names}"
_NAMED: Final = 4
"""Encodings that a message names."""
_TITLE: Final = (
    "; nearly every row has more or fewer cells than the line that was taken for the header: if that is a title,"
    ' pass over it in the contract: "dialect": {dialect}'
)


def excess(contract: Contract, plan: Plan, rows: Rows, reasons: list[JSON]) -> str | None:
    """None where all is within the tolerance. ``reasons``: as in summary.json."""
    said = _beyond(contract.tolerance, rows)
    return said if said is None or not rows.rejected else said + _advice(contract, plan, rows, reasons)


def _beyond(tolerance: Tolerance, rows: Rows) -> str | None:
    most = tolerance.max_rejected_rows
    if most is not None and rows.rejected > most:
        return f"{rows.rejected:,} of {rows.read:,} rows were rejected, at most {most:,} may be"
    if rows.rejected > tolerance.max_rejected_ratio * rows.read:
        share = rows.rejected / rows.read
        return (
            f"{rows.rejected:,} of {rows.read:,} rows ({share:.2%}) were rejected, at most"
            f" {tolerance.max_rejected_ratio:.2%} may be"
        )
    if rows.valid < tolerance.min_valid_rows:
        return f"{rows.valid:,} rows are valid, at least {tolerance.min_valid_rows:,} must be"
    return None


def _advice(contract: Contract, plan: Plan, rows: Rows, reasons: list[JSON]) -> str:
    def most(*codes: str) -> int:
        return max((each["count"] for each in reasons if each["code"] in codes), default=0)

    # Where a row has characters of ASCII alone its encoding does not show: what counts are the rejected ones.
    if plan.text.encoding == UTF8 and not plan.marked and most("encoding-error") >= NEARLY * rows.rejected:
        return _ENCODING.format(stated=stated(plan, "contract"))
    # A contract's fields say how many cells there are; without one the header does.
    is_title = contract.inferred and may_be_title(plan)
    if is_title and min(rows.rejected, most("extra-cell", "missing-cell")) >= NEARLY * (rows.read - rows.blank):
        return _TITLE.format(dialect=below_header(plan.dialect))
    return ""


def stated(plan: Plan, where: str) -> str:
    """What to do about a file that is not UTF-8. An encoding is only proposed where nothing that was ruled out would be
    read with it: any bytes are some text in most of them, and the job would succeed. ``where``: what to write it into.
    """
    names = plan.text.resembles
    if len(names) == 1:
        return _STATED.format(where=where, encoding=names[0])
    told = _ASKED.format(where=where)
    return told + _RESEMBLED.format(names=" or ".join(names[:_NAMED])) if names else told


def may_be_title(plan: Plan) -> bool:
    """Whether the line that was taken for the header has text in one cell alone. With more of them it may well be the
    header, and each row end in a delimiter, or lack a cell.
    """
    return plan.dialect.header and sum(bool(label.strip()) for label in plan.labels) == 1
