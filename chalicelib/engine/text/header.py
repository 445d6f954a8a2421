"""The header: what the columns are called, and where the first record begins."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.engine.records.automaton import Grammar, NeedMore, Shape, count_line_breaks, scan_record
from chalicelib.engine.records.parse import cells, record_bytes
from chalicelib.engine.text.dialect import Dialect
from chalicelib.engine.text.encodings import Original
from chalicelib.errors import Terminal


@dataclass(frozen=True, slots=True)
class Header:
    labels: tuple[str, ...]
    """One per column; for a file without a header, the cells of its first record."""
    data_start: int
    """Offset of the first record after the header."""
    lines: int
    """Physical lines before it."""


def read_header(
    head: bytes, start: int, dialect: Dialect, grammar: Grammar, *, whole: bool, original: Original
) -> Header:
    """Read the header from the object's first bytes, beginning at ``start`` (after a byte order mark).

    Blank lines and comments before the first row are not rows. Rows are numbered from 1; those that the dialect calls
    ``headerRows`` are the header, cell by cell joined by ``headerJoin``, those in ``commentRows`` are passed over.

    Errors: ``Terminal("header-too-long")``, ``Terminal("header-mismatch")``.
    """
    wanted = dialect.header_rows if dialect.header else ()
    last = max((*wanted, *dialect.comment_rows), default=0) + (not dialect.header)
    rows: dict[int, list[str]] = {}
    position, data_start, number = start, start, 0
    while number < last and position < len(head):
        end, shape = _scan(head, position, grammar, whole)
        if shape is not Shape.COMMENT and (number or head[position] not in b"\r\n"):
            number += 1
            if number not in dialect.comment_rows:
                rows[number] = _cells(head, position, end, shape, dialect, original)
        position = end
        if number in wanted or number in dialect.comment_rows:
            data_start = end
    first = rows.get(min(rows, default=1), [])
    labels = _joined([rows[row] for row in wanted if row in rows], dialect.header_join) if dialect.header else first
    return Header(tuple(labels), data_start, count_line_breaks(head, 0, data_start))


def _joined(rows: list[list[str]], join: str) -> list[str]:
    """The labels of several header rows; an empty cell adds nothing to its label."""
    width = max(map(len, rows), default=0)
    return [join.join(row[at] for row in rows if at < len(row) and row[at]) for at in range(width)]


def _scan(head: bytes, start: int, grammar: Grammar, whole: bool) -> tuple[int, Shape]:
    try:
        return scan_record(head, start, grammar, whole)
    except NeedMore:
        raise Terminal("header-too-long", f"the header does not end within {len(head)} bytes") from None


def _cells(head: bytes, start: int, end: int, shape: Shape, dialect: Dialect, original: Original) -> list[str]:
    if shape is Shape.UNCLOSED_QUOTE:
        raise Terminal("header-mismatch", "a quoted label in the header is not closed")
    try:
        return cells(record_bytes(head, start, end, dialect).decode(), dialect)
    except UnicodeDecodeError as error:
        byte = len(original.of(head[: start + error.start]))
        hint = '; if the file has another encoding, state it as "encoding" in the contract'
        raise Terminal("header-mismatch", f"byte {byte} of the header is not {original.encoding}{hint}") from None
