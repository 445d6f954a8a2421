"""What a draft contract could say of the file and does not, because only a person knows: that spaces are no part of the
cells, that texts are numbers with a comma, or dates. No cell is quoted.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

from chalicelib.engine.contract.dialect import snippet
from chalicelib.engine.contract.fields import Field
from chalicelib.engine.contract.resource import field_document
from chalicelib.engine.plan import Plan
from chalicelib.engine.types.infer import Survey

_SPACED: Final = (
    "every cell after a delimiter begins with a space, and so numbers and dates are strings: infer from a copy without"
    ' these spaces, and tell of them in the draft: "dialect": {dialect}'
)
_LABELS: Final = (
    "spaces around labels are taken for a part of the names {names}: the draft may call its fields {without}, since a"
    " label may have white space around its field's name"
)
_READ: Final = "{columns}: every text would be read if the field had {keys}"
_EITHER: Final = "{columns}: every text would be read if the field had {keys}; {reason}: ask whoever made the file"
_DAY_OR_MONTH: Final = "no text tells which is the day and which the month"
_POINT_OR_GROUPS: Final = "no text tells whether 1,234 is a little more than one, or than a thousand"
_NAMED: Final = 10
"""Columns that a line names."""


def told(name: str, plan: Plan, surveys: Sequence[Survey]) -> list[str]:
    """Lines for a person. ``surveys``: one for each label of the plan."""
    assert plan.contract is not None, "a draft was made"
    fields = plan.contract.fields
    own = surveys[len(surveys) - len(fields) :]
    lines = [*_spaces(plan, fields, own), *_readings(fields, own)]
    return [f"{name}: {line}" for line in lines]


def _spaces(plan: Plan, fields: Sequence[Field], surveys: Sequence[Survey]) -> Iterator[str]:
    filled = [each for each in surveys[1:] if each.values or each.words]
    spaced = bool(filled) and all(each.spaced for each in filled)
    if spaced:
        yield _SPACED.format(dialect=snippet(plan.dialect, **_preamble(plan), skipInitialSpace=True))
    if plan.dialect.header:
        names = [each.name for each in fields]
        # Spaces at the start of a cell are told of already.
        around = [each for each in names if each.strip() != (each.lstrip(" ") if spaced else each)]
        if around:
            yield _LABELS.format(names=_listed(around), without=_listed([each.strip() for each in around]))


def _preamble(plan: Plan) -> dict[str, Any]:
    """What else was detected: where a contract has a dialect, nothing is."""
    rows = {"commentRows": list(plan.dialect.comment_rows)} if plan.dialect.comment_rows else {}
    if not plan.dialect.header:
        return rows | {"header": False}
    return rows | ({"headerRows": list(plan.dialect.header_rows)} if rows else {})


def _readings(fields: Sequence[Field], surveys: Sequence[Survey]) -> Iterator[str]:
    columns: dict[tuple[str, ...], list[str]] = defaultdict(list)
    reasons: dict[tuple[str, ...], str] = {}
    for field, known in zip(fields, surveys, strict=True):
        readings = known.readings(field.name)
        keys = tuple(_keys(each) for each in readings)
        if keys:
            columns[keys].append(field.name)
            reasons[keys] = _POINT_OR_GROUPS if readings[0].type == "number" else _DAY_OR_MONTH
    for keys, names in columns.items():
        template = _READ if len(keys) == 1 else _EITHER
        yield template.format(columns=_listed(names), keys=" or ".join(keys), reason=reasons[keys])


def _keys(field: Field) -> str:
    """The keys of a contract's field that make it one."""
    keys = field_document(field, ("",))
    del keys["name"]
    return json.dumps(keys, ensure_ascii=False)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(json.dumps(each, ensure_ascii=False) for each in names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED:,} more"
