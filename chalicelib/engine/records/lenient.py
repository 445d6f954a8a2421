"""One record read cell by cell, whatever is wrong with it, so that all its other cells can still be checked."""

from __future__ import annotations

import csv

from chalicelib.engine.contract.dialect import Dialect
from chalicelib.frozen import frozen

# The csv module's limit on a cell is global and far below the limit on a record that is enforced here.
csv.field_size_limit(2**31 - 1)


@frozen
class Layout:
    """What a record should look like."""

    labels: tuple[str, ...]
    """One per column, as findings name them."""
    dialect: Dialect
    encoding: str
    limit: int
    """Longest record in bytes."""

    @property
    def width(self) -> int:
        return len(self.labels)


def cells(text: str, dialect: Dialect) -> list[str]:
    """The cells of one record, read leniently: a quote is special only at the start of a cell, text after a closing
    quote is part of the cell, a quote that is never closed ends with the record, and an escape character at the end is
    itself.
    """
    if dialect.escape_char is not None and dialect.escape_char in text:
        return _escaped_cells(text, dialect)
    if text and (dialect.quote_char is None or dialect.quote_char not in text):
        # as below, which takes four bytes for each character
        texts = text.split(dialect.delimiter)
        return [each.lstrip(" ") for each in texts] if dialect.skip_initial_space else texts
    reader = csv.reader(
        [text],
        delimiter=dialect.delimiter,
        quotechar=dialect.quote_char,
        doublequote=dialect.double_quote,
        escapechar=dialect.escape_char,
        skipinitialspace=dialect.skip_initial_space,
        quoting=csv.QUOTE_MINIMAL if dialect.quote_char else csv.QUOTE_NONE,
    )
    return next(reader, [""])


def _escaped_cells(text: str, dialect: Dialect) -> list[str]:
    """``cells`` of a text with escapes: the csv module knows none behind a closing quote, and makes a line feed of one
    at the end.
    """
    found: list[str] = []
    cell: list[str] = []
    is_start, is_quoted = True, False
    characters = iter(range(len(text)))
    for at in characters:
        char, following = text[at], text[at + 1 : at + 2]
        if char == dialect.escape_char:
            cell.append(following or char)
            next(characters, None)
        elif char == dialect.quote_char and is_quoted:
            is_quoted = dialect.double_quote and following == char
            if is_quoted:
                cell.append(char)
                next(characters)
        elif is_quoted:
            cell.append(char)
        elif char == dialect.delimiter:
            found.append("".join(cell))
            cell.clear()
            is_start = True
            continue
        elif char == dialect.quote_char and is_start:
            is_quoted = True
        elif is_start and char == " " and dialect.skip_initial_space:
            continue
        else:
            cell.append(char)
        is_start = False
    return [*found, "".join(cell)]


def record_bytes(data: bytes, start: int, end: int, dialect: Dialect) -> bytes:
    """A record without its line break; one that the dialect's escape character makes part of a cell stays."""
    raw = data[start:end]
    if raw.endswith(b"\n") and not _escaped_end(raw[:-1], dialect):
        raw = raw[:-1]
    if raw.endswith(b"\r") and not _escaped_end(raw[:-1], dialect):
        raw = raw[:-1]
    return raw


def _escaped_end(before: bytes, dialect: Dialect) -> bool:
    """Whether what follows ``before`` is escaped: an odd number of escape characters ends it."""
    if dialect.escape_char is None:
        return False
    return (len(before) - len(before.rstrip(dialect.escape_char.encode()))) % 2 == 1
