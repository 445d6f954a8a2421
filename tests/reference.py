"""The record rules once more, byte by byte and as plainly as can be, for the fast implementation to be held against."""

from __future__ import annotations

from chalicelib.engine.split import Shape

RECORD, CELL, UNQUOTED, QUOTED, QUOTE = range(5)


def read_on(data: bytes, start: int, delimiter: int, quote: int, double_quote: bool, limit: int) -> tuple[int, Shape]:
    """End and shape of the record at ``start``; of an unclosed one, the end of the stretch to recover."""
    state, shape, at = CELL, Shape.REGULAR, start
    while at < len(data):
        byte = data[at]
        if state == QUOTED:
            if byte == quote:
                state = QUOTE
            elif byte in b"\r\n" and at > start + limit:
                # A CR LF of which only the LF is beyond the limit is cut after the LF as well.
                return at + (2 if data[at : at + 2] == b"\r\n" else 1), Shape.UNCLOSED_QUOTE
        elif state == QUOTE and byte == quote and double_quote:
            state = QUOTED
        elif byte in b"\r\n":
            return at + (2 if data[at : at + 2] == b"\r\n" else 1), shape
        elif byte == delimiter:
            state = CELL
        elif state == CELL and byte == quote:
            state = QUOTED
        else:
            if state == QUOTE:
                shape = Shape.TEXT_AFTER_QUOTE
            state = UNQUOTED
        at += 1
    return at, Shape.UNCLOSED_QUOTE if state == QUOTED else shape


def records(
    data: bytes, start: int, delimiter: int, quote: int, double_quote: bool, limit: int
) -> list[tuple[int, Shape]]:
    """Offset and shape of every record from ``start`` on, the recovered lines of unclosed stretches among them."""
    found: list[tuple[int, Shape]] = []
    while start < len(data):
        end, shape = read_on(data, start, delimiter, quote, double_quote, limit)
        if shape is Shape.UNCLOSED_QUOTE:
            found.append((start, shape))
            for line in range(start + 1, end):
                after_break = data[line - 1] == 10 or (data[line - 1] == 13 and data[line] != 10)
                if after_break:
                    _, alone = read_on(_line(data, line, end), 0, delimiter, quote, double_quote, limit)
                    found.append((line, alone))
        else:
            found.append((start, shape))
        start = end
    return found


def _line(data: bytes, start: int, end: int) -> bytes:
    return data[start:end].splitlines(keepends=True)[0] if start < end else b""
