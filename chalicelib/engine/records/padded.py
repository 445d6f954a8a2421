"""Rows of a rejects.csv that a spreadsheet has padded to equal width.

The cells under the blank labels at the header's end are read like others. Those that are empty at a row's end are then
none, and the others are cells too many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from chalicelib.engine import arrays, coding
from chalicelib.engine.arrays import ArrowArray
from chalicelib.engine.codebook import Codebook
from chalicelib.engine.records.chunk import Origin
from chalicelib.engine.records.lenient import Layout
from chalicelib.engine.records.parse import Parsed
from chalicelib.engine.records.parse import parse as parse_all
from chalicelib.engine.records.ragged import Ragged
from chalicelib.engine.records.split import Block, Offsets


def parse(block: Block, origin: Origin, layout: Layout, padding: int, coded: Mapping[int, Codebook]) -> Parsed:
    """As ``parse.parse``, of rows that may have so many empty cells more than the layout."""
    if not padding:
        return parse_all(block, origin, layout, coded)
    width = layout.width
    parsed = parse_all(block, origin, replace(layout, labels=layout.labels + ("",) * padding), coded)
    cells = _cells(parsed, width, padding)
    parsed.structure = replace(parsed.structure, layout=layout, ragged=Ragged.of(cells, width))
    parsed.columns = parsed.columns[:width]
    parsed.unread = {column: rows for column, rows in parsed.unread.items() if column < width}
    return parsed


def _cells(parsed: Parsed, width: int, padding: int) -> Offsets:
    """How many cells each row has without the empty ones at its end; one longer than the header has all that it has."""
    rows, ragged = len(parsed.records), parsed.structure.ragged
    cells = np.full(rows, width + padding)
    cells[ragged.rows] = ragged.cells
    filled = np.full(rows, width)
    for column in range(width, width + padding):
        filled[_given(parsed.columns[column])] = column + 1
        filled[parsed.unread.get(column, [])] = column + 1
    return np.where(cells > width + padding, cells, np.minimum(cells, filled))


def _given(column: ArrowArray) -> Offsets:
    """The rows with a cell that is not empty."""
    texts = coding.decoded(column)
    return np.flatnonzero(np.diff(arrays.offsets(texts)))
