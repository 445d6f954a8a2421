"""What to know of a draft contract before it is used: which rows it rejects, and that no header was found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import numpy as np

from chalicelib.engine import arrays
from chalicelib.engine.checks.structure import faults
from chalicelib.engine.contract.dialect import below_header, snippet, without_header
from chalicelib.engine.plan import Plan, Task
from chalicelib.engine.records.chunk import Records
from chalicelib.engine.records.parse import parse
from chalicelib.engine.records.split import Offsets
from chalicelib.model import Rows
from chalicelib.ports import Objects
from chalicelib.stages.excess import NEARLY, may_be_title, stated
from chalicelib.stages.tape import ObjectTape

_ENCODING: Final = (
    "where every row with ü, é and the like is among them, the file is of another encoding than"
    " was detected: {stated}; where other rows have such letters, too, the rows that do not fit are damaged"
)
_TITLE: Final = (
    "where the line that was taken for the header is a title, infer from a copy without it,"
    ' and tell of it in the draft: "dialect": {dialect}'
)
_LONGER: Final = (
    "where every row ends in a delimiter and the header does not, add a field to the draft,"
    ' and pass over the header: "dialect": {dialect}'
)
_ESCAPED: Final = (
    'where the quotes within cells have a backslash before them, tell of it in the draft: "dialect": {dialect}'
)

_UNNAMED: Final = (
    "no row looks like a header, and the fields are called by their positions: where row {row} is the header,"
    ' give the fields its names, and say "dialect": {here}; where row {next} is, below a title,'
    ' infer from a copy without the title, and say "dialect": {below}'
)


def count(objects: Objects, plan: Plan, tasks: Iterable[Task]) -> Counter[str]:
    """Code of a fault → rows that have it. Errors: those of the objects."""
    counts: Counter[str] = Counter()
    for task in tasks:
        with ObjectTape(objects, plan, task) as tape:
            records = Records(task, plan, tape)
            for block in records:
                found: dict[str, list[Offsets]] = defaultdict(list)
                for fault in faults(parse(block, records.origin(block), plan.layout, {}).structure):
                    found[fault.code].append(fault.rows)  # cells that are missing: column by column
                counts.update({code: len(arrays.distinct(np.concatenate(rows))) for code, rows in found.items()})
    return +counts


def told(name: str, plan: Plan, rows: Rows, reasons: Mapping[str, int]) -> list[str]:
    """Lines for a person: what is not as it should be, and what to do about it."""
    return [f"{name}: {line}" for line in _header(plan)] + (_misfits(name, plan, rows, reasons) if reasons else [])


def _header(plan: Plan) -> Iterator[str]:
    if plan.dialect.header:
        return
    above = list(plan.dialect.comment_rows)
    row = len(above) + 1
    here = snippet(plan.dialect, **({"commentRows": above} if above else {}), headerRows=[row])
    below = snippet(plan.dialect, commentRows=[*above, row], headerRows=[row + 1])
    yield _UNNAMED.format(row=row, here=here, next=row + 1, below=below)


def _misfits(name: str, plan: Plan, rows: Rows, reasons: Mapping[str, int]) -> list[str]:
    most_first = sorted(reasons.items(), key=lambda reason: -reason[1])
    why = ", ".join(f"{code} {count:,}" for code, count in most_first)
    advice = dict(_advice(plan, rows, reasons))
    lines = [f"  {code}: {advice[code]}" for code, _ in most_first if code in advice]
    return [f"{name}: {rows.rejected:,} of {rows.read:,} rows do not fit the draft: {why}", *lines]


def _advice(plan: Plan, rows: Rows, reasons: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Code of a fault → what to do about it."""
    if "encoding-error" in reasons and not plan.marked:
        yield "encoding-error", _ENCODING.format(stated=stated(plan, "draft"))
    cut = reasons.get("text-after-quote", 0)
    if cut:
        yield "text-after-quote", _ESCAPED.format(dialect=snippet(plan.dialect, escapeChar="\\"))
    for code in ("extra-cell", "missing-cell"):
        # A cell that ends at a quote within it is several.
        if reasons.get(code, 0) - cut < NEARLY * (rows.read - rows.blank):
            continue
        if may_be_title(plan):
            yield code, _TITLE.format(dialect=below_header(plan.dialect))
        elif plan.dialect.header and code == "extra-cell":
            yield code, _LONGER.format(dialect=without_header(plan.dialect))
