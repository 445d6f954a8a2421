"""Reading a field's constraints (https://datapackage.org/standard/table-schema/#field-constraints)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from chalicelib.engine.contract import literals, regexes
from chalicelib.engine.contract.descriptor import Node, shown
from chalicelib.engine.contract.fields import CONSTRAINTS, TYPES, Field

_LIMITS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_ORDERED: Final = ("integer", "number", "date", "time", "datetime", "duration", "year", "yearmonth")
_MEASURED: Final = ("string", "array", "object", "list")
TYPES_OF: Final[dict[str, tuple[str, ...]]] = {
    "required": TYPES,
    "unique": TYPES,
    "enum": TYPES,
    "pattern": ("string",),
    "minLength": _MEASURED,
    "maxLength": _MEASURED,
    "jsonSchema": ("array", "object"),
    **dict.fromkeys(_LIMITS, _ORDERED),
}
"""Constraint → the types that may have it."""

_LENGTH_LIMIT: Final = 2**31 - 1


def with_constraints(field: Field, constraints: Node | None, categories: Node | None) -> Field:
    """The field with its constraints, each given as a JSON value or as a text of the field's type.

    Errors: ``InvalidContract`` for what the field's type does not allow and for constraints that allow no value.
    """
    if constraints is not None:
        field = changed(field, **_read_constraints(constraints, field))
    return field if categories is None else _with_categories(field, categories)


def changed(field: Field, **constraints: Any) -> Field:
    """The field with some constraints replaced."""
    return replace(field, constraints=replace(field.constraints, **constraints))


def _read_constraints(node: Node, field: Field) -> dict[str, Any]:
    node.only(TYPES_OF)
    for key, child in node.children():
        if field.type not in TYPES_OF[key]:
            raise child.refusal(f"does not apply to the type {field.type}")
    json_schema = node.get("jsonSchema")
    if json_schema is not None:
        raise json_schema.refusal("is not supported: the values would not be checked")
    found: dict[str, Any] = {}
    for key in ("required", "unique"):
        if key in node.members():
            found[key] = node.child(key).flag()
    enum = node.get("enum")
    if enum is not None:
        found["enum"] = _values(enum, field)
    pattern = node.get("pattern")
    if pattern is not None:
        found["pattern"] = pattern.text(empty=True)
        if problem := regexes.check(found["pattern"]):
            raise pattern.refusal(problem)
    for key in ("minLength", "maxLength"):
        child_node = node.get(key)
        if child_node is not None:
            found[CONSTRAINTS[key]] = child_node.whole(0, _LENGTH_LIMIT)
    if found.get("min_length", 0) > found.get("max_length", _LENGTH_LIMIT):
        raise node.child("minLength").refusal(f"is greater than maxLength ({found['max_length']})")
    return found | _limits(node, field)


def _values(node: Node, field: Field) -> tuple[str, ...]:
    """The texts of an array of values of the field's type."""
    texts: dict[str, None] = {}  # in order, and looked up at once: there may be many thousands
    for item in node.items():
        text = literals.text_of(item, field)
        _value(item, field, text)
        if text in texts:
            raise item.refusal(f"{shown(text)} is listed twice")
        texts[text] = None
    if not texts:
        raise node.refusal("is empty: no value would be allowed")
    return tuple(texts)


def _value(node: Node, field: Field, text: str) -> Any:
    try:
        return literals.value_of(field, text)
    except ValueError:
        kind = f"{field.type}/{field.format}"
        if field.precision is not None:
            kind = f"decimal({field.precision}, {field.scale})"
        raise node.refusal(f"is {shown(text)}, which is not of type {kind}") from None


def _limits(node: Node, field: Field) -> dict[str, str]:
    texts: dict[str, str] = {}
    values: dict[str, Any] = {}
    for key in _LIMITS:
        child = node.get(key)
        if child is not None:
            texts[key] = literals.text_of(child, field)
            values[key] = _value(child, field, texts[key])
    for low in ("minimum", "exclusiveMinimum"):
        for high in ("maximum", "exclusiveMaximum"):
            if low not in values or high not in values:
                continue
            touching = (low, high) != ("minimum", "maximum") and values[low] == values[high]
            if values[low] > values[high] or touching:
                problem = f"is {shown(texts[low])} and {high} is {shown(texts[high])}: no value would be allowed"
                raise node.child(low).refusal(problem)
    return {CONSTRAINTS[key]: text for key, text in texts.items()}


def _with_categories(field: Field, node: Node) -> Field:
    """``categories`` restrict a field to their values, as ``enum`` does; with both, ``enum`` must be a part of them."""
    items = node.items()
    if any(isinstance(item.value, dict) for item in items):
        items = [item.require("value") for item in items]
    allowed = tuple(dict.fromkeys(_values(Node([item.value for item in items], node.path), field)))
    if field.constraints.enum is None:
        return changed(field, enum=allowed)
    for text in field.constraints.enum:
        if text not in allowed:
            raise node.refusal(f"lacks {shown(text)}, which the constraint enum has")
    return field
