"""A contract's aggregates over valid rows: added block by block, merged chunk by chunk, equal to the last bit to one
pass over all rows, for any cut into blocks and chunks and any order of merging. docs/aggregates.md says what each
measure means.

A block's partial results are small tables: the keys of its groups and, per measure, one array over the groups. They are
kept as they are until they outweigh what was merged before, and then merged together; so no step runs row by row or
group by group in Python, be it three groups or a hundred thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa

from chalicelib.engine import contract
from chalicelib.engine.arrays import shown
from chalicelib.engine.measure import grouping, packing, plain
from chalicelib.engine.measure.canonical import concat, is_plain
from chalicelib.engine.measure.columns import Block, Column
from chalicelib.engine.measure.exact import MAX_ROWS
from chalicelib.engine.measure.extremes import Extreme
from chalicelib.engine.measure.grouping import Groups
from chalicelib.engine.measure.measures import (
    ApproxDistinct,
    Counts,
    Mean,
    Quantile,
    State,
    Total,
    is_number,
)
from chalicelib.errors import Terminal

MERGE_WEIGHT: Final = 200_000
"""Entries of unmerged partial results (of 8 to 32 bytes each) that are let stand before they are merged."""
MERGE_PARTS: Final = 64

_STATES: Final[dict[str, type[Any]]] = {
    "count": Counts,
    "sum": Total,
    "mean": Mean,
    "min": Extreme,
    "max": Extreme,
    "approxDistinct": ApproxDistinct,
    "quantile": Quantile,
}
_ARITHMETIC: Final = frozenset({"sum", "mean", "quantile"})


@dataclass(slots=True)
class _Part:
    """Partial results: group keys, one Arrow array per group column, and a state per measure."""

    keys: list[Any]
    groups: int
    states: list[Any]

    @property
    def weight(self) -> int:
        return self.groups + sum(int(state.weight) for state in self.states)


class Aggregates:
    """All aggregates of a contract.

    ``result`` is a function of the multiset of rows that were added to this object or to those merged into it.
    """

    def __init__(self, aggregates: tuple[contract.Aggregate, ...]) -> None:
        self._tables = [_Table(aggregate) for aggregate in aggregates]

    def add(self, rows: pa.Table | Block) -> None:
        """Take valid rows in, as the dataset's transform left them. Give a ``Block`` where a profile reads it too.

        Errors: ``Terminal("unknown-column")`` where an aggregate names a column that the table does not have;
        ``Terminal("bad-measure")`` where a column is not of the kind that its measure needs, or changes its kind.
        """
        block = rows if isinstance(rows, Block) else Block(rows)
        for table in self._tables:
            table.check(block)
        for piece in block.slices(MAX_ROWS):
            for table in self._tables:
                table.add(piece)

    def merge(self, other: Aggregates) -> None:
        """Take in what ``other``, of the same contract, has added; ``other`` must not be used afterwards.

        Errors: ``Terminal("bad-measure")`` where a column's kind differs between the two.
        """
        for table, more in zip(self._tables, other._tables, strict=True):
            table.merge(more)

    def dump(self) -> bytes:
        """For ``load``, by the same contract, in any process."""
        meta = []
        arrays: dict[str, Any] = {}
        for number, table in enumerate(self._tables):
            meta.append(table.pack(arrays, f"{number}."))
        return packing.pack(meta, arrays)

    @classmethod
    def load(cls, aggregates: tuple[contract.Aggregate, ...], data: bytes) -> Self:
        """Errors: ``ValueError`` where the bytes were not dumped for these aggregates."""
        meta, arrays = packing.unpack(data)
        loaded = cls(aggregates)
        if len(meta) != len(loaded._tables):
            raise ValueError("the partial result belongs to other aggregates")
        for number, (table, one) in enumerate(zip(loaded._tables, meta, strict=True)):
            table.unpack(one, arrays, f"{number}.")
        return loaded

    def result(self) -> dict[str, list[dict[str, plain.Plain]]]:
        """``{aggregate: [{group column: key, ..., measure: value, ...}]}``, JSON-ready (see ``plain``), rows in the
        order of their keys (see ``grouping.ordered``). Without ``groupBy`` there is one row, also for no data.
        """
        return {table.aggregate.name: table.result() for table in self._tables}


class _Table:
    """One aggregate."""

    def __init__(self, aggregate: contract.Aggregate) -> None:
        self.aggregate = aggregate
        self._parts: list[_Part] = []
        self._merged_weight = 0
        self._weight = 0

    def check(self, block: Block) -> None:
        name = self.aggregate.name
        for column in self.aggregate.group_by:
            self._find(block, column)
            kind = block.column(column).type
            if not is_plain(kind):
                found = f'column "{column}" of type {shown(kind)}'
                raise Terminal("bad-measure", f'aggregate "{name}" cannot group by {found}')
        for measure in self.aggregate.measures:
            if measure.column == "*" and measure.function == "count":
                continue
            self._find(block, measure.column)
            kind = block.column(measure.column).type
            unfit = measure.function in _ARITHMETIC and not is_number(kind)
            if unfit or (measure.function != "count" and not is_plain(kind)):
                where = f'measure "{measure.name}" of aggregate "{name}"'
                found = f'column "{measure.column}" is of type {shown(kind)}'
                raise Terminal("bad-measure", f"{where} cannot be computed: {found}")

    def _find(self, block: Block, column: str) -> None:
        found = block.table.column_names.count(column)
        if found != 1:
            of_which = f'names the column "{column}", of which the rows have {found or "none"}'
            raise Terminal("unknown-column", f'aggregate "{self.aggregate.name}" {of_which}')

    def add(self, block: Block) -> None:
        groups, keys = grouping.group([block.column(name) for name in self.aggregate.group_by], block.rows)
        self._append(_Part(keys, len(groups), [_state(one, block, groups) for one in self.aggregate.measures]))

    def merge(self, other: _Table) -> None:
        for part in other._parts:
            self._append(part)

    def _append(self, part: _Part) -> None:
        self._parts.append(part)
        self._weight += part.weight
        if len(self._parts) > MERGE_PARTS or self._weight > MERGE_WEIGHT + 2 * self._merged_weight:
            self._settle()

    def _settle(self) -> _Part:
        """Merge all parts into one, with distinct keys."""
        try:
            merged = _merged(self._parts, len(self.aggregate.group_by), self.aggregate.measures)
        except (pa.ArrowException, ValueError) as error:
            name = self.aggregate.name  # Arrow's own message may quote a value
            raise Terminal("bad-measure", f'a column of aggregate "{name}" changes its type between blocks') from error
        self._parts = [merged]
        self._weight = self._merged_weight = merged.weight
        return merged

    def pack(self, arrays: dict[str, Any], prefix: str) -> Any:
        if not self._parts:
            return None
        part = self._settle()
        metas = []
        for position, key in enumerate(part.keys):
            arrays[f"{prefix}key.{position}"] = key
        for position, state in enumerate(part.states):
            meta, own = state.pack()
            metas.append([self.aggregate.measures[position].function, sorted(own), meta])
            arrays.update({f"{prefix}{position}.{name}": array for name, array in own.items()})
        return {"groups": part.groups, "states": metas}

    def unpack(self, meta: Any, arrays: dict[str, Any], prefix: str) -> None:
        if meta is None:
            return
        functions = [function for function, _, _ in meta["states"]]
        if functions != [measure.function for measure in self.aggregate.measures]:
            raise ValueError("the partial result belongs to other measures")
        keys = [arrays[f"{prefix}key.{position}"] for position in range(len(self.aggregate.group_by))]
        states = [
            _STATES[function].unpack((own, {name: arrays[f"{prefix}{position}.{name}"] for name in names}))
            for position, (function, names, own) in enumerate(meta["states"])
        ]
        self._append(_Part(keys, meta["groups"], states))

    def result(self) -> list[dict[str, plain.Plain]]:
        names = [*self.aggregate.group_by, *(measure.name for measure in self.aggregate.measures)]
        if not self._parts:
            if self.aggregate.group_by:
                return []
            nothing = Column("", pa.nulls(0))
            self._append(_Part([], 1, [_of(one, nothing, Groups.one(0)) for one in self.aggregate.measures]))
        part = self._settle()
        columns = [*(plain.values(key) for key in part.keys), *(state.results() for state in part.states)]
        order = grouping.ordered(part.keys) if part.keys else range(part.groups)
        return [{name: column[row] for name, column in zip(names, columns, strict=True)} for row in order]


def _state(measure: contract.Measure, block: Block, groups: Groups) -> State:
    return _of(measure, None if measure.column == "*" else block.column(measure.column), groups)


def _of(measure: contract.Measure, column: Column | None, groups: Groups) -> State:
    if measure.function == "count":
        return Counts.of(column if measure.column != "*" else None, groups)
    assert column is not None
    if measure.function in ("min", "max"):
        return Extreme.of(column, groups, largest=measure.function == "max")
    if measure.function == "quantile":
        return Quantile.of(column, groups, 0.5 if measure.q is None else measure.q)
    state: State = _STATES[measure.function].of(column, groups)
    return state


def _merged(parts: Sequence[_Part], key_columns: int, measures: Sequence[contract.Measure]) -> _Part:
    sizes = [part.groups for part in parts]
    together = [Column("", concat([part.keys[position] for part in parts])) for position in range(key_columns)]
    groups, keys = grouping.group(together, sum(sizes))
    mappings = np.split(groups.owners, np.cumsum(sizes)[:-1])
    states = [
        _STATES[measure.function].combine(
            [(part.states[position], mapping) for part, mapping in zip(parts, mappings, strict=True)], len(groups)
        )
        for position, measure in enumerate(measures)
    ]
    return _Part(keys, len(groups), states)
