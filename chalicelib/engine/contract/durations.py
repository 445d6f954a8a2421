"""Durations: XML Schema's lexical form, value space and partial order, in plain Python, like ``literals``.

Source: https://www.w3.org/TR/xmlschema11-2/#duration (lexical and canonical form) and
https://www.w3.org/TR/xmlschema-2/#duration-order (order). A duration is a number of months and a number of
microseconds; how long a month is depends on the month, so some pairs (``P1M``, ``P30D``) have no order.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from chalicelib.frozen import frozen

_MOST: Final = 999_999_999
_DIGITS = "([0-9]{1,9})"
_SHAPE: Final = re.compile(
    rf"(-?)P(?=[0-9T])(?:{_DIGITS}Y)?(?:{_DIGITS}M)?(?:{_DIGITS}D)?"
    rf"(?:T(?=[0-9])(?:{_DIGITS}H)?(?:{_DIGITS}M)?(?:{_DIGITS}(?:\.([0-9]{{1,6}}))?S)?)?"
)
_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND

_STARTS: Final = tuple(date(year, month, 1) for year, month in ((1696, 9), (1697, 2), (1903, 3), (1903, 7)))
"""The moments from which XML Schema measures two durations to compare them; all are the first of a month."""
_CYCLE_MONTHS: Final = 400 * 12
_CYCLE_DAYS: Final = 146_097
"""The Gregorian calendar repeats itself after 400 years."""


@frozen
class Duration:
    """Both parts have the same sign."""

    months: int
    microseconds: int

    def __lt__(self, other: Duration) -> bool:
        """Whether this is the shorter one from wherever both are measured; False too where there is no order."""
        return all(_length(self, start) < _length(other, start) for start in _STARTS)

    def __gt__(self, other: Duration) -> bool:
        return other < self

    def __le__(self, other: Duration) -> bool:
        return self == other or self < other

    def __ge__(self, other: Duration) -> bool:
        return other <= self

    def __str__(self) -> str:
        """The canonical text, the same for equal durations (XML Schema 1.1, durationCanonicalMap)."""
        if not self.months and not self.microseconds:
            return "PT0S"
        sign = "-" if self.months < 0 or self.microseconds < 0 else ""
        years, months = divmod(abs(self.months), 12)
        days, rest = divmod(abs(self.microseconds), _DAY)
        seconds, fraction = divmod(rest, _SECOND)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        exact = f"{seconds}.{fraction:06}".rstrip("0") if fraction else str(seconds)
        parts = ((years, "Y"), (months, "M"), (days, "D"))
        clock = ((str(hours), "H"), (str(minutes), "M"), (exact, "S"))
        day_text = "".join(f"{number}{unit}" for number, unit in parts if number)
        clock_text = "".join(f"{number}{unit}" for number, unit in clock if number != "0")
        return f"{sign}P{day_text}{'T' if clock_text else ''}{clock_text}"


def read(text: str) -> Duration:
    """The duration that a text states: ``P1Y2M``, ``-P3DT4H5M6.5S``; each number of at most 9 digits, a fraction of at
    most 6, and no more digits in the canonical text, so that this can be read again. Raises ValueError for any other
    text.
    """
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise ValueError(text)
    years, months, days, hours, minutes, seconds = (int(part or 0) for part in found.groups()[1:7])
    sign = -1 if found[1] else 1
    fraction = int((found[8] or "").ljust(6, "0"))
    total = years * 12 + months
    exact = (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * _SECOND + fraction
    if total // 12 > _MOST or exact // _DAY > _MOST:
        raise ValueError(text)
    return Duration(sign * total, sign * exact)


def _length(duration: Duration, start: date) -> int:
    """Microseconds from a moment to the moment that is the duration later."""
    cycles, months = divmod(start.year * 12 + start.month - 1 + duration.months, _CYCLE_MONTHS)
    # Year 0 of a cycle is one that Python's dates lack; year 400 has the same days.
    shifted = date(months // 12 + 400, months % 12 + 1, 1).toordinal() - _CYCLE_DAYS + cycles * _CYCLE_DAYS
    return (shifted - start.toordinal()) * _DAY + duration.microseconds
