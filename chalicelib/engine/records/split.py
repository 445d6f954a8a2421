"""Where records begin and end in a stretch of bytes, block by block."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from chalicelib.engine.records.automaton import Grammar, Shape, Shapes, lines, scan_record
from chalicelib.engine.records.find import NOTHING, Found, find
from chalicelib.engine.records.tape import LOOKAHEAD_BYTES, Tape
from chalicelib.frozen import frozen

Offsets = NDArray[np.int64]


@frozen
class Block:
    """Consecutive whole records of a tape, and the bytes that they are in."""

    base: int
    """Offset in the object of ``data``."""
    data: bytes
    """The window of the tape that holds the records; all offsets below point into it."""
    starts: Offsets
    """Offset of each record, and at last the end of the final one (so one longer than the records)."""
    shapes: Shapes
    fresh: Offsets
    """``starts`` without the lines recovered out of an unclosed stretch: where two runs meet in one of these, they
    agree from there on."""
    breaks: Offsets
    """Offset after each physical line break of the block, whether it ends a record or is inside a cell."""

    @property
    def count(self) -> int:
        return len(self.starts) - 1

    @property
    def end(self) -> int:
        """Offset in the object of the record after the block."""
        return self.base + int(self.starts[-1])

    def head(self, count: int) -> Block:
        """The first so many records alone."""
        return replace(self, starts=self.starts[: count + 1], shapes=self.shapes[:count])

    def lines_before(self, records: Offsets) -> Offsets:
        """Line breaks of the block before each of these records (from 0)."""
        return np.searchsorted(self.breaks, self.starts[records], "right")


def blocks(
    tape: Tape, start: int, stop: int, grammar: Grammar, block_bytes: int, most_rows: int = sys.maxsize
) -> Iterator[Block]:
    """The records that begin in ``[start, stop)`` of the object, in as few blocks of about ``block_bytes`` as hold
    them, of much the same size; in more of them where one would have more than ``most_rows``, at least one, or very
    many lines.

    ``start`` must be a record start. The last record may end beyond ``stop``; the tape is extended as it needs. How
    much of it is at hand at a time makes no difference to the blocks. A block that its user has let go of is nowhere
    held while the next is read, so that this comes into memory that is in the processor's cache.
    """
    most = block_bytes + block_bytes // 8  # a little more, so that what is left over is no block by itself
    parts = max(divided(stop - start, most), 1)
    position, window_bytes = start, divided(stop - start, parts)
    reach = window_bytes
    while position < stop:
        window_bytes = min(window_bytes, reach)
        # The last record mostly ends beyond ``stop``; it is to be no block of its own.
        ahead = LOOKAHEAD_BYTES if position + window_bytes >= stop else 0
        tape.reach(position, position + window_bytes + ahead + LOOKAHEAD_BYTES)
        data, at = tape.data, position - tape.base
        end = min(at + window_bytes + ahead, len(data))
        if end <= at and tape.at_end:
            return
        found = find(data, at, end, grammar, tape.at_end, most_rows) if end > at else NOTHING
        following = tape.base + (int(found.ends[-1]) if len(found.ends) else at)
        if found.cut and following < stop and tape.reach(position, position + 2 * (len(data) - at)):
            continue
        if not len(found.ends):
            window_bytes = reach = 2 * window_bytes
            if end == len(data):
                tape.extend()
            continue
        block = _owned(tape.base, data, at, stop, found, grammar)
        size, position = block.end - position, block.end
        # Each block falls short by the record that its window cuts: the last may be somewhat larger.
        parts = max(parts - 1, divided(stop - position, most + most // 4), 1)
        # What is looked through beyond a block that is full is looked through again: the next is looked for nearby.
        reach, window_bytes = 2 * (size if found.is_full else window_bytes), divided(stop - position, parts)
        del data, found
        yield block
        del block


def divided(number: int, divisor: int) -> int:
    """The quotient, rounded up."""
    return -(-number // divisor)


def _owned(base: int, data: bytes, at: int, stop: int, found: Found, grammar: Grammar) -> Block:
    """The records from ``at`` in ``data`` on that begin before ``stop``."""
    starts = np.concatenate((np.array([at], np.int64), found.ends))
    owned = int(np.searchsorted(starts[:-1] + base, stop))
    breaks = found.breaks[: np.searchsorted(found.breaks, starts[owned], "right")]
    starts, shapes = starts[: owned + 1], found.shapes[:owned]
    return Block(base, data, *_recovered(data, starts, shapes, grammar), starts, breaks)


def _recovered(data: bytes, starts: Offsets, shapes: Shapes, grammar: Grammar) -> tuple[Offsets, Shapes]:
    """The records, with the lines of each unclosed stretch as records of their own."""
    found_starts: list[Offsets] = []
    found_shapes: list[Shapes] = []
    taken = 0
    for at in np.flatnonzero(shapes == Shape.UNCLOSED_QUOTE).tolist():
        _, *others = lines(data, int(starts[at]), int(starts[at + 1]))
        scanned = [scan_record(data[start:end], 0, grammar, at_end=True)[1] for start, end in others]
        found_starts += [starts[taken : at + 1], np.array([start for start, _ in others], np.int64)]
        found_shapes += [shapes[taken : at + 1], np.array(scanned, np.uint8)]
        taken = at + 1
    if not taken:
        return starts, shapes
    return np.concatenate((*found_starts, starts[taken:])), np.concatenate((*found_shapes, shapes[taken:]))
