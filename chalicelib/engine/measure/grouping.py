"""Rows to groups: each row's group number, and the size and the key of each group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chalicelib.engine.measure.canonical import view
from chalicelib.engine.measure.columns import Column
from chalicelib.frozen import frozen

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_MAX_SPACE: Final = 1 << 40
"""Code space from which combined codes are made dense before the next column multiplies it."""


@frozen
class Groups:
    """Rows in groups that are numbered from 0."""

    owners: Ints
    """The group of each row."""
    sizes: Ints
    """The rows of each group."""

    def __len__(self) -> int:
        return len(self.sizes)

    @classmethod
    def one(cls, rows: int) -> Groups:
        """All rows, even none, as one group."""
        return cls(np.broadcast_to(np.int64(0), rows), np.array([rows]))

    def of_valid(self, column: Column) -> Groups:
        """Only the rows that have a value in a column."""
        return self if column.valid is None else self.only(column.valid)

    def only(self, rows: Bools) -> Groups:
        """Only some of the rows; a group may have none left."""
        owners = self.owners[rows]
        return Groups(owners, np.bincount(owners, minlength=len(self)))


def group(columns: Sequence[Column], rows: int) -> tuple[Groups, list[Any]]:
    """The rows in groups, none of them empty, and the key columns, one value per group. Null is a key like any other.

    Without columns all rows, even none, are one group.
    """
    if not columns:
        return Groups.one(rows), []
    codes: NDArray[Any] = np.zeros(rows, np.int32)
    space = 1
    known: list[Ints] = []
    """Of each column that was left behind, the code that a combined code stands for."""
    widths: list[int] = []
    """How many codes each of the columns since then has."""
    for column in columns:
        if space > _MAX_SPACE:
            groups, used = _dense(codes.astype(np.int64, copy=False), space)
            codes, space, known, widths = groups.owners, len(used), _parted(used, known, widths), []
        more, width = column.encoded[0], column.codes_used
        widths.append(width)
        space *= width
        # in 32 bits, as long as they suffice, it takes half the time
        codes = np.multiply(codes, width, dtype=np.int32 if space < 1 << 31 else np.int64)
        codes += more
    groups, used = _dense(codes.astype(np.int64, copy=False), space)
    parted = _parted(used, known, widths)
    return groups, [column.decoded(each) for column, each in zip(columns, parted, strict=True)]


def _dense(codes: Ints, space: int) -> tuple[Groups, Ints]:
    """The rows grouped by code, in the order of the codes; and the code of each group."""
    if space <= max(4 * len(codes), 1 << 16):
        sizes = np.bincount(codes, minlength=space)
        used = np.flatnonzero(sizes)
        if len(used) == space:
            return Groups(codes, sizes), used
        numbers = np.empty(space, np.int64)
        numbers[used] = np.arange(len(used))
        return Groups(numbers[codes], sizes[used]), used
    used, owners, sizes = np.unique(codes, return_inverse=True, return_counts=True)
    return Groups(owners, sizes), used


def _parted(combined: Ints, known: Sequence[Ints], widths: Sequence[int]) -> list[Ints]:
    """The codes of the columns that combined codes are made of."""
    last: list[Ints] = []
    for width in reversed(widths):
        combined, codes = np.divmod(combined, width)
        last.append(codes)
    return [*(codes[combined] for codes in known), *reversed(last)]


def ordered(keys: Sequence[Any]) -> list[int]:
    """The groups' numbers in the order of their keys: numbers and dates ascending, text by code point (its UTF-8
    bytes), false before true, NaN after the numbers, null last.
    """
    names = [str(position) for position in range(len(keys))]
    table = pa.Table.from_arrays(list(keys), names=names)
    # nulls at the end is the default; to name it is deprecated in one version of pyarrow and needed in none
    order: list[int] = view(pc.sort_indices(table, sort_keys=[(name, "ascending") for name in names])).tolist()
    return order
