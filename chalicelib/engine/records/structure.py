"""What is wrong with the structure of a block's rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Final

import numpy as np

from chalicelib.engine import arrays
from chalicelib.engine.arrays import Mask
from chalicelib.engine.records.automaton import Shape
from chalicelib.engine.records.chunk import Origin
from chalicelib.engine.records.lenient import Layout
from chalicelib.engine.records.ragged import Ragged
from chalicelib.engine.records.split import Block, Offsets
from chalicelib.engine.records.spoilt import Spoilt
from chalicelib.engine.text.encodings import escaped_size
from chalicelib.frozen import frozen

_FAULTY: Final = (Shape.TEXT_AFTER_QUOTE, Shape.UNCLOSED_QUOTE, Shape.DANGLING_ESCAPE)


@frozen
class Structure:
    """Which rows are not as records should be, and how. Of one that is too long only its shape is told besides."""

    layout: Layout
    shapes: Mapping[Shape, Offsets]
    """What the automaton saw that is wrong → the rows, ascending."""
    long: Offsets
    """The rows beyond the limit, ascending; no cell of theirs is read."""
    sizes: Offsets
    """How many bytes each of them has."""
    bad: Spoilt
    """The rows with bytes that are no character; places and counts are those of the file."""
    nuls: Spoilt
    """Likewise those with NULs."""
    ragged: Ragged
    """The rows with another number of cells than the layout."""
    unmended: Mapping[int, Offsets] = field(default_factory=dict)
    """Column → the rows, ascending, whose cell there has U+FFFD for a byte that was no character; in a corrected
    rejects.csv alone.
    """

    @property
    def not_text(self) -> Offsets:
        """The rows whose bytes are not all known to be characters."""
        return np.concatenate((self.bad.at, self.long))

    @property
    def faulty(self) -> Offsets:
        """The rows with any of this, ascending."""
        rows = (*self.shapes.values(), self.long, self.bad.at, self.nuls.at, self.ragged.rows, *self.unmended.values())
        return arrays.distinct(np.concatenate(rows))

    @classmethod
    def of(
        cls,
        block: Block,
        origin: Origin,
        layout: Layout,
        records: Offsets,
        cells: Offsets,
        bad: Offsets,
        nuls: Offsets,
    ) -> Structure:
        """``records``: position in the block of each row; ``cells``: how many each has; ``bad``, ``nuls``: the places
        of such bytes in the block's data.
        """
        sizes = np.diff(block.starts)
        overlong = np.flatnonzero(sizes > layout.limit)
        long = np.searchsorted(records, overlong[_are_among(records, overlong)])  # a comment may be as long
        known = np.bincount(block.shapes, minlength=len(Shape)) > 0
        shapes = {
            shape: np.searchsorted(records, np.flatnonzero(block.shapes == shape)) for shape in _FAULTY if known[shape]
        }

        def of_rows(places: Offsets, size: int) -> Spoilt:
            found = Spoilt.of(places, block.starts)
            if not len(found.at):
                return found
            kept = _are_among(records, found.at) & ~_are_among(overlong, found.at)
            rows = np.searchsorted(records, found.at[kept])
            return Spoilt(rows, origin.of(found.firsts[kept]), found.counts[kept] // size)

        return cls(
            layout,
            shapes,
            long,
            sizes[records[long]],
            of_rows(bad, escaped_size(layout.encoding)),
            of_rows(nuls, 1),
            Ragged.of(cells, layout.width),
        )


def _are_among(sorted_numbers: Offsets, sought: Offsets) -> Mask:
    """Which of a few numbers are among many; ``np.isin`` would sort them all."""
    after = np.searchsorted(sorted_numbers, sought, "right")
    found: Mask = after > np.searchsorted(sorted_numbers, sought)
    return found
