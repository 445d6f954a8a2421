"""Arrow arrays as the measures see them: one canonical type per kind of value, and numpy views without copies.

Arrow arrays are built and read through their buffers here: ``pa.array``, ``pa.scalar`` and ``Array.to_numpy`` import
pandas wherever it is installed (0.16 s), which a worker without a transform has no other use for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chalicelib.engine import arrays

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_ARROW: Final = {np.dtype(name): getattr(pa, name)() for name in ("int32", "int64", "uint64", "float64")}
_NUMPY: Final[dict[Any, str]] = {pa.int64(): "<i8", pa.float64(): "<f8", pa.date32(): "<i4", pa.int32(): "<i4"}


def from_numpy(values: NDArray[Any]) -> Any:
    """An Arrow array over the memory of a numpy array of int32, int64, uint64 or float64."""
    return arrays.from_values(values, _ARROW[values.dtype])


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
        return arrays.from_values(values, pa.float64(), validity(array))
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
