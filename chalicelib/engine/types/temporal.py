"""Which texts are dates, times and datetimes in the default formats, and reading them. The rules: docs/types.md.

XML Schema's lexical forms (https://www.w3.org/TR/xmlschema11-2/#dateTime) with the narrowings that docs/types.md lists.
The usual forms have their digits at fixed places and are read by ``layouts``. Of the others (fractions, offsets) Arrow
casts whole columns, and ``_fast_datetimes``' own checks keep out what Arrow reads beyond the rule: hours without
minutes, offsets without a colon or past 14:00, and the year 0000.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chalicelib.engine import arrays
from chalicelib.engine.arrays import ArrowArray, Mask
from chalicelib.engine.types.layouts import Layout, layout
from chalicelib.engine.types.resolving import Slow, cast_or_none, resolve

DATE: Final = pa.date32()
TIME: Final = pa.time64("us")
UTC: Final = pa.timestamp("us", tz="UTC")
NAIVE: Final = pa.timestamp("us")

DAY_SECONDS: Final = 86_400
SECOND_US: Final = 1_000_000
DAY_US: Final = DAY_SECONDS * SECOND_US
FIRST_DAY: Final = -719_162
"""0001-01-01, in days since 1970-01-01."""
LAST_DAY: Final = 2_932_896
"""9999-12-31."""

_EPOCH: Final = "1970-01-01 "
_YEAR: Final = "(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_FOURTH: Final = "(?:0[48]|[2468][048]|[13579][26])"
_LEAP: Final = f"(?:[0-9]{{2}}{_FOURTH}|{_FOURTH}00)"
_MONTH_DAY: Final = "(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
_DATE: Final = f"(?:{_YEAR}-{_MONTH_DAY}|{_LEAP}-02-29)"
_TIME: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
_ZONE: Final = "(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_NAIVE_TEXT: Final = rf"\A{_DATE}[T ]{_TIME}\z"
_ZONED_TEXT: Final = rf"\A{_DATE}[T ]{_TIME}{_ZONE}\z"
_DATE_LAYOUT: Final = Layout(layout("%Y-%m-%d"))
_TIME_LAYOUT: Final = Layout(layout("%H:%M:%S"))
_NAIVE_LAYOUT: Final = Layout((*_DATE_LAYOUT.signs, "T ", *_TIME_LAYOUT.signs))
_DATETIME_LAYOUTS: Final = (_NAIVE_LAYOUT, Layout((*_NAIVE_LAYOUT.signs, "Z")))
_SECONDS_WIDTH: Final = len("2000-01-01 00:00:00")


def read_dates(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
    """date32 from ``YYYY-MM-DD``, years 0001 to 9999."""
    return read_layout(texts, _DATE_LAYOUT, DATE)


def read_layout(texts: pa.StringArray, expected: Layout, arrow_type: pa.DataType) -> tuple[ArrowArray, Mask]:
    """Values from texts of one layout alone: date32, or microseconds."""
    moments = np.zeros(len(texts), np.int64)
    rows, matrix = arrays.of_width(texts, expected.width)
    good = rows.copy()
    moments[rows], good[rows] = expected.read(matrix)
    values = (moments // DAY_SECONDS).astype(np.int32) if arrow_type == DATE else moments * SECOND_US
    return arrays.from_values(values, arrow_type, good), arrays.valid(texts) & ~good


def _read_layouts(
    texts: pa.StringArray, expected: Sequence[Layout], arrow_type: pa.DataType, others: Slow
) -> tuple[ArrowArray, Mask]:
    """Microseconds from texts of one of some layouts, each of another width; ``others`` reads all other texts."""
    moments = np.zeros(len(texts), np.int64)
    good = np.zeros(len(texts), np.bool_)
    rest = arrays.valid(texts)
    present = rest.copy()
    for each in expected:
        rows, matrix = arrays.of_width(texts, each.width)
        if len(matrix):
            seconds, good[rows] = each.read(matrix)
            moments[rows] = seconds * SECOND_US
            rest &= ~rows
    if rest.any():
        values, bad = others(cast("pa.StringArray", texts.filter(arrays.booleans(rest))))
        moments[rest], good[rest] = arrays.values_of(values, np.int64), ~bad
    return arrays.from_values(moments, arrow_type, good), present & ~good


def read_times(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
    """time64[us] from ``hh:mm:ss`` with up to 6 fraction digits."""
    return _read_layouts(texts, (_TIME_LAYOUT,), TIME, _slow_times)


def _slow_times(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
    good = arrays.matches(texts, rf"\A{_TIME}\z")
    # Arrow casts no text to a time: it is read as a moment of the epoch's first day.
    moments = pc.replace_substring_regex(
        arrays.with_only(texts, good), pattern=r"\A", replacement=_EPOCH, max_replacements=1
    )
    return arrays.retyped(pc.cast(moments, NAIVE), TIME), arrays.valid(texts) & ~good


def read_datetimes(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
    """timestamp[us, UTC] from ``YYYY-MM-DD(T| )hh:mm:ss(.f)?(Z|±hh:mm)?``; without an offset it is UTC."""
    return _read_layouts(texts, _DATETIME_LAYOUTS, UTC, _read_other_datetimes)


def _read_other_datetimes(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
    return resolve(texts, _fast_datetimes, _slow_datetimes, ((" ", ":"), ("T", "T"), ("Z", "Z")))


def _fast_datetimes(texts: pa.StringArray) -> ArrowArray | None:
    present = arrays.valid(texts)
    edges = arrays.offsets(texts)
    widths = np.diff(edges)[present]
    # Any shorter form that the cast reads lacks the minutes or the seconds.
    if len(widths) == 0 or widths.min() < _SECONDS_WIDTH:
        return None
    arrow_type = _zone(arrays.data(texts), edges[1:][present], widths)
    values = None if arrow_type is None else cast_or_none(texts, arrow_type)
    if values is None:
        return None
    moments = arrays.values_of(values, np.int64)
    if not _all_within(moments, present, FIRST_DAY * DAY_US, (LAST_DAY + 1) * DAY_US - 1):
        return None
    # An offset can also carry a text of the year 0000, which is no date, into the calendar.
    first = present & (moments < (FIRST_DAY + 1) * DAY_US)
    if first.any() and _of_the_year_zero(texts, first):
        return None
    return arrays.retyped(values, UTC)


def _of_the_year_zero(texts: pa.StringArray, rows: Mask) -> bool:
    return bool(arrays.matches(cast("pa.StringArray", texts.filter(arrays.booleans(rows))), r"\A0000").any())


def _zone(text_bytes: NDArray[np.uint8], ends: NDArray[np.int32], widths: NDArray[np.int32]) -> pa.TimestampType | None:
    """What the texts can be cast to as a whole: all end in ``Z``, or all in a sure offset, or none has a zone.

    None for a mixture, of which the cast would refuse a part, and where the cast might read too much.
    """
    sign, tens, ones, last = (text_bytes[ends - back] for back in (6, 5, 4, 1))
    ends_in_z = last == ord("Z")
    has_offset = (sign == ord("+")) | (sign == ord("-"))
    if not (ends_in_z | has_offset).any():
        return NAIVE
    if ends_in_z.all():
        return UTC
    hours = (tens - np.uint8(ord("0"))) * np.uint8(10) + (ones - np.uint8(ord("0")))
    is_sure = has_offset.all() and widths.min() >= _SECONDS_WIDTH + len("+00:00") and (hours < 14).all()
    return UTC if is_sure else None


def _slow_datetimes(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
    present = arrays.valid(texts)
    naive = arrays.matches(texts, _NAIVE_TEXT)
    zoned = arrays.matches(arrays.with_only(texts, ~naive), _ZONED_TEXT)
    good = naive | zoned
    moments = np.zeros(len(texts), np.int64)
    for rows, arrow_type in ((naive, NAIVE), (zoned, UTC)):
        if rows.any():
            values = arrays.values_of(pc.cast(arrays.with_only(texts, rows), arrow_type), np.int64)
            moments[rows] = values[rows]
    # An offset can carry the first and the last day beyond the calendar.
    good &= (moments >= FIRST_DAY * DAY_US) & (moments < (LAST_DAY + 1) * DAY_US)
    return arrays.from_values(moments, UTC, good), present & ~good


def read_years(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
    """int32 from XSD's gYear without a zone: at least 4 digits, no zero before the fifth last, at most 9 digits."""
    good = arrays.matches(texts, r"\A-?(?:[1-9][0-9]{3,8}|0[0-9]{3})\z")
    return pc.cast(arrays.with_only(texts, good), pa.int32()), arrays.valid(texts) & ~good


def _all_within(values: NDArray[Any], present: Mask, least: int, most: int) -> bool:
    inside = (values >= least) & (values <= most)
    return bool((inside | ~present).all())
