"""Which column of a file holds which field of its contract (``fieldsMatch`` of Table Schema)."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, Final

from chalicelib.engine.contract.dialect import Dialect, without_header
from chalicelib.engine.contract.fields import Field
from chalicelib.engine.contract.schema import reserved
from chalicelib.errors import FINDINGS, Terminal
from chalicelib.frozen import frozen

if TYPE_CHECKING:
    from chalicelib.engine.contract import Contract

FINDINGS_LIMIT: Final = 100
"""Label findings that a message lists; Step Functions cuts a cause at 32,768 characters."""

_LABEL_LIMIT = 80
_ADVICE: Final = (
    "give every column a label of its own, or write a contract that names the columns in order and passes over the"
    ' header: "dialect": {dialect}'
)

_NO_HEADER: Final = (
    "the first record is no header: none of its cells is a field's name, and some are values (they are not shown here)."
    ' A file without a header needs "dialect": {{"header": false}}; the first fields are: {fields}'
)
_VALUE: Final = re.compile(r"[-+]?[$€£]?\d[\d.,:/%TZ+ -]*|\S+@\S+\.\S+")
"""A number, a date, a time, an e-mail address: no label of a column with a name."""

EXTRA_ALLOWED: Final = ("subset", "partial")
ABSENT_ALLOWED: Final = ("superset", "partial")


@frozen
class Binding:
    """Which column of a file holds which field."""

    fields: tuple[int | None, ...]
    """Per physical column of the file the index into ``contract.fields``, or None for a column that is ignored."""
    absent: tuple[int, ...]
    """Fields without a column, where ``fieldsMatch`` allows that: all null."""


def bind(contract: Contract, labels: Sequence[str]) -> Binding:
    """Bind a header's labels to the contract's fields. A label may have white space around the field's name.

    The columns that rejects.csv has before the file's own are ignored, so that a corrected one can be uploaded.

    Errors: ``Terminal("header-mismatch")``, whose message lists what is wrong with each label (Frictionless' codes
    blank-label, duplicate-label, missing-label, extra-label, incorrect-label; the first hundred). Where there is no
    header but a record of data in its place, none of its cells is shown: messages hold no cell's value.
    """
    skipped = reserved(labels)
    labels = _named(contract, labels, skipped)
    if _are_values(contract, labels[skipped:]):
        raise Terminal(
            "header-mismatch", _NO_HEADER.format(fields=", ".join(each.name for each in contract.fields[:20]))
        )
    places = _by_order(contract, labels) if contract.fields_match == "exact" else _by_name(contract, labels)
    findings = _duplicates(contract, labels, skipped)
    if contract.fields_match == "exact":
        findings += _order_findings(contract, labels, skipped)
    else:
        findings += _name_findings(contract, labels, skipped, places)
    if findings:
        raise Terminal("header-mismatch", _listed([text for _, text in sorted(findings)]))
    bound = {place for place in places if place is not None}
    return Binding(places, tuple(index for index in range(len(contract.fields)) if index not in bound))


def drafted_names(labels: Sequence[str], dialect: Dialect | None = None) -> tuple[str, ...]:
    """The fields' names in a draft for a file with these labels, those of rejects.csv left out: the labels themselves,
    and ``unlabelled`` for the blank ones. A file that has these labels binds to these fields. ``dialect``: what was
    detected, where it was not the default.

    Errors: ``Terminal("header-mismatch")`` where two columns would have the same name, or none has one.
    """
    own = labels[reserved(labels) :]
    if not own:
        raise Terminal("header-mismatch", "the file has the columns of a rejects.csv, and none of its own")
    names = tuple(label if label.strip() else unlabelled(at) for at, label in enumerate(own, start=1))
    first: dict[str, int] = {}
    findings = []
    if not any(label.strip() for label in own):
        findings = [
            _finding(position, "blank-label") for position in range(len(labels) - len(own) + 1, len(labels) + 1)
        ]
    for position, name in enumerate(names, start=len(labels) - len(own) + 1):
        held = first.setdefault(name.strip(), position)
        if held != position:
            findings.append(_finding(position, "duplicate-label", label=_shown(name), first=held))
    if findings:
        advice = _ADVICE.format(dialect=without_header(dialect or Dialect()))
        raise Terminal("header-mismatch", f"{_listed([text for _, text in findings])}; {advice}")
    return names


def unlabelled(position: int) -> str:
    """What a column without a label is called, by its position (from 1) among the file's own columns."""
    return f"field{position}"


