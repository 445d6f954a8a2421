"""``foreignKeys``: the keys of another dataset's rows as a set that is written once and asked by every chunk.

As with SQL's foreign keys (MATCH SIMPLE), on which Table Schema models its own, a key with a null in it refers to
nothing and is not checked. Keys are compared as values of the referring field's type.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chalicelib.engine import arrays, hashing, ipc, types
from chalicelib.engine.arrays import ArrowArray, Mask
from chalicelib.engine.contract.fields import Field, ForeignKey
from chalicelib.engine.contract.sluice_keys import MAX_PRECISION
from chalicelib.engine.measure.canonical import canonical
from chalicelib.engine.types import nested

Codes = NDArray[np.int64]


def agrees(field: Field, kind: pa.DataType) -> bool:
    """Whether a column of this Arrow type can hold values of the field's type, so that the two can be compared.

    A column of nulls alone has no type and agrees with every field.
    """
    own = types.arrow_type(field)
    if pa.types.is_null(kind):
        return True
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_list(own):
        return bool(pa.types.is_list(kind) and own.value_type == kind.value_type)
    if pa.types.is_struct(own):
        return bool(own == kind)
    if pa.types.is_decimal(own):
        return bool(pa.types.is_decimal(kind) and kind.scale == own.scale)
    return bool(_canonical_type(own) == _canonical_type(kind))


def _canonical_type(kind: pa.DataType) -> pa.DataType:
    return canonical(pa.nulls(0, kind)).type


def normal(field: Field, values: ArrowArray) -> ArrowArray:
    """Values in the one form in which keys are compared; their type ``agrees`` with the field's."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_null(values.type):
        values = pa.nulls(len(values), types.arrow_type(field))
    values = canonical(nested.comparable(field, values))
    if pa.types.is_decimal(values.type):
        return pc.cast(values, pa.decimal128(MAX_PRECISION, values.type.scale))
    return values


def distinct(keys: pa.Table) -> pa.Table:
    """The distinct rows without nulls, of columns in ``normal`` form, in order: a function of the set of rows."""
    keys = keys.drop_null()
    if keys.num_rows:
        keys = keys.group_by(keys.column_names, use_threads=False).aggregate([])
    return keys.take(pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names]))


def normalised(fields: Sequence[Field], columns: Sequence[ArrowArray]) -> pa.Table:
    """The referenced columns of some rows as distinct keys."""
    names = [str(place) for place in range(len(fields))]
    values = [normal(field, column) for field, column in zip(fields, columns, strict=True)]
    return distinct(pa.Table.from_arrays(values, names=names))


def merged(fields: Sequence[Field], parts: Sequence[pa.Table]) -> pa.Table:
    """The distinct keys of several ``normalised`` tables."""
    empty = normalised(fields, [pa.nulls(0, types.arrow_type(field)) for field in fields])
    return distinct(pa.concat_tables([empty, *parts]))


class _Values:
    """The distinct values of one column, in the order of their hashes. Hashes only propose: values decide.

    Arrow's ``index_in`` would do the same, but it hashes all of them again for every block that asks.
    """

    def __init__(self, values: ArrowArray) -> None:
        hashes = hashing.hash_array(values)
        self.order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self.order]
        self._values = values.take(arrays.from_values(self.order, pa.int64()))
        starts = np.flatnonzero(np.diff(self._hashes, prepend=~self._hashes[:1]))
        self._alike = int(np.diff(starts, append=len(hashes)).max(initial=0))
        """Most values that share a hash: one, but for a rare accident."""

    def __len__(self) -> int:
        return len(self._hashes)

    def places(self, column: ArrowArray) -> Codes:
        """The place of each value; -1 for one that is not there, and for null."""
        places = np.full(len(column), -1, np.int64)
        if not len(self):
            return places
        first = np.searchsorted(self._hashes, hashing.hash_array(column))
        for step in range(self._alike):
            at = np.minimum(first + step, len(self) - 1)
            same = arrays.trues(pc.equal(column, self._values.take(arrays.from_values(at, pa.int64()))))
            places[same] = at[same]
        return places


class KeySet:
    """Distinct keys, prepared for looking up whole columns of keys at once.

    A key of several columns is looked up step by step: the place of its first value among the first column's distinct
    values, then the place of (that, second value) among the distinct pairs, and so on.
    """

    def __init__(self, keys: pa.Table) -> None:
        self.size = keys.num_rows
        self._steps: list[tuple[_Values, Codes]] = []
        codes = np.zeros(keys.num_rows, np.int64)
        for name in keys.column_names:
            encoded = arrays.whole(keys.column(name)).dictionary_encode()
            values = _Values(encoded.dictionary)
            place = np.empty(len(values), np.int64)
            place[values.order] = np.arange(len(values))
            pairs = codes * (len(values) + 1) + place[arrays.values_of(encoded.indices, np.int32)]
            known, codes = np.unique(pairs, return_inverse=True)
            self._steps.append((values, known))

    @classmethod
    def load(cls, body: bytes) -> KeySet:
        """From the ``ipc.dump`` of ``merged`` keys."""
        return cls(ipc.load(body))

    def lacks(self, columns: Sequence[ArrowArray]) -> Mask:
        """Which rows' keys are not in the set; a key with a null in it is never lacking. ``columns``: in ``normal``
        form, one per column of the key.
        """
        asked = np.ones(len(columns[0]), np.bool_)
        found = np.full(len(columns[0]), self.size > 0)
        codes = np.zeros(len(columns[0]), np.int64)
        for column, (values, known) in zip(columns, self._steps, strict=True):
            asked &= arrays.valid(column)
            places = values.places(column)
            found &= places >= 0
            pairs = codes * (len(values) + 1) + places
            codes = np.minimum(np.searchsorted(known, pairs), max(len(known) - 1, 0))
            found[found] = known[codes[found]] == pairs[found]
        lacking: Mask = asked & ~found
        return lacking


class Reference:
    """A foreign key's check, prepared once and applied to block after block."""

    def __init__(self, key: ForeignKey, fields: Sequence[Field], known: KeySet) -> None:
        self.key = key
        self._fields = fields
        self._known = known

    def lacking(self, values: Sequence[ArrowArray]) -> NDArray[np.int64]:
        """The rows whose key is not in the set. ``values``: the key's typed columns."""
        columns = [normal(field, column) for field, column in zip(self._fields, values, strict=True)]
        return np.flatnonzero(self._known.lacks(columns))
