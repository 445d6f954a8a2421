"""A chunk's valid rows on their way out: transformed, aggregated, profiled, written as Parquet."""

from __future__ import annotations

import pyarrow as pa

from chalicelib.engine import arrays, coding
from chalicelib.engine.contract import Contract
from chalicelib.engine.delivery import partition
from chalicelib.engine.delivery import transform as transforms
from chalicelib.engine.delivery.parquet import Part, Writer
from chalicelib.engine.delivery.schemas import conform, decode_schema, encode_schema, plain_schema, unify
from chalicelib.engine.delivery.transform import Transform
from chalicelib.engine.measure.aggregate import Aggregates
from chalicelib.engine.measure.columns import Block
from chalicelib.engine.measure.profile import Profile
from chalicelib.engine.plan import Plan
from chalicelib.frozen import frozen


@frozen
class Delivered:
    """What became of a chunk's valid rows."""

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
        self._writer = Writer(contract.partition_by)
        self._aggregates = Aggregates(contract.aggregates)
        self._profile = Profile()

    def add(self, table: pa.Table, records: tuple[int, int]) -> None:
        """Take valid rows, at least one; ``records``: numbers in the chunk of the first and the last.

        Errors: ``Terminal``, those of the transform, of ``parquet.Writer.add`` and of the measures.
        """
        if self._transform is not None:
            dataset = self._plan.source.dataset
            where = f"dataset {dataset}, chunk {self._chunk}, records {records[0]} to {records[1]} of the chunk"
            if self._contract.inferred:
                where += " (the dataset has a transform but no contract, so it was given inferred types)"
            plain = coding.decoded_table(table)
            table = coding.recoded_table(transforms.apply(self._transform, plain, where), plain, table)
            transforms.refuse_unheld(table, plain)
        if table.num_rows:
            if self._schema is not None:
                table = self._agreed(table, self._schema)
            self._writer.add(table)  # first, for it is the one to say that types do not go together
            block = Block(table)
            self._aggregates.add(block)
            self._profile.add(block)

    @staticmethod
    def _agreed(table: pa.Table, schema: pa.Schema) -> pa.Table:
        """The table with the chunks' schema; as it is where that was agreed on before this chunk was repaired, and
        lacks a column or a type that its rows have: then all agree once more.

        Errors: ``Terminal("transform-schema")`` where they cannot.
        """
        return conform(table, schema) if unify([schema, plain_schema(table)]).equals(schema) else table

    def finish(self) -> Delivered:
        """Errors: those of ``parquet.Writer.finish``."""
        parts = self._writer.finish()
        schema = None if self._writer.schema is None else encode_schema(self._writer.schema)
        return Delivered(self._writer.rows, schema, parts, self._aggregates.dump(), self._profile.dump())


def try_out(contract: Contract, schema: pa.Schema) -> None:
    """Refuse aggregates and partitions that rows of this schema cannot have, before there is a row.

    Errors: ``Terminal("unknown-column")``, ``Terminal("bad-measure")``, ``Terminal("bad-partition")``.
    """
    partition.refuse(schema.names, contract.partition_by)
    Aggregates(contract.aggregates).add(arrays.empty_table(schema))
