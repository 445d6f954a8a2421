"""A reader of whole files that is as slow and as plain as can be: byte by byte, cell by cell, from the rules in docs/.

It shares no code with the engine, so that whatever is fast there has something to be held against: which records there
are, where each one stands, every finding on it, and the values that are delivered.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

LF, CR, SPACE = 10, 13, 32


@dataclass(frozen=True)
class Rules:
    """A dialect, as bytes, and the limit on a record in bytes."""

    delimiter: bytes = b","
    quote: bytes | None = b'"'
    doubled: bool = True
    escape: bytes | None = None
    comment: bytes | None = None
    skip_space: bool = False
    header: bool = True
    limit: int = 1 << 20


@dataclass(frozen=True)
class Column:
    name: str
    read: Callable[[str], Any]
    """Errors: ``ValueError`` for a text that is no value."""
    keeps: Callable[[Any], bool] = lambda value: True
    """Whether a value keeps the column's one constraint."""
    required: bool = False
    unique: bool = False
    missing: tuple[str, ...] = ("",)


@dataclass
class Piece:
    """A record, a blank line or a comment."""

    start: int
    end: int
    """After its line break."""
    broken: str = ""
    """``unclosed-quote``, ``text-after-quote`` or ``dangling-escape``."""
    comment: bool = False


@dataclass
class Row:
    """A rejected record: its number from 1, physical line from 1, offset, bytes, and each finding as (field, code)."""

    record: int
    line: int
    byte: int
    raw: bytes
    errors: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Result:
    rejected: list[Row] = field(default_factory=list)
    delivered: list[tuple[Any, ...]] = field(default_factory=list)
    read: int = 0
    blank: int = 0


def integer(text: str) -> int:
    if not re.fullmatch("[+-]?[0-9]+", text) or not -(2**63) <= int(text) < 2**63:
        raise ValueError
    return int(text)


