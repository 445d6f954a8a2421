"""Records that are well-formed but for their number of cells, read a number at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import pyarrow as pa

from chalicelib.engine import arrays
from chalicelib.engine.arrays import ArrowArray
from chalicelib.engine.records.arrowcsv import read_texts
from chalicelib.engine.records.lenient import Layout, Note, miscounted
from chalicelib.engine.records.split import Offsets
from chalicelib.frozen import frozen

MANY: Final = 16
"""So many records with the same wrong number of cells are worth a call of Arrow's reader of their own."""


@frozen
class Ragged:
    """Rows with too few or too many cells."""

    rows: Offsets
    """Ascending."""
    cells: Offsets
    """How many each has."""
    layout: Layout

    @classmethod
    def of(cls, by_cells: Mapping[int, Offsets], records: Offsets, layout: Layout) -> Ragged:
        """``by_cells``: number of cells → positions of records; ``records``: that of each row, ascending."""
        if not by_cells:
            return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), layout)
        rows = np.searchsorted(records, np.concatenate(list(by_cells.values())))
        cells = np.repeat(list(by_cells), [len(each) for each in by_cells.values()])
        order = np.argsort(rows)
        return cls(rows[order], cells[order], layout)

    def lacking(self, column: int) -> Offsets:
        """The rows without a cell in this column."""
        return self.rows[self.cells <= column]

    def notes(self) -> Iterator[tuple[Note, Offsets]]:
        """What is wrong, from the first position to the last, and with which rows."""
        width = self.layout.width
        for position in range(int(self.cells.min(initial=width)), int(self.cells.max(initial=width))):
            rows = self.lacking(position) if position < width else self.rows[self.cells > position]
            if len(rows):
                yield miscounted(self.layout, position), rows


def read(
    data: bytes, starts: Offsets, by_cells: Mapping[int, Offsets], layout: Layout
) -> Iterator[tuple[Offsets, list[ArrowArray]]]:
    """For each number of cells its records, as they are given, and the layout's columns of them; a cell that is not
    there is null.

    ``starts``: offsets in ``data`` of a block's records and of its end; ``by_cells``: their positions among those.
    """
    for cells, records in by_cells.items():
        chosen = np.zeros(len(starts) - 1, np.bool_)
        chosen[records] = True
        buffer = arrays.laid_out(data, starts, chosen)
        columns, _ = read_texts(buffer, layout.dialect, cells, wanted=layout.width)
        absent = [pa.nulls(len(records), pa.string()) for _ in range(cells, layout.width)]
        yield records, [*columns, *absent]
