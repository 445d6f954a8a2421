"""Values that stand in a contract (``minimum``, ``enum`` …): from JSON to the text that a cell would have, and back to
a value that can be compared. In plain Python, because the functions that check an uploaded contract carry no Arrow.

The rules for texts are those of the field's reader (docs/types.md); a property test compares the two.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from chalicelib.engine.contract import durations, geo, jsontexts, signs
from chalicelib.engine.contract.descriptor import Node, kind_of, shown
from chalicelib.engine.contract.fields import Field

_MONTHS: Final = "January|February|March|April|May|June|July|August|September|October|November|December"
_DIRECTIVES: Final = {
    "Y": r"\d{4}",
    "y": r"\d\d",
    "m": r"\d\d",
    "b": "[a-z]{3}",
    "B": f"(?:{_MONTHS})",
    "d": r"\d\d",
    "j": r"\d{3}",
    "H": r"\d\d",
    "I": r"\d\d",
    "p": "[ap]m",
    "M": r"\d\d",
    "S": r"[0-5]\d",
    "f": r"\d{1,6}",
    "z": r"(?:(?-i:Z)|[+-](?:(?:0\d|1[0-3]):?[0-5]\d|14:?00))",
}
"""Directive → its texts, of which strptime refuses those that name no value. By itself it would read more: a day of one
digit, any white space, offsets up to 23:59."""
_ALTERNATIVES: Final = ("Yy", "mbBj", "dj", "HI")
_ALLOWED: Final = {"date": "YymbBdj", "time": "HIpMSf", "datetime": "YymbBdjHIpMSfz"}
_NEEDED: Final = {"date": "Yy", "time": "HI", "datetime": "Yy"}

_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?"
_SHAPES: Final = {
    "date": re.compile(r"\d{4}-\d\d-\d\d", re.A),
    "time": re.compile(_TIME, re.A),
    "datetime": re.compile(rf"\d{{4}}-\d\d-\d\d[T ]{_TIME}(?:Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00))?", re.A),
    "year": re.compile(r"-?(?:[1-9]\d{3,8}|0\d{3})", re.A),
    "yearmonth": re.compile(r"\d{4}-(?:0[1-9]|1[0-2])", re.A),
}
_EXPONENT = "(?:[eE][+-]?[0-9]+)?"


def is_pattern(field_format: str) -> bool:
    """Whether a format is a strptime pattern."""
    return "%" in field_format


def check_strptime(field_type: str, pattern: str) -> str:
    """What is wrong with a date's, time's or datetime's pattern, for people; an empty text where it can be used."""
    used = [sign[1:] for sign in re.findall(r"%.|%\Z", pattern, re.S) if sign != "%%"]
    for letter in used:
        if not letter or letter not in _ALLOWED["datetime"]:
            known = " ".join(f"%{known}" for known in _ALLOWED["datetime"])
            return f'has the directive "%{letter}", expected {known} or %%'
        if letter not in _ALLOWED[field_type]:
            return f'has the directive "%{letter}", which has no place in a {field_type}'
        if used.count(letter) > 1:
            return f'has "%{letter}" twice'
    for group in _ALTERNATIVES:
        if len(both := [f"%{letter}" for letter in group if letter in used]) > 1:
            return f"has {' and '.join(both)}, which exclude each other"
    if ("I" in used) != ("p" in used):
        return "has one of %I and %p, which need each other"
    if not set(used) & set(_NEEDED[field_type]):
        return f"has no {' or '.join(f'%{letter}' for letter in _NEEDED[field_type])}, which a {field_type} needs"
    return ""


def text_of(node: Node, field: Field) -> str:
    """The text of a JSON value as a cell of the field would have it. Errors: ``InvalidContract``.

    A JSON number stands for an integer, a number or a year, ``true`` and ``false`` for a boolean; any other type takes
    a text, and every type may. Arrays and objects stand for the types that JSON writes as such; a list's items are read
    like cells of their own type.
    """
    value = node.value
    if isinstance(value, str):
        return node.text(empty=True)
    if isinstance(value, list | tuple) and field.type == "list":
        return field.delimiter.join(_item_text(item, field) for item in node.items())
    if _is_json_value(value, field):
        return jsontexts.written(value)
    if isinstance(value, bool):
        if field.type != "boolean":
            raise node.refusal(f"is {kind_of(value)}, expected a value of type {field.type}")
        return (field.true_values if value else field.false_values)[0]
    if isinstance(value, int | float | Decimal) and field.type in ("integer", "number", "year"):
        return _number_text(node, field)
    hint = ', written as a text ("…")' if isinstance(value, int | float | Decimal) else ""
    raise node.refusal(f"is {kind_of(value)}, expected a value of type {field.type}{hint}")


def _is_json_value(value: Any, field: Field) -> bool:
    if isinstance(value, dict):
        return field.type in ("object", "geojson") or (field.type, field.format) == ("geopoint", "object")
    return isinstance(value, list | tuple) and (
        field.type == "array" or (field.type, field.format) == ("geopoint", "array")
    )


def _item_text(node: Node, field: Field) -> str:
    text = text_of(node, Field(field.name, field.item_type))
    if field.delimiter in text:
        raise node.refusal(f"has the delimiter {shown(field.delimiter)}, which no item can hold")
    return text


