"""``unique`` and ``primaryKey`` over the whole file, from keys gathered chunk by chunk.

A worker finds the repeats inside its own chunk and reports the keys of all others, hashed; whoever holds the reports of
all chunks finds those that occur in an earlier chunk. Hashes only propose: values decide. Every record whose key could
be read takes part, rejected or not, and the first occurrence keeps the key; a later one is rejected. As in SQL, a
unique key with a null in it is not compared; a primary key that is null in all its fields is itself a finding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chalicelib import errors
from chalicelib.engine import arrays, coding, hashing, ipc
from chalicelib.engine.checks.findings import GAP, Firsts, Found, same_note
from chalicelib.engine.contract import Contract
from chalicelib.engine.contract.fields import Field
from chalicelib.engine.records.split import Offsets
from chalicelib.engine.types import nested
from chalicelib.frozen import frozen

Hashes = NDArray[np.uint64]


@frozen
class Key:
    """One key that must not repeat."""

    code: str
    """``unique-error`` or ``primary-key``."""
    fields: tuple[str, ...]
    nested: tuple[Field, ...] = ()
    """Those of its fields whose values have to be compared in another form (``nested.comparable``)."""

    @property
    def label(self) -> str:
        """The field that a finding names: empty for a key of several fields."""
        return self.fields[0] if len(self.fields) == 1 else ""

    def repeated(self, rows: Offsets, firsts: Firsts) -> Found:
        """The findings on later occurrences, given where the keys stand first."""
        note = errors.FINDINGS[self.code].format(first=GAP)
        if self.code == "unique-error" and len(self.fields) > 1:
            note = f"the values of {', '.join(self.fields)} are the same as in record {GAP}"
        return Found(self.code, self.label, rows, same_note(note, len(rows)), firsts)

    def absent(self, rows: Offsets) -> Found:
        """The findings on records whose primary key is null in all its fields."""
        note = f"the primary key ({', '.join(self.fields)}) is null"
        return Found(self.code, self.label, rows, same_note(note, len(rows)))


def keys_of(contract: Contract) -> tuple[Key, ...]:
    """The contract's keys: the primary key first, then the unique fields in order, then the unique keys of several."""
    parted = {each.name: each for each in contract.fields if nested.is_compared_otherwise(each)}
    unique = [(each.name,) for each in contract.fields if each.constraints.unique]
    named = [("primary-key", contract.primary_key)] if contract.primary_key else []
    named += [("unique-error", fields) for fields in (*unique, *contract.unique_keys)]
    return tuple(Key(code, fields, tuple(parted[name] for name in fields if name in parted)) for code, fields in named)


@frozen
class Occurrences:
    """Values of one key in record order: their hashes, their records' numbers in the chunk (from 1), and themselves."""

    hashes: Hashes
    records: Offsets
    values: pa.Table

    @classmethod
    def of(cls, key: Key, table: pa.Table, records: Offsets) -> Occurrences:
        """The key's occurrences in the rows of a typed table; a row whose primary key is null in all its fields, or
        whose unique key is null in any, takes no part.
        """
        chosen = coding.decoded_table(table.select(key.fields))
        for each in key.nested:
            place = key.fields.index(each.name)
            values = nested.comparable(each, chosen.column(place).combine_chunks())
            chosen = chosen.set_column(place, each.name, values)
        columns = [column.combine_chunks() for column in chosen.columns]
        valid = np.array([arrays.valid(column) for column in columns])
        combine = np.logical_or if key.code == "primary-key" else np.logical_and
        present: NDArray[np.bool_] = combine.reduce(valid)
        hashes = np.zeros(len(records), np.uint64)
        for column, held in zip(columns, valid, strict=True):
            hashes = hashes * np.uint64(31) + np.where(held, hashing.hash_array(column), np.uint64(0))
        if not present.all():
            chosen = chosen.filter(arrays.booleans(present))
        return cls(hashes[present], records[present], chosen)

    @classmethod
    def concat(cls, parts: Sequence[Occurrences]) -> Occurrences:
        hashes = np.concatenate([part.hashes for part in parts])
        records = np.concatenate([part.records for part in parts])
        return cls(hashes, records, pa.concat_tables([part.values for part in parts]))

    def repeats(self) -> tuple[Offsets, Offsets]:
        """Positions of the later occurrences, ascending, and for each the position of the first one, by value."""
        order = np.argsort(self.hashes, kind="stable")
        ordered = self.hashes[order]
        same = ordered[1:] == ordered[:-1]
        if not same.any():
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        starts = np.flatnonzero(np.concatenate(([True], ~same)))
        firsts = np.repeat(order[starts], np.diff(starts, append=len(order)))
        suspects = np.flatnonzero(np.concatenate(([False], same)))
        later, first = order[suspects], firsts[suspects]
        unlike = arrays.distinct(first[~self._equal(later, first)])
        if len(unlike):  # values that only share a hash
            apart = np.isin(first, unlike)
            resolved = self._repeats_by_value(arrays.distinct(np.concatenate((later[apart], unlike))))
            later = np.concatenate((later[~apart], np.array(list(resolved), np.int64)))
            first = np.concatenate((first[~apart], np.array(list(resolved.values()), np.int64)))
        ascending = np.argsort(later)
        return later[ascending], first[ascending]

    def _equal(self, left: Offsets, right: Offsets) -> NDArray[np.bool_]:
        """Whether the values at these positions are surely the same."""
        equal = np.ones(len(left), np.bool_)
        for column in self.values.columns:
            ours, theirs = (
                column.take(arrays.from_values(each, pa.int64())).combine_chunks() for each in (left, right)
            )
            neither = ~arrays.valid(ours) & ~arrays.valid(theirs)
            equal &= arrays.trues(pc.equal(ours, theirs)) | neither
        return equal

    def _repeats_by_value(self, suspects: Offsets) -> dict[int, int]:
        rows = self.values.take(arrays.from_values(suspects, pa.int64())).to_pylist()
        first: dict[tuple[object, ...], int] = {}
        found: dict[int, int] = {}
        for position, row in zip(suspects.tolist(), rows, strict=True):
            held = first.setdefault(tuple(row.values()), position)
            if held != position:
                found[position] = held
        return found

    def without(self, dropped: NDArray[np.bool_]) -> Occurrences:
        """The occurrences that are not marked."""
        if not dropped.any():
            return self
        kept = ~dropped
        return Occurrences(self.hashes[kept], self.records[kept], self.values.filter(arrays.booleans(kept)))

    def dump(self) -> bytes:
        """For ``load``, in any process."""
        table = self.values.append_column(_HASH, arrays.from_values(self.hashes, pa.uint64()))
        table = table.append_column(_RECORD, arrays.from_values(self.records, pa.int64()))
        return ipc.dump(table)

    @classmethod
    def load(cls, body: bytes) -> Occurrences:
        """Errors: ``KeyError`` where the keys were hashed by another version of this code."""
        table = ipc.load(body)
        hashes = arrays.values_of(table.column(_HASH).combine_chunks(), np.uint64)
        records = arrays.values_of(table.column(_RECORD).combine_chunks(), np.int64)
        return cls(hashes, records, table.drop_columns([_HASH, _RECORD]))


_HASH, _RECORD = f"\x00hash-{hashing.VERSION}", "\x00record"


def null_keys(key: Key, table: pa.Table) -> Offsets:
    """Rows whose primary key is null in all its fields."""
    present = np.zeros(table.num_rows, np.bool_)
    for name in key.fields:
        present |= arrays.valid(table.column(name).combine_chunks())
    return np.flatnonzero(~present)
