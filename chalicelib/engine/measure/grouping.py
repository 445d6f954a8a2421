"""Rows to groups: each row's group number, and the key of each group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chalicelib.engine.measure.columns import Column, view

Ints = NDArray[np.int64]

_MAX_SPACE: Final = 1 << 40
"""Code space from which combined codes are made dense before the next column multiplies it."""


def group(columns: Sequence[Column], rows: int) -> tuple[Ints, list[Any]]:
    """Group numbers from 0, one per row, and the key columns, one value per group. Null is a key like any other.

    Without columns all rows, even none, are one group.
    """
    if not columns:
        return np.zeros(rows, np.int64), []
    codes, distinct = columns[0].encoded
    space = len(distinct) + 1
    for column in columns[1:]:
        if space > _MAX_SPACE:
            codes, used = _dense(codes, space)
            space = len(used)
        more, distinct = column.encoded
        codes = codes * (len(distinct) + 1) + more
        space *= len(distinct) + 1
    owners, examples = _dense(codes, space)
    return owners, [column.at(examples) for column in columns]


def _dense(codes: Ints, space: int) -> tuple[Ints, Ints]:
    """Codes renumbered from 0 without gaps, in their order; and for each new code a row that has it."""
    if space <= max(4 * len(codes), 1 << 16):
        example = np.full(space, -1, np.int64)
        example[codes] = np.arange(len(codes))
        used = example >= 0
        if used.all():
            return codes, example
        return (np.cumsum(used) - 1)[codes], example[used]
    order = np.argsort(codes)
    ordered = codes[order]
    starts = np.append(True, ordered[1:] != ordered[:-1]) if len(codes) else np.zeros(0, np.bool_)
    owners = np.empty(len(codes), np.int64)
    owners[order] = np.cumsum(starts) - 1
    return owners, order[starts]


def ordered(keys: Sequence[Any]) -> list[int]:
    """The groups' numbers in the order of their keys: numbers and dates ascending, text by code point (its UTF-8
    bytes), false before true, NaN after the numbers, null last.
    """
    names = [str(position) for position in range(len(keys))]
    table = pa.Table.from_arrays(list(keys), names=names)
    # nulls at the end is the default; to name it is deprecated in one version of pyarrow and needed in none
    order: list[int] = view(pc.sort_indices(table, sort_keys=[(name, "ascending") for name in names])).tolist()
    return order
