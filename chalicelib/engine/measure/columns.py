"""The columns of a block, with codes, hashes and validity worked out once and shared by every measure."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chalicelib.engine import arrays, hashing
from chalicelib.engine.measure.canonical import Bools, canonical, validity, view

Codes = NDArray[np.int32]
Ints = NDArray[np.int64]

_GLANCE_ROWS: Final = 1024
_SLOT_BITS: Final = 17
"""Ten times as many slots as ``tally.LIMIT``: few values of a hundred share one."""


def _codes(encoded: Any) -> Codes:
    """The code of each row of a dictionary array, in memory that may be its own; null has the first that is free."""
    indices = encoded.indices
    codes = view(indices if indices.type == pa.int32() else indices.cast(pa.int32()))
    valid = validity(indices)
    if valid is None:
        return codes
    free = np.int32(len(encoded.dictionary))
    moved: Codes = (codes - free) * valid + free  # several times as fast as to choose by np.where
    return moved


class Column:
    """One column of a block, with everything that several measures need, worked out when first asked for."""

    def __init__(self, name: str, array: Any) -> None:
        self.name = name
        self.canonical = canonical(array)
        """The values as ``canonical`` has them, perhaps dictionary-encoded."""
        self.rows = len(array)

    @cached_property
    def array(self) -> Any:
        """The values, not dictionary-encoded."""
        given = self.canonical
        return given.dictionary_decode() if pa.types.is_dictionary(given.type) else given

    @property
    def type(self) -> Any:
        kind = self.canonical.type
        return kind.value_type if pa.types.is_dictionary(kind) else kind

    @cached_property
    def valid(self) -> Bools | None:
        """Which rows have a value; None where every row has one."""
        if not pa.types.is_dictionary(self.canonical.type):
            return validity(self.array)
        codes, distinct = self.encoded
        return codes < len(distinct) if self.nulls else None

    @cached_property
    def present(self) -> Any:
        """The values that are not null."""
        return self.array.drop_null() if self.array.null_count else self.array

    @property
    def nulls(self) -> int:
        given = self.canonical
        if pa.types.is_dictionary(given.type):
            if not given.dictionary.null_count:
                return int(given.null_count)
            codes, distinct = self.encoded
            return int(np.count_nonzero(codes == len(distinct)))
        return self.rows if pa.types.is_null(self.type) else int(self.array.null_count)

    @property
    def present_column(self) -> Column:
        """This column without its nulls."""
        # Not kept where it is the column itself, which would then be freed by the cycle collector alone.
        return self._without_nulls if self.nulls else self

    @cached_property
    def _without_nulls(self) -> Column:
        return Column(self.name, self.present)

    @cached_property
    def encoded(self) -> tuple[Codes, Any]:
        """Codes per row and the distinct values they stand for; null has the code ``len(distinct values)``."""
        given = self.canonical
        if pa.types.is_null(given.type):
            return np.zeros(self.rows, np.int32), given.slice(0, 0)
        if not pa.types.is_dictionary(given.type):
            encoded = given.dictionary_encode()
            return _codes(encoded), encoded.dictionary
        # somebody else's dictionary may hold a value twice, and null
        again = given.dictionary.dictionary_encode()
        if not again.null_count and len(again.dictionary) == len(again):
            return _codes(given), given.dictionary
        return np.append(_codes(again), np.int32(len(again.dictionary)))[_codes(given)], again.dictionary

    @cached_property
    def counts(self) -> Ints:
        """How many rows have each of the ``encoded`` values, and last how many are null."""
        codes, distinct = self.encoded
        return np.bincount(codes, minlength=len(distinct) + 1)

    @property
    def codes_used(self) -> int:
        """How many of the codes, from 0, hold all that rows have."""
        _, distinct = self.encoded
        if not pa.types.is_dictionary(self.canonical.type):
            return len(distinct) + (self.nulls > 0)
        # a dictionary's last values are often those of rejected rows
        return int(np.flatnonzero(self.counts).max(initial=-1)) + 1

    def exceeds(self, limit: int) -> bool:
        """Whether the first rows show already that the column has more distinct values than ``limit``. Where they do
        not, it may have more all the same.
        """
        if pa.types.is_dictionary(self.canonical.type) or self.rows <= limit:
            return False
        present = self.present_column
        glance = present.array.slice(0, _GLANCE_ROWS)
        if 2 * len(glance.unique()) < len(glance):
            return False
        # As many values differ, at the least, as slots are hit by their hashes; to be measured they are hashed anyway.
        slots = np.zeros(1 << _SLOT_BITS, np.bool_)
        sample = present.hashes[: 2 * limit]  # fewer do not show it of values that repeat now and then
        slots[(sample >> np.uint64(64 - _SLOT_BITS)).view(np.int64)] = True  # unsigned they would take twice as long
        return int(np.count_nonzero(slots)) > limit

    def decoded(self, codes: Ints) -> Any:
        """The values that some of the codes stand for."""
        _, distinct = self.encoded
        return distinct.take(arrays.from_values(codes, pa.int64(), codes < len(distinct)))

    @cached_property
    def hashes(self) -> NDArray[np.uint64]:
        """A 64-bit hash per row, of the value alone; undefined where the row is null."""
        if pa.types.is_dictionary(self.canonical.type):
            codes, distinct = self.encoded
            return np.append(hashing.hash_array(distinct), np.uint64(0))[codes]
        return hashing.hash_array(self.array)


class Block:
    """The columns of a table, prepared once for all the measures that read it."""

    def __init__(self, table: Any) -> None:
        self.table = table
        self.rows: int = table.num_rows
        self._names: list[str] = table.column_names
        self._columns: dict[int, Column] = {}

    def column(self, name: str) -> Column:
        """Errors: ``KeyError`` where the table has no such column, or several."""
        position = self.table.schema.get_field_index(name)
        if position < 0:
            raise KeyError(name)
        return self.at(position)

    def at(self, position: int) -> Column:
        """The column at a position; a table may have several of one name."""
        known = self._columns.get(position)
        if known is None:
            known = self._columns[position] = Column(self._names[position], arrays.whole(self.table.column(position)))
        return known

    def slices(self, rows: int) -> list[Block]:
        """The block itself, or pieces of at most ``rows`` rows."""
        if self.rows <= rows:
            return [self]
        return [Block(self.table.slice(start, rows)) for start in range(0, self.rows, rows)]
