"""A chunk's valid rows on their way out: transformed, aggregated, profiled, written as Parquet."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from chalicelib import errors
from chalicelib.engine import partition
from chalicelib.engine import transform as transforms
from chalicelib.engine.contract import Contract
from chalicelib.engine.measure.aggregate import Aggregates
from chalicelib.engine.measure.columns import Block
from chalicelib.engine.measure.profile import Profile
from chalicelib.engine.plan import Plan
from chalicelib.engine.records.split import Offsets
from chalicelib.engine.transform import Transform


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
            table = self._agreed(table, self._schema)
        if table.num_rows:
            block = Block(table)
            self._aggregates.add(block)
            self._profile.add(block)
            self._tables.append(table)

    @staticmethod
    def _agreed(table: pa.Table, schema: pa.Schema) -> pa.Table:
        """The table with the chunks' schema; as it is where the schema, agreed on before this chunk was repaired,
        cannot hold it: then all agree once more, or the job ends with ``transform-schema``.
        """
        try:
            return conform(table, schema)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return table

    def finish(self) -> Delivered:
        """Errors: ``Terminal("transform-schema")`` where blocks came out of the transform with types that clash."""
        if not self._tables:
            return Delivered(0, None, [], self._aggregates.dump(), self._profile.dump())
        schema = unify([table.schema for table in self._tables])
        whole = pa.concat_tables([conform(table, schema) for table in self._tables])
        self._tables.clear()
        by = self._contract.partition_by
        files = partition.partitions(whole, by) if by else [("", whole)]
        parts = [Part(folder, parquet(rows), rows.num_rows) for folder, rows in files]
        return Delivered(whole.num_rows, encode_schema(schema), parts, self._aggregates.dump(), self._profile.dump())


def try_out(contract: Contract, schema: pa.Schema) -> None:
    """Refuse aggregates and partitions that rows of this schema cannot have, before there is a row.

    Errors: ``Terminal("unknown-column")``, ``Terminal("bad-measure")``, ``Terminal("bad-partition")``.
    """
    partition.refuse(schema.names, contract.partition_by)
    Aggregates(contract.aggregates).add(schema.empty_table())


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
