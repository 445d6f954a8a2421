"""What every column of the valid rows holds: nulls, range, mean, distinct values, the most frequent ones, a histogram.

The result is a function of the multiset of rows, to the last bit: for any cut into blocks and chunks, in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import pyarrow as pa

from chalicelib.engine.measure import packing
from chalicelib.engine.measure.columns import Block
from chalicelib.engine.measure.exact import MAX_ROWS
from chalicelib.engine.measure.profiled import ColumnProfile
from chalicelib.errors import Terminal


class Profile:
    """Profiles of all columns of a table.

    The columns and their order are those of the first table; every later one, and every merged profile, has the same.
    """

    def __init__(self) -> None:
        self._names: list[str] | None = None
        self._columns: list[ColumnProfile] = []

    def add(self, rows: pa.Table | Block) -> None:
        """Take valid rows in, as they are delivered. Give a ``Block`` where aggregates read it too.

        Errors: ``Terminal("unknown-column")`` where the columns are not those of the first table;
        ``Terminal("bad-measure")`` where a column changes its kind (text, then numbers), which may be found out later:
        small blocks are gathered.
        """
        block = rows if isinstance(rows, Block) else Block(rows)
        self._agree(block.table.column_names)
        for piece in block.slices(MAX_ROWS):
            for position, column in enumerate(self._columns):
                column.add(piece.at(position))

    def merge(self, *others: Profile) -> None:
        """Take in what the others have added, who must not be used afterwards. Errors: as ``add``."""
        given = [other for other in others if other._names is not None]
        for other in given:
            self._agree(other._names or [])
        for position, mine in enumerate(self._columns):
            mine.merge([other._columns[position] for other in given])

    def dump(self) -> bytes:
        """For ``load``, in any process."""
        arrays: dict[str, Any] = {}
        metas = [column.pack(arrays, f"{number}.") for number, column in enumerate(self._columns)]
        return packing.pack({"names": self._names, "columns": metas}, arrays)

    @classmethod
    def load(cls, data: bytes) -> Self:
        """Errors: ``ValueError`` where the bytes are not a dumped profile."""
        meta, arrays = packing.unpack(data)
        loaded = cls()
        if not isinstance(meta, dict) or "columns" not in meta:
            raise ValueError("the partial result is not a profile")
        loaded._names = meta["names"]
        loaded._columns = [
            ColumnProfile.unpack(name, one, arrays, f"{number}.")
            for number, (name, one) in enumerate(zip(meta["names"] or [], meta["columns"], strict=True))
        ]
        return loaded

    def result(self) -> list[dict[str, Any]]:
        """One JSON-ready document per column (values as in ``plain``)::

            {"name", "type", "count", "nulls", "min", "max", "mean", "approxDistinct",
             "minLength", "maxLength", "mostFrequent": [{"value", "count"}] | null,
             "histogram": {"edges": [n + 1], "counts": [n]} | null}

        ``count`` has the rows with a value, ``nulls`` the others. ``mean`` is of numbers only; ``minLength`` and
        ``maxLength``, in characters, of text only. ``mostFrequent``, ten at the most, by count and then by value, is
        null where the column has too many distinct values to be tallied; until then ``approxDistinct`` is exact. Of
        lists and structures only the rows are counted.
        ``histogram`` is of numbers, dates and times.
        """
        return [column.result() for column in self._columns]

    def _agree(self, names: Sequence[str]) -> None:
        if self._names is None:
            self._names = list(names)
            self._columns = [ColumnProfile(name) for name in names]
        elif list(names) != self._names:
            differing = sorted(set(names) ^ set(self._names)) or ["the order of the columns"]
            raise Terminal(
                "unknown-column", f"the columns differ from those of an earlier block: {', '.join(differing)}"
            )
