"""The record rules once more, byte by byte and as plainly as can be, for the fast implementation to be held against."""

from __future__ import annotations

from chalicelib.engine.records.automaton import Grammar, Shape

CELL, UNQUOTED, QUOTED, QUOTE = range(4)


def read_on(data: bytes, start: int, grammar: Grammar) -> tuple[int, Shape]:
    """End and shape of the record at ``start``; of an unclosed one, the end of the stretch to recover."""
    state, shape, at = CELL, Shape.REGULAR, start
    if data[start] == grammar.comment:
        while at < len(data) and data[at] not in b"\r\n":
            at += 1
        return _after_break(data, at), Shape.COMMENT
    while at < len(data):
        byte = data[at]
        too_far = at > start + grammar.limit
        if byte == grammar.escape and state == QUOTE:
            shape = Shape.TEXT_AFTER_QUOTE
        if byte == grammar.escape:
            if at + 1 == len(data):
                return at + 1, Shape.UNCLOSED_QUOTE if state == QUOTED else Shape.DANGLING_ESCAPE
            if state == QUOTED and data[at + 1] in b"\r\n" and at + 1 > start + grammar.limit:
                return _after_break(data, at + 1), Shape.UNCLOSED_QUOTE
            if state != QUOTED:
                state = UNQUOTED
                if at + 2 == len(data) and data[at + 1] in b"\r\n":
                    return at + 2, Shape.DANGLING_ESCAPE
            at += 2
            continue
        if state == QUOTED:
            if byte == grammar.quote:
                state = QUOTE
            elif byte in b"\r\n" and too_far:
                return _after_break(data, at), Shape.UNCLOSED_QUOTE
        elif state == QUOTE and byte == grammar.quote and grammar.double_quote:
            state = QUOTED
        elif byte in b"\r\n":
            return _after_break(data, at), shape
        elif byte == grammar.delimiter:
            state = CELL
        elif state == CELL and byte == grammar.quote:
            state = QUOTED
        elif not (state == CELL and byte == ord(" ") and grammar.skip_space):
            if state == QUOTE:
                shape = Shape.TEXT_AFTER_QUOTE
            state = UNQUOTED
        at += 1
    return at, Shape.UNCLOSED_QUOTE if state == QUOTED else shape


def _after_break(data: bytes, at: int) -> int:
    if at == len(data):
        return at
    return at + (2 if data[at : at + 2] == b"\r\n" else 1)


def records(data: bytes, start: int, grammar: Grammar) -> list[tuple[int, Shape]]:
    """Offset and shape of every record from ``start`` on, the recovered lines of unclosed stretches among them."""
    found: list[tuple[int, Shape]] = []
    while start < len(data):
        end, shape = read_on(data, start, grammar)
        found.append((start, shape))
        if shape is Shape.UNCLOSED_QUOTE:
            for line in range(start + 1, end):
                after_break = data[line - 1] == 10 or (data[line - 1] == 13 and data[line] != 10)
                if after_break:
                    alone = data[line:end].splitlines(keepends=True)[0]
                    found.append((line, read_on(alone, 0, grammar)[1]))
        start = end
    return found
