"""Dates, times and datetimes in formats of their own: strptime's directives, defined exactly in docs/types.md.

A pattern becomes one anchored RE2 expression with a named group per directive; what the groups hold is computed with
numpy. Patterns of digits at fixed places (most of them) are read by ``layouts`` instead: some ten times faster.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chalicelib.engine import arrays
from chalicelib.engine.arrays import ArrowArray, Mask
from chalicelib.engine.contract import literals
from chalicelib.engine.types import temporal
from chalicelib.engine.types.layouts import WIDTHS, Layout
from chalicelib.frozen import frozen

_MONTHS: Final = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_WORDS: Final = {"b": tuple(name[:3] for name in _MONTHS), "B": _MONTHS, "p": ("am", "pm")}
"""Directive → its words, in lower case."""


def _any_case(words: Sequence[str]) -> str:
    """An expression of the words in ASCII letters alone: without regard to case, RE2 takes ſ for s and K for k."""
    return "|".join("".join(f"[{letter.upper()}{letter}]" for letter in word) for word in words)


_EXPRESSIONS: Final = {
    "Y": "(?P<Y>[0-9]{4})",
    "y": "(?P<y>[0-9]{2})",
    "m": "(?P<m>0[1-9]|1[0-2])",
    "b": f"(?P<b>{_any_case(_WORDS['b'])})",
    "B": f"(?P<B>{_any_case(_WORDS['B'])})",
    "d": "(?P<d>0[1-9]|[12][0-9]|3[01])",
    "j": "(?P<j>[0-9]{3})",
    "H": "(?P<H>[01][0-9]|2[0-3])",
    "I": "(?P<I>0[1-9]|1[0-2])",
    "p": f"(?P<p>{_any_case(_WORDS['p'])})",
    "M": "(?P<M>[0-5][0-9])",
    "S": "(?P<S>[0-5][0-9])",
    "f": "(?P<f>[0-9]{1,6})",
    "z": "(?:Z|(?P<zs>[+-])(?:(?P<zh>0[0-9]|1[0-3]):?(?P<zm>[0-5][0-9])|(?P<zl>14):?00))",
}
"""Directive → its texts."""

Places = Mapping[str, NDArray[np.int64]]
"""Directive → which of its words each text has."""

_CENTURY_PIVOT: Final = 69
"""POSIX: %y from 69 is 19xx, below it 20xx."""


@frozen
class Pattern:
    """A compiled pattern for one of the types date, time and datetime."""

    type: str
    expression: str
    """Anchored RE2 expression of the whole text."""
    directives: frozenset[str]
    layout: Layout | None
    """None where widths vary, or not all directives are digits."""
    arrow_type: pa.DataType

    def read(self, texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
        """The typed values, and which texts do not obey the pattern or name no real date."""
        if self.layout is not None:
            return temporal.read_layout(texts, self.layout, self.arrow_type)
        return self._by_expression(texts)

    def _by_expression(self, texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
        present = arrays.valid(texts)
        groups = pc.extract_regex(texts, self.expression)
        good = arrays.valid(groups)
        places = {
            letter: _places(groups, letter, words) for letter, words in _WORDS.items() if letter in self.directives
        }
        for place in places.values():
            good &= place >= 0
        days, real = self._days(groups, places)
        moments = days * temporal.DAY_US + self._clock(groups, places) - _offset(groups, self.directives)
        good &= real & (moments >= temporal.FIRST_DAY * temporal.DAY_US)
        good &= moments < (temporal.LAST_DAY + 1) * temporal.DAY_US
        return arrays.from_values(self._typed(moments), self.arrow_type, good), present & ~good

    def _typed(self, moments: NDArray[np.int64]) -> NDArray[np.int64] | NDArray[np.int32]:
        return (moments // temporal.DAY_US).astype(np.int32) if self.type == "date" else moments

    def _days(self, groups: pa.StructArray, places: Places) -> tuple[NDArray[np.int64], Mask]:
        """Days since 1970-01-01, and which dates exist. A month or day that the pattern lacks is the first."""
        if self.type == "time":
            return np.zeros(len(groups), np.int64), np.ones(len(groups), np.bool_)
        if "y" in self.directives:
            short = _integers(groups, "y")
            year = short + np.where(short >= _CENTURY_PIVOT, 1900, 2000)
        else:
            year = _integers(groups, "Y")
        month = self._month(groups, places)
        first = _first_of_month(year, month)
        if "j" in self.directives:
            day, length = _integers(groups, "j"), _first_of_month(year + 1, month) - first
        else:
            day = _integers(groups, "d") if "d" in self.directives else np.ones(len(groups), np.int64)
            length = _first_of_month(year, month + 1) - first
        return first + day - 1, (day >= 1) & (day <= length) & (year >= 1)

    def _month(self, groups: pa.StructArray, places: Places) -> NDArray[np.int64]:
        for letter in ("b", "B"):
            if letter in places:
                return places[letter] + 1
        return _integers(groups, "m") if "m" in self.directives else np.ones(len(groups), np.int64)

    def _clock(self, groups: pa.StructArray, places: Places) -> NDArray[np.int64]:
        """Microseconds since midnight."""
        present = self.directives
        hour = _integers(groups, "H") if "H" in present else np.zeros(len(groups), np.int64)
        if "I" in present:
            hour = _integers(groups, "I") % 12 + 12 * places["p"]
        minute = _integers(groups, "M") if "M" in present else 0
        second = _integers(groups, "S") if "S" in present else 0
        fraction = np.zeros(len(groups), np.int64)
        if "f" in present:
            digits = _widths(_group(groups, "f"))
            fraction = _integers(groups, "f") * 10 ** (6 - digits)
        return ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction


@lru_cache(maxsize=1024)
def compiled(type_: str, pattern: str) -> Pattern:
    """The compiled pattern. Raises ValueError, with what is wrong, where it cannot name a value of the type."""
    if problem := literals.check_strptime(type_, pattern):
        raise ValueError(f'the pattern "{pattern}" {problem}')
    signs = _signs(pattern)
    directives = frozenset(sign[1] for sign in signs if len(sign) == 2)
    expression = "".join(_EXPRESSIONS[sign[1]] if len(sign) == 2 else re.escape(sign) for sign in signs)
    return Pattern(type_, rf"\A{expression}\z", directives, _layout(signs), _type_of(type_, directives))


def _layout(signs: Sequence[str]) -> Layout | None:
    found: list[str] = []
    for sign in signs:
        if not sign.isascii() or (len(sign) == 2 and sign[1] not in WIDTHS):
            return None
        found += [sign] * WIDTHS[sign[1]] if len(sign) == 2 else [sign]
    return Layout(tuple(found))


def _type_of(type_: str, directives: frozenset[str]) -> pa.DataType:
    if type_ == "datetime":
        return temporal.UTC if "z" in directives else temporal.NAIVE
    return temporal.DATE if type_ == "date" else temporal.TIME


def _signs(pattern: str) -> list[str]:
    """The pattern's literal characters and its directives (``%`` and a letter), in order."""
    return ["%" if sign == "%%" else sign for sign in re.findall("%.|[^%]", pattern, re.DOTALL)]


