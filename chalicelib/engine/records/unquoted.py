"""Well-formed records without quotes or escapes to columns of text, by where their delimiters are.

Arrow's reader looks at one byte after the other; here numpy finds the delimiters, many bytes at a time, and a column's
cells are gathered, or told by their bytes where they lie (``codebook``). Of two million orders that takes 60 % of the
reader's time, of 200 columns 85 %.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chalicelib.engine import arrays
from chalicelib.engine.arrays import ArrowArray, Mask
from chalicelib.engine.codebook import Codebook
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.records import arrowcsv
from chalicelib.engine.records.arrowcsv import Miscounted
from chalicelib.engine.records.automaton import CR, LF
from chalicelib.engine.records.split import Block, Offsets
from chalicelib.frozen import frozen

LEAST_RECORDS: Final = 1 << 13
"""Of fewer a column takes more time for its calls than for its cells."""
_PIECE_BYTES: Final = 1 << 17
"""Flags of so many bytes stay in the processor's cache until they are looked through."""


def is_worth(block: Block, dialect: Dialect) -> bool:
    """Whether a block has no quote and no escape, and enough records."""
    first, last = int(block.starts[0]), int(block.starts[-1])
    special = (char for char in (dialect.quote_char, dialect.escape_char) if char)
    return block.count >= LEAST_RECORDS and all(block.data.find(char.encode(), first, last) < 0 for char in special)


def read_texts(
    block: Block, chosen: Mask, dialect: Dialect, width: int, coded: Mapping[int, Codebook]
) -> tuple[list[ArrowArray], Miscounted]:
    """The same as ``arrowcsv.read_texts`` of the chosen records, none of which is blank, overlong or commented out.

    ``chosen``: a flag for each of the block's records.
    """
    found, miscounted = _cells(block, chosen, ord(dialect.delimiter), width)
    texts = arrays.Spans(block.data)
    columns = [
        coded[place].read(texts, starts, ends) if place in coded else texts.cut(starts, ends)
        for place, (starts, ends) in enumerate(found.columns())
    ]
    return arrowcsv.trimmed(columns, dialect), miscounted


@frozen
class _Cells:
    """Where the cells of some records are, all of which have the same number of them."""

    starts: Offsets
    ends: Offsets
    """Of each record, without its line break."""
    delimiters: NDArray[np.int64]
    """A row for each record."""

    def columns(self) -> Iterator[tuple[Offsets, Offsets]]:
        """Where the cells of each column start and end."""
        starts = self.starts
        for delimiter in self.delimiters.T:
            yield starts, delimiter
            starts = delimiter + 1
        yield starts, self.ends


def _cells(block: Block, chosen: Mask, delimiter: int, width: int) -> tuple[_Cells, Miscounted]:
    """The cells of the chosen records that have ``width`` of them, and which have another number."""
    starts, ends = block.starts[:-1], _ends(block)
    places = _places(block, delimiter)
    if chosen.all() and len(places) == len(starts) * (width - 1):
        delimiters = places.reshape(len(starts), width - 1)
        if width == 1 or ((delimiters[:, 0] >= starts).all() and (delimiters[:, -1] < ends).all()):
            return _Cells(starts, ends, delimiters), {}
    counts = np.diff(np.searchsorted(places, block.starts))
    regular = chosen & (counts == width - 1)
    of_chosen = counts[chosen] + 1
    miscounted = {
        count: np.flatnonzero(of_chosen == count) for count in arrays.distinct(of_chosen).tolist() if count != width
    }
    delimiters = places[np.repeat(regular, counts)].reshape(-1, width - 1)
    return _Cells(starts[regular], ends[regular], delimiters), miscounted


def _places(block: Block, delimiter: int) -> Offsets:
    """Where the delimiters of a block are."""
    window = np.frombuffer(block.data, np.uint8, int(block.starts[-1]))
    found = [np.empty(0, np.int64)]
    for start in range(int(block.starts[0]), len(window), _PIECE_BYTES):
        places = np.flatnonzero(window[start : start + _PIECE_BYTES] == delimiter)
        places += start
        found.append(places)
    return np.concatenate(found)


def _ends(block: Block) -> Offsets:
    """Where each record ends, without its line break; the last one of an object may have none."""
    text = np.frombuffer(block.data, np.uint8)
    ends = block.starts[1:] - 1
    ends[-1:] += ~np.isin(text[ends[-1:]], (CR, LF))
    if block.data.find(CR, int(block.starts[0]), int(block.starts[-1])) >= 0:
        ends -= (text[ends - 1] == CR) & (text.take(ends, mode="clip") == LF) & (ends > block.starts[:-1])
    return ends
