"""The nouns of a Table Schema's fields: the types, a field, its constraints, a reference to another dataset.

``schema`` and ``constraints`` read them from a descriptor.
"""

from __future__ import annotations

from typing import Final

from chalicelib.frozen import frozen

TYPES: Final = (
    "string",
    "integer",
    "number",
    "boolean",
    "date",
    "datetime",
    "time",
    "year",
    "yearmonth",
    "duration",
    "object",
    "array",
    "list",
    "geopoint",
    "geojson",
    "any",
)
"""All types of Table Schema 2 (https://datapackage.org/standard/table-schema/#field-types)."""

ITEM_TYPES: Final = ("string", "integer", "boolean", "number", "datetime", "date", "time")
"""The types that a list's items may have."""

TRUE_VALUES: Final = ("true", "True", "TRUE", "1")
FALSE_VALUES: Final = ("false", "False", "FALSE", "0")
"""Table Schema's defaults: https://datapackage.org/standard/table-schema/#boolean"""


@frozen
class Constraints:
    """A field's constraints (https://datapackage.org/standard/table-schema/#field-constraints).

    Values that belong to the field's type stand as texts, to be read by the field's own reader.
    """

    required: bool = False
    unique: bool = False
    enum: tuple[str, ...] | None = None
    pattern: str | None = None
    """In RE2's syntax; the whole text must match."""
    minimum: str | None = None
    maximum: str | None = None
    exclusive_minimum: str | None = None
    exclusive_maximum: str | None = None
    min_length: int | None = None
    """In characters (code points), items or members, like ``max_length``."""
    max_length: int | None = None


CONSTRAINTS: Final = {
    "required": "required",
    "unique": "unique",
    "enum": "enum",
    "pattern": "pattern",
    "minimum": "minimum",
    "maximum": "maximum",
    "exclusiveMinimum": "exclusive_minimum",
    "exclusiveMaximum": "exclusive_maximum",
    "minLength": "min_length",
    "maxLength": "max_length",
}
"""Constraint → attribute of ``Constraints``."""


@frozen
class Field:
    """One field of the schema."""

    name: str
    type: str
    format: str = "default"
    constraints: Constraints = Constraints()
    missing_values: tuple[str, ...] = ("",)
    """Texts that mean null: the field's own list, or else the schema's."""
    decimal_char: str = "."
    group_char: str | None = None
    bare_number: bool = True
    true_values: tuple[str, ...] = TRUE_VALUES
    false_values: tuple[str, ...] = FALSE_VALUES
    precision: int | None = None
    """Total digits of an exact decimal (``sluice.decimals``); None: a number is a 64-bit float."""
    scale: int | None = None
    """Digits after the point of an exact decimal."""
    delimiter: str = ","
    """What stands between the items of a list."""
    item_type: str = "string"
    """One of ``ITEM_TYPES``: what the items of a list are."""


OPTIONS: Final = {
    "decimalChar": "decimal_char",
    "groupChar": "group_char",
    "bareNumber": "bare_number",
    "trueValues": "true_values",
    "falseValues": "false_values",
    "delimiter": "delimiter",
    "itemType": "item_type",
}
"""Key of a field that says how texts of its type are written → attribute of ``Field``."""


@frozen
class ForeignKey:
    """A reference to another dataset (https://datapackage.org/standard/table-schema/#foreignKeys)."""

    fields: tuple[str, ...]
    resource: str
    """The dataset whose current rows are referred to."""
    reference_fields: tuple[str, ...]
    """Columns of those rows, as many as ``fields``, in the same order."""
