"""Arrow values as JSON values.

Integers and finite floats are JSON numbers, exact decimals text (``"12.50"``), dates and times ISO 8601 text (a
timestamp with a time zone in UTC, ending in ``Z``). JSON has no infinities: they become Table Schema's own texts for
them, ``INF``, ``-INF`` and ``NaN`` (https://specs.frictionlessdata.io/table-schema/#number).
"""

from __future__ import annotations

import base64
import math
import re
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

Plain = str | int | float | bool | None

_FRACTION: Final = re.compile(r"(:\d\d)\.?(\d*?)0*(Z?)$")


def values(array: Any) -> list[Plain]:
    """The values of an array, null as None."""
    kind = array.type
    types = pa.types
    if types.is_floating(kind):
        return [None if value is None else number(value) for value in array.to_pylist()]
    if types.is_temporal(kind) and not types.is_duration(kind):
        # through Arrow's own text: Python's dates end in year 9999, and nanoseconds are beyond them
        return [None if text is None else _iso(text) for text in array.cast(pa.string()).to_pylist()]
    if types.is_duration(kind):
        return [None if value is None else int(value) for value in array.cast(pa.int64()).to_pylist()]
    if types.is_integer(kind) or types.is_string(kind) or types.is_boolean(kind) or types.is_null(kind):
        plain: list[Plain] = array.to_pylist()
        return plain
    return [_other(value) for value in array.to_pylist()]


def number(value: float) -> float | str:
    """A float, or the text that stands for it where it is not finite."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "INF" if value > 0 else "-INF"


def decimal(units: int, scale: int) -> str:
    """``units`` times ten to the minus ``scale``, as text.

    >>> decimal(-1250, 2)
    '-12.50'
    """
    if scale <= 0:
        return str(units * 10**-scale)
    digits = str(abs(units)).rjust(scale + 1, "0")
    return f"{'-' if units < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


def _iso(text: str) -> str:
    text = text.replace(" ", "T", 1)
    found = _FRACTION.search(text)
    if found is None:
        return text
    fraction = f".{found[2]}" if found[2] else ""
    return f"{text[: found.start()]}{found[1]}{fraction}{found[3]}"


def _other(value: Any) -> Plain:
    if value is None:
        return None
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)
