"""Reading a Table Schema (https://datapackage.org/standard/table-schema/): its fields and what it says of them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from chalicelib.engine.contract import literals
from chalicelib.engine.contract.constraints import changed, with_constraints
from chalicelib.engine.contract.descriptor import Node, shown
from chalicelib.engine.contract.fields import FALSE_VALUES, ITEM_TYPES, TRUE_VALUES, TYPES, Field, ForeignKey
from chalicelib.engine.contract.places import FIELD_KEYS, NOT_IN_FIELD, NOT_IN_SCHEMA, SCHEMA_KEYS
from chalicelib.frozen import frozen
from chalicelib.model import is_dataset

FIELDS_MATCH: Final = ("exact", "equal", "subset", "superset", "partial")

RESERVED_LABELS: Final = ("_record", "_line", "_errors")
"""The columns that rejects.csv has before the file's own."""

_TEMPORAL: Final = ("date", "time", "datetime")
FORMATS: Final = {
    "string": ("default", "email", "uri", "uuid", "binary"),
    "geopoint": ("default", "array", "object"),
    "geojson": ("default", "topojson"),
}
"""Type → its formats; a type that is not listed has the default alone, but for the temporal ones."""

SELF_REFERENCE: Final = "refers to the file itself, which is not supported; a foreign key names another dataset"


@frozen
class Schema:
    """What a contract's ``schema`` states."""

    fields: tuple[Field, ...]
    primary_key: tuple[str, ...]
    unique_keys: tuple[tuple[str, ...], ...]
    foreign_keys: tuple[ForeignKey, ...]
    fields_match: str
    missing_values: tuple[str, ...]


def reserved(labels: Sequence[str]) -> int:
    """How many labels at the start of a header are those that rejects.csv has before the file's own."""
    return next((at for at, label in enumerate(labels) if label not in RESERVED_LABELS), len(labels))


def read_schema(node: Node, decimals: dict[str, tuple[int, int]]) -> Schema:
    """``decimals``: field name → precision and scale of an exact decimal. Errors: ``InvalidContract``."""
    if isinstance(node.value, str):
        raise node.refusal("refers to another document; write the schema here")
    node.no_typos(SCHEMA_KEYS, NOT_IN_SCHEMA)
    missing_node = node.get("missingValues")
    missing_values = ("",) if missing_node is None else read_missing_values(missing_node)
    fields_node = node.require("fields")
    fields = tuple(_read_field(item, missing_values, decimals) for item in fields_node.items())
    if not fields:
        raise fields_node.refusal("is empty")
    _refuse_duplicates(fields_node, fields)
    fields_match = _fields_match(node.get("fieldsMatch"))
    _refuse_reserved(fields_node, fields, fields_match)
    names = tuple(field.name for field in fields)
    keys = _unique_keys(node.get("uniqueKeys"), names)
    alone = {key[0] for key in keys if len(key) == 1}
    return Schema(
        fields=tuple(changed(field, unique=True) if field.name in alone else field for field in fields),
        primary_key=_primary_key(node.get("primaryKey"), names),
        unique_keys=tuple(key for key in keys if len(key) > 1),
        foreign_keys=_foreign_keys(node.get("foreignKeys"), names),
        fields_match=fields_match,
        missing_values=missing_values,
    )


def read_missing_values(node: Node) -> tuple[str, ...]:
    """Texts, or objects with a ``value`` and perhaps a ``label`` (Table Schema 2.0)."""
    items = node.items()
    if not any(isinstance(item.value, dict) for item in items):
        return node.texts(empty=True)
    values: list[str] = []
    for item in items:
        item.only(("value", "label"))
        value = item.require("value").text(empty=True)
        if value in values:
            raise item.child("value").refusal(f"{shown(value)} is listed twice")
        label = item.get("label")
        if label is not None:
            label.text(empty=True)
        values.append(value)
    return tuple(values)


def _refuse_duplicates(node: Node, fields: tuple[Field, ...]) -> None:
    first: dict[str, int] = {}
    for index, field in enumerate(fields):
        if field.name in first:
            item = node.items()[index].child("name")
            raise item.refusal(f"{shown(field.name)} is the name of fields[{first[field.name]}] already")
        first[field.name] = index


def _refuse_reserved(node: Node, fields: tuple[Field, ...], fields_match: str) -> None:
    """The columns that rejects.csv has before the file's own are ignored where a file starts with them. A field may
    have one of their names where it cannot be one of those: after another field, in a file whose order is fixed.
    """
    for index, field in enumerate(fields):
        if field.name not in RESERVED_LABELS:
            if fields_match == "exact":
                return
            continue
        item = node.items()[index].child("name")
        raise item.refusal(
            f"{shown(field.name)} is a column of rejects.csv, which may be uploaded again; only a field after the first"
            " may have this name, and only where fieldsMatch is exact"
        )


