"""What the file should be: a dataset's contract, read from its descriptor.

The descriptor is a Data Package Tabular Data Resource (https://datapackage.org/standard/data-resource/, versions 1 and
2) with Sluice's own keys under ``sluice``; docs/contract.md is its reference. Whatever is refused is refused by
``errors.InvalidContract``, whose message names the key. This module and all that it imports are plain Python: the
functions that check an uploaded contract start without Arrow.
"""

from __future__ import annotations

from typing import Any, Final, Literal, cast

from chalicelib.engine.contract import expressions, sluice_keys
from chalicelib.engine.contract.descriptor import Node, load, shown
from chalicelib.engine.contract.dialect import Dialect, read_dialect
from chalicelib.engine.contract.expressions import Derived
from chalicelib.engine.contract.fields import CONSTRAINTS, OPTIONS, Field, ForeignKey
from chalicelib.engine.contract.places import NOT_IN_RESOURCE
from chalicelib.engine.contract.schema import SELF_REFERENCE, read_schema
from chalicelib.engine.contract.sluice_keys import DEFAULT_TOLERANCE, Aggregate, Tolerance
from chalicelib.engine.text import encodings
from chalicelib.frozen import frozen

_PASSED_OVER: Final = (
    *("name", "type", "profile", "path", "title", "description", "sources", "licenses"),
    *("format", "mediatype", "bytes", "hash"),
)
"""A Data Resource's other properties (https://datapackage.org/standard/data-resource/): no misspellings, and looking
for what they could be meant for would import ``difflib`` at every start.
"""


@frozen
class Contract:
    """A dataset's contract."""

    name: str
    fields: tuple[Field, ...]
    primary_key: tuple[str, ...] = ()
    unique_keys: tuple[tuple[str, ...], ...] = ()
    """Those of several fields; a unique key of one field is that field's constraint ``unique``."""
    foreign_keys: tuple[ForeignKey, ...] = ()
    fields_match: str = "exact"
    """exact, equal, subset, superset or partial."""
    missing_values: tuple[str, ...] = ("",)
    """The schema's; a field's own stand in the field."""
    dialect: Dialect | None = None
    """None: to be detected."""
    encoding: str | None = None
    """One of ``encodings.SUPPORTED``; None: to be detected."""
    tolerance: Tolerance = DEFAULT_TOLERANCE
    derived: tuple[Derived, ...] = ()
    """Columns after the fields, which no file has."""
    aggregates: tuple[Aggregate, ...] = ()
    partition_by: tuple[str, ...] = ()
    mode: Literal["append", "replace"] = "append"
    inferred: bool = False
    """True for a draft made from the data itself."""


def parse(document: bytes | str | dict[str, Any]) -> Contract:
    """The contract that a descriptor states: its bytes, its text, or the object that was read from it.

    Errors: ``errors.InvalidContract``, whose message starts with the JSON path of the offending key, such as
    ``schema.fields[2].constraints.minimum``, or with ``(document)``.
    """
    root = load(document)
    _check_kind(root)
    name = root.require("name").text()
    schema_node = root.require("schema")
    sluice_node = root.get("sluice")
    keys = sluice_keys.read(Node({}, "sluice") if sluice_node is None else sluice_node)
    schema = read_schema(schema_node, {name: size for name, (_, size) in keys.decimals.items()})
    _refuse_self_reference(schema_node, schema.foreign_keys, name)
    by_name = {field.name: field for field in schema.fields}
    for column, (node, _) in keys.decimals.items():
        if column not in by_name:
            raise node.refusal("is not the name of a field")
        if by_name[column].type != "number":
            raise node.refusal(f"is a field of type {by_name[column].type}, expected number")
    dialect_node, encoding_node = root.get("dialect"), root.get("encoding")
    return Contract(
        name=name,
        fields=schema.fields,
        primary_key=schema.primary_key,
        unique_keys=schema.unique_keys,
        foreign_keys=schema.foreign_keys,
        fields_match=schema.fields_match,
        missing_values=schema.missing_values,
        dialect=None if dialect_node is None else read_dialect(dialect_node),
        encoding=None if encoding_node is None else _encoding(encoding_node),
        tolerance=keys.tolerance,
        derived=() if keys.derive is None else expressions.read(keys.derive, schema.fields),
        aggregates=keys.aggregates,
        partition_by=keys.partition_by,
        mode=cast('Literal["append", "replace"]', keys.mode),
        inferred=keys.inferred,
    )


def _check_kind(root: Node) -> None:
    """Refuse the neighbours of a Tabular Data Resource that are easily taken for one."""
    if "resources" in root.members():
        raise root.child("resources").refusal("belongs to a Data Package; a contract is one of its resources")
    if "schema" not in root.members() and "fields" in root.members():
        raise root.child("fields").refusal('belongs to a Table Schema; put the schema under the key "schema"')
    if "data" in root.members():
        raise root.child("data").refusal("is data in the descriptor itself; a contract describes files")
    root.no_typos(("schema", "dialect", "encoding", "sluice"), NOT_IN_RESOURCE, _PASSED_OVER)
    kind, profile = root.get("type"), root.get("profile")
    if kind is not None:
        kind.one_of(("table",))
    if profile is not None:
        text = profile.text()
        if "/" not in text:  # else it is the address of somebody's own profile
            profile.one_of(("tabular-data-resource", "data-resource"))


