"""What the file is: its encoding and its CSV dialect, given by the contract or found in the object's head.

What the contract gives is taken as it is. A ``dialect`` in the contract gives all of it: by Table Dialect, a property
that it leaves out has the standard's default. Without one, the delimiter and the header are detected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

from chalicelib.engine.contract.descriptor import Node, shown
from chalicelib.engine.text import detect, signatures
from chalicelib.errors import Terminal

if TYPE_CHECKING:
    from chalicelib.engine.contract import Contract

UTF8_BOM: Final = b"\xef\xbb\xbf"

MAX_PREAMBLE_ROWS: Final = 1000

_NOT_DELIMITED: Final = ("property", "itemType", "itemKeys", "sheetNumber", "sheetName", "table")
"""Properties of other formats; Table Dialect has them ignored."""
_HARMLESS: Final = ("$schema", "profile", "title", "description", "name", "csvddfVersion")
_ONLY: Final = {
    "nullSequence": (),
    "caseSensitiveHeader": (True,),
    "lineTerminator": ("\r\n", "\n", "\r"),
}
"""Properties that change nothing where they have one of these values, and are not supported otherwise."""
_CHARACTERS: Final = ("delimiter", "quoteChar", "escapeChar", "commentChar")
_FLAGS: Final = ("doubleQuote", "header", "skipInitialSpace")
_ROWS: Final = ("headerRows", "commentRows")


@dataclass(frozen=True, slots=True)
class Dialect:
    """The properties of Table Dialect (https://datapackage.org/standard/table-dialect/) that Sluice knows."""

    delimiter: str = ","
    quote_char: str | None = '"'
    """None: a quote is a character like any other."""
    double_quote: bool = True
    escape_char: str | None = None
    header: bool = True
    skip_initial_space: bool = False
    comment_char: str | None = None
    header_rows: tuple[int, ...] = (1,)
    """Numbers (from 1) of the rows that are the header, where there is one."""
    header_join: str = " "
    comment_rows: tuple[int, ...] = ()
    """Numbers (from 1) of the rows before the first record that are passed over."""

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """From ``dataclasses.asdict``, as JSON gave it back."""
        rows = {key: tuple(document[key]) for key in ("header_rows", "comment_rows")}
        return cls(**document | rows)


@dataclass(frozen=True, slots=True)
class Sniffed:
    """What ``sniff`` found out about a file."""

    bom_bytes: int
    """Length of the byte order mark; the first record starts after it."""
    dialect: Dialect
    confidence: float
    """0 to 1: how sure the detected properties are; 1 where nothing had to be detected."""
    chosen: tuple[str, ...]
    """Names of the properties that were detected rather than given: ``encoding``, ``delimiter``, ``header``."""


def read_dialect(node: Node) -> Dialect:
    """A Table Dialect descriptor. Errors: ``InvalidContract`` for what is wrong, unknown or not supported."""
    if isinstance(node.value, str):
        raise node.refusal("refers to another document; write the dialect here")
    node.only((*_CHARACTERS, *_FLAGS, *_ROWS, "headerJoin", *_ONLY, *_HARMLESS, *_NOT_DELIMITED))
    for key, harmless in _ONLY.items():
        child = node.get(key)
        if child is not None and child.value not in harmless:
            hint = "; add it to schema.missingValues instead" if key == "nullSequence" else ""
            raise child.refusal(f"is not supported with this value{hint}")
    characters = {key: _character(child) for key in _CHARACTERS if (child := node.get(key)) is not None}
    flags = {key: child.flag() for key in _FLAGS if (child := node.get(key)) is not None}
    dialect = Dialect(
        delimiter=characters.get("delimiter", ",") or "",
        quote_char=characters.get("quoteChar", '"'),
        double_quote=flags.get("doubleQuote", True),
        escape_char=characters.get("escapeChar"),
        header=flags.get("header", True),
        skip_initial_space=flags.get("skipInitialSpace", False),
        comment_char=characters.get("commentChar"),
        header_rows=_rows(node, "headerRows", (1,)),
        header_join=join.text(empty=True) if (join := node.get("headerJoin")) is not None else " ",
        comment_rows=_rows(node, "commentRows", ()),
    )
    if not dialect.delimiter:
        raise node.child("delimiter").refusal("is null, expected one ASCII character")
    _refuse_clashes(node, dialect)
    return dialect


def _rows(node: Node, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
    child = node.get(key)
    return default if child is None else tuple(sorted({each.whole(1, MAX_PREAMBLE_ROWS) for each in child.items()}))


def _refuse_clashes(node: Node, dialect: Dialect) -> None:
    """Characters that mean two things; rows that are passed over in the midst of the records."""
    special = [" "] if dialect.skip_initial_space else []
    for key, char in zip(
        _CHARACTERS, (dialect.delimiter, dialect.quote_char, dialect.escape_char, dialect.comment_char), strict=True
    ):
        if char in special:
            raise node.child(key).refusal(f"is {shown(char)}, which has another meaning in this dialect already")
        special += [char] if char else []
    preamble = sorted((*(dialect.header_rows if dialect.header else ()), *dialect.comment_rows))
    if dialect.header and not dialect.header_rows:
        raise node.child("headerRows").refusal("is empty; say header: false instead")
    if preamble != list(range(1, len(preamble) + 1)):
        key = "commentRows" if dialect.comment_rows else "headerRows"
        raise node.child(key).refusal(
            f"the header and the comment rows are {preamble}, expected rows 1 to {len(preamble)}, each once;"
            " a comment among the records needs commentChar"
        )


def _character(node: Node) -> str | None:
    """One ASCII character, or null for none."""
    if node.value is None:
        return None
    text = node.text(empty=True)
    # Records are found by bytes; a line break ends one, whatever the dialect.
    if len(text) != 1 or not text.isascii() or text in "\r\n\0":
        raise node.refusal(f"is {shown(text)}, expected one ASCII character that is no line break")
    return text


_REJECTS = re.compile(rb'"?_record"?([,;\t|])"?_line"?\1"?_errors"?(?:\1|[\r\n])')
"""The start of a rejects.csv, which is written in one dialect whatever that of the file was; a spreadsheet may have put
the delimiter of its own locale into it. No field can have these labels.
"""


def is_rejects(head: bytes) -> bool:
    """Whether a file begins as a rejects.csv does, perhaps after a byte order mark of UTF-8."""
    return _REJECTS.match(head.removeprefix(UTF8_BOM)) is not None


def sniff(head: bytes, contract: Contract | None, *, whole: bool) -> Sniffed:
    """Find out what is needed to read a file.

    ``head``: the first bytes of its text as UTF-8; ``whole``: whether they are all of it.

    Errors: ``Terminal("empty-file")``; ``Terminal("not-csv")``, whose message names what the file is.
    """
    if not head:
        raise Terminal("empty-file", "the file has no bytes")
    signatures.refuse_foreign(head)
    if signatures.is_binary(head):
        raise Terminal("not-csv", "the file is binary data: it has NUL bytes")
    bom_bytes = len(UTF8_BOM) if head.startswith(UTF8_BOM) else 0
    body = head[bom_bytes:]
    if not body and whole:
        raise Terminal("empty-file", "the file has nothing but a byte order mark")
    chosen: list[str] = []
    if contract is None or contract.encoding is None:
        chosen.append("encoding")
    rejects = _REJECTS.match(body)
    if rejects:
        dialect = replace(Dialect(), delimiter=rejects[1].decode())
        return Sniffed(bom_bytes, dialect, 1.0, (*chosen, "delimiter", "header"))
    if contract is not None and contract.dialect is not None:
        return Sniffed(bom_bytes, contract.dialect, 1.0, tuple(chosen))
    names = None if contract is None else [field.name for field in contract.fields]
    typed = () if contract is None else tuple(field.type not in ("string", "any") for field in contract.fields)
    text = body.decode("utf-8", errors="replace")
    delimiter = detect.delimiter(text, names, whole=whole)
    records = detect.records(text, delimiter.value, whole=whole)
    header = detect.header(records, names, typed)
    dialect = replace(Dialect(), delimiter=delimiter.value, header=header.value)
    confidence = round(min(delimiter.confidence, header.confidence), 3)
    return Sniffed(bom_bytes, dialect, confidence, (*chosen, "delimiter", "header"))
