"""Whether the file is a CSV, and of which dialect: given by the contract, or found in the head of its text.

What the contract gives is taken as it is. A ``dialect`` in the contract gives all of it: by Table Dialect, a property
that it leaves out has the standard's default. Without one, the delimiter and the header are detected, or told by a line
for Excel.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.text import signatures
from chalicelib.errors import Terminal
from chalicelib.frozen import frozen

if TYPE_CHECKING:
    from chalicelib.engine.contract import Contract

UTF8_BOM: Final = b"\xef\xbb\xbf"
_JSON_TYPES: Final = ("object", "array", "geojson", "geopoint")

_REJECTS = re.compile(rb'"?_record"?([,;\t|])"?_line"?\1"?_errors"?(?:\1|[\r\n])')
"""The start of a rejects.csv, which is written in one dialect whatever that of the file was; a spreadsheet may have put
the delimiter of its own locale into it. No field can have these labels.
"""

_SEPARATOR = re.compile(rb'("?)sep=([\t !#-/:-@\[-`{-~])\1[ \t]*(?:\r\n|\n|\r)')
"""A first line by which Excel is told the delimiter, no letter or digit: it is no record, and no program's label."""


@frozen
class Sniffed:
    """What ``sniff`` found out about a file."""

    bom_bytes: int
    """Length of the byte order mark; the first record starts after it."""
    dialect: Dialect
    confidence: float
    """0 to 1: how sure the detected properties are; 1 where nothing had to be detected."""
    chosen: tuple[str, ...]
    """Names of the properties that were detected rather than given: ``encoding``, ``delimiter``, ``header``."""


def is_rejects(head: bytes) -> bool:
    """Whether a file begins as a rejects.csv does, perhaps after a byte order mark of UTF-8."""
    return _REJECTS.match(head.removeprefix(UTF8_BOM)) is not None


def _has_json(contract: Contract | None) -> bool:
    """Whether a file of this contract may begin with a cell that is JSON."""
    return contract is not None and any(field.type in _JSON_TYPES for field in contract.fields)


def sniff(head: bytes, contract: Contract | None, *, whole: bool) -> Sniffed:
    """Find out what is needed to read a file.

    ``head``: the first bytes of its text as UTF-8; ``whole``: whether they are all of it.

    Errors: ``Terminal("empty-file")``; ``Terminal("not-csv")``, whose message names what the file is.
    """
    if not head:
        raise Terminal("empty-file", "the file has no bytes")
    signatures.refuse_foreign(head)
    if signatures.is_json(head) and not _has_json(contract):
        raise Terminal("not-csv", "the file is JSON")
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
    from chalicelib.engine.text import detect  # with its expressions 2 ms that a given dialect spares

    names = None if contract is None else [field.name for field in contract.fields]
    typed = () if contract is None else tuple(field.type not in ("string", "any") for field in contract.fields)
    separator = _SEPARATOR.match(body)
    text = body[separator.end() if separator else 0 :].decode("utf-8", errors="replace")
    delimiter = detect.Detected(separator[2].decode(), 1.0) if separator else detect.delimiter(text, names, whole=whole)
    records = detect.records(text, delimiter.value, whole=whole)
    header = detect.header(records, names, typed)
    dialect = replace(Dialect(), delimiter=delimiter.value, header=header.value)
    if separator:
        dialect = replace(dialect, comment_rows=(1,), header_rows=(2,) if header.value else dialect.header_rows)
    confidence = round(min(delimiter.confidence, header.confidence), 3)
    return Sniffed(bom_bytes, dialect, confidence, (*chosen, "delimiter", "header"))
