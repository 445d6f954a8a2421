"""A CSV's dialect, and reading it from a Table Dialect descriptor (https://datapackage.org/standard/table-dialect/)."""

from __future__ import annotations

import itertools
import json
from typing import Any, Final, Self

from chalicelib.engine.contract.descriptor import Node, shown
from chalicelib.frozen import frozen

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
KEYS: Final = (*_CHARACTERS, *_FLAGS, *_ROWS, "headerJoin", *_ONLY)
"""The properties of a CSV's dialect."""


@frozen
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


def without_header(detected: Dialect) -> str:
    """A contract's ``dialect`` that passes over the header, and what stands above it."""
    rows = [*detected.comment_rows, *detected.header_rows]
    return snippet(detected, header=False, commentRows=rows)


def below_header(detected: Dialect) -> str:
    """A contract's ``dialect`` that passes over what was taken for the header, too: the next row is it."""
    rows = [*detected.comment_rows, *detected.header_rows]
    return snippet(detected, commentRows=rows, headerRows=[max(rows) + 1])


def snippet(detected: Dialect, **keys: Any) -> str:
    """A contract's ``dialect`` with these keys and the delimiter that was detected: where a contract has a dialect,
    nothing of it is detected.
    """
    delimiter = {} if detected.delimiter == Dialect().delimiter else {"delimiter": detected.delimiter}
    return json.dumps(delimiter | keys)


def read_dialect(node: Node) -> Dialect:
    """A Table Dialect descriptor. Errors: ``InvalidContract`` for what is wrong, unknown or not supported."""
    if isinstance(node.value, str):
        raise node.refusal("refers to another document; write the dialect here")
    node.only((*KEYS, *_HARMLESS, *_NOT_DELIMITED))
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
    if dialect.header and "headerRows" not in node.members() and 1 in dialect.comment_rows:
        # Sluice could take the next row for the header, but by the standard it is row 1 if nothing else is said.
        header = next(row for row in itertools.count(1) if row not in dialect.comment_rows)
        raise node.child("commentRows").refusal(
            f'passes over row 1, which is the header if nothing else is said; write "headerRows": [{header}] besides'
        )
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
