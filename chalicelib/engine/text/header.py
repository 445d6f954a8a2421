"""The header: what the columns are called, and where the first record begins."""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.records.automaton import (
    Grammar,
    NeedMore,
    Shape,
    count_line_breaks,
    line_end,
    lines,
    scan_record,
)
from chalicelib.engine.records.lenient import cells, record_bytes
from chalicelib.engine.text.encodings import Original
from chalicelib.errors import Terminal
from chalicelib.frozen import frozen


@frozen
class Header:
    """What stands before a file's first record."""

    labels: tuple[str, ...]
    """One per column; for a file without a header, the cells of its first sound record (none where there is none)."""
    data_start: int
    """Offset of the first record after the header."""
    lines: int
    """Physical lines before it."""


def read_header(
    head: bytes, start: int, dialect: Dialect, grammar: Grammar, *, whole: bool, original: Original
) -> Header:
    """Read the header from the object's first bytes, beginning at ``start`` (after a byte order mark).

    Blank lines and comments are not rows. Rows are numbered from 1; those that the dialect calls ``headerRows`` are the
    header, cell by cell joined by ``headerJoin``, those in ``commentRows`` are passed over: a record each, or a line
    where the quotes are not sound.

    Errors: ``Terminal("header-too-long")``, ``Terminal("header-mismatch")``.
    """
    wanted = dialect.header_rows if dialect.header else ()
    last = max((*wanted, *dialect.comment_rows), default=0)
    rows: list[list[str]] = []
    position, data_start, number = start, start, 0
    while number < last and position < len(head):
        scan = scan_record if number + 1 in wanted else _scan_passed_over
        try:
            end, shape = scan(head, position, grammar, whole)
        except NeedMore:
            raise Terminal("header-too-long", f"the header does not end within {len(head)} bytes") from None
        if _is_row(head, position, shape):
            number += 1
            if number in wanted:
                rows.append(_cells(head, position, end, shape, dialect, original))
            data_start = end
        position = end
    labels = _joined(rows, dialect.header_join) if dialect.header else _first(head, data_start, dialect, grammar, whole)
    return Header(tuple(labels), data_start, count_line_breaks(head, 0, data_start))


def _is_row(head: bytes, start: int, shape: Shape) -> bool:
    return shape is not Shape.COMMENT and head[start] not in b"\r\n"


def _first(head: bytes, start: int, dialect: Dialect, grammar: Grammar, whole: bool) -> list[str]:
    """The cells of the first record that nothing is wrong with: a broken one cannot tell how many cells there are, and
    costs no more than itself.
    """
    for first, end, shape in _records(head, start, grammar, whole):
        if shape is Shape.REGULAR and _is_row(head, first, shape):
            try:
                return cells(record_bytes(head, first, end, dialect).decode(), dialect)
            except UnicodeDecodeError:
                continue  # a finding on that record, once it is read
    return []


def _records(head: bytes, start: int, grammar: Grammar, whole: bool) -> Iterator[tuple[int, int, Shape]]:
    """Start, end and shape of each record that ends in the head; as with ``split``, the lines of a stretch after a
    quote that is never closed are records of their own.
    """
    while start < len(head):
        try:
            end, shape = scan_record(head, start, grammar, whole)
        except NeedMore:
            return
        if shape is Shape.UNCLOSED_QUOTE:
            for number, (first, after) in enumerate(lines(head, start, end)):
                yield first, after, scan_record(head[first:after], 0, grammar, True)[1] if number else shape
        else:
            yield start, end, shape
        start = end


def _joined(rows: list[list[str]], join: str) -> list[str]:
    """The labels of several header rows; an empty cell adds nothing to its label."""
    width = max(map(len, rows), default=0)
    return [join.join(row[at] for row in rows if at < len(row) and row[at]) for at in range(width)]


def _scan_passed_over(head: bytes, start: int, grammar: Grammar, whole: bool) -> tuple[int, Shape]:
    """As ``scan_record``, for a row that is passed over, of which nothing is told: where its quotes are not sound, or
    not closed within the head, it ends with its first line, so that no record behind it is passed over with it.
    """
    try:
        end, shape = scan_record(head, start, grammar, whole)
    except NeedMore:
        end, shape = start, Shape.UNCLOSED_QUOTE
    return (end if shape in (Shape.REGULAR, Shape.COMMENT) else line_end(head, start, whole)), shape


def _cells(head: bytes, start: int, end: int, shape: Shape, dialect: Dialect, original: Original) -> list[str]:
    if shape is Shape.UNCLOSED_QUOTE:
        raise Terminal("header-mismatch", "a quoted label in the header is not closed")
    try:
        raw = record_bytes(head, start, end, dialect)
        if (nul := raw.find(0)) >= 0:
            raise Terminal("header-mismatch", f"byte {len(original.of(head[: start + nul]))} of the header is NUL")
        return cells(raw.decode(), dialect)
    except UnicodeDecodeError as error:
        byte = len(original.of(head[: start + error.start]))
        hint = '; if the file has another encoding, state it as "encoding" in the contract'
        raise Terminal("header-mismatch", f"byte {byte} of the header is not {original.encoding}{hint}") from None
