"""Records that are well-formed but for their number of cells, read a number at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import pyarrow as pa

from chalicelib.engine import arrays
from chalicelib.engine.arrays import ArrowArray
from chalicelib.engine.records.arrowcsv import read_texts
from chalicelib.engine.records.lenient import Layout
from chalicelib.engine.records.split import Offsets
from chalicelib.frozen import frozen

MANY: Final = 16
"""So many records with the same wrong number of cells are worth a call of Arrow's reader of their own."""


@frozen
class Ragged:
    """Rows with too few or too many cells."""

    rows: Offsets
    """By their number of cells, ascending."""
    cells: Offsets
    """How many each has."""

    @classmethod
    def of(cls, cells: Offsets, width: int) -> Ragged:
        """``cells``: how many each row has; ``width``: how many it should have."""
        rows = np.flatnonzero(cells != width)
        rows = rows[np.argsort(cells[rows], kind="stable")]
        return cls(rows, cells[rows])

    def lacking(self, column: int) -> Offsets:
        """The rows without a cell in this column, in no order."""
        return self.rows[: np.searchsorted(self.cells, column, "right")]


def read(
    data: bytes, starts: Offsets, by_cells: Mapping[int, Offsets], layout: Layout
) -> Iterator[tuple[int, Offsets, list[ArrowArray]]]:
    """Each number of cells, its records, as they are given, and the layout's columns of them; a cell that is not there
    is null.

    ``starts``: offsets in ``data`` of a block's records and of its end; ``by_cells``: their positions among those.
    """
    for cells, records in by_cells.items():
        chosen = np.zeros(len(starts) - 1, np.bool_)
        chosen[records] = True
        buffer = arrays.laid_out(data, starts, chosen)
        columns, _ = read_texts(buffer, layout.dialect, cells, wanted=layout.width)
        absent = [pa.nulls(len(records), pa.string()) for _ in range(cells, layout.width)]
        yield cells, records, [*columns, *absent]
