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

    @property
    def name(self) -> str:
        return self.type if self.format == "default" else f"{self.type} {self.format}"


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
_BY_NAME: Final = {candidate.name: candidate for candidate in _CANDIDATES}
_ALL: Final = frozenset(_BY_NAME)

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
        words = tuple(word for word in NULL_WORDS if word in self.words)
        return Field(name, best.type, best.format, missing_values=("", *words))

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
        glance = given.slice(0, _GLANCE_ROWS)
        likely = [name for name in possible if _reads(_BY_NAME[name], glance)]
        possible = frozenset(name for name in likely if _reads(_BY_NAME[name], given))
    seen = frozenset(NULL_WORDS[place] for place in arrays.distinct(word[is_word]))
    return Survey(values, int(np.count_nonzero(is_empty)), seen, possible)


def _words(texts: pa.StringArray) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Position in ``NULL_WORDS`` of each text; -1 for the others."""
    found = pc.index_in(texts, value_set=arrays.strings(NULL_WORDS))
    return np.where(arrays.valid(found), arrays.values_of(found, np.int32), np.int32(-1))


def _reads(candidate: _Candidate, texts: pa.StringArray) -> bool:
    """Whether the candidate reads every text that is not null."""
    canonical = candidate.canonical
    if canonical is not None and not np.array_equal(arrays.matches(texts, canonical), arrays.valid(texts)):
        return False
    _, bad = types.read(Field("", candidate.type, candidate.format), texts)
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
