"""Dates and times whose digits stand at fixed places (``2024-02-29T12:00:00Z``), read column by column in numpy.

Each text gets its own verdict in the same pass: a cast of Arrow's refuses the whole column for one bad text, and would
have to be tried again without it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from chalicelib.engine.arrays import Mask
from chalicelib.frozen import frozen

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

WIDTHS: Final = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2}
"""Directive → how many digits it has."""

ROWS_PER_DATE: Final = 4
"""Where so many rows or more that follow each other have one date, it is read once for all of them."""

_DAY_SECONDS: Final = 86_400
_WORD_BYTES: Final = 8
_ZERO: Final = np.uint8(ord("0"))
_TEN: Final = np.uint8(10)


def layout(text: str) -> tuple[str, ...]:
    """The signs of a pattern whose literals are single letters.

    >>> layout("%d.%m.")
    ('%d', '%d', '.', '%m', '%m', '.')
    """
    signs = re.findall("%.|.", text)
    return tuple(sign for each in signs for sign in [each] * (WIDTHS[each[1]] if each[0] == "%" else 1))


@frozen
class Layout:
    """What stands where in a text, in ASCII."""

    signs: tuple[str, ...]
    """Per character the letters that it may be, or ``%`` and a directive."""

    @property
    def width(self) -> int:
        return len(self.signs)

    def read(self, texts: Bytes) -> tuple[Ints, Mask]:
        """Seconds since 1970-01-01 00:00:00 of each row of a (texts, width) matrix, and which rows obey the layout and
        name a real date of the years 0001 to 9999. What the layout lacks is 1970, January, the first, 0.
        """
        date = self._date
        if date is None:
            return self._read(texts, range(self.width))
        heads = _heads(texts[:, date.start : date.stop])
        if len(heads) * ROWS_PER_DATE > len(texts):
            return self._read(texts, range(self.width))
        lengths = np.diff(heads, append=len(texts))
        days, real = self._read(texts[heads], date)
        clocks, good = self._read(texts, [place for place in range(self.width) if place not in date])
        return np.repeat(days, lengths) + clocks, np.repeat(real, lengths) & good

    @property
    def _date(self) -> range | None:
        """From the first to the last character of the date; None where there is none, or it is no word long."""
        places = [place for place, sign in enumerate(self.signs) if sign in ("%Y", "%m", "%d")]
        date = range(places[0], places[-1] + 1) if places else range(0)
        return date if len(date) >= _WORD_BYTES else None

    def _read(self, texts: Bytes, places: Sequence[int]) -> tuple[Ints, Mask]:
        """As ``read``, by what stands at these places alone."""
        digits: dict[str, list[int]] = {}
        good = np.ones(len(texts), np.bool_)
        for place in places:
            sign = self.signs[place]
            if len(sign) == 2 and sign[0] == "%":
                digits.setdefault(sign[1], []).append(place)
            else:
                good &= _is_one_of(texts[:, place], sign)
        found = {letter: _number(texts, at, good) for letter, at in digits.items()}
        days = _days(found, good) if found.keys() & {"Y", "m", "d"} else np.zeros(len(texts), np.int64)
        return days * _DAY_SECONDS + _clock(found, good), good


def _heads(texts: Bytes) -> Ints:
    """The rows that differ from the one before, of a (texts, width) matrix at least a word wide."""
    last = texts.shape[1] - _WORD_BYTES
    differs = np.zeros(len(texts), np.bool_)
    differs[:1] = True
    for at in (*range(0, last, _WORD_BYTES), last):
        words = texts[:, at : at + _WORD_BYTES].view(np.uint64)[:, 0].copy()  # compared faster where aligned
        differs[1:] |= words[1:] != words[:-1]
    return np.flatnonzero(differs)


def _is_one_of(column: Bytes, letters: str) -> Mask:
    hit: Mask = column == ord(letters[0])
    for letter in letters[1:]:
        hit |= column == ord(letter)
    return hit


def _number(texts: Bytes, places: list[int], good: Mask) -> Ints:
    """The number that two or four digits are; where there is another character, ``good`` becomes False."""
    total: Ints | None = None
    for tens, ones in zip(places[::2], places[1::2], strict=True):
        high, low = texts[:, tens] - _ZERO, texts[:, ones] - _ZERO
        good &= (high <= 9) & (low <= 9)
        pair = (high * _TEN + low).astype(np.int64)
        total = pair if total is None else total * 100 + pair
    assert total is not None, "a directive has digits"
    return total


def _days(found: dict[str, Ints], good: Mask) -> Ints:
    year: Any = found.get("Y", 1970)
    month: Any = found.get("m", 1)
    day: Any = found.get("d", 1)
    good &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    months = np.broadcast_to(np.asarray(year * 12 + (month - 1), np.int64), good.shape)
    firsts = _firsts_of_months()
    first = firsts.take(months, mode="clip")  # what is no date may be beyond the table
    good &= first + day <= firsts.take(months + 1, mode="clip")
    days: Ints = first + (day - 1)
    return days


@lru_cache(maxsize=1)
def _firsts_of_months() -> Ints:
    """Days from 1970-01-01 to the first of each month, from January of the year 0000 to January of 10000."""
    months = np.arange(-1970 * 12, (10_000 - 1970) * 12 + 1)
    return months.astype("M8[M]").astype("M8[D]").astype(np.int64)


def _clock(found: dict[str, Ints], good: Mask) -> Ints | int:
    total: Ints | int = 0
    for letter, factor, most in (("H", 3600, 23), ("M", 60, 59), ("S", 1, 59)):
        if letter in found:
            good &= found[letter] <= most
            total = total + found[letter] * factor
    return total
