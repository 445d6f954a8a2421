"""Every distinct value of a column with its count, as long as there are few."""

from __future__ import annotations

from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chalicelib.engine.measure import grouping, plain
from chalicelib.engine.measure.canonical import concat, from_numpy, text_size, view
from chalicelib.engine.measure.columns import Column

Ints = NDArray[np.int64]

LIMIT: Final = 10_000
"""Distinct values, over the whole file, beyond which a column is not tallied."""
LIMIT_BYTES: Final = 4 * 1024 * 1024
"""Bytes of all distinct values beyond which a column is not tallied: long notes, of which few would fill the memory."""


class Tally:
    """Values and counts; a block's are kept as they come and merged when they outgrow the limit."""

    def __init__(self) -> None:
        self._parts: list[tuple[Any, Ints]] = []
        self._entries = 0
        self._bytes = 0
        self._is_settled = True

    @classmethod
    def of(cls, values: Any, counts: Any) -> Self:
        tally = cls()
        tally._append(values, view(counts))
        tally._is_settled = True
        return tally

    def add(self, column: Column) -> None:
        _, distinct = column.encoded
        # a dictionary may hold values that no row has: most often at its end, where they cost nothing
        distinct = distinct.slice(0, column.codes_used)
        counts = column.counts[: len(distinct)]
        if not counts.all():
            used = np.flatnonzero(counts)
            distinct, counts = distinct.take(from_numpy(used)), counts[used]
        self._append(distinct, counts)

    def merge(self, other: Tally) -> None:
        for values, counts in other._parts:
            self._append(values, counts)

    def _append(self, values: Any, counts: Ints) -> None:
        if len(values):
            self._is_settled = not self._parts
            self._parts.append((values, counts))
            self._entries += len(values)
            self._bytes += text_size(values)

    def overflows(self) -> bool:
        """Whether the distinct values are beyond a limit. Their entries are counted first, and merged only where those
        exceed it: what is not beyond the limit with repetitions is not without.
        """
        if self._entries <= LIMIT and self._bytes <= LIMIT_BYTES:
            return False
        values, _ = self.settled()
        return len(values) > LIMIT or text_size(values) > LIMIT_BYTES

    def settled(self) -> tuple[Any, Ints]:
        """The distinct values and their counts."""
        if not self._parts:
            return pa.nulls(0), np.zeros(0, np.int64)
        if not self._is_settled:
            column = Column("", concat([values for values, _ in self._parts]))
            counts = np.concatenate([counts for _, counts in self._parts])
            codes, distinct = column.encoded
            # counts below 2^53 are exact as bincount's float weights
            totals = np.bincount(codes, counts, len(distinct)).astype(np.int64)
            self._parts, self._entries, self._bytes = [], 0, 0
            self._append(distinct, totals)
        return self._parts[0]

    def top(self, limit: int) -> list[tuple[plain.Plain, int]]:
        """The most frequent values, by count and then by value."""
        values, counts = self.settled()
        if not len(values):
            return []
        order = np.array(grouping.ordered([values]), np.int64)
        best = order[np.argsort(-counts[order], kind="stable")][:limit]
        return list(zip(plain.values(values.take(from_numpy(best))), counts[best].tolist(), strict=True))
