"""Arrow columns as the measures see them: one canonical type per kind of value, numpy views without copies, and codes,
hashes and validity worked out once per block and shared by every measure.

Arrow arrays are built and read through their buffers here: ``pa.array``, ``pa.scalar`` and ``Array.to_numpy`` import
pandas wherever it is installed (0.16 s), which a worker without a transform has no other use for.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chalicelib.engine import arrays, hashing

Codes = NDArray[np.int32]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_GLANCE_ROWS: Final = 1024
_SLOT_BITS: Final = 17
"""Ten times as many slots as ``tally.LIMIT``: few values of a hundred share one."""

_ARROW: Final = {np.dtype(name): getattr(pa, name)() for name in ("int32", "int64", "uint64", "float64")}
_NUMPY: Final[dict[Any, str]] = {pa.int64(): "<i8", pa.float64(): "<f8", pa.date32(): "<i4", pa.int32(): "<i4"}


def from_numpy(values: NDArray[Any], arrow_type: Any = None) -> Any:
    """An Arrow array over a numpy array's memory (int32, int64, uint64, float64 and what is stored like them)."""
    values = np.ascontiguousarray(values)
    return pa.Array.from_buffers(arrow_type or _ARROW[values.dtype], len(values), [None, buffer(values)])


def buffer(values: NDArray[Any]) -> Any:
    """A numpy array's memory as an Arrow buffer."""
    return pa.py_buffer(values.data)


def view(array: Any) -> NDArray[Any]:
    """The values of a fixed-width Arrow array, without a copy; what stands under a null is undefined."""
    dtype = _NUMPY.get(array.type) or ("<u8" if pa.types.is_uint64(array.type) else "<i8")
    return arrays.values_of(array, dtype)


def validity(array: Any) -> Bools | None:
    """True where there is a value; None where every row has one."""
    return None if array.null_count == 0 else arrays.valid(array)


def canonical(array: Any) -> Any:
    """The same values in the one type that stands for their kind, so that results do not depend on how a block or a
    transform happened to store them: integers as int64 (decimal128 where they need it), floats as float64 without a
    negative zero and with one NaN, text as string, dates as date32, times as time64, and timestamps in microseconds
    (those in nanoseconds as they are) and, if they have a zone, in UTC.
    """
    kind = array.type
    if kind == pa.int64() or kind == pa.string() or kind == pa.date32():
        return array
    types = pa.types
    if types.is_dictionary(kind):
        given = array.dictionary
        values = canonical(given)
        return array if values is given else pa.DictionaryArray.from_arrays(array.indices, values, safe=False)
    if types.is_floating(kind):
        array = array if kind == pa.float64() else array.cast(pa.float64())
        values = view(array)
        if not _is_odd(values):
            return array
        # x + 0.0 is x, but for -0.0: two zeros would make minimum and groups depend on the order of the rows
        values = values + 0.0
        values[np.isnan(values)] = np.nan  # there are many; as keys they are one
        return pa.Array.from_buffers(pa.float64(), len(array), [_mask_buffer(array), buffer(values)])
    if types.is_uint64(kind):
        fits = pc.max(array).as_py() or 0
        return array.cast(pa.int64() if fits < 2**63 else pa.decimal128(20, 0))
    if types.is_integer(kind):
        return array.cast(pa.int64())
    if types.is_large_string(kind) or kind == getattr(pa, "string_view", pa.string)():
        return array.cast(pa.string())
    if types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return array.cast(pa.binary())
    if types.is_decimal(kind) and kind.bit_width < 128:
        return array.cast(pa.decimal128(kind.precision, kind.scale))
    if types.is_date(kind):
        return array.cast(pa.date32())
    if types.is_time(kind):
        return array.cast(pa.time64("us"), safe=False)
    if types.is_timestamp(kind):
        zone = "UTC" if kind.tz else None
        # By the type alone: whether any value has nanoseconds may differ from block to block.
        return array.cast(pa.timestamp("ns" if kind.unit == "ns" else "us", zone))
    return array


def _is_odd(values: Floats) -> bool:
    """Whether a negative zero or a NaN is among doubles."""
    # read as an integer no double is less than the negative zero
    least = values.view(np.int64).min(initial=0)
    return bool(least == np.iinfo(np.int64).min or np.isnan(values.min(initial=0.0)))


def is_plain(kind: Any) -> bool:
    """Whether a canonical type's values can be compared and put in order: all but lists, structures and the like."""
    types = pa.types
    tests = (
        types.is_null,
        types.is_boolean,
        types.is_integer,
        types.is_floating,
        types.is_decimal,
        types.is_string,
        types.is_binary,
        types.is_date,
        types.is_time,
        types.is_timestamp,
        types.is_duration,
    )
    return any(test(kind) for test in tests)


def _mask_buffer(array: Any) -> Any:
    """The validity bitmap of an array, moved to offset 0."""
    valid = validity(array)
    return None if valid is None else arrays.bitmap(valid)


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


def concat(parts: Sequence[Any]) -> Any:
    """One array from several of the same kind of value; a column of nulls, or of integers among floats, is promoted.

    Errors: ``pa.ArrowInvalid`` / ``pa.ArrowTypeError`` where the kinds do not go together (text and numbers).
    """
    first = parts[0].type
    if all(array.type == first for array in parts):
        return pa.concat_arrays(list(parts)) if len(parts) > 1 else parts[0]
    parts = [array.dictionary_decode() if pa.types.is_dictionary(array.type) else array for array in parts]
    tables = [pa.Table.from_arrays([array], names=["_"]) for array in parts]
    return arrays.whole(pa.concat_tables(tables, promote_options="permissive").column(0))


def text_size(array: Any) -> int:
    """Bytes of an array's texts; of other values none, they are bounded by their number."""
    if not (pa.types.is_string(array.type) or pa.types.is_binary(array.type)):
        return 0
    edges = arrays.offsets(array)
    return int(edges[-1]) - int(edges[0])


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
