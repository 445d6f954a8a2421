"""Which state a byte range starts in: a guess good enough to work on, and what makes the guess provable.

Only the states that the byte before the range allows are possible. For each, the range's first record starts at one
offset; ``Continuations`` tells for each such offset where the next record after the range begins. Chained from the
file's first record on, they prove or refute every guess without reading a byte again (see ``ledger``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from chalicelib.engine.records.automaton import CR, LF, SPACE, TERMINATOR, Grammar, NeedMore, Shape, State, scan_rest
from chalicelib.engine.records.split import Block, Offsets, blocks
from chalicelib.engine.records.tape import LOOKAHEAD_BYTES, Tape
from chalicelib.frozen import frozen

_CONVERGENCE_BLOCK_BYTES = 64 * 1024
_QUOTES_ASKED = 64
"""Quotes looked at before the guess falls back to "outside"."""

Continuations = dict[str, tuple[int, int]]
"""Possible state at the range's start → (first record's offset, offset of the first record after the range)."""


@frozen
class Guess:
    """How a chunk may begin, and how it most likely does."""

    entries: dict[State, int]
    """Each possible state → offset of the first record in the range (only where it is before the range's end)."""
    state: State

    @property
    def first_record(self) -> int | None:
        """None: with this guess no record begins in the range."""
        return self.entries.get(self.state)


def guess(tape: Tape, start: int, stop: int, grammar: Grammar) -> Guess:
    """Guess the state at ``start`` (at least 1: the byte before it is looked at)."""
    tape.reach(start - 1, start + grammar.limit + LOOKAHEAD_BYTES)
    data, at = tape.data, start - tape.base
    possible = list(_possible_states(data[at - 1], grammar))
    inside = grammar.quote >= 0 and _starts_inside(data, at, min(len(data), at + grammar.limit), grammar)
    entries: dict[State, int] = {}
    for state in possible:
        first = _first_record(tape, start, state, grammar)
        if first is not None and first < stop:
            entries[state] = first
    return Guess(entries, State.QUOTED if inside else possible[0])


class Following:
    """Every possible state but the guessed one, followed along with the chunk until its records are the guess's.

    It reads the range's beginning again, and mostly no more: a run from another state meets a record that the guess
    found within a few. One that never does has a window of the tape for itself until the chunk is through.
    """

    def __init__(self, tape: Tape, found: Guess, stop: int, grammar: Grammar) -> None:
        self._found = found
        self._runs = {
            first: _Run(blocks(tape.again(), first, stop, grammar, _CONVERGENCE_BLOCK_BYTES), first)
            for first in set(found.entries.values()) - {found.first_record}
        }
        """By the offset of their first record; those that have not met the guess."""

    def add(self, block: Block) -> None:
        """``block``: the next one that the guess found."""
        self._runs = {first: run for first, run in self._runs.items() if not run.meets(block)}

    def continuations(self, after: int) -> Continuations:
        """``after``: the offset of the first record after the range that the guess found."""
        known = {first: run.to_the_end() for first, run in self._runs.items()}
        return {state.value: (first, known.get(first, after)) for state, first in self._found.entries.items()}


class _Run:
    """The records of a range, from one of its possible first ones on."""

    def __init__(self, found: Iterator[Block], first: int) -> None:
        self._blocks = found
        self._starts: Offsets = np.empty(0, np.int64)
        """The record starts of the block at hand, in the object."""
        self._end = first
        """Offset of the record after them."""

    def meets(self, block: Block) -> bool:
        """Whether one of its records is one of the block's too. If not, it has gone on as far as the block does."""
        while not _meet(self._starts - block.base, block.fresh[:-1]):
            if self._end >= block.end or not self._goes_on():
                return False
        return True

    def to_the_end(self) -> int:
        while self._goes_on():
            pass
        return self._end

    def _goes_on(self) -> bool:
        block = next(self._blocks, None)
        if block is not None:
            self._starts, self._end = block.fresh + block.base, block.end
        return block is not None


def next_record(chain: Mapping[str, tuple[int, int]], first: int) -> int | None:
    """Where the first record after the range begins, given its own first record; None where no state has that one."""
    return next((after for begins, after in chain.values() if begins == first), None)


def _possible_states(previous: int, grammar: Grammar) -> Iterator[State]:
    """The states in which the automaton can be after ``previous``; the likeliest outside a quoted cell comes first."""
    ends_line = previous in (LF, CR)
    if ends_line:
        yield State.RETURN if previous == CR else State.RECORD
    elif previous == grammar.delimiter:
        yield State.CELL
    elif previous == grammar.quote:
        yield State.QUOTE
    if grammar.escape >= 0 or not (ends_line or previous == grammar.delimiter):
        yield State.UNQUOTED
    if grammar.skip_space and previous == SPACE:
        yield State.CELL
    if grammar.quote >= 0:
        yield State.QUOTED
    if grammar.comment >= 0 and not ends_line:
        yield State.COMMENT
    if previous == grammar.escape:
        yield State.ESCAPED
        if grammar.quote >= 0:
            yield State.QUOTED_ESCAPED


def _first_record(tape: Tape, start: int, state: State, grammar: Grammar) -> int | None:
    """Offset of the first record that begins at or after ``start``; None where all of the stretch does not tell."""
    while True:
        try:
            found = _first_in(tape.data, start - tape.base, state, grammar, tape.at_end)
            return None if found is None else found + tape.base
        except NeedMore:
            if not tape.reach(start - 1, start + 2 * len(tape.data)):
                return None


def _first_in(data: bytes, start: int, state: State, grammar: Grammar, at_end: bool) -> int | None:
    """Likewise, in the bytes at hand. Errors: ``NeedMore``."""
    match state:
        case State.RECORD:
            return start
        case State.RETURN:
            return start + (data[start : start + 1] == b"\n")
        case State.COMMENT:
            found = TERMINATOR.search(data, start)
            if not at_end and (found is None or found.end() == len(data)):
                raise NeedMore
            return found.end() if found else None
        case State.ESCAPED:
            start, state = start + 1, State.UNQUOTED
        case State.QUOTED_ESCAPED:
            start, state = start + 1, State.QUOTED
    end, shape = scan_rest(data, start, start, state, grammar, at_end)
    # Where an unclosed quote is cut depends on where its record began, which is not known here.
    return None if shape is Shape.UNCLOSED_QUOTE else end


def _starts_inside(data: bytes, start: int, end: int, grammar: Grammar) -> bool:
    """Whether the quotes from ``start`` on look as if ``start`` were inside a quoted cell.

    A quote with a separator before it alone opens a cell, one with a separator behind it alone closes one; the first
    quote that is clearly one of the two tells, by the parity of those before it.
    """
    quote, separators = bytes((grammar.quote,)), (grammar.delimiter, LF, CR)
    position, flipped = start, False
    for _ in range(_QUOTES_ASKED):
        position = data.find(quote, position, end)
        if position < 0:
            return False
        if grammar.double_quote and data[position + 1 : position + 2] == quote:
            position += 2
            continue
        opens = position == 0 or data[position - 1] in separators
        closes = position + 1 >= len(data) or data[position + 1] in separators
        if opens != closes:
            return closes != flipped
        flipped = not flipped
        position += 1
    return False


def _meet(offsets: Offsets, starts: Offsets) -> bool:
    """Whether two ascending sequences have an offset in common; the second may be a thousand times as long."""
    places = np.searchsorted(starts, offsets)
    within = places < len(starts)
    return bool((starts[places[within]] == offsets[within]).any())
