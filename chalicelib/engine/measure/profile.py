"""What every column of the valid rows holds: nulls, range, mean, distinct values, the most frequent ones, a histogram.

The result is a function of the multiset of rows, to the last bit: for any cut into blocks and chunks, in any order.

A column is *tallied* as long as it has few distinct values: a table of value and count says everything, and a block
costs one dictionary encoding. A column that has more is *measured*, value by value, by sums, sketches and a grid; what
the tally held goes over with its counts. Which of the two a column ends in depends on its distinct values alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Self, TypeVar

import pyarrow as pa

from chalicelib.engine.measure import packing, plain
from chalicelib.engine.measure import tally as tallies
from chalicelib.engine.measure.columns import Block, Column, canonical, combined, concat, is_plain
from chalicelib.engine.measure.exact import MAX_ROWS
from chalicelib.engine.measure.measured import Measured
from chalicelib.engine.measure.tally import Tally
from chalicelib.errors import Terminal

T = TypeVar("T")

BLOCK_ROWS: Final = 16_384
BLOCK_CELLS: Final = 1 << 20
"""Smaller tables are gathered until they have so many rows or cells: with 200 columns a block of 4 MB has about 2,000
rows, and calls would cost more than the work."""

MOST_FREQUENT: Final = 10
TEXT_LIMIT: Final = 256
"""Characters of a text value that a profile shows; a longer one is cut and ends in "…"."""

_TYPES: Final = {
    "int64": "integer",
    "double": "number",
    "bool": "boolean",
    "string": "string",
    "date32[day]": "date",
    "time64[us]": "time",
}


class Profile:
    """Profiles of all columns of a table.

    The columns and their order are those of the first table; every later one, and every merged profile, has the same.
    """

    def __init__(self) -> None:
        self._names: list[str] | None = None
        self._columns: list[_ColumnProfile] = []
        self._waiting: list[Block] = []
        self._waiting_rows = 0

    def add(self, rows: pa.Table | Block) -> None:
        """Take valid rows in, as they are delivered. Give a ``Block`` where aggregates read it too.

        Errors: ``Terminal("unknown-column")`` where the columns are not those of the first table;
        ``Terminal("bad-measure")`` where a column changes its kind (text, then numbers), which may be found out later:
        small tables are gathered.
        """
        block = rows if isinstance(rows, Block) else Block(rows)
        self._agree(block.table.column_names)
        large = block.rows >= BLOCK_ROWS or block.table.num_columns * block.rows >= BLOCK_CELLS
        if large and not self._waiting:
            self._take(block)
            return
        self._waiting.append(block)
        self._waiting_rows += block.rows
        if self._waiting_rows >= BLOCK_ROWS or self._waiting_rows * block.table.num_columns >= BLOCK_CELLS:
            self._flush()

    def merge(self, other: Profile) -> None:
        """Take in what ``other`` has added; ``other`` must not be used afterwards. Errors: as ``add``."""
        if other._names is None:
            return
        self._agree(other._names)
        other._flush()
        for mine, theirs in zip(self._columns, other._columns, strict=True):
            mine.merge(theirs)

    def dump(self) -> bytes:
        """For ``load``, in any process."""
        self._flush()
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
            _ColumnProfile.unpack(name, one, arrays, f"{number}.")
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
        self._flush()
        return [column.result() for column in self._columns]

    def _agree(self, names: Sequence[str]) -> None:
        if self._names is None:
            self._names = list(names)
            self._columns = [_ColumnProfile(name) for name in names]
        elif list(names) != self._names:
            differing = sorted(set(names) ^ set(self._names)) or ["the order of the columns"]
            raise Terminal(
                "unknown-column", f"the columns differ from those of an earlier block: {', '.join(differing)}"
            )

    def _flush(self) -> None:
        """Take the gathered tables in, column by column as one."""
        if len(self._waiting) < 2:
            for block in self._waiting:
                self._take(block)
        else:
            together = [self._gathered(position) for position in range(len(self._columns))]
            for mine, column in zip(self._columns, together, strict=True):
                mine.add(column)
        self._waiting, self._waiting_rows = [], 0

    def _gathered(self, position: int) -> Column:
        name = self._columns[position].name
        try:
            arrays = [canonical(combined(block.table.column(position))) for block in self._waiting]
            return Column(name, concat(arrays))
        except pa.ArrowException as error:
            raise changed(name, error) from error

    def _take(self, block: Block) -> None:
        for piece in block.slices(MAX_ROWS):
            for position, column in enumerate(self._columns):
                column.add(piece.at(position))


def changed(column: str, error: Exception) -> Terminal:
    """The error of a column that holds one kind of value here and another there."""
    return Terminal("bad-measure", f'column "{column}" changes its type: {error}')


class _ColumnProfile:
    def __init__(self, name: str) -> None:
        self.name = name
        self._rows = 0
        self._nulls = 0
        self._type: Any = pa.null()
        self._tally: Tally | None = Tally()
        self._measured: Measured | None = None

    def add(self, column: Column) -> None:
        self._rows += column.rows
        self._nulls += column.nulls
        self._promote(column.type)
        if not is_plain(column.type) or column.nulls == column.rows:
            return
        self._guarded(lambda: self._add(column))

    def _add(self, column: Column) -> None:
        if self._tally is not None and not column.exceeds(tallies.LIMIT):
            self._tally.add(column)
            self._overflow()
        elif self._tally is not None:
            self._give_up(self._tally)
            self._sink().add(column.present_column, None)
        else:
            self._sink().add(column.present_column, None)

    def merge(self, other: _ColumnProfile) -> None:
        self._rows += other._rows
        self._nulls += other._nulls
        self._promote(other._type)
        self._guarded(lambda: self._merge(other))

    def _merge(self, other: _ColumnProfile) -> None:
        if self._tally is not None and other._tally is not None:
            self._tally.merge(other._tally)
            self._overflow()
            return
        for tally in (self._tally, other._tally):
            if tally is not None:
                self._pour(tally)
        self._tally = None
        if other._measured is not None:
            self._sink().merge(other._measured)

    def _guarded(self, step: Callable[[], T]) -> T:
        """Errors: ``Terminal`` where Arrow finds that the column's parts do not go together."""
        try:
            return step()
        except (pa.ArrowException, ValueError) as error:
            raise changed(self.name, error) from error

    def _promote(self, kind: Any) -> None:
        if pa.types.is_null(self._type) or (pa.types.is_int64(self._type) and not pa.types.is_null(kind)):
            self._type = kind

    def _sink(self) -> Measured:
        if self._measured is None:
            self._measured = Measured()
        return self._measured

    def _overflow(self) -> None:
        if self._tally is not None and self._tally.overflows():
            self._give_up(self._tally)

    def _give_up(self, tally: Tally) -> None:
        self._pour(tally)
        self._tally = None

    def _pour(self, tally: Tally) -> None:
        values, counts = tally.settled()
        if len(values):
            self._sink().add(Column(self.name, values), counts)

    def pack(self, arrays: dict[str, Any], prefix: str) -> Any:
        arrays[f"{prefix}type"] = pa.nulls(0).cast(self._type)
        meta: dict[str, Any] = {"rows": self._rows, "nulls": self._nulls, "tally": self._tally is not None}
        if self._tally is not None:
            values, counts = self._guarded(self._tally.settled)
            arrays[f"{prefix}values"], arrays[f"{prefix}counts"] = values, counts
        elif self._measured is not None:
            own, more = self._measured.pack()
            meta["measured"] = {"meta": own, "names": sorted(more)}
            arrays.update({f"{prefix}{name}": array for name, array in more.items()})
        return meta

    @classmethod
    def unpack(cls, name: str, meta: Any, arrays: dict[str, Any], prefix: str) -> Self:
        loaded = cls(name)
        loaded._rows, loaded._nulls = meta["rows"], meta["nulls"]
        loaded._type = arrays[f"{prefix}type"].type
        if meta["tally"]:
            loaded._tally = Tally.of(arrays[f"{prefix}values"], arrays[f"{prefix}counts"])
            return loaded
        loaded._tally = None
        if "measured" in meta:
            names = meta["measured"]["names"]
            own = {each: arrays[f"{prefix}{each}"] for each in names}
            loaded._measured = Measured.unpack((meta["measured"]["meta"], own))
        return loaded

    def result(self) -> dict[str, Any]:
        measured = self._measured
        frequent = None
        distinct = None
        if self._tally is not None:
            values, counts = self._guarded(self._tally.settled)
            distinct = len(values)
            frequent = [{"value": _short(value), "count": count} for value, count in self._tally.top(MOST_FREQUENT)]
            measured = Measured(count_distinct=False)
            if len(values):
                measured.add(Column(self.name, values), counts)
        document: dict[str, Any] = {
            "name": self.name,
            "type": type_name(self._type),
            "count": self._rows - self._nulls,
            "nulls": self._nulls,
        }
        document.update((measured or Measured()).result(distinct))
        document["min"], document["max"] = _short(document["min"]), _short(document["max"])
        if not is_plain(self._type):
            return {**document, "approxDistinct": None, "mostFrequent": None}
        return {**document, "mostFrequent": frequent}


def type_name(kind: Any) -> str:
    """Table Schema's name for a canonical Arrow type, or Arrow's own where it has none."""
    if pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_timestamp(kind):
        return "datetime"
    if pa.types.is_list(kind):
        return "list"
    if pa.types.is_struct(kind) and [field.name for field in kind] == ["lon", "lat"]:
        return "geopoint"
    return _TYPES.get(str(kind), str(kind))


def _short(value: plain.Plain) -> plain.Plain:
    return f"{value[:TEXT_LIMIT]}…" if isinstance(value, str) and len(value) > TEXT_LIMIT else value
