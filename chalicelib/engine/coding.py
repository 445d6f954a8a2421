"""Columns with few distinct values, as codes into those values: Arrow's dictionary arrays.

What is true of a text is worked out once per distinct text instead of once per row: its type, its value, every check.
A column is coded or not by how its blocks turn out, so nothing that is found or written may depend on it.

Coded columns have int32 codes, and their nulls stand in the codes: no code refers to a null among the values. A value
may stand among them twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chalicelib.engine import arrays
from chalicelib.engine.arrays import ArrowArray, Mask

Codes = NDArray[np.int32]

JUDGED_ROWS: Final = 1024
"""A column is judged by so many rows at first; a block that has fewer is not worth coding."""
ROWS_PER_VALUE: Final = 8
"""So many rows a distinct value or more, and coding pays: it costs about 11 ns a row while Arrow parses the text, and
spares some 10 ns at each of five later steps."""
_GLANCE_ROWS: Final = 4096
"""Of few values the first rows mostly have all."""
FEW_CODES: Final = 8
"""To compare every row with so many codes takes less time than to look every row's code up in a table."""
_SPARSE: Final = 16
"""Of rows that are fewer than a sixteenth it takes less time to find them than to work on all."""
CODED_TEXT: Final = pa.dictionary(pa.int32(), pa.string())


def is_worth(sample: ArrowArray) -> bool:
    return len(sample) > 0 and not sample.null_count and len(sample.unique()) * ROWS_PER_VALUE <= len(sample)


def stays_worth(column: ArrowArray) -> bool:
    """Whether a block of a column that was to be coded shows that it should be."""
    # One of which no record is regular may come plain, and tells nothing.
    return not is_coded(column) or len(column.dictionary) * ROWS_PER_VALUE <= len(column)


def is_coded(column: ArrowArray) -> bool:
    return bool(pa.types.is_dictionary(column.type))


def codes_of(column: ArrowArray) -> Codes:
    """The code of each row; anything may stand under a null."""
    return arrays.values_of(column.indices, np.int32)


def coded(codes: Codes, values: ArrowArray, present: Mask | None = None) -> ArrowArray:
    """A coded column, null where ``present`` is False and where a code refers to a null."""
    if values.null_count:
        held = arrays.valid(values)
        found = _kept_rows(codes, held)
        present = found if present is None else present & found
        codes, values = _renumbered(codes, held), values.drop_null()
    return pa.DictionaryArray.from_arrays(arrays.from_values(codes, pa.int32(), present), values, safe=False)


def replaced(column: ArrowArray, values: ArrowArray) -> ArrowArray:
    """A coded column with other values, one for each of its own; a null among them makes its rows null."""
    return coded(codes_of(column), values, arrays.valid(column) if column.null_count else None)


def without_unused(column: ArrowArray) -> ArrowArray:
    """A coded column without the values that none of its rows has."""
    codes = codes_of(column)
    present = arrays.valid(column) if column.null_count else None
    size = len(column.dictionary)
    used = _used(codes if present is None else codes[present], size)
    if used.all():
        return column
    return coded(_renumbered(codes, used), column.dictionary.filter(arrays.booleans(used)), present)


def _used(codes: Codes, size: int) -> Mask:
    """Which of ``size`` codes occur. Where the first rows show of all but a few that they do, that takes a tenth of the
    time.
    """
    used: Mask = np.bincount(codes[:_GLANCE_ROWS], minlength=size) > 0
    unseen = np.flatnonzero(~used)
    if len(unseen) > FEW_CODES:
        return np.bincount(codes, minlength=size) > 0
    used[unseen] = [bool((codes == np.int32(code)).any()) for code in unseen.tolist()]
    return used


def _kept_rows(codes: Codes, kept: Mask) -> Mask:
    """Which rows have one of the codes that are ``kept``; of a row that is null it has no meaning."""
    dropped = np.flatnonzero(~kept)
    if len(dropped) > FEW_CODES:
        return kept.take(codes, mode="clip")
    found: Mask = np.ones(len(codes), np.bool_)
    for code in dropped.tolist():
        found &= codes != np.int32(code)
    return found


