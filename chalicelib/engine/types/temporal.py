"""Which texts are dates, times and datetimes in the default formats, and reading them. The rules: docs/types.md.

XML Schema's lexical forms (https://www.w3.org/TR/xmlschema11-2/#dateTime) with the narrowings that docs/types.md lists.
As with numbers, Arrow casts whole columns, and each ``fast`` reader's own checks keep out what Arrow reads beyond the
rule: hours without minutes, offsets without a colon or past 14:00, and the year 0000.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chalicelib.engine import arrays
from chalicelib.engine.arrays import ArrowArray, Mask

DATE: Final = pa.date32()
TIME: Final = pa.time64("us")
UTC: Final = pa.timestamp("us", tz="UTC")
NAIVE: Final = pa.timestamp("us")

DAY_US: Final = 86_400_000_000
FIRST_DAY: Final = -719_162
"""0001-01-01, in days since 1970-01-01."""
LAST_DAY: Final = 2_932_896
"""9999-12-31."""

_EPOCH: Final = "1970-01-01 "
_LEAP: Final = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_MONTH_DAY: Final = "(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
_DATE: Final = f"(?:[0-9]{{4}}-{_MONTH_DAY}|{_LEAP}-02-29)"
_TIME: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
_ZONE: Final = "(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_NAIVE_TEXT: Final = rf"\A{_DATE}[T ]{_TIME}\z"
_ZONED_TEXT: Final = rf"\A{_DATE}[T ]{_TIME}{_ZONE}\z"
_SECONDS_WIDTH: Final = len("2000-01-01 00:00:00")


def read_dates(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
    """date32 from ``YYYY-MM-DD``, years 0001 to 9999."""
    return arrays.resolve(texts, _fast_dates, _slow_dates)


def _fast_dates(texts: pa.StringArray) -> ArrowArray | None:
    values = arrays.cast_or_none(texts, DATE)
    if values is None or not _all_within(arrays.values_of(values, np.int32), arrays.valid(values), FIRST_DAY, LAST_DAY):
        return None
    return values


def _slow_dates(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
    present = arrays.valid(texts)
    values = pc.cast(arrays.with_only(texts, arrays.matches(texts, rf"\A{_DATE}\z")), DATE)
    days = arrays.values_of(values, np.int32)
    good = arrays.valid(values) & (days >= FIRST_DAY)
    return arrays.from_values(days, DATE, good), present & ~good


def read_times(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
    """time64[us] from ``hh:mm:ss`` with up to 6 fraction digits."""
    return arrays.resolve(texts, _fast_times, _slow_times)


def _fast_times(texts: pa.StringArray) -> ArrowArray | None:
    clock = arrays.fixed_width(texts, len("00:00:00"))
    if clock is None or len(clock) == 0:
        return None
    # Arrow casts no text to a time: it is read as a moment of the epoch's first day.
    moments = np.empty((len(clock), _SECONDS_WIDTH), np.uint8)
    moments[:, : len(_EPOCH)] = np.frombuffer(_EPOCH.encode(), np.uint8)
    moments[:, len(_EPOCH) :] = clock
    values = arrays.cast_or_none(arrays.from_rows(moments), NAIVE)
    return None if values is None else spread(arrays.values_of(values, np.int64), TIME, texts)


def _slow_times(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
    good = arrays.matches(texts, rf"\A{_TIME}\z")
    moments = pc.replace_substring_regex(
        arrays.with_only(texts, good), pattern=r"\A", replacement=_EPOCH, max_replacements=1
    )
    return arrays.retyped(pc.cast(moments, NAIVE), TIME), arrays.valid(texts) & ~good


def read_datetimes(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
    """timestamp[us, UTC] from ``YYYY-MM-DD(T| )hh:mm:ss(.f)?(Z|±hh:mm)?``; without an offset it is UTC."""
    return arrays.resolve(texts, _fast_datetimes, _slow_datetimes)


def _fast_datetimes(texts: pa.StringArray) -> ArrowArray | None:
    present = arrays.valid(texts)
    edges = arrays.offsets(texts)
    widths = np.diff(edges)[present]
    # Any shorter form that the cast reads lacks the minutes or the seconds.
    if len(widths) == 0 or widths.min() < _SECONDS_WIDTH:
        return None
    arrow_type = _zone(arrays.data(texts), edges[1:][present], widths)
    values = None if arrow_type is None else arrays.cast_or_none(texts, arrow_type)
    if values is None or not _all_within(
        arrays.values_of(values, np.int64), present, FIRST_DAY * DAY_US, (LAST_DAY + 1) * DAY_US - 1
    ):
        return None
    return arrays.retyped(values, UTC)


def _zone(
    text_bytes: NDArray[np.uint8], ends: NDArray[np.int32], widths: NDArray[np.int32]
) -> pa.TimestampType[Any, Any] | None:
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


def spread(values: NDArray[Any], arrow_type: pa.DataType, texts: pa.StringArray) -> ArrowArray:
    """The values of the non-null texts, in their places."""
    if texts.null_count == 0:
        return arrays.from_values(values, arrow_type)
    present = arrays.valid(texts)
    placed = np.zeros(len(texts), values.dtype)
    placed[present] = values
    return arrays.from_values(placed, arrow_type, present)


def _all_within(values: NDArray[Any], present: Mask, least: int, most: int) -> bool:
    inside = (values >= least) & (values <= most)
    return bool((inside | ~present).all())
