"""One column's profile.

A column is *tallied* as long as it has few distinct values: a table of value and count says everything, and a block
costs one dictionary encoding. A column that has more is *measured*, value by value, by sums, sketches and a grid; what
the tally held goes over with its counts. Which of the two a column ends in depends on its distinct values alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Self, TypeVar

import pyarrow as pa

from chalicelib.engine.measure import plain
from chalicelib.engine.measure import tally as tallies
from chalicelib.engine.measure.canonical import concat, is_plain, text_size
from chalicelib.engine.measure.columns import Column
from chalicelib.engine.measure.measured import Measured
from chalicelib.engine.measure.tally import Tally
from chalicelib.errors import Terminal

T = TypeVar("T")

GATHERED_ROWS: Final = 32_768
"""Smaller blocks wait until they have so many rows together: of 200 columns a block has 8,000 rows, and calls would
cost more than the work. More than ``tally.LIMIT``, so that a column of all different values is seen to be one before
any of them is tallied."""
GATHERED_BYTES: Final = 1 << 20
"""Or so many bytes of text: long texts are not worth their copying."""

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


class ColumnProfile:
    """A function of the multiset of values that were added."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rows = 0
        self._nulls = 0
        self._type: Any = pa.null()
        self._tally: Tally | None = Tally()
        self._measured: Measured | None = None
        self._waiting: list[Column] = []
        self._waiting_rows = self._waiting_bytes = 0

    def add(self, column: Column) -> None:
        """At most ``exact.MAX_ROWS`` rows. Errors: ``Terminal("bad-measure")``; perhaps only at a later call."""
        self._waiting.append(column)
        self._waiting_rows += column.rows
        self._waiting_bytes += text_size(column.canonical)
        if self._waiting_rows >= GATHERED_ROWS or self._waiting_bytes >= GATHERED_BYTES:
            self._settle()

    def _settle(self) -> None:
        if self._waiting:
            self._guarded(lambda: self._take(self._waiting))
        self._waiting = []
        self._waiting_rows = self._waiting_bytes = 0

    def _take(self, columns: Sequence[Column]) -> None:
        parts = [column.canonical for column in columns]
        column = columns[0] if len(columns) == 1 else Column(self._name, concat(parts))
        self._rows += column.rows
        self._nulls += column.nulls
        self._promote(column.type)
        if not is_plain(column.type) or column.nulls == column.rows:
            return
        if self._tally is not None and column.exceeds(tallies.LIMIT):
            self._give_up(self._tally)
        if self._tally is None:
            self._sink().add(column.present_column, None)
        else:
            self._tally.add(column)
            self._overflow()

    def merge(self, others: Sequence[ColumnProfile]) -> None:
        """Errors: as ``add``."""
        for each in (self, *others):
            each._settle()
        self._rows += sum(other._rows for other in others)
        self._nulls += sum(other._nulls for other in others)
        for other in others:
            self._promote(other._type)
        self._guarded(lambda: self._merge(others))

    def _merge(self, others: Sequence[ColumnProfile]) -> None:
        if any(each._tally is None for each in (self, *others)):
            for each in (self, *others):
                if each._tally is not None:
                    self._pour(each._tally)
            self._tally = None
        elif self._tally is not None:
            for other in others:
                if other._tally is not None:
                    self._tally.merge(other._tally)
            self._overflow()
        measured = [other._measured for other in others if other._measured is not None]
        if measured:
            self._sink().merge(measured)

    def _guarded(self, step: Callable[[], T]) -> T:
        """Errors: ``Terminal`` where Arrow finds that the column's parts do not go together."""
        try:
            return step()
        except (pa.ArrowException, ValueError) as error:
            # Arrow's own message may quote a value.
            raise Terminal("bad-measure", f'column "{self._name}" changes its type between blocks') from error

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
            self._sink().add(Column(self._name, values), counts)

    def pack(self, arrays: dict[str, Any], prefix: str) -> Any:
        """The profile as JSON, and arrays whose names start with ``prefix``. Errors: as ``add``."""
        self._settle()
        arrays[f"{prefix}type"] = pa.nulls(0, self._type)
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
        """What ``pack`` gave."""
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
        """See ``Profile.result``. Errors: as ``add``."""
        self._settle()
        measured = self._measured
        frequent = None
        distinct = None
        if self._tally is not None:
            values, counts = self._guarded(self._tally.settled)
            distinct = len(values)
            frequent = [{"value": _short(value), "count": count} for value, count in self._tally.top(MOST_FREQUENT)]
            measured = Measured(count_distinct=False)
            if len(values):
                measured.add(Column(self._name, values), counts)
        document: dict[str, Any] = {
            "name": self._name,
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