def padding(contract: Contract | None, labels: Sequence[str]) -> int:
    """How many blank labels at the end of a rejects.csv's header are no columns: a spreadsheet pads all rows to the
    width of the widest, one with cells too many. In any other file they are the labels of its columns, and here that of
    a field which has to be somewhere.
    """
    skipped = reserved(labels)
    if not skipped:
        return 0
    own = list(labels[skipped:])
    names: set[str] = set()
    if contract is not None and contract.fields_match not in ("superset", "partial"):
        names = {field.name for field in contract.fields} - {label.strip() for label in own}
    while own and not own[-1].strip() and unlabelled(len(own)) not in names:
        own.pop()
    return len(labels) - skipped - len(own)


def returning_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """A file's own labels as its rejects.csv has them: blank ones at the end would be taken for ``padding`` there."""
    own = list(labels[reserved(labels) :])
    taken = {label.strip() for label in own}
    for at in range(len(own), 0, -1):
        if own[at - 1].strip():
            break
        name = unlabelled(at)
        while name in taken:
            name += "_"
        own[at - 1] = name
        taken.add(name)
    return tuple(own)


def bind_positions(contract: Contract, width: int) -> Binding:
    """Bind the columns of a file without a header, in order. ``width``: the cells of its first sound record; 0: none.

    Columns beyond the fields are ignored under subset and partial, and fields beyond the columns are null under
    superset and partial, if they are not required. Otherwise every record should have as many cells as there are
    fields, and one that has not is rejected by itself (``missing-cell``, ``extra-cell``).
    """
    count = len(contract.fields)
    if width > count and contract.fields_match in EXTRA_ALLOWED:
        return Binding((*range(count), *(None for _ in range(width - count))), ())
    if 0 < width < count and contract.fields_match in ABSENT_ALLOWED:
        absent = range(width, count)
        if not any(_is_required(contract, contract.fields[index]) for index in absent):
            return Binding(tuple(range(width)), tuple(absent))
    return Binding(tuple(range(count)), ())


@frozen
class Drift:
    """How a file's columns differ from its contract's fields, where ``fieldsMatch`` tolerates that."""

    missing: tuple[str, ...] = ()
    """Fields without a column: null in every row."""
    extra: tuple[str, ...] = ()
    """Labels of the columns that are no field's; they are not delivered, but stand in rejects.csv."""
    reordered: bool = False
    """Whether the columns stand in another order than the fields."""

    def to_json(self) -> dict[str, list[str] | bool]:
        return {"missing": list(self.missing), "extra": list(self.extra), "reordered": self.reordered}


def drift_of(contract: Contract, labels: Sequence[str], bound: Binding) -> Drift:
    """The drift of a file whose labels were bound so. The columns of rejects.csv at its start are none."""
    skipped = reserved(labels)
    own = list(zip(labels, bound.fields, strict=True))[skipped:]
    places = [place for _, place in own if place is not None]
    return Drift(
        missing=tuple(contract.fields[place].name for place in bound.absent),
        extra=tuple(
            label if label.strip() else unlabelled(at) for at, (label, place) in enumerate(own, 1) if place is None
        ),
        reordered=places != sorted(places),
    )


def _are_values(contract: Contract, labels: Sequence[str]) -> bool:
    names = {field.name for field in contract.fields}
    stripped = [label.strip() for label in labels]
    return names.isdisjoint(stripped) and any(_VALUE.fullmatch(label) for label in stripped)


def _named(contract: Contract, labels: Sequence[str], skipped: int) -> list[str]:
    """The labels, with the name of an unlabelled column for a blank one where the contract has a field of that name."""
    names = {field.name for field in contract.fields}
    return [
        name if not label.strip() and at > 0 and (name := unlabelled(at)) in names else label
        for at, label in enumerate(labels, start=1 - skipped)
    ]


