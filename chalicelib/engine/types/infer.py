"""What a file's columns are, learned from every one of its texts: surveys per column, merged into a draft contract.

A survey holds, for each candidate type, whether *every* text seen so far is readable as it, by the very readers that
will read the file with the draft. That is a conjunction, so surveys merge in any order and by any cut of the file, and
stay small however long it is. The rules are written out in docs/types.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.engine import arrays, types
from chalicelib.engine.contract import Contract
from chalicelib.engine.contract.binding import drafted_names
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.contract.fields import Field
from chalicelib.frozen import frozen

NULL_WORDS: Final = ("NA", "N/A", "n/a", "NULL", "null", "NaN", "nan", "None", "-", "\\N")
"""Words that exports write for a missing value. In a column whose other texts are of one type they are its missing
values; in a column of strings they are text (``NA`` is Namibia, ``None`` a town)."""


@frozen
class _Candidate:
    """A type that a column may turn out to have."""

    type: str
    format: str = "default"
    canonical: str | None = None
    """RE2 pattern that a text must match besides being readable; None: every readable text will do."""
    decimal_char: str = "."
    group_char: str | None = None

    @property
    def name(self) -> str:
        marks = "" if (self.decimal_char, self.group_char) == (".", None) else self.decimal_char
        return " ".join(
            part for part in (self.type, self.format, marks, self.group_char) if part not in ("default", "", None)
        )

    def field(self, name: str, missing_values: tuple[str, ...] = ("",)) -> Field:
        return Field(
            name,
            self.type,
            self.format,
            missing_values=missing_values,
            decimal_char=self.decimal_char,
            group_char=self.group_char,
        )


# Codes keep their zeros: 007 and +49 are readable as integers, but a column that has one is not a column of integers.
# float64 is exact for integers of 15 digits: longer ones are integers or strings, never rounded by a draft contract.
_CANDIDATES: Final = (
    _Candidate("integer", canonical=r"\A(?:0|-?[1-9][0-9]*)\z"),
    _Candidate("number", canonical=r"\A-?(?:(?:0|[1-9][0-9]{0,14})(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\z"),
    _Candidate("boolean", canonical=r"\A[A-Za-z]+\z"),
    _Candidate("date"),
    _Candidate("date", "%Y/%m/%d"),
    _Candidate("date", "%d-%b-%Y"),
    _Candidate("date", "%d %b %Y"),
    _Candidate("datetime"),
    _Candidate("datetime", "%Y-%m-%d %H:%M"),
    _Candidate("datetime", "%Y-%m-%dT%H:%M"),
    _Candidate("datetime", "%Y/%m/%d %H:%M:%S"),
    _Candidate("time"),
    _Candidate("time", "%H:%M"),
)
"""In order of preference; a column that none of them fits is of strings. No format that leaves open which number is
the day and which the month."""

# What no draft takes by itself, but a person may know. A text such as 1,5 may as well be two things in a list; and a
# dataset without a contract is delivered as its drafts say.
_COMMA: Final = _Candidate("number", canonical=r"\A-?(?:0|[1-9][0-9]{0,18})(?:,[0-9]+)?\z", decimal_char=",")
_COMMA_GROUPED: Final = _Candidate(
    "number",
    canonical=r"\A-?(?:0|[1-9][0-9]{0,2}(?:\.[0-9]{3}){1,6}|[1-9][0-9]{0,18})(?:,[0-9]+)?\z",
    decimal_char=",",
    group_char=".",
)
_GROUPED: Final = _Candidate(
    "number",
    canonical=r"\A-?(?:(?:0|[1-9][0-9]{0,2}(?:,[0-9]{3}){1,6}|[1-9][0-9]{0,18})(?:\.[0-9]*)?|\.[0-9]+)"
    r"(?:[eE][+-]?[0-9]+)?\z",
    group_char=",",
)
_DATES: Final = tuple(
    _Candidate("date" if not clock else "datetime", f"{first}{mark}{second}{mark}%Y{clock}")
    for mark in "./-"
    for clock in ("", " %H:%M", " %H:%M:%S")
    for first, second in (("%d", "%m"), ("%m", "%d"))
)
_DATE: Final = r"\A[0-9]{2}[./-][0-9]{2}[./-][0-9]{4}"
"""What no text lacks where one of these reads it."""
_SPACED: Final = _Candidate("string", "begins with a space", r"\A ")

_HINTS: Final = (_COMMA, _COMMA_GROUPED, _GROUPED, *_DATES, _SPACED)
_BY_NAME: Final = {candidate.name: candidate for candidate in (*_CANDIDATES, *_HINTS)}
_ALL: Final = frozenset(_BY_NAME)
_DATE_NAMES: Final = frozenset(candidate.name for candidate in _DATES)
_WIDER: Final = {
    _COMMA.name: ("integer",),
    _COMMA_GROUPED.name: ("integer", _COMMA.name),
    _GROUPED.name: ("integer", "number"),
}
"""Candidate → earlier ones whose texts it all reads: where one of those holds, it need not be tried."""
_BY_PATTERN: Final = (_COMMA, _COMMA_GROUPED, _SPACED)
"""Candidates that read whatever matches their pattern: no exponent makes a number too large."""

_GLANCE_ROWS: Final = 64
"""Candidates are first put to so many rows: most fall there, at next to no cost."""


@frozen
class Survey:
    """What is known of one column's texts. ``Survey()`` knows of none, and changes nothing when merged."""

    values: int = 0
    """Texts that are neither empty nor one of ``NULL_WORDS``."""
    empty: int = 0
    words: frozenset[str] = frozenset()
    """Which of ``NULL_WORDS`` occur."""
    possible: frozenset[str] = _ALL
    """Names of the candidates that can read every one of the values."""

    def merge(self, other: Survey) -> Survey:
        """The survey of both columns' texts. Commutative and associative."""
        return Survey(
            self.values + other.values,
            self.empty + other.empty,
            self.words | other.words,
            self.possible & other.possible,
        )

    def field(self, name: str) -> Field:
        """The field that accepts every text of the survey: the first possible candidate, or else a string."""
        best = next((each for each in _CANDIDATES if each.name in self.possible), None) if self.values else None
        if best is None:
            return Field(name, "string")
        return best.field(name, self._missing_values())

    def readings(self, name: str) -> list[Field]:
        """Fields other than the draft's that accept every text of a column of strings: ways to write numbers, or dates.
        More than one where no text tells which is meant.
        """
        if not self.values or self.field(name).type != "string":
            return []
        found = [each for each in (*_DATES, _COMMA, _COMMA_GROUPED, _GROUPED) if each.name in self.possible]
        if _COMMA in found:  # whatever is read without groups is read with them, too
            found.remove(_COMMA_GROUPED)
        return [each.field(name, self._missing_values()) for each in found]

    @property
    def spaced(self) -> bool:
        """Whether every text but the empty one begins with a space."""
        return not self.words and _SPACED.name in self.possible

    def _missing_values(self) -> tuple[str, ...]:
        return ("", *(word for word in NULL_WORDS if word in self.words))

    def to_json(self) -> dict[str, Any]:
        return {
            "values": self.values,
            "empty": self.empty,
            "words": [word for word in NULL_WORDS if word in self.words],
            "possible": [name for name in _BY_NAME if name in self.possible],
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        return cls(document["values"], document["empty"], frozenset(document["words"]), frozenset(document["possible"]))


def survey(texts: pa.StringArray, possible: frozenset[str] = _ALL) -> Survey:
    """The survey of a column's texts; nulls (cells that could not be read) tell nothing.

    ``possible``: the candidates worth trying, where others have fallen already.
    """
    word = _words(texts)
    is_word = word >= 0
    is_empty = arrays.valid(texts) & (np.diff(arrays.offsets(texts)) == 0)
    is_value = arrays.valid(texts) & ~is_word & ~is_empty
    given = arrays.with_only(texts, is_value)
    values = int(np.count_nonzero(is_value))
    if values:
        possible = _fitting(given, possible)
    seen = frozenset(NULL_WORDS[place] for place in arrays.distinct(word[is_word]))
    return Survey(values, int(np.count_nonzero(is_empty)), seen, possible)


def _fitting(given: pa.StringArray, possible: frozenset[str]) -> frozenset[str]:
    """Those of the candidates that read every text that is not null."""
    glance = given.slice(0, _GLANCE_ROWS)
    if not possible.isdisjoint(_DATE_NAMES) and not np.array_equal(arrays.matches(glance, _DATE), arrays.valid(glance)):
        possible -= _DATE_NAMES
    holding: set[str] = set()
    for name, candidate in _BY_NAME.items():
        if name in possible and (
            not holding.isdisjoint(_WIDER.get(name, ())) or all(_reads(candidate, texts) for texts in (glance, given))
        ):
            holding.add(name)
    return frozenset(holding)


def _words(texts: pa.StringArray) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Position in ``NULL_WORDS`` of each text; -1 for the others."""
    found = pc.index_in(texts, value_set=arrays.strings(NULL_WORDS))
    return np.where(arrays.valid(found), arrays.values_of(found, np.int32), np.int32(-1))


def _reads(candidate: _Candidate, texts: pa.StringArray) -> bool:
    """Whether the candidate reads every text that is not null."""
    canonical = candidate.canonical
    if canonical is not None and not np.array_equal(arrays.matches(texts, canonical), arrays.valid(texts)):
        return False
    if candidate in _BY_PATTERN:
        return True
    _, bad = types.read(candidate.field(""), texts)
    return not bad.any()


class Surveys:
    """The surveys of all columns of a file, or of a part of it."""

    def __init__(self, columns: int) -> None:
        self.columns = [Survey()] * columns

    def add(self, columns: Sequence[pa.StringArray]) -> None:
        """Take in a block: one array per column."""
        self.columns = [
            known.merge(survey(texts, known.possible)) for known, texts in zip(self.columns, columns, strict=True)
        ]

    def merge(self, other: Surveys) -> None:
        """Take in another part of the same file."""
        self.columns = [one.merge(two) for one, two in zip(self.columns, other.columns, strict=True)]

    def to_json(self) -> list[dict[str, Any]]:
        return [each.to_json() for each in self.columns]

    @classmethod
    def from_json(cls, document: Sequence[dict[str, Any]]) -> Self:
        surveys = cls(len(document))
        surveys.columns = [Survey.from_json(each) for each in document]
        return surveys


def draft(
    name: str, labels: Sequence[str], surveys: Sequence[Survey], dialect: Dialect | None, encoding: str | None
) -> Contract:
    """A contract that accepts every cell of the columns surveyed: types, formats and missing values, no constraints.

    ``labels`` and ``surveys`` run in parallel, one per column of the file. The columns that rejects.csv puts before a
    file's own get no field. Errors: ``Terminal("header-mismatch")`` where two columns have the same label.
    """
    names = drafted_names(labels, dialect)
    own = surveys[len(surveys) - len(names) :]
    fields = tuple(known.field(name) for name, known in zip(names, own, strict=True))
    return Contract(name, fields, dialect=dialect, encoding=encoding, inferred=True)
