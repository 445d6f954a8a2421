"""The Arrow schemas of delivered rows: what the blocks of a chunk, and the chunks of a file, agree on."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from chalicelib import errors
from chalicelib.engine import coding
from chalicelib.engine.arrays import shown

_REMEDY: Final = "cast it to one type in the transform"


def encode_schema(schema: pa.Schema) -> str:
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def decode_schema(text: str) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


def plain_schema(table: pa.Table) -> pa.Schema:
    """The schema that the table's rows have in a file, where no column is coded."""
    return pa.schema([(field.name, coding.value_type(field.type)) for field in table.schema])


def unify(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """The one schema that all can be cast to; whether without loss depends on the values, see ``conform``.

    Errors: ``Terminal("transform-schema")`` where there is none.
    """
    first = schemas[0]
    if all(schema.equals(first) for schema in schemas):
        return first
    kinds: dict[str, list[pa.DataType]] = {}
    for field in (field for schema in schemas for field in schema):
        kinds.setdefault(field.name, []).append(field.type)
    return pa.schema([(name, _unified(name, each)) for name, each in kinds.items()])


def _unified(name: str, kinds: Sequence[pa.DataType]) -> pa.DataType:
    try:
        one = pa.unify_schemas([pa.schema([(name, kind)]) for kind in kinds], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        found = ", ".join(dict.fromkeys(map(shown, kinds)))
        raise errors.Terminal(
            "transform-schema",
            f'the transform gives the column "{name}" with types that do not go together ({found}): {_REMEDY}',
        ) from error
    return one.field(0).type


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with this schema: columns in its order, an absent one null, types cast without loss. A coded column
    whose values are of the type stays as it is.

    Errors: ``Terminal("transform-schema")`` where a value would be lost.
    """
    if plain_schema(table).equals(schema):
        return table
    names = set(table.column_names)
    columns = [
        _cast(table.column(field.name), field) if field.name in names else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, names=schema.names)


def _cast(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    given = coding.value_type(column.type)
    if given == field.type:
        return column
    try:
        return _cast_without_loss(coding.decoded(column), field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:  # whose text may quote the value
        raise errors.Terminal(
            "transform-schema",
            f'the transform gives the column "{field.name}" as {shown(given)} in some rows; together with the'
            f" others they would be {shown(field.type)}, which cannot hold them without loss: {_REMEDY}",
        ) from error


def _cast_without_loss(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if not (pa.types.is_decimal(column.type) and pa.types.is_floating(kind)):
        return column.cast(kind)
    # The one cast that Arrow neither checks nor rounds right (19.99 becomes 19.990000000000002), so by way of texts.
    # All digits are kept where the float's shortest text is the decimal's: 0.1 is 0.1, though no float is a tenth.
    made = column.cast(pa.string()).cast(kind)
    if not made.cast(pa.string()).cast(column.type).equals(column):
        raise pa.ArrowInvalid("a decimal has more digits than the float")
    return made