def _same(label: str, name: str) -> bool:
    return label == name or label.strip() == name.strip()


def _key(names: Set[str], label: str) -> str:
    """What a label must not share with another one: the name of its field, or else itself without white space."""
    return label if label in names else label.strip()


def _is_required(contract: Contract, field: Field) -> bool:
    return field.constraints.required or field.name in contract.primary_key


def _by_order(contract: Contract, labels: Sequence[str]) -> tuple[int | None, ...]:
    skipped = reserved(labels)
    count = len(contract.fields)
    return tuple(place - skipped if skipped <= place < skipped + count else None for place in range(len(labels)))


def _by_name(contract: Contract, labels: Sequence[str]) -> tuple[int | None, ...]:
    exact = {field.name: index for index, field in enumerate(contract.fields)}
    trimmed = {field.name.strip(): index for index, field in enumerate(contract.fields)}
    skipped = reserved(labels)
    return tuple(
        None if place < skipped else exact.get(label, trimmed.get(label.strip())) for place, label in enumerate(labels)
    )


_Finding = tuple[int, str]
"""Position (that of a missing label is after all labels) and text."""


def _finding(position: int, code: str, **values: object) -> _Finding:
    return position, FINDINGS[code].format(position=position, **values)


def _duplicates(contract: Contract, labels: Sequence[str], skipped: int) -> list[_Finding]:
    first: dict[str, int] = {}
    findings = []
    names = {field.name for field in contract.fields}
    for position, label in enumerate(labels[skipped:], start=skipped + 1):
        key = _key(names, label)
        if not key:
            # Where extra columns are ignored, a column without a label is one of them.
            if contract.fields_match not in EXTRA_ALLOWED:
                findings.append(_finding(position, "blank-label"))
        elif key in first:
            findings.append(_finding(position, "duplicate-label", label=_shown(label), first=first[key]))
        else:
            first[key] = position
    return findings


def _order_findings(contract: Contract, labels: Sequence[str], skipped: int) -> list[_Finding]:
    findings = []
    own = labels[skipped:]
    names = {field.name for field in contract.fields}
    seen: set[str] = set()
    for position, (label, field) in enumerate(zip(own, contract.fields, strict=False), start=skipped + 1):
        key = _key(names, label)
        # As with Frictionless, a blank or repeated label is that one finding.
        if key and key not in seen and not _same(label, field.name):
            findings.append(_finding(position, "incorrect-label", label=_shown(label), expected=_shown(field.name)))
        seen.add(key)
    for position, label in enumerate(own[len(contract.fields) :], start=skipped + len(contract.fields) + 1):
        if label.strip():
            findings.append(_finding(position, "extra-label", label=_shown(label)))
    for position, field in enumerate(contract.fields[len(own) :], start=len(labels) + 1):
        findings.append(_finding(position, "missing-label", label=_shown(field.name)))
    return findings


def _name_findings(
    contract: Contract, labels: Sequence[str], skipped: int, places: Sequence[int | None]
) -> list[_Finding]:
    findings = []
    if contract.fields_match not in EXTRA_ALLOWED:
        for position, (label, place) in enumerate(zip(labels, places, strict=True), start=1):
            if position > skipped and place is None and label.strip():
                findings.append(_finding(position, "extra-label", label=_shown(label)))
    bound = set(places)
    absent = [field for index, field in enumerate(contract.fields) if index not in bound]
    nothing_matches = len(absent) == len(contract.fields)
    if contract.fields_match in ABSENT_ALLOWED and not nothing_matches:
        absent = [field for field in absent if _is_required(contract, field)]
    for position, field in enumerate(absent, start=len(labels) + 1):
        findings.append(_finding(position, "missing-label", label=_shown(field.name)))
    return findings


def _shown(label: str) -> str:
    text = " ".join(label.split("\n"))
    return text if len(text) <= _LABEL_LIMIT else text[:_LABEL_LIMIT] + "…"


def _listed(texts: Sequence[str]) -> str:
    more = len(texts) - FINDINGS_LIMIT
    return "; ".join(texts[:FINDINGS_LIMIT]) + (f"; and {more} more" if more > 0 else "")
