"""What a file is that is packed, or no CSV: told by the bytes that its format starts with, or by what no text has."""

from __future__ import annotations

import json
import re
from typing import Final

from chalicelib.errors import Terminal

_BINARY: Final = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x1f\x8b", "gzip data"),
    (b"\x28\xb5\x2f\xfd", "Zstandard data"),
    (b"\xfd7zXZ\x00", "xz data"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Microsoft Office document (such as .xls)"),
    (b"\x7fELF", "an ELF program"),
    (b"Obj\x01", "an Avro file"),
    (b"ARROW1\x00\x00", "an Arrow file"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
)
"""Signatures with a byte that no CSV starts with."""

_LETTERS: Final = (
    (b"PAR1", "a Parquet file"),
    (b"ORC", "an ORC file"),
    (b"BZh", "bzip2 data"),
    (b"GIF8", "a GIF image"),
    (b"RIFF", "a RIFF file (such as WebP or WAV)"),
)
"""Signatures that could be the start of a label: they count where binary data follows."""

_PACKED: Final = (
    ("gzip", b"\x1f\x8b\x08"),
    ("zstd", b"\x28\xb5\x2f\xfd"),
    ("xz", b"\xfd7zXZ\x00"),
    ("bzip2", b"BZh"),
    ("zip", b"PK\x03\x04"),
    ("zip", b"PK\x05\x06"),
)
_BZIP2_BLOCKS: Final = (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")
"""What follows the level: a block, or the end of an empty stream."""
_SKIPPABLE: Final = frozenset(bytes((low, 0x2A, 0x4D, 0x18)) for low in range(0x50, 0x60))
"""First bytes of zstd frames that carry no data: pzstd and others start files with one."""

_WORKBOOK = re.compile(rb"xl/|\[Content_Types\]\.xml")
_HTML = re.compile(rb"(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)[\s>]", re.I | re.S)
_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\r\f\v\x1b\x1c\x1d\x1e\x1f\x1a\x08")
_PEEK_BYTES = 4096

_NULS_SHARE: Final = 1 / 2
_CONTROL_SHARE: Final = 1 / 50
"""Binary data has some 7 in 100; text has none."""
_LINES_WITH_NUL: Final = 8


def compression(head: bytes) -> str | None:
    """The compression of a file that starts with ``head``: gzip, zstd, bzip2, xz, zip; None where it has none."""
    if head[:4] in _SKIPPABLE:
        return "zstd"
    for name, signature in _PACKED:
        if head.startswith(signature):
            # "BZh" may be a label's first letters. What ends here was cut short.
            magic = head[4:10]
            block = len(magic) > 1 and any(each.startswith(magic) for each in _BZIP2_BLOCKS)
            real = name != "bzip2" or (head[3:4].isdigit() and block)
            return name if real else None
    return None


def foreign_format(head: bytes) -> str:
    """The format of a file that is not a CSV, for people; an empty text where it may be one."""
    for signature, name in _BINARY:
        if head.startswith(signature):
            return name
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "an Excel workbook or another Office document" if _WORKBOOK.search(head) else "a zip archive"
    for signature, name in _LETTERS:
        if head.startswith(signature) and not _CONTROL.isdisjoint(head[:_PEEK_BYTES]):
            return name
    if re.match(rb"%PDF-\d", head):
        return "a PDF document"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if _HTML.match(text):
        return "an HTML page"
    if text.startswith((b"<?xml", b"<svg")):
        return "an XML document"
    return ""


def refuse_foreign(head: bytes) -> None:
    """Errors: ``Terminal("not-csv")``, whose message names what the file is."""
    name = foreign_format(head)
    if name:
        raise Terminal("not-csv", f"the file is {name}")


def is_binary(head: bytes) -> bool:
    """Whether the NUL bytes are those of binary data. In a text each costs its own record, however short the text is.

    Binary is what is at least half NULs, what has other control characters beside them, and what has NULs in most of
    its lines.
    """
    nuls = head.count(0)
    if not nuls:
        return False
    if nuls >= len(head) * _NULS_SHARE or _controls(head) > len(head) * _CONTROL_SHARE:
        return True
    lines = head.splitlines()
    holding = sum(0 in line for line in lines)
    return holding >= _LINES_WITH_NUL and holding * 2 > len(lines)


def _controls(head: bytes) -> int:
    """How many bytes are control characters that no text has, NUL not counted."""
    return len(head) - len(head.translate(None, bytes(_CONTROL - {0})))


def is_json(head: bytes) -> bool:
    """Whether a file starts with a JSON array or object, on one line (JSON Lines) or laid out over several."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text.startswith((b"{", b"[")):
        return False
    first_line = text.split(b"\n", 1)[0].strip()
    try:
        return isinstance(json.loads(first_line), dict | list)
    except (ValueError, RecursionError):
        # Cut by the head's end, or laid out over lines: an object's first token is a key and a colon.
        return re.match(rb'(?:\[\s*)?\{\s*(?:\}|"(?:[^"\\\n]|\\.)*"\s*:)|\[\s*\n\s*["\d\[{]', text) is not None
