"""The rows that a draft contract rejects: it is drafted from the cells of those that are whole."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from chalicelib.engine import arrays
from chalicelib.engine.checks.structure import faults
from chalicelib.engine.plan import Plan, Task
from chalicelib.engine.records.chunk import Records
from chalicelib.engine.records.parse import parse
from chalicelib.engine.records.split import Offsets
from chalicelib.model import Rows
from chalicelib.ports import Objects
from chalicelib.stages.tape import ObjectTape

_ADVICE: Final = {
    "encoding-error": "where every row with ü, é and the like is among them, the file is of another encoding than"
    ' was detected: set "encoding" in the draft, such as "cp1252"; where other rows have such letters, too, the rows'
    " that do not fit are damaged",
    "extra-cell": "where lines stand above the header, infer from a copy without them,"
    ' and tell of them in the draft: "dialect": {"commentRows": [1], "headerRows": [2], …}',
}


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


def told(name: str, rows: Rows, reasons: Mapping[str, int], *, marked: bool) -> list[str]:
    """Lines for a person: which rows of a file do not fit, and what to do about it. ``marked``: see ``Plan``."""
    most_first = sorted(reasons.items(), key=lambda reason: -reason[1])
    why = ", ".join(f"{code} {count:,}" for code, count in most_first)
    advised = _ADVICE.keys() - ({"encoding-error"} if marked else set())
    advice = [f"  {code}: {_ADVICE[code]}" for code, _ in most_first if code in advised]
    return [f"{name}: {rows.rejected:,} of {rows.read:,} rows do not fit the draft: {why}", *advice]