def _group(groups: pa.StructArray, name: str) -> pa.StringArray:
    return cast("pa.StringArray", groups.field(name))


def _widths(texts: pa.StringArray) -> NDArray[np.int64]:
    return np.diff(arrays.offsets(texts)).astype(np.int64)


def _integers(groups: pa.StructArray, name: str) -> NDArray[np.int64]:
    """A group's digits as integers; 0 where it is empty or the text did not match."""
    digits = _group(groups, name)
    kept = arrays.valid(groups) & (_widths(digits) > 0)
    values = arrays.values_of(pc.cast(arrays.with_only(digits, kept), pa.int64()), np.int64)
    return np.where(kept, values, 0)


def _places(groups: pa.StructArray, name: str, words: Sequence[str]) -> NDArray[np.int64]:
    """Which of the words a group holds, from 0, without regard to the case of ASCII letters; -1 for none of them."""
    found = pc.index_in(pc.ascii_lower(_group(groups, name)), value_set=arrays.strings(words))
    return np.where(arrays.valid(found), arrays.values_of(found, np.int32), -1).astype(np.int64)


def _first_of_month(year: NDArray[np.int64], month: NDArray[np.int64]) -> NDArray[np.int64]:
    """Days from 1970-01-01 to the first of a month; month 13 is the next January."""
    months = (year - 1970) * 12 + month - 1
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def _offset(groups: pa.StructArray, directives: frozenset[str]) -> NDArray[np.int64]:
    """Microseconds that local time is ahead of UTC."""
    if "z" not in directives:
        return np.zeros(len(groups), np.int64)
    minutes = (_integers(groups, "zh") + _integers(groups, "zl")) * 60 + _integers(groups, "zm")
    return np.where(_places(groups, "zs", ("+", "-")) == 1, -minutes, minutes) * 60_000_000
