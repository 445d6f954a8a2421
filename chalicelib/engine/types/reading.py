"""From texts to typed values: which texts are of a field's type, by rules that are this project's own (docs/types.md).

The verdict on a text and its value depend on the text and the field alone, never on the other texts of the array.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.engine import arrays
from chalicelib.engine.arrays import ArrowArray, Mask
from chalicelib.engine.contract import literals
from chalicelib.engine.contract.fields import Field
from chalicelib.engine.contract.schema import FORMATS
from chalicelib.engine.types import nested, numbers, patterns, temporal
from chalicelib.engine.types.resolving import Slow

_LABEL: Final = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PCHAR: Final = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})"
_REGISTERED_NAME: Final = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*"
_AUTHORITY: Final = (
    rf"(?:(?:[A-Za-z0-9\-._~!$&'()*+,;=:]|%[0-9A-Fa-f]{{2}})*@)?(?:\[[0-9A-Fa-f:.]+\]|{_REGISTERED_NAME})(?::[0-9]*)?"
)

_STRING_FORMATS: Final[Mapping[str, str | None]] = {
    "default": None,
    # WHATWG's valid e-mail address: https://html.spec.whatwg.org/#valid-e-mail-address
    "email": rf"\A[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})*\z",
    # RFC 3986, section 3: an absolute URI, any scheme; of an IP literal only the characters are checked.
    "uri": (
        rf"\A[A-Za-z][A-Za-z0-9+.-]*:(?://{_AUTHORITY}(?:/{_PCHAR}*)*|/(?:{_PCHAR}+(?:/{_PCHAR}*)*)?|"
        rf"{_PCHAR}+(?:/{_PCHAR}*)*)?(?:\?(?:{_PCHAR}|[/?])*)?(?:#(?:{_PCHAR}|[/?])*)?\z"
    ),
    # RFC 4648, section 4: base64 with its padding, without line breaks.
    "binary": r"\A(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\z",
    # RFC 9562, section 4: any version and variant.
    "uuid": r"\A[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\z",
}
"""Format of a string → the RE2 pattern of its texts; None: any text."""


def arrow_type(field: Field) -> pa.DataType:
    """The type of a field's values: what ``read`` gives and what stands in the Parquet files.

    Raises ValueError where the field's type or format is unknown.
    """
    match field.type:
        case "integer":
            return pa.int64()
        case "number":
            return pa.float64() if field.precision is None else numbers.decimal_type(field.precision, field.scale or 0)
        case "boolean":
            return pa.bool_()
        case "date":
            return temporal.DATE
        case "time":
            return temporal.TIME
        case "datetime":
            custom = literals.is_pattern(field.format)
            return patterns.compiled("datetime", field.format).arrow_type if custom else temporal.UTC
        case "year":
            return pa.int32()
        case "list":
            return pa.list_(arrow_type(nested.item_field(field)))
        case "geopoint":
            return nested.POINT
        case "string" | "yearmonth" | "duration" | "object" | "array" | "geojson" | "any":
            return pa.string()
        case _:
            raise ValueError(f'type "{field.type}" is not supported')


def read(field: Field, texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
    """The typed values of a column of texts, and the mask of the texts that are not of the field's type.

    A missing value is a null in ``texts``: it is null in the values, and never bad. A bad text is null in the values.
    Strings are the very array that was given, where none is bad.
    Raises ValueError where the field's type or format is unknown.
    """
    if len(texts) == 0:
        return _nulls(0, field), np.zeros(0, np.bool_)
    if texts.null_count == len(texts):
        return _nulls(len(texts), field), np.zeros(len(texts), np.bool_)
    return reader(field)(texts)


def limit(field: Field, text: str) -> pa.Scalar[Any]:
    """The value of a constraint such as ``minimum``, read as a cell of the field would be.

    Raises ValueError where the text is not of the field's type.
    """
    values, bad = read(field, arrays.strings([text]))
    if bad[0]:
        raise ValueError(f'"{text}" is not of type {field.type}/{field.format}')
    value: pa.Scalar[Any] = values[0]
    return value


def _nulls(length: int, field: Field) -> ArrowArray:
    reader(field)  # an unknown format is refused before the first value comes
    return cast("ArrowArray", pa.nulls(length, cast("Any", arrow_type(field))))


@lru_cache(maxsize=4096)
def reader(field: Field) -> Slow:
    """The function that reads a field's texts. Raises ValueError where the field's type or format is unknown."""
    match field.type:
        case "integer":
            return numbers.integer_reader(field)
        case "number":
            return numbers.number_reader(field)
        case "boolean":
            return _boolean_reader(field.true_values, field.false_values)
        case "date" | "time" | "datetime":
            if literals.is_pattern(field.format):
                return patterns.compiled(field.type, field.format).read
            if field.format not in ("default", "any"):
                raise ValueError(f'format "{field.format}" of a {field.type} is not supported')
            return {
                "date": temporal.read_dates, "time": temporal.read_times, "datetime": temporal.read_datetimes
            }[field.type]  # fmt: skip
        case "year":
            return temporal.read_years
        case "yearmonth":
            return _pattern_reader(r"\A[0-9]{4}-(?:0[1-9]|1[0-2])\z")
        case "string":
            if field.format not in _STRING_FORMATS:
                raise ValueError(f'format "{field.format}" of a string is not supported')
            pattern = _STRING_FORMATS[field.format]
            return _read_any if pattern is None else _pattern_reader(pattern)
        case "any":
            return _read_any
        case "duration":
            return nested.read_durations
        case "list":
            item = nested.item_field(field)
            return nested.list_reader(field, arrow_type(item), lambda texts: read(item, texts))
        case "object" | "array" | "geojson" | "geopoint":
            if field.format not in FORMATS.get(field.type, ("default",)):
                raise ValueError(f'format "{field.format}" of a {field.type} is not supported')
            return nested.point_reader(field) if field.type == "geopoint" else nested.json_reader(field)
        case _:
            raise ValueError(f'type "{field.type}" is not supported')


def _read_any(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
    return texts, np.zeros(len(texts), np.bool_)


def _pattern_reader(pattern: str) -> Slow:
    def read_matching(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
        good = arrays.matches(texts, pattern)
        bad = arrays.valid(texts) & ~good
        return (arrays.with_only(texts, good) if bad.any() else texts), bad

    return read_matching


def _boolean_reader(true_values: tuple[str, ...], false_values: tuple[str, ...]) -> Slow:
    words = arrays.strings([*true_values, *false_values])
    trues = len(true_values)

    def read_booleans(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
        found = pc.index_in(texts, value_set=words)
        good = arrays.valid(found)
        places = arrays.values_of(found, np.int32)
        validity = None if good.all() else arrays.bitmap(good)
        values = pa.Array.from_buffers(pa.bool_(), len(texts), [validity, arrays.bitmap(places < trues)])
        return values, arrays.valid(texts) & ~good

    return read_booleans
