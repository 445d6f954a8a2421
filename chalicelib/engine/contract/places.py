"""Where the known keys of a contract stand, and where a key that stands in another place belongs.

Descriptors may be extended: a resource, a schema and a field may have any key besides the known ones. A known one in
the wrong place is refused all the same: it looks as if it were honoured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chalicelib.engine.contract import constraints, dialect, sluice_keys
from chalicelib.engine.contract.fields import OPTIONS, TYPES

SCHEMA_KEYS: Final = ("fields", "fieldsMatch", "missingValues", "primaryKey", "uniqueKeys", "foreignKeys")

FIELD_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("name", "type", "format", "constraints", "missingValues"), TYPES),
    "categories": ("string", "integer"),
    "categoriesOrdered": ("string", "integer"),
    # Only a number has a decimal point; of an integer the key claims nothing that is not so.
    "decimalChar": ("number", "integer"),
    "groupChar": ("number", "integer"),
    "bareNumber": ("number", "integer"),
    "trueValues": ("boolean",),
    "falseValues": ("boolean",),
    "delimiter": ("list",),
    "itemType": ("list",),
}
"""Key of a field → the types that may have it (https://datapackage.org/standard/table-schema/#field-types)."""

_KEYS_OF_THE_WHOLE: Final = ("primaryKey", "uniqueKeys", "foreignKeys")

_UNDER_DIALECT: Final = dict.fromkeys(dialect.KEYS, 'under "dialect"')
_UNDER_SLUICE: Final = dict.fromkeys((key for key in sluice_keys.KEYS if key != "inferred"), 'under "sluice"')

NOT_IN_RESOURCE: Final[Mapping[str, str]] = {
    **dict.fromkeys(SCHEMA_KEYS, 'under "schema"'), **_UNDER_DIALECT, **_UNDER_SLUICE, "constraints": "in a field"
}  # fmt: skip
"""Key that a resource must not have → where it belongs."""

NOT_IN_SCHEMA: Final[Mapping[str, str]] = {
    **dict.fromkeys(("encoding", "dialect", "sluice"), 'beside "schema"'),
    **dict.fromkeys(("constraints", *OPTIONS), "in a field"),
    **dict.fromkeys(constraints.TYPES_OF, 'under "constraints" in a field'),
    **_UNDER_DIALECT,
    **_UNDER_SLUICE,
}

NOT_IN_FIELD: Final[Mapping[str, str]] = {
    **dict.fromkeys(_KEYS_OF_THE_WHOLE, 'under "schema"'),
    **dict.fromkeys(constraints.TYPES_OF, 'under "constraints"'),
}
"""What only the dialect or Sluice has says nothing of a field, and may be anybody's own key there: in BigQuery's
schemas each field has a ``mode``, and one of a structure ``fields``."""
