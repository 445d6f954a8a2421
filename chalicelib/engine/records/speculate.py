"""Which state a byte range starts in: a guess good enough to work on, and what makes the guess provable.

Only the states that the byte before the range allows are possible. For each, the range's first record starts at one
offset; ``Continuations`` tells for each such offset where the next record after the range begins. Chained from the
file's first record on, they prove or refute every guess without reading a byte again (see ``ledger``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from chalicelib.engine.records.automaton import CR, LF, SPACE, TERMINATOR, Grammar, NeedMore, Shape, State, scan_rest
from chalicelib.engine.records.split import Offsets, blocks
from chalicelib.engine.records.tape import LOOKAHEAD_BYTES, Tape
from chalicelib.frozen import frozen

_CONVERGENCE_BLOCK_BYTES = 64 * 1024
_QUOTES_ASKED = 64
"""Quotes looked at before the guess falls back to "outside"."""

Starts = tuple[int, Offsets]
"""Record starts, ascending, and the offset in the object that they are counted from."""

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


def continuations(
    tape: Tape, found: Guess, fresh: Sequence[Starts], after: int, stop: int, grammar: Grammar
) -> Continuations:
    """Follow every possible state to the end of the range.

    ``fresh``: the ``Block.fresh`` record starts that the guess found; ``after``: the offset of the first record after
    the range. A run from another state mostly meets one of them within a few records and is followed no further.
    """
    known: dict[int, int] = {}
    if found.first_record is not None:
        known[found.first_record] = after
    for first in found.entries.values():
        if first not in known:
            known[first] = _follow(tape, first, fresh, after, stop, grammar)
    return {state.value: (first, known[first]) for state, first in found.entries.items()}


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


def _follow(tape: Tape, first: int, fresh: Sequence[Starts], after: int, stop: int, grammar: Grammar) -> int:
    end = first
    for block in blocks(tape.again(), first, stop, grammar, _CONVERGENCE_BLOCK_BYTES):
        if any(_meet(block.fresh + (block.base - base), starts) for base, starts in fresh):
            return after
        end = block.end
    return end


def _meet(offsets: Offsets, starts: Offsets) -> bool:
    """Whether two ascending sequences have an offset in common; the second may be a thousand times as long."""
    places = np.searchsorted(starts, offsets)
    within = places < len(starts)
    return bool((starts[places[within]] == offsets[within]).any())
