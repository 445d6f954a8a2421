"""Where a chunk's records are, and the report that proves it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

import numpy as np

from chalicelib.engine.plan import Plan, Task
from chalicelib.engine.records import speculate
from chalicelib.engine.records.split import Block, Offsets, blocks
from chalicelib.engine.records.tape import Tape
from chalicelib.engine.text.offsets import OriginalOffsets
from chalicelib.frozen import frozen
from chalicelib.model import JSON


def first_byte(task: Task, plan: Plan) -> int:
    """Where a chunk's tape has to begin: at its known first record, else at the byte before it, to guess by.

    Where the text was rewritten, offsets in the file are counted from the chunk's start, so it has to be on the tape.
    """
    if task.first_record is not None:
        start = min(task.start, task.first_record) if plan.text.rewritten else task.first_record
        return start if task.first_record < task.end else task.end
    return max(task.start - 1, 0)


class _WayBack:
    """Where positions of a rewritten text were in the file, by the characters of the chunk that lie before."""

    def __init__(self, plan: Plan, task: Task, tape: Tape, first: int) -> None:
        """``first``: the chunk's first record."""
        self._original = plan.text.original
        tape.reach(task.start, first)
        lead = tape.data[task.start - tape.base : first - tape.base]
        self._starts = [task.start]
        self._stretches = [(task.start, lead)]
        """Of the chunk's text before its first record and of each block: the offset of the bytes, and the bytes."""
        self._known = [OriginalOffsets(lead, 0, plan.text.origins[task.index], self._original)]
        """Of the first stretches, up to the last that was asked for."""

    def add(self, block: Block) -> None:
        self._starts.append(block.base + int(block.starts[0]))
        self._stretches.append((block.base, block.data))

    def of(self, positions: Offsets) -> Offsets:
        """``positions``: of one block."""
        if not len(positions):
            return positions
        at = bisect_right(self._starts, int(positions[0])) - 1
        while len(self._known) <= at:
            start, before = self._starts[len(self._known)], self._stretches[len(self._known) - 1][0]
            base, data = self._stretches[len(self._known)]
            (origin,) = self._known[-1].of(np.array([start - before])).tolist()
            self._known.append(OriginalOffsets(data, start - base, origin, self._original))
        return self._known[at].of(positions - self._stretches[at][0])


@frozen
class Origin:
    """Where positions of a block's bytes are in the file: what findings are told by."""

    base: int
    way_back: _WayBack | None
    """None: the text is the file's own."""

    def of(self, positions: Offsets) -> Offsets:
        """``positions``: ascending, each where a character begins."""
        positions = positions + self.base
        return positions if self.way_back is None else self.way_back.of(positions)


class Records:
    """The chunk's blocks, with what the ledger needs to know of them counted on the way."""

    def __init__(self, task: Task, plan: Plan, tape: Tape) -> None:
        self._task, self._plan, self._tape = task, plan, tape
        guess: speculate.Guess | None = None
        if task.first_record is not None:
            first = task.first_record if task.first_record < task.end else None
        else:
            guess = speculate.guess(tape, task.start, task.end, plan.grammar)
            first = guess.first_record
        self._first = first
        """Offset in the object of the chunk's first record, known or guessed; None where it has none."""
        self.read = 0
        """Records of the blocks gone by."""
        self.lines = 0
        """Line breaks of the blocks gone by."""
        self.size_bytes = 0
        """Of the blocks gone by."""
        self._following = None if guess is None else speculate.Following(tape, guess, task.end, plan.grammar)
        self._after = 0 if first is None else first
        self._way_back = _WayBack(plan, task, tape, first) if plan.text.rewritten and first is not None else None

    def __iter__(self) -> Iterator[Block]:
        first, plan = self._first, self._plan
        if first is None:
            return
        for block in blocks(self._tape, first, self._task.end, plan.grammar, plan.block_size_bytes, plan.block_rows):
            if self._way_back is not None:
                self._way_back.add(block)
            yield block
            self.read += block.count
            self.lines += len(block.breaks)
            self.size_bytes += int(block.starts[-1] - block.starts[0])
            if self._following is not None:
                self._following.add(block)
            self._after = block.end
            del block  # see ``blocks``

    def origin(self, block: Block) -> Origin:
        return Origin(block.base, self._way_back)

    def report(self) -> JSON:
        """The part of the report that proves where the chunk's records are; only once all blocks are through."""
        task, first = self._task, self._first
        return {
            "index": task.index,
            "round": task.round,
            "start": task.start,
            "end": task.end,
            "first_record": first,
            "next_record": None if first is None else self._after,
            "continuations": {} if self._following is None else self._following.continuations(self._after),
            "lines": self.lines,
            "size_bytes": self.size_bytes,
        }
