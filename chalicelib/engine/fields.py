"""One field of a Table Schema: its nouns, and reading it from a descriptor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SUPPORTED_TYPES: Final = (
    "string",
    "integer",
    "number",
    "boolean",
    "date",
    "datetime",
    "time",
    "year",
    "yearmonth",
    "any",
)
"""The types whose values Sluice reads. Table Schema knows more (``TYPES``): a type moves here with its reader."""

TYPES: Final = (*SUPPORTED_TYPES, "duration", "object", "array", "list", "geopoint", "geojson")

TRUE_VALUES: Final = ("true", "True", "TRUE", "1")
FALSE_VALUES: Final = ("false", "False", "FALSE", "0")
"""Table Schema's defaults: https://datapackage.org/standard/table-schema/#boolean"""


@dataclass(frozen=True, slots=True)
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
    """In characters (code points), like ``max_length``."""
    max_length: int | None = None


@dataclass(frozen=True, slots=True)
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