def _refuse_self_reference(schema: Node, foreign_keys: tuple[ForeignKey, ...], name: str) -> None:
    for index, key in enumerate(foreign_keys):
        if key.resource == name:
            node = schema.child("foreignKeys").items()[index].child("reference").child("resource")
            raise node.refusal(SELF_REFERENCE)


def _encoding(node: Node) -> str:
    text = node.text()
    supported = ", ".join(encodings.SUPPORTED)
    try:
        name = encodings.canonical(text)
    except LookupError:
        raise node.refusal(f"{shown(text)} is not the name of an encoding; supported: {supported}") from None
    if name is None:
        raise node.refusal(f"{shown(text)} is not supported; supported: {supported}")
    return name


def to_document(contract: Contract) -> dict[str, Any]:
    """The descriptor of a contract, in version 2 of the standard: ``parse(to_document(c)) == c``."""
    document: dict[str, Any] = {
        "$schema": "https://datapackage.org/profiles/2.0/dataresource.json",
        "name": contract.name,
        "type": "table",
        "path": f"{contract.name}.csv",
    }
    if contract.encoding is not None:
        document["encoding"] = contract.encoding
    if contract.dialect is not None:
        document["dialect"] = _dialect_document(contract.dialect)
    schema: dict[str, Any] = {
        "fields": [field_document(field, contract.missing_values) for field in contract.fields],
        "fieldsMatch": contract.fields_match,
        "missingValues": list(contract.missing_values),
    }
    if contract.primary_key:
        schema["primaryKey"] = list(contract.primary_key)
    if contract.unique_keys:
        schema["uniqueKeys"] = [list(key) for key in contract.unique_keys]
    if contract.foreign_keys:
        schema["foreignKeys"] = [_foreign_key_document(key) for key in contract.foreign_keys]
    document["schema"] = schema
    document["sluice"] = _sluice_document(contract)
    return document


def _dialect_document(dialect: Dialect) -> dict[str, Any]:
    document: dict[str, Any] = {
        "delimiter": dialect.delimiter,
        "quoteChar": dialect.quote_char,
        "doubleQuote": dialect.double_quote,
        "header": dialect.header,
        "skipInitialSpace": dialect.skip_initial_space,
    }
    for key, value in (("escapeChar", dialect.escape_char), ("commentChar", dialect.comment_char)):
        if value is not None:
            document[key] = value
    if dialect.header_rows != (1,):
        document["headerRows"] = list(dialect.header_rows)
    if dialect.header_join != " ":
        document["headerJoin"] = dialect.header_join
    if dialect.comment_rows:
        document["commentRows"] = list(dialect.comment_rows)
    return document


def field_document(field: Field, missing_values: tuple[str, ...]) -> dict[str, Any]:
    """A field's descriptor, in which what goes without saying is not said; ``missing_values``: those of its schema."""
    default = Field(field.name, field.type)
    document: dict[str, Any] = {"name": field.name, "type": field.type}
    pairs = (
        ("format", field.format, default.format),
        ("missingValues", field.missing_values, missing_values),
        *((key, getattr(field, attribute), getattr(default, attribute)) for key, attribute in OPTIONS.items()),
    )
    document |= {key: _plain(value) for key, value, usual in pairs if value != usual}
    given, none = field.constraints, default.constraints
    constraints = {
        key: _plain(getattr(given, attribute))
        for key, attribute in CONSTRAINTS.items()
        if getattr(given, attribute) != getattr(none, attribute)
    }
    return document | ({"constraints": constraints} if constraints else {})


def _foreign_key_document(key: ForeignKey) -> dict[str, Any]:
    reference = {"resource": key.resource, "fields": list(key.reference_fields)}
    return {"fields": list(key.fields), "reference": reference}


def _sluice_document(contract: Contract) -> dict[str, Any]:
    tolerance: dict[str, Any] = {"maxRejectedRatio": contract.tolerance.max_rejected_ratio}
    if contract.tolerance.max_rejected_rows is not None:
        tolerance["maxRejectedRows"] = contract.tolerance.max_rejected_rows
    if contract.tolerance.min_valid_rows:
        tolerance["minValidRows"] = contract.tolerance.min_valid_rows
    decimals = {
        field.name: {"precision": field.precision, "scale": field.scale}
        for field in contract.fields
        if field.precision is not None
    }
    document: dict[str, Any] = {"tolerance": tolerance, "mode": contract.mode}
    if contract.derived:
        document["derive"] = {each.name: each.text for each in contract.derived}
    if contract.aggregates:
        document["aggregates"] = [sluice_keys.aggregate_document(aggregate) for aggregate in contract.aggregates]
    if contract.partition_by:
        document["partitionBy"] = list(contract.partition_by)
    if decimals:
        document["decimals"] = decimals
    if contract.inferred:
        document["inferred"] = True
    return document


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