def _renumbered(codes: Codes, kept: Mask) -> Codes:
    """The codes counted among those that are ``kept``, not all; anything may come of the others, and of a null's row.

    Mostly the ones to drop are a few bad texts that came late, and have but few rows behind them.
    """
    numbers = np.cumsum(kept, dtype=np.int32) - np.int32(1)
    behind = codes >= np.int32(np.argmin(kept))
    if _SPARSE * np.count_nonzero(behind) > len(codes):
        return numbers.take(codes, mode="clip")
    rows, codes = np.flatnonzero(behind), codes.copy()
    codes[rows] = numbers.take(codes[rows], mode="clip")
    return codes


def mapped(column: ArrowArray, function: Callable[[ArrowArray], ArrowArray]) -> ArrowArray:
    """A function of each value alone, applied to a column, coded or not."""
    if not is_coded(column):
        return function(column)
    return replaced(column, function(column.dictionary))


def with_only(column: ArrowArray, kept: Mask) -> ArrowArray:
    """The column, coded or of texts, null wherever ``kept`` is False."""
    if not is_coded(column):
        return arrays.with_only(column, kept)
    return coded(codes_of(column), column.dictionary, kept & arrays.valid(column))


def joined(column: ArrowArray, more: ArrowArray) -> ArrowArray:
    """A column of texts, coded or not, and more texts (nulls among them) after its own."""
    if not is_coded(column):
        return pa.concat_arrays([column, more])
    late, known = more.dictionary_encode(), len(column.dictionary)
    codes = np.concatenate((codes_of(column), codes_of(late) + np.int32(known)))
    present = None
    if column.null_count or late.null_count:
        present = np.concatenate((arrays.valid(column), arrays.valid(late)))
        codes[~present] = 0  # it may be a code that no value has
    return coded(codes, pa.concat_arrays([column.dictionary, late.dictionary]), present)


def value_type(kind: pa.DataType) -> pa.DataType:
    """The type of the values of a column that may be coded."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def has_few_values(column: pa.ChunkedArray) -> bool:
    """Whether a column, coded or not, is worth coding; a short one always is, one of lists or structures never."""
    if pa.types.is_nested(column.type):
        return False
    return is_coded(column) or len(column) < JUDGED_ROWS or is_worth(column.slice(0, JUDGED_ROWS).drop_null())


def decoded(column: ArrowArray) -> ArrowArray:
    """The column with its values as they are; an array or a chunked one."""
    if not is_coded(column):
        return column
    if column.null_count == len(column):  # there may be no value that Arrow could look up, not even for a null
        return pa.nulls(len(column), column.type.value_type)
    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array([decoded(chunk) for chunk in column.chunks], column.type.value_type)
    return pc.take(column.dictionary, column.indices, boundscheck=False)


def decoded_table(table: pa.Table) -> pa.Table:
    """The table with no column coded."""
    if not any(map(is_coded, table.columns)):
        return table
    return pa.Table.from_arrays([decoded(column) for column in table.columns], names=table.column_names)


def recoded_table(result: pa.Table, plain: pa.Table, table: pa.Table) -> pa.Table:
    """``result`` with the coded columns of ``table`` in place of those that are the very memory of ``plain``, which is
    ``table`` decoded; what else is coded in it is decoded: it is not by the rules of this module.
    """
    coded_as = {memory(plain.column(place)): each for place, each in enumerate(table.columns) if is_coded(each)}
    columns = [coded_as.get(memory(column)) or decoded(column) for column in result.columns]
    return pa.Table.from_arrays(columns, names=result.column_names)


def memory(column: pa.ChunkedArray) -> tuple[object, ...]:
    """Where a column's values lie, and of which type they are."""
    return (
        column.type,
        *(
            (len(chunk), chunk.offset, *(None if buffer is None else buffer.address for buffer in chunk.buffers()))
            for chunk in column.chunks
        ),
    )


def rows_with(column: ArrowArray, codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows that have one of the codes, ascending, and the place among ``codes`` of each one's."""
    given = codes_of(column)
    if len(codes) <= FEW_CODES:
        found = [np.flatnonzero(given == np.int32(code)) for code in codes.tolist()]
        rows = np.concatenate((np.zeros(0, np.int64), *found))
        places = np.repeat(np.arange(len(found)), [len(each) for each in found])
        order = np.argsort(rows)
        rows, places = rows[order], places[order]
    else:
        of_codes = np.full(len(column.dictionary), -1, np.int64)
        of_codes[codes] = np.arange(len(codes))
        of_rows = of_codes[given]
        rows = np.flatnonzero(of_rows >= 0)
        places = of_rows[rows]
    if column.null_count:
        present = arrays.valid(column)[rows]
        return rows[present], places[present]
    return rows, places