def _number_text(node: Node, field: Field) -> str:
    number = node.number()
    if field.type != "number":
        if number != number.to_integral_value():
            raise node.refusal(f"is {kind_of(node.value)}, expected a value of type {field.type}")
        return f"{number:.0f}"
    text = f"{number:f}" if abs(number.adjusted()) < 40 else str(number)
    return text.replace(".", field.decimal_char)


def value_of(field: Field, text: str) -> Any:
    """A value that compares as the field's values do; None where the type has no order.

    Raises ValueError where the text is not of the field's type.
    """
    if is_pattern(field.format):
        return _by_pattern(field, text)
    if field.type == "boolean":
        if text not in field.true_values + field.false_values:
            raise ValueError(text)
        return None
    if field.type in ("integer", "number"):
        return _number(field, text)
    if field.type in _PARTED:
        return _PARTED[field.type](field, text)
    shape = _SHAPES.get(field.type)
    if shape is None:
        return None
    if not shape.fullmatch(text):
        raise ValueError(text)
    return _READERS[field.type](text)


def _checked(read: Callable[[Field, str], Any]) -> Callable[[Field, str], None]:
    def check(field: Field, text: str) -> None:
        read(field, text)

    return check


def _read_list(field: Field, text: str) -> None:
    for item in text.split(field.delimiter):
        value_of(Field(field.name, field.item_type), item)


_PARTED: Final[dict[str, Callable[[Field, str], Any]]] = {
    "duration": lambda _, text: durations.read(text),
    "list": _read_list,
    "object": _checked(lambda _, text: jsontexts.read_object(text)),
    "array": _checked(lambda _, text: jsontexts.read_array(text)),
    "geopoint": _checked(lambda field, text: geo.read_point(text, field.format)),
    "geojson": _checked(lambda field, text: geo.read_shape(text, field.format)),
}
"""Types whose values have parts; only durations have an order."""


def _number(field: Field, text: str) -> Decimal:
    mark, point = re.escape(field.group_char or ""), re.escape(field.decimal_char)
    digits = rf"(?:[0-9]{{1,3}}(?:{mark}[0-9]{{2,3}})*{mark}[0-9]{{3}}|[0-9]+)" if mark else "[0-9]+"
    shape = rf"[+-]?{digits}"
    if field.type == "number":
        shape = rf"[+-]?(?:{digits}(?:{point}[0-9]*)?|{point}[0-9]+){_EXPONENT}"
    around = "" if field.bare_number else rf"[^0-9{signs.OTHER_DIGITS}+\-{point}{mark}]*"
    found = re.fullmatch(rf"{around}({shape}){around}", text, re.S)
    sign = signs.doubtful(field)
    if not found or (sign and re.search(sign, text)):
        raise ValueError(text)
    plain = found[1].replace(field.group_char or "", "").replace(field.decimal_char, ".")
    if field.type == "integer":
        if not -(2**63) <= (whole := Decimal(plain)) < 2**63:
            raise ValueError(text)
        return whole
    if not math.isfinite(float(plain)):
        raise ValueError(text)
    value = _exact(plain)
    if field.precision is not None and not _fits(value, field.precision, field.scale or 0):
        raise ValueError(text)
    return value


def _exact(plain: str) -> Decimal:
    try:
        return Decimal(plain)
    except ArithmeticError:
        raise ValueError(plain) from None


def _fits(value: Decimal, precision: int, scale: int) -> bool:
    """Whether decimal(precision, scale) holds a value without rounding."""
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int), "only finite numbers come here"
    significant = "".join(map(str, digits)).lstrip("0")
    if not significant:
        return True
    coefficient = significant.rstrip("0")
    shift = exponent + len(significant) - len(coefficient) + scale
    return shift >= 0 and len(coefficient) + shift <= precision


def _by_pattern(field: Field, text: str) -> datetime:
    if not _shape_of(field.format).fullmatch(text):
        raise ValueError(text)
    value = datetime.strptime(text, field.format)  # noqa: DTZ007
    return _in_utc(value if value.tzinfo else value.replace(tzinfo=UTC))


@lru_cache(maxsize=1024)
def _shape_of(pattern: str) -> re.Pattern[str]:
    signs = re.findall(r"%.|[^%]", pattern, re.S)
    parts = ("%" if sign == "%%" else _DIRECTIVES[sign[1]] if len(sign) == 2 else _literal(sign) for sign in signs)
    return re.compile("".join(parts), re.A | re.I)


def _literal(character: str) -> str:
    return f"(?-i:{re.escape(character)})"


def _datetime(text: str) -> datetime:
    value = datetime.fromisoformat(_six_digits(text))
    return _in_utc(value if value.tzinfo else value.replace(tzinfo=UTC))


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:  # an offset can carry the first and the last day beyond the calendar
        raise ValueError(str(value)) from None


def _six_digits(text: str) -> str:
    # Up to Python 3.10 a fraction had to have 3 or 6 digits; from 3.11 on any number is read, on all alike after this.
    return re.sub(r"\.(\d{1,6})", lambda found: "." + found[1].ljust(6, "0"), text)


_READERS: Final[dict[str, Callable[[str], Any]]] = {
    "date": date.fromisoformat,
    "time": lambda text: time.fromisoformat(_six_digits(text)),
    "datetime": _datetime,
    "year": int,
    "yearmonth": str,
}
