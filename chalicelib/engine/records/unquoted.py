"""Well-formed records without quotes or escapes to columns of text, by where their delimiters are.

Arrow's reader looks at one byte after the other; here numpy finds the delimiters, many bytes at a time, and a column's
cells are gathered, or told by their bytes where they lie (``codebook``). That takes a tenth to a quarter less time for
nine columns, a fifth to a third less for three, and more for 200.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chalicelib.engine import arrays, coding
from chalicelib.engine.arrays import ArrowArray, Mask
from chalicelib.engine.codebook import Codebook
from chalicelib.engine.coding import Codes
from chalicelib.engine.records import arrowcsv
from chalicelib.engine.records.arrowcsv import Miscounted
from chalicelib.engine.records.automaton import CR, LF
from chalicelib.engine.records.lenient import Layout
from chalicelib.engine.records.split import Block, Offsets
from chalicelib.frozen import frozen

LEAST_RECORDS: Final = 1 << 13
"""Of fewer a column takes more time for its calls than for its cells."""
_PIECE_RECORDS: Final = 1 << 14
"""So many are read together, that what is found of them is still in the processor's cache when it is asked for."""


def is_worth(block: Block, layout: Layout) -> bool:
    """Whether a block of a dialect without quotes and escapes has enough records, none of them too long."""
    if layout.dialect.quote_char or layout.dialect.escape_char or block.count < LEAST_RECORDS:
        return False
    # What is found of a long line of delimiters takes eight times its size.
    return bool(np.diff(block.starts).max() <= layout.limit)


def read_texts(
    block: Block, chosen: Mask, layout: Layout, coded: Mapping[int, Codebook]
) -> tuple[list[ArrowArray], Miscounted]:
    """What ``arrowcsv.read_texts`` gives of the chosen records, none of which is blank or commented out.

    ``chosen``: a flag for each of the block's records.
    """
    delimiter, width = ord(layout.dialect.delimiter), layout.width
    spans = arrays.Spans(block.data, int(block.starts[0]))
    columns = [
        _Coded(spans, coded[place]) if place in coded and coded[place].pays else _Texts(spans, place in coded)
        for place in range(width)
    ]
    counts = []
    starts, ends = block.starts[:-1], _ends(block)
    for first in range(0, block.count, _PIECE_RECORDS):
        piece = slice(first, first + _PIECE_RECORDS)
        found = _Cells.of(spans.data, starts[piece], ends[piece], chosen[piece], delimiter, width)
        for column, (cell_starts, cell_ends) in zip(columns, found.columns(), strict=True):
            column.add(cell_starts, cell_ends)
        counts.append(found.counts)
    texts = arrowcsv.trimmed([column.whole() for column in columns], layout.dialect)
    return texts, _miscounted(np.concatenate(counts), width)


class _Texts:
    """A column that is to be texts, or coded by Arrow."""

    def __init__(self, spans: arrays.Spans, is_coded: bool) -> None:
        self._spans, self._is_coded = spans, is_coded
        self._edges: list[NDArray[np.int32]] = []

    def add(self, starts: Offsets, ends: Offsets) -> None:
        self._edges.append(self._spans.edges(starts, ends))

    def whole(self) -> ArrowArray:
        texts = self._spans.gathered(np.concatenate((np.empty((0, 2), np.int32), *self._edges)))
        return texts.dictionary_encode() if self._is_coded else texts


class _Coded:
    """A column whose texts are looked up, as long as that pays."""

    def __init__(self, spans: arrays.Spans, book: Codebook) -> None:
        self._spans, self._book = spans, book
        self._codes: list[Codes] = []
        self._rest = _Texts(spans, is_coded=False)

    def add(self, starts: Offsets, ends: Offsets) -> None:
        if self._book.pays:
            self._codes.append(self._book.codes(self._spans, starts, ends))
        else:
            self._rest.add(starts, ends)

    def whole(self) -> ArrowArray:
        column = self._book.column(np.concatenate(self._codes))
        return column if self._book.pays else coding.joined(column, self._rest.whole())


@frozen
class _Cells:
    """Where the cells of some records are."""

    counts: Offsets
    """How many each of the records has."""
    starts: Offsets
    ends: Offsets
    """Of each record that has as many as it should, without its line break."""
    delimiters: Offsets
    """A row for each delimiter of a record: where those records have it."""

    @classmethod
    def of(cls, data: bytes, starts: Offsets, ends: Offsets, chosen: Mask, delimiter: int, width: int) -> _Cells:
        first, last = int(starts[0]), int(ends[-1])
        places = np.flatnonzero(np.frombuffer(data, np.uint8, last - first, first) == delimiter)
        places += first
        if chosen.all() and len(places) == len(starts) * (width - 1):
            delimiters = places.reshape(len(starts), width - 1)
            if width == 1 or ((delimiters[:, 0] >= starts).all() and (delimiters[:, -1] < ends).all()):
                return cls(np.full(len(starts), width), starts, ends, _transposed(delimiters))
        edges = np.searchsorted(places, np.append(starts, last))
        counts = np.diff(edges) + 1
        regular = chosen & (counts == width)
        delimiters = places[np.repeat(regular, counts - 1)].reshape(np.count_nonzero(regular), width - 1)
        return cls(counts[chosen], starts[regular], ends[regular], _transposed(delimiters))

    def columns(self) -> Iterator[tuple[Offsets, Offsets]]:
        """Where the cells of each column start and end."""
        starts = self.starts
        for delimiter in self.delimiters:
            yield starts, delimiter
            starts = delimiter + 1
        yield starts, self.ends


def _transposed(delimiters: Offsets) -> Offsets:
    """A copy column by column, as they are asked for: of 200 columns a row lies 25 cache lines from the next."""
    return np.ascontiguousarray(delimiters.T)


def _miscounted(counts: Offsets, width: int) -> Miscounted:
    other = counts != width
    if not other.any():
        return {}
    return {count: np.flatnonzero(counts == count) for count in arrays.distinct(counts[other]).tolist()}


def _ends(block: Block) -> Offsets:
    """Where each record ends, without its line break; the last one of an object may have none."""
    text = np.frombuffer(block.data, np.uint8)
    ends = block.starts[1:] - 1
    ends[-1:] += ~np.isin(text[ends[-1:]], (CR, LF))
    if block.data.find(CR, int(block.starts[0]), int(block.starts[-1])) >= 0:
        ends -= (text[ends - 1] == CR) & (text.take(ends, mode="clip") == LF) & (ends > block.starts[:-1])
    return ends
