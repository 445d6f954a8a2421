"""A chunk's valid rows on their way out: transformed, aggregated, profiled, written as Parquet."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from chalicelib import errors
from chalicelib.engine import arrays
from chalicelib.engine import transform as transforms
from chalicelib.engine.contract import Contract
from chalicelib.engine.measure.aggregate import Aggregates
from chalicelib.engine.measure.columns import Block, is_plain
from chalicelib.engine.measure.profile import Profile
from chalicelib.engine.plan import Plan
from chalicelib.engine.records.split import Offsets
from chalicelib.engine.transform import Transform

MAX_PARTITIONS: Final = 1000
"""Most partitions that one chunk may write to: each is a file of its own."""

NULL_PARTITION: Final = "__HIVE_DEFAULT_PARTITION__"
"""Hive's, Athena's and Arrow's name for the partition of rows whose partition column is null."""


@dataclass(frozen=True, slots=True)
class Part:
    """A Parquet file. ``folder`` is ``""`` or ``country=US/`` in Hive's style."""

    folder: str
    body: bytes
    rows: int


@dataclass(frozen=True, slots=True)
class Delivered:
    rows: int
    schema: str | None
    """The rows' Arrow schema (IPC message in base64); None where there were no rows."""
    parts: list[Part]
    aggregates: bytes
    profile: bytes


class Delivery:
    def __init__(self, plan: Plan, contract: Contract, chunk: int, transform: Transform | None) -> None:
        self._plan, self._contract, self._chunk, self._transform = plan, contract, chunk, transform
        self._schema = decode_schema(plan.schema) if plan.schema else None
        self._tables: list[pa.Table] = []
        self._aggregates = Aggregates(contract.aggregates)
        self._profile = Profile()

    def add(self, table: pa.Table, records: Offsets) -> None:
        """Take valid rows; ``records`` are their numbers in the chunk."""
        if not table.num_rows:
            return
        if self._transform is not None:
            dataset = self._plan.source.dataset
            where = f"dataset {dataset}, chunk {self._chunk}, records {records[0]} to {records[-1]} of the chunk"
            if self._contract.inferred:
                where += " (the dataset has a transform but no contract, so it was given inferred types)"
            table = transforms.apply(self._transform, table, where)
        if self._schema is not None:
            table = conform(table, self._schema)
        if table.num_rows:
            block = Block(table)
            self._aggregates.add(block)
            self._profile.add(block)
            self._tables.append(table)

    def finish(self) -> Delivered:
        """Errors: ``Terminal("transform-schema")`` where blocks came out of the transform with types that clash."""
        if not self._tables:
            return Delivered(0, None, [], self._aggregates.dump(), self._profile.dump())
        schema = unify([table.schema for table in self._tables])
        whole = pa.concat_tables([conform(table, schema) for table in self._tables])
        self._tables.clear()
        parts = _parts(whole, self._contract.partition_by)
        return Delivered(whole.num_rows, encode_schema(schema), parts, self._aggregates.dump(), self._profile.dump())


def encode_schema(schema: pa.Schema) -> str:
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def decode_schema(text: str) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


def unify(schemas: list[pa.Schema]) -> pa.Schema:
    """The one schema that all can be cast to without loss. Errors: ``Terminal("transform-schema")``."""
    first = schemas[0]
    if all(schema.equals(first) for schema in schemas):
        return first
    try:
        return pa.unify_schemas(schemas, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise errors.Terminal("transform-schema", f"the transform gives rows of different types: {error}") from error


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with exactly this schema: columns in its order, an absent one null, types cast without loss."""
    if table.schema.equals(schema):
        return table
    names = set(table.column_names)
    columns = [
        table.column(field.name).cast(field.type) if field.name in names else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def _parts(table: pa.Table, partition_by: tuple[str, ...]) -> list[Part]:
    """One file, or one for each combination of values of the partition columns, which Hive leaves out of the file."""
    if not partition_by:
        return [Part("", parquet(table), table.num_rows)]
    absent = [name for name in partition_by if name not in table.column_names]
    if absent:
        raise errors.Terminal("unknown-column", f"sluice.partitionBy: the rows have no column {', '.join(absent)}")
    parted = [name for name in partition_by if not is_plain(table.column(name).type)]
    if parted:
        raise errors.Terminal(
            "bad-partition", f"sluice.partitionBy: the values of {', '.join(parted)} have parts, which name no folder"
        )
    rest = table.drop_columns(list(partition_by))
    parts = []
    for values, rows in _partitions(table, partition_by):
        folder = "".join(
            f"{quote(name, safe='')}={_value(value)}/" for name, value in zip(partition_by, values, strict=True)
        )
        chosen = rest.take(arrays.from_values(rows, pa.int64()))
        parts.append(Part(folder, parquet(chosen), chosen.num_rows))
    return sorted(parts, key=lambda part: part.folder)


def _partitions(table: pa.Table, partition_by: tuple[str, ...]) -> Iterator[tuple[list[str | None], Offsets]]:
    """Each combination of the partition columns' values, as texts, with its rows in order."""
    encoded = [table.column(name).cast(pa.string()).combine_chunks().dictionary_encode() for name in partition_by]
    codes = np.zeros(table.num_rows, np.int64)
    for column in encoded:
        indices = np.where(arrays.valid(column.indices), arrays.values_of(column.indices, np.int32), -1)
        codes = codes * (len(column.dictionary) + 1) + indices + 1
    order = np.argsort(codes, kind="stable")
    edges = np.flatnonzero(np.diff(codes[order], prepend=-1))
    if len(edges) > MAX_PARTITIONS:
        raise errors.Terminal(
            "too-many-partitions",
            f"sluice.partitionBy gives {len(edges)} partitions in one chunk, the limit is {MAX_PARTITIONS}",
        )
    for rows in np.split(order, edges[1:]):
        yield [column[int(rows[0])].as_py() for column in encoded], rows


def _value(text: str | None) -> str:
    return NULL_PARTITION if text is None else quote(text, safe="")