def number(text: str) -> float:
    if not re.fullmatch(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", text) or math.isinf(float(text)):
        raise ValueError
    return float(text)


def read(body: bytes, rules: Rules, columns: list[Column], key: str | None = None) -> Result:
    """``key``: the column that is the primary key."""
    start = 3 if body.startswith(b"\xef\xbb\xbf") else 0
    found = list(pieces(body, start, rules))
    if rules.header:
        while is_blank(body, found.pop(0)):
            pass
    result = Result(read=len(found))
    seen: dict[str, set[Any]] = {column.name: set() for column in columns}
    for number, piece in enumerate(found, start=1):
        if is_blank(body, piece):
            result.blank += 1
            continue
        raw = body[piece.start : piece.end]
        row = Row(number, line_of(body, piece.start), piece.start, without_break(raw, rules))
        values = judge(row, piece, raw, rules, columns)
        if key is not None:
            at = [column.name for column in columns].index(key)
            repeated(row, values[at], seen[f"{key}"], key, "primary-key")
        for at, column in enumerate(columns):
            if column.unique and values[at] is not None:
                repeated(row, values[at], seen[column.name], column.name, "unique-error")
        if row.errors:
            result.rejected.append(row)
        else:
            result.delivered.append(tuple(values))
    return result


def repeated(row: Row, value: Any, seen: set[Any], name: str, code: str) -> None:
    """Note a value that stood in an earlier record; a primary key that is missing."""
    if value is None or value in seen:
        row.errors.append((name, code))
    else:
        seen.add(value)


def judge(row: Row, piece: Piece, raw: bytes, rules: Rules, columns: list[Column]) -> list[Any]:
    """Note what is wrong with a record by itself; gives its values, None where there is none."""
    values: list[Any] = [None] * len(columns)
    if piece.broken:
        row.errors.append(("", piece.broken))
    if len(raw) > rules.limit:
        row.errors.append(("", "record-too-long"))
        return values
    if re.search("[\udc80-\udcff]", row.raw.decode("utf-8", "surrogateescape")):
        row.errors.append(("", "encoding-error"))
    if b"\0" in row.raw:
        row.errors.append(("", "nul-byte"))
    texts = cells(row.raw, rules)
    row.errors += [(column.name, "missing-cell") for column in columns[len(texts) :]]
    row.errors += [("", "extra-cell")] * (len(texts) - len(columns))
    for at, (cell, column) in enumerate(zip(texts, columns, strict=False)):
        try:
            text = cell.decode()
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            continue
        if text in column.missing:
            if column.required:
                row.errors.append((column.name, "constraint-error"))
            continue
        try:
            values[at] = column.read(text)
        except ValueError:
            row.errors.append((column.name, "type-error"))
            continue
        if not column.keeps(values[at]):
            row.errors.append((column.name, "constraint-error"))
    return values


def is_blank(body: bytes, piece: Piece) -> bool:
    return piece.comment or body[piece.start] in (LF, CR)


def line_of(body: bytes, offset: int) -> int:
    """Line (from 1) of a record's first byte. A LF after a CR is a part of the same break."""
    return 1 + sum(1 for at in range(offset) if body[at] == CR or (body[at] == LF and (at == 0 or body[at - 1] != CR)))


def without_break(raw: bytes, rules: Rules) -> bytes:
    """A record without the line break that ends it, if that is not escaped."""
    for end in (b"\n", b"\r"):
        if raw.endswith(end):
            before = raw[:-1]
            slashes = 0
            while rules.escape and before.endswith(rules.escape * (slashes + 1)):
                slashes += 1
            if slashes % 2:
                return raw
            raw = before
    return raw


def pieces(body: bytes, start: int, rules: Rules) -> Iterator[Piece]:
    while start < len(body):
        piece = next_piece(body, start, len(body), rules, limited=True)
        if piece.broken == "unclosed-quote":
            for number, (first, end) in enumerate(lines(body, start, piece.end)):
                if number:
                    alone = next_piece(body, first, end, rules, limited=False)
                    yield Piece(first, end, alone.broken, alone.comment)
                else:
                    yield Piece(first, end, piece.broken)
        else:
            yield piece
        start = piece.end


def lines(body: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    first = start
    for at in range(start, end):
        if body[at] == LF or (body[at] == CR and body[at + 1 : at + 2] != b"\n"):
            yield first, at + 1
            first = at + 1
    if first < end:
        yield first, end


def next_piece(body: bytes, start: int, end: int, rules: Rules, *, limited: bool) -> Piece:
    """The record that starts at ``start`` of ``body[:end]``; an unclosed one reaches up to where it is cut."""
    quote, escape, delimiter, comment = (
        char[0] if char else -1 for char in (rules.quote, rules.escape, rules.delimiter, rules.comment)
    )
    if body[start] == comment:
        return Piece(start, next(stop for _, stop in lines(body, start, end)), comment=True)
    where, broken, at = "cell", "", start
    while at < end:
        byte = body[at]
        after = at + 1
        if byte == escape:
            if where == "closed":
                broken = "text-after-quote"
            if after == end:
                return Piece(start, end, "unclosed-quote" if where == "quoted" else "dangling-escape")
            if where == "quoted":
                if limited and body[after] in (LF, CR) and after - start > rules.limit:
                    return Piece(start, break_end(body, after, end), "unclosed-quote")
            else:
                where = "text"
                if after + 1 == end and body[after] in (LF, CR):
                    return Piece(start, end, "dangling-escape")
            at += 2
            continue
        if where == "quoted":
            if byte == quote:
                where = "closed"
            elif limited and byte in (LF, CR) and at - start > rules.limit:
                return Piece(start, break_end(body, at, end), "unclosed-quote")
        elif where == "closed" and byte == quote and rules.doubled:
            where = "quoted"
        elif byte in (LF, CR):
            return Piece(start, break_end(body, at, end), broken)
        elif byte == delimiter:
            where = "cell"
        elif where == "cell" and byte == quote:
            where = "quoted"
        elif where == "cell" and byte == SPACE and rules.skip_space:
            pass
        else:
            if where == "closed":
                broken = "text-after-quote"
            where = "text"
        at += 1
    return Piece(start, end, "unclosed-quote" if where == "quoted" else broken)


def break_end(body: bytes, at: int, end: int) -> int:
    return at + (2 if body[at : min(at + 2, end)] == b"\r\n" else 1)


def cells(raw: bytes, rules: Rules) -> list[bytes]:
    """The cells of one record: text after a closing quote belongs to the cell, an unclosed quote ends with the record,
    and an escape at the end is itself.
    """
    found: list[bytes] = []
    cell, where, at = b"", "cell", 0
    while at < len(raw):
        char = raw[at : at + 1]
        if char == rules.escape:
            cell += raw[at + 1 : at + 2] or char
            where = "quoted" if where == "quoted" else "text"
            at += 2
            continue
        if where == "quoted" and char == rules.quote:
            where = "closed"
        elif where == "quoted":
            cell += char
        elif where == "closed" and char == rules.quote and rules.doubled:
            cell += char
            where = "quoted"
        elif char == rules.delimiter:
            found.append(cell)
            cell, where = b"", "cell"
        elif where == "cell" and char == rules.quote:
            where = "quoted"
        elif not (where == "cell" and char == b" " and rules.skip_space):
            cell += char
            where = "text"
        at += 1
    return [*found, cell]
