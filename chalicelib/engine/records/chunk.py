"""Where a chunk's records are, and the report that proves it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from chalicelib.engine.plan import Plan, Task
from chalicelib.engine.records import speculate
from chalicelib.engine.records.split import Block, Offsets, Tape, blocks
from chalicelib.engine.text.encodings import Offsets as Origins
from chalicelib.model import JSON


class ChunkTape(Tape, Protocol):
    """The tape of a chunk, which knows where in the object it begins."""

    @property
    def base(self) -> int: ...


def first_byte(task: Task, plan: Plan) -> int:
    """Where a chunk's tape has to begin: at its known first record, else at the byte before it, to guess by.

    Where the text was rewritten, offsets in the file are counted from the chunk's start, so it has to be on the tape.
    """
    if task.first_record is not None:
        start = min(task.start, task.first_record) if plan.text.rewritten else task.first_record
        return start if task.first_record < task.end else task.end
    return max(task.start - 1, 0)


class Origin:
    """Where positions of a chunk's tape are in the file: what findings are told by."""

    def __init__(self, plan: Plan, task: Task, tape: ChunkTape) -> None:
        self._text, self._task, self._tape = plan.text, task, tape
        self._origins: Origins | None = None

    def __call__(self, position: int) -> int:
        tape = self._tape
        if not self._text.rewritten:
            return tape.base + position
        if self._origins is None:
            known = self._text.origins[self._task.index]
            self._origins = Origins(tape.data, self._task.start - tape.base, known, self._text.original)
        self._origins.extend(tape.data)
        return self._origins(position)


@dataclass(slots=True)
class Place:
    """Where a chunk's records are, in the tape's offsets and in the object's."""

    base: int
    """Offset of the tape's first byte in the object."""
    first: int | None
    """The chunk's first record, in the tape; None where the chunk has none."""
    stop: int
    """The chunk's end, in the tape."""
    guess: speculate.Guess | None
    """None where the first record was known."""


def locate(task: Task, plan: Plan, tape: ChunkTape) -> Place:
    """The chunk's first record: known, or guessed."""
    stop = task.end - tape.base
    if task.first_record is not None:
        first = task.first_record - tape.base if task.first_record < task.end else None
        return Place(tape.base, first, stop, None)
    guess = speculate.guess(tape.data, task.start - tape.base, stop, plan.grammar, tape.at_end)
    return Place(tape.base, guess.first_record, stop, guess)


class Records:
    """The chunk's blocks, with what the ledger needs to know of them counted on the way."""

    def __init__(self, plan: Plan, tape: ChunkTape, place: Place) -> None:
        self.tape = tape
        self._plan, self._place = plan, place
        self.read = 0
        """Records of the blocks gone by."""
        self.lines = 0
        """Line breaks of the blocks gone by."""
        self.size_bytes = 0
        """Of the blocks gone by."""
        self._fresh: list[Offsets] = []
        self._after = 0 if place.first is None else place.first

    def __iter__(self) -> Iterator[Block]:
        if self._place.first is None:
            return
        plan = self._plan
        for block in blocks(self.tape, self._place.first, self._place.stop, plan.grammar, plan.block_size_bytes):
            yield block
            self.read += block.count
            self.lines += len(block.breaks)
            self.size_bytes += int(block.starts[-1] - block.starts[0])
            self._fresh.append(block.fresh[:-1])
            self._after = int(block.starts[-1])

    def report(self, task: Task) -> JSON:
        """The part of the report that proves where the chunk's records are; only once all blocks are through."""
        place = self._place
        told: dict[str, tuple[int, int]] = {}
        if place.guess is not None:
            fresh = np.concatenate((*self._fresh, np.array([self._after], np.int64)))
            found = speculate.continuations(self.tape, place.guess, fresh, place.stop, self._plan.grammar)
            told = {state: (first + place.base, after + place.base) for state, (first, after) in found.items()}
        first = None if place.first is None else place.first + place.base
        return {
            "index": task.index,
            "round": task.round,
            "start": task.start,
            "end": task.end,
            "first_record": first,
            "next_record": None if first is None else self._after + place.base,
            "continuations": told,
            "lines": self.lines,
            "size_bytes": self.size_bytes,
        }