def _unique_keys(node: Node | None, names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    found: list[tuple[str, ...]] = []
    for item in [] if node is None else node.items():
        key = _key(item, names)
        if key in found:
            raise item.refusal("is listed twice")
        found.append(key)
    return tuple(found)


def _foreign_keys(node: Node | None, names: tuple[str, ...]) -> tuple[ForeignKey, ...]:
    found: list[ForeignKey] = []
    for item in [] if node is None else node.items():
        item.only(("fields", "reference"))
        fields = _key(item.require("fields"), names)
        reference = item.require("reference")
        reference.only(("resource", "fields"))
        fields_node, resource_node = reference.require("fields"), reference.child("resource")
        if resource_node.value in (None, ""):
            raise resource_node.refusal(SELF_REFERENCE)
        resource = resource_node.text()
        if not is_dataset(resource):
            raise resource_node.refusal(f"{shown(resource)} is not the name of a dataset")
        columns = _names_of(fields_node)
        if len(columns) != len(fields):
            raise fields_node.refusal(f"has {len(columns)} names, expected {len(fields)} as in fields")
        found.append(ForeignKey(fields, resource, columns))
    return tuple(found)


def _names_of(node: Node) -> tuple[str, ...]:
    """Distinct names, at least one; one alone may stand without an array, as in version 1."""
    names = (node.text(),) if isinstance(node.value, str) else node.texts()
    if not names:
        raise node.refusal("is empty")
    return names


def _key(node: Node, names: tuple[str, ...]) -> tuple[str, ...]:
    key = _names_of(node)
    _refuse_unknown(node, key, names)
    return key


def _primary_key(node: Node | None, names: tuple[str, ...]) -> tuple[str, ...]:
    if node is None:
        return ()
    key = (node.text(),) if isinstance(node.value, str) else node.texts()
    _refuse_unknown(node, key, names)
    return key


def _refuse_unknown(node: Node, key: tuple[str, ...], names: tuple[str, ...]) -> None:
    for index, name in enumerate(key):
        if name not in names:
            item = node if isinstance(node.value, str) else node.items()[index]
            raise item.refusal(f"{shown(name)} is not the name of a field")


def _fields_match(node: Node | None) -> str:
    if node is None:
        return "exact"
    # The standard's text has a string, its published JSON profile an array of one.
    if isinstance(node.value, list | tuple):
        items = node.items()
        if len(items) != 1:
            raise node.refusal(f"has {len(items)} values, expected one of {', '.join(FIELDS_MATCH)}")
        node = items[0]
    return node.one_of(FIELDS_MATCH)


def _read_field(node: Node, missing_values: tuple[str, ...], decimals: dict[str, tuple[int, int]]) -> Field:
    node.no_typos(FIELD_KEYS, NOT_IN_FIELD)
    name_node = node.require("name")
    name = name_node.text()
    if not name.strip():
        raise name_node.refusal("is blank")
    field_type = _type(node.get("type"))
    for key in FIELD_KEYS:
        if key in node.members() and field_type not in FIELD_KEYS[key]:
            raise node.child(key).refusal(f"does not apply to the type {field_type}")
    own_missing = node.get("missingValues")
    plain: dict[str, Any] = {
        "name": name,
        "type": field_type,
        "format": _format(node.get("format"), field_type),
        "missing_values": missing_values if own_missing is None else read_missing_values(own_missing),
        **_number_marks(node, field_type),
        **_boolean_words(node),
        **_list_keys(node),
    }
    if name in decimals:
        plain["precision"], plain["scale"] = decimals[name]
    field = Field(**plain)
    return with_constraints(field, node.get("constraints"), node.get("categories"))


def _type(node: Node | None) -> str:
    if node is None:
        return "any"
    return node.one_of(TYPES)


def _format(node: Node | None, field_type: str) -> str:
    if node is None:
        return "default"
    # Table Schema 0 wrote patterns as "fmt:%Y"; the standard has the prefix removed.
    text = node.text().removeprefix("fmt:")
    if field_type in _TEMPORAL:
        if literals.is_pattern(text):
            if problem := literals.check_strptime(field_type, text):
                raise node.refusal(problem)
            return text
        if text not in ("default", "any"):
            raise node.refusal(f"is {shown(text)}, expected default, any or a pattern such as %Y-%m-%d")
        return text
    return Node(text, node.path).one_of(FORMATS.get(field_type, ("default",)))


def _number_marks(node: Node, field_type: str) -> dict[str, Any]:
    marks: dict[str, Any] = {}
    for key, attribute in (("decimalChar", "decimal_char"), ("groupChar", "group_char")):
        child = node.get(key)
        if child is None:
            continue
        mark = child.text()
        if len(mark) != 1 or mark.isalnum() or mark in "+-":
            raise child.refusal(f"is {shown(mark)}, expected one character that is no letter, digit or sign")
        marks[attribute] = mark
    # An integer has no decimal point that its groups' mark could be taken for: 1.234.567.
    if field_type == "number" and marks and marks.get("decimal_char", ".") == marks.get("group_char"):
        raise node.child("groupChar").refusal(f"is the decimal point as well ({shown(marks['group_char'])})")
    bare = node.get("bareNumber")
    if bare is not None:
        marks["bare_number"] = bare.flag()
    return marks


def _boolean_words(node: Node) -> dict[str, Any]:
    words: dict[str, Any] = {}
    for key, attribute in (("trueValues", "true_values"), ("falseValues", "false_values")):
        child = node.get(key)
        if child is None:
            continue
        words[attribute] = child.texts(empty=True)
        if not words[attribute]:
            raise child.refusal("is empty")
    trues, falses = words.get("true_values", TRUE_VALUES), words.get("false_values", FALSE_VALUES)
    for word in trues:
        if word in falses:
            key = "trueValues" if "true_values" in words else "falseValues"
            raise node.child(key).refusal(f"{shown(word)} would mean both true and false")
    return words


def _list_keys(node: Node) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    delimiter, item_type = node.get("delimiter"), node.get("itemType")
    if delimiter is not None:
        keys["delimiter"] = delimiter.text()
    if item_type is not None:
        keys["item_type"] = item_type.one_of(ITEM_TYPES)
    return keys
