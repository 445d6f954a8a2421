"""One column's values, measured without keeping them: sum, range, lengths, distinct values, and a grid of counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chalicelib.engine import arrays
from chalicelib.engine.measure import exact, plain, sketches
from chalicelib.engine.measure.canonical import concat, view
from chalicelib.engine.measure.columns import Column
from chalicelib.engine.measure.exact import Sums
from chalicelib.engine.measure.extremes import range_of
from chalicelib.engine.measure.grouping import Groups
from chalicelib.engine.measure.histogram import Grid
from chalicelib.engine.measure.measures import Mean, is_number
from chalicelib.engine.measure.packing import Packed

Ints = NDArray[np.int64]

PRECISION: Final = 14
"""2^14 HyperLogLog registers a column: standard error 0.8 %."""

_DAY: Final = 86_400_000_000
_SECOND: Final = 1_000_000
_ONE: Final = np.zeros(1, np.int64)


class Measured:
    """A function of the multiset of values that were added, each as often as its weight says."""

    def __init__(self, count_distinct: bool = True) -> None:
        self._count_distinct = count_distinct
        self._count = 0
        self._sums = Sums.zeros(1)
        self._low: Any = pa.nulls(1)
        self._high: Any = pa.nulls(1)
        self._grid = Grid()
        self._lengths: tuple[int, int] | None = None
        self._registers = np.zeros((1, 1 << PRECISION), np.uint8)

    def add(self, column: Column, weights: Ints | None) -> None:
        """Take a column without nulls, of a type that has an order; ``weights`` None: each value once.

        Errors: ``ValueError`` or ``pa.ArrowException`` where its kind is not that of the values before.
        """
        array = column.array
        self._count += column.rows if weights is None else int(weights.sum())
        kind = array.type
        low, high = range_of(array)
        self._stretch([low], [high])
        if is_number(kind):
            owners = Groups.one(len(array)).owners
            self._sums.add_at(exact.sums(array, owners, 1) if weights is None else exact.weighted(array, weights), _ONE)
        if pa.types.is_string(kind):
            self._measure_lengths(array)
        else:
            self._add_to_grid(array, weights)
        if self._count_distinct:
            sketches.update_registers(self._registers, column.hashes)

    def _stretch(self, lows: Sequence[Any], highs: Sequence[Any]) -> None:
        if pa.types.is_null(self._low.type) and len(lows) == 1:
            self._low, self._high = lows[0], highs[0]
        else:
            self._low, self._high = range_of(concat([self._low, *lows, self._high, *highs]).drop_null())

    def _measure_lengths(self, array: Any) -> None:
        lengths = arrays.characters(array)
        self._widen(int(lengths.min()), int(lengths.max()))

    def _widen(self, shortest: int, longest: int) -> None:
        if self._lengths is not None:
            shortest, longest = min(self._lengths[0], shortest), max(self._lengths[1], longest)
        self._lengths = (shortest, longest)

    def _add_to_grid(self, array: Any, weights: Ints | None) -> None:
        kind = array.type
        if pa.types.is_decimal(kind):
            array = array.cast(pa.float64())
        elif not (is_number(kind) or pa.types.is_temporal(kind)):
            return
        numbers = view(array)
        self._grid.add(numbers if numbers.dtype == np.float64 else numbers.astype(np.int64, copy=False), weights)

    def merge(self, others: Sequence[Measured]) -> None:
        """Errors: as ``add``."""
        self._count += sum(other._count for other in others)
        self._stretch([other._low for other in others], [other._high for other in others])
        for other in others:
            self._sums.add_at(other._sums, _ONE)
            if other._lengths is not None:
                self._widen(*other._lengths)
        self._grid.merge([other._grid for other in others])
        np.maximum.reduce([self._registers, *(other._registers for other in others)], out=self._registers)

    def result(self, distinct: int | None) -> dict[str, Any]:
        """The measures of a column's profile; ``distinct``: how many values differ, where that is known exactly."""
        kind = self._low.type
        mean = None
        if is_number(kind) and self._count:
            mean = Mean(self._sums, np.array([self._count])).results()[0]
        if distinct is None:
            distinct = min(self._count, sketches.estimate(self._registers[0]))
        return {
            "min": plain.values(self._low)[0],
            "max": plain.values(self._high)[0],
            "mean": mean,
            "approxDistinct": distinct,
            "minLength": self._lengths[0] if self._lengths else None,
            "maxLength": self._lengths[1] if self._lengths else None,
            "histogram": self._histogram(kind),
        }

    def _histogram(self, kind: Any) -> dict[str, Any] | None:
        low, high = self._grid.low, self._grid.high
        if low is None or high is None:
            return None
        grain = 1
        if pa.types.is_timestamp(kind) or pa.types.is_time(kind):
            micro = 1000 if getattr(kind, "unit", "us") == "ns" else 1
            grain = next((unit * micro for unit in (_DAY, _SECOND) if high - low >= 20 * unit * micro), 1)
        edges, counts = self._grid.bins(grain)
        if not pa.types.is_temporal(kind):
            return {"edges": edges, "counts": counts}
        # the outermost edges may be past the type's first and last value (24:00)
        first, last = _bounds(kind)
        storage = np.array([min(max(int(edge), first), last) for edge in edges], _storage(kind))
        texts = plain.values(arrays.from_values(storage, kind))
        return {"edges": texts, "counts": counts}

    def pack(self) -> Packed:
        grid = self._grid
        meta = {
            "count": self._count,
            "sums": [self._sums.base, self._sums.kind, self._sums.scale, *self._sums.special[:, 0].tolist()],
            "grid": [_portable(grid.low), _portable(grid.high), grid.level, grid.first],
            "lengths": self._lengths,
        }
        arrays = {"low": self._low, "high": self._high, "limbs": self._sums.limbs[:, 0], "grid": grid.counts}
        return meta, {**arrays, "registers": self._registers[0].view(np.int64)}

    @classmethod
    def unpack(cls, packed: Packed) -> Self:
        meta, arrays = packed
        loaded = cls()
        loaded._count = meta["count"]
        base, kind, scale, *special = meta["sums"]
        limbs = view(arrays["limbs"]).reshape(-1, 1).copy()
        loaded._sums = Sums(limbs, base, kind, scale, np.array(special, np.int64).reshape(3, 1))
        low, high, level, first = meta["grid"]
        loaded._grid = Grid(_from_portable(low), _from_portable(high), level, first, view(arrays["grid"]).copy())
        loaded._low, loaded._high = arrays["low"], arrays["high"]
        loaded._lengths = None if meta["lengths"] is None else (meta["lengths"][0], meta["lengths"][1])
        loaded._registers = view(arrays["registers"]).view(np.uint8).reshape(1, -1).copy()
        return loaded


def _storage(kind: Any) -> type[np.signedinteger[Any]]:
    return np.int32 if pa.types.is_date32(kind) else np.int64


def _bounds(kind: Any) -> tuple[int, int]:
    """The least and the greatest number that stands for a value of a canonical type of dates and times."""
    if pa.types.is_time(kind):
        return 0, _DAY - 1
    range_of_numbers = np.iinfo(_storage(kind))
    return range_of_numbers.min, range_of_numbers.max


def _portable(value: int | float | None) -> int | str | None:
    """A number as JSON that keeps its type: a float as its hexadecimal text."""
    return value.hex() if isinstance(value, float) else value


def _from_portable(value: int | str | None) -> int | float | None:
    return float.fromhex(value) if isinstance(value, str) else value
