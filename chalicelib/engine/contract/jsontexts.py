"""Texts that are JSON, for the field types object, array, geopoint and geojson. Plain Python, like ``literals``.

The grammar is RFC 8259's to the letter (no ``NaN``, no comments), with three narrowings, because elsewhere readers
differ: an object's names are distinct, arrays and objects nest at most ``DEPTH_LIMIT`` deep, and an exponent has at
most ``EXPONENT_DIGITS`` digits. Numbers keep their exact text, so nothing is rounded when two values are compared.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, Final

from chalicelib.frozen import frozen

DEPTH_LIMIT: Final = 100
"""Python's own parser gives up at a depth that depends on who calls it; a verdict must not."""

EXPONENT_DIGITS: Final = 18
"""So that exponents can be added up as 64-bit integers by any reader."""

_STRING: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.S)
_BRACKET: Final = re.compile(r"[\[\]{}]")
_NUMBER: Final = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?)0*([0-9]+))?")


@frozen
class Number:
    """A JSON number by its text."""

    text: str

    def canonical(self) -> str:
        """One text for all that are the same number: ``1``, ``1.0`` and ``10e-1`` are ``1e0``; ``-0`` is ``0``."""
        found = _NUMBER.fullmatch(self.text)
        assert found is not None, "the parser gives numbers only"
        sign, whole, fraction, exponent_sign, exponent = found.groups(default="")
        digits = (whole + fraction).lstrip("0")
        if not digits:
            return "0"
        kept = digits.rstrip("0")
        power = int(f"{exponent_sign}{exponent or 0}") - len(fraction) + len(digits) - len(kept)
        return f"{sign}{kept}e{power}"


def parse(text: str) -> Any:
    """The value: None, bool, str, ``Number``, list or dict. Raises ValueError where the text is not such JSON."""
    if text.count("[") + text.count("{") > DEPTH_LIMIT and _depth(text) > DEPTH_LIMIT:
        raise ValueError("nested too deeply")
    return _DECODER.decode(text)


def _depth(text: str) -> int:
    """How deep brackets nest outside of strings; in a text that is no JSON, something."""
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _number(text: str) -> Number:
    found = _NUMBER.fullmatch(text)
    if found is None or len(found[5] or "") > EXPONENT_DIGITS:
        raise ValueError("the exponent is too long")
    return Number(text)


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return members


_DECODER: Final = json.JSONDecoder(
    parse_float=_number, parse_int=_number, parse_constant=_constant, object_pairs_hook=_distinct
)


def read_object(text: str) -> dict[str, Any]:
    """Raises ValueError where the text is not a JSON object."""
    value = parse(text)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def read_array(text: str) -> list[Any]:
    """Raises ValueError where the text is not a JSON array."""
    value = parse(text)
    if not isinstance(value, list):
        raise ValueError("not an array")
    return value


def canonical(value: Any) -> str:
    """One text for all values that are equal: names in order, numbers by value, no white space."""
    match value:
        case dict():
            return "{" + ",".join(f"{json.dumps(name)}:{canonical(value[name])}" for name in sorted(value)) + "}"
        case list():
            return "[" + ",".join(map(canonical, value)) + "]"
        case Number():
            return value.canonical()
        case _:
            return json.dumps(value)


def written(value: Any) -> str:
    """JSON that a descriptor holds (its decimals as ``Decimal``), as text.

    >>> written({"a": [1, Decimal("2.50"), None]})
    '{"a": [1, 2.50, null]}'
    """
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(name)}: {written(item)}" for name, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(written, value)) + "]"
        case Decimal():
            return str(value)
        case _:
            return json.dumps(value)
