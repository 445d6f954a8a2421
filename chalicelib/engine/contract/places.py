"""Where the known keys of a contract stand, and where a key that stands in another place belongs.

Descriptors may be extended: a resource, a schema and a field may have any key besides the known ones. A known one in
the wrong place is refused all the same: it looks as if it were honoured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chalicelib.engine.contract import constraints, dialect, sluice_keys
from chalicelib.engine.contract.fields import TYPES

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

_UNDER_DIALECT: Final = dict.fromkeys(dialect.KEYS, 'under "dialect"')
_UNDER_SLUICE: Final = dict.fromkeys(sluice_keys.KEYS, 'under "sluice"')
_UNDER_SCHEMA: Final = dict.fromkeys(SCHEMA_KEYS, 'under "schema"')
_OPTIONS: Final = (key for key, types in FIELD_KEYS.items() if key == "constraints" or types != TYPES)

NOT_IN_RESOURCE: Final[Mapping[str, str]] = {
    **_UNDER_SCHEMA, **_UNDER_DIALECT, **_UNDER_SLUICE, "constraints": "in a field"
}  # fmt: skip
"""Key that a resource must not have → where it belongs."""

NOT_IN_SCHEMA: Final[Mapping[str, str]] = {
    **dict.fromkeys(("encoding", "dialect", "sluice"), 'beside "schema"'),
    **dict.fromkeys(_OPTIONS, "in a field"),
    **dict.fromkeys(constraints.TYPES_OF, 'under "constraints" in a field'),
    **_UNDER_DIALECT,
    **_UNDER_SLUICE,
}

NOT_IN_FIELD: Final[Mapping[str, str]] = {
    **{key: place for key, place in _UNDER_SCHEMA.items() if key not in FIELD_KEYS},
    **_UNDER_SLUICE,
    **dict.fromkeys(constraints.TYPES_OF, 'under "constraints"'),
}
"""What only the dialect has (``header``) says nothing of a field, and may be anybody's own key there."""
