"""Detecting a CSV's delimiter and whether it has a header, from the records of its head.

The delimiter: the one whose records have the most consistent number of cells, and whose cells look most like single
values. Consistency alone is not enough (``1,5;2,5`` is consistent by comma too), which is the finding of van den Burg,
Nazábal and Sutton, "Wrangling Messy CSV Files by Detecting Row and Type Patterns" (2019).
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from chalicelib.engine.contract.schema import reserved
from chalicelib.frozen import frozen

DELIMITERS: Final = (",", ";", "\t", "|")
"""Candidates; where two fit equally well, the earlier one is taken."""

RECORDS_LIMIT: Final = 500
"""Records that are looked at."""

_NUMBER = re.compile(r"[+-]?[$€£]?\s?(?:\d[\d .,']*|[.,]\d+)(?:[eE][+-]?\d+)?\s?[%€]?")
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[T ]\d{1,2}:\d{2}.*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}(?: \d{1,2}:\d{2}.*)?|"
    r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?"
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_BLANK: Final = frozenset(("", "na", "n/a", "nan", "null", "none", "-", "?", "\\n"))
_FOREIGN_FIRST = 0.3
"""Weight of a delimiter by which the first record is not as wide as most: text below a header has delimiters too."""
_AMBIGUOUS: Final = 0.6

T = TypeVar("T")


@frozen
class Detected(Generic[T]):
    """A property of a file that was found out."""

    value: T
    confidence: float
    """0 to 1."""


Records = list[list[str]]


def records(text: str, delimiter: str, *, whole: bool) -> Records:
    """The first records' cells, blank records left out. The last one may be cut unless ``whole``: it is left out."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    found: Records = []
    complete = False
    try:
        for record in reader:
            if record:
                found.append(record)
            if len(found) > RECORDS_LIMIT:
                complete = True
                break
    except csv.Error:
        # A quote that is never closed makes a cell longer than the module takes; the records before it are good.
        complete = True
    if not complete and not whole and len(found) > 1:
        found.pop()
    return found[:RECORDS_LIMIT]


def delimiter(text: str, names: Sequence[str] | None, *, whole: bool) -> Detected[str]:
    """``names``: the contract's field names, where there is a contract; a header that has them decides."""
    scores: dict[str, float] = {}
    shares: dict[str, float] = {}
    for candidate in DELIMITERS:
        rows = records(text, candidate, whole=whole)
        scores[candidate], shares[candidate] = _score(rows, candidate)
        if names and rows:
            scores[candidate] += _share_of(names, rows[0]) if len(names) > 1 else 0.0
    best = max(DELIMITERS, key=lambda candidate: scores[candidate])
    if scores[best] == 0.0:
        # Nothing divides the records: one column, which any delimiter reads alike unless it stands in a cell.
        divided = any(candidate in text for candidate in DELIMITERS)
        alone = names is not None and len(names) == 1
        return Detected(",", 1.0 if alone or not divided else 0.5)
    if names is not None and len(names) == 1 and _share_of(names, [_first_line(text)]):
        return Detected(next(c for c in DELIMITERS if c not in names[0]), 1.0)
    second = max(scores[candidate] for candidate in DELIMITERS if candidate != best)
    return Detected(best, shares[best] * scores[best] / (scores[best] + second * second))


def _first_line(text: str) -> str:
    return re.split(r"\r\n|\n|\r", text.lstrip("\r\n"), maxsplit=1)[0].strip('"')


def _share_of(names: Sequence[str], cells: Sequence[str]) -> float:
    """The share of the names that stand among the cells, without regard to case."""
    found = {cell.strip().lower() for cell in cells}
    return sum(name.strip().lower() in found for name in names) / len(names)


def _score(rows: Records, candidate: str) -> tuple[float, float]:
    """How well a delimiter fits (0: not at all), and the share of the records that have the usual width."""
    if not rows:
        return 0.0, 0.0
    widths = Counter(len(row) for row in rows)
    # Of widths that are equally frequent, the first record's.
    width = max(widths, key=lambda size: (widths[size], size == len(rows[0])))
    share = widths[width] / len(rows)
    if width < 2:
        return 0.0, share
    others = [other for other in DELIMITERS if other != candidate]
    cells = [cell for row in rows[:100] if len(row) == width for cell in row]
    clean = sum(_is_clean(cell, others) for cell in cells) / len(cells)
    first = 1.0 if len(rows[0]) == width else _FOREIGN_FIRST
    return share * share * clean * first * (1 - 1 / (2 * width)), share


def _is_clean(cell: str, others: Sequence[str]) -> bool:
    """Whether a cell looks like one value: a number such as ``1,5``, or a text that no other delimiter would divide."""
    if _is_value(cell):
        return True
    # In prose a comma or semicolon is followed by a space, in data it is not.
    return not any(other in cell.replace(", ", "").replace("; ", "") for other in others)


def _is_value(cell: str) -> bool:
    return _NUMBER.fullmatch(cell.strip()) is not None or _DATE.fullmatch(cell.strip()) is not None


def header(rows: Records, names: Sequence[str] | None, typed: Sequence[bool]) -> Detected[bool]:
    """Whether the first record is a header. ``typed``: per field of the contract, whether it is more than a text."""
    if not rows:
        return Detected(True, _AMBIGUOUS)
    if names is None:
        return _header_by_columns(rows)
    first = rows[0]
    labels = first[reserved(first) :]
    if len(labels) < len(first) or _share_of(names, labels) >= 0.5:
        return Detected(True, 1.0)
    if _share_of(names, labels) > 0:
        return Detected(True, 0.75)
    # No label is known. A header that does not match has to be told, not be taken for data: the file has no header
    # only where a typed field's place holds a value.
    values = sum(is_typed and _is_value(cell) for is_typed, cell in zip(typed, first, strict=False))
    if values:
        return Detected(False, 0.9 if values > 1 else 0.75)
    return Detected(True, _AMBIGUOUS)


def _header_by_columns(rows: Records) -> Detected[bool]:
    """Each column votes: a text above values is a label, a value above values is data."""
    first, others = rows[0], rows[1:]
    if not others:
        values = sum(_is_value(cell) for cell in first)
        return Detected(values == 0, _AMBIGUOUS if values == 0 else 0.75)
    labels = data = recurring = 0
    for place, cell in enumerate(first):
        column = [row[place].strip() for row in others if place < len(row)]
        filled = [text for text in column if text.lower() not in _BLANK]
        if not filled:
            continue
        usual = sum(_is_value(text) for text in filled) / len(filled)
        label = cell.strip()
        if _is_value(label) and not (
            _YEAR.fullmatch(label) and sum(map(bool, map(_YEAR.fullmatch, filled))) * 2 < len(filled)
        ):
            data += 1
        elif usual > 0.7 and (label.lower() not in _BLANK or (place == 0 and label == "")):
            # pandas and R leave the label of the row numbers, which stand first, blank.
            labels += 1
        recurring += label.lower() not in _BLANK and label in column
    if labels != data:
        winner, loser = max(labels, data), min(labels, data)
        return Detected(labels > data, 0.5 + 0.5 * (winner - loser) / (winner + loser))
    if labels:
        return Detected(False, 0.5)
    stripped = [cell.strip() for cell in first]
    return Detected(not recurring and len(set(stripped)) == len(stripped) and "" not in stripped, _AMBIGUOUS)
