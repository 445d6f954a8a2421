"""Which encoding a file has: said by its byte order mark or its contract, or found where nothing else can be meant.

The rule, in this order:

1. A byte order mark of UTF-8, UTF-16 or UTF-32 decides. A contract that says otherwise refuses the file.
2. The contract's ``encoding`` decides.
3. Text of which every second (or three in four) bytes is NUL, and which decodes without fault, is UTF-16 (UTF-32).
4. Otherwise the file is UTF-8, unless at least ``EVIDENCE`` of its head's bytes are not UTF-8, no more of its other
   bytes are multi-byte characters of UTF-8 than there would be by chance, and exactly one of the encodings in
   ``candidates`` explains them all as plausible text.

A wrong guess loses nothing: bytes that the encoding has no character for are findings on their records, and the job
tells what was chosen and how surely.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from chalicelib.engine.text import encodings
from chalicelib.errors import Terminal
from chalicelib.frozen import frozen

EVIDENCE: Final = 8
"""Bytes that are not UTF-8, at the least, before another encoding is thought of: fewer may be damage, or one name."""

_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\xfe\xff", "utf-16-be"),
    (b"\xff\xfe", "utf-16-le"),
)
"""Byte order marks, UTF-32's before UTF-16's: one starts with the other."""

_NULS_SHARE: Final = 0.6
_SAMPLE_BYTES: Final = 4096
_MULTIBYTE: Final = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|"
    rb"\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
_HIGH: Final = bytes(range(128, 256))


@frozen
class Charset:
    """A file's encoding, and how it is known."""

    encoding: str
    """One of ``encodings.SUPPORTED``; of UTF-16 and UTF-32, with its byte order."""
    confidence: float
    """0 to 1; 1 where the contract or a byte order mark says it, or where all of the head is valid UTF-8."""
    chosen: bool
    """Whether it was found rather than given by the contract."""
    resembles: tuple[str, ...] = ()
    """Of UTF-8 with bytes that are not: the encodings in which they would be plausible text. To be told, not used."""


def find(head: bytes, stated: str | None, *, whole: bool) -> Charset:
    """``head``: the (unpacked) file's first bytes; ``whole``: whether they are all; ``stated``: by the contract.

    Errors: ``Terminal("encoding-mismatch")``; ``Terminal("unsupported-encoding")``: UTF-16 or UTF-32 whose byte order
    is not to be known.
    """
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if stated is not None:
        agreed = _agreed(head, stated, marked)
        doubted = agreed == encodings.UTF8 and marked is None and not is_utf8(head)
        return Charset(agreed, 1.0, False, _resembled(head) if doubted else ())
    if marked is not None:
        return Charset(marked, 1.0, True)
    wide = _wide(head)
    if wide is not None and head.strip(b"\0\r\n"):  # NULs and line breaks alone are no text in any encoding
        if not _decodes(head, wide):
            name = wide.upper()
            raise Terminal(
                "unsupported-encoding",
                f"the file looks like {name} without a byte order mark, but is not: if it is, give the contract the"
                f' "encoding": "{wide}"',
            )
        return Charset(wide, 0.9, True)
    return _of_bytes(head, whole)


def _agreed(head: bytes, stated: str, marked: str | None) -> str:
    """The contract's encoding, with a byte order."""
    if marked is not None and not marked.startswith(stated):
        raise Terminal(
            "encoding-mismatch",
            f"the file starts with the byte order mark of {marked}, its contract says {stated}",
        )
    if stated not in ("utf-16", "utf-32"):
        return stated
    found = marked or _wide(head)
    if found is None or not found.startswith(stated):
        raise Terminal(
            "unsupported-encoding",
            f"the file has no byte order mark, and its byte order is not to be seen: let its contract say"
            f' "{stated}-le" or "{stated}-be"',
        )
    return found


def _wide(head: bytes) -> str | None:
    """UTF-16 or UTF-32 by its NULs: of a text in a Western script nearly every high byte is one, and no low byte."""
    sample = head[: min(_SAMPLE_BYTES, len(head) // 4 * 4)] or head[:2]
    if not sample:
        return None
    shares = [sample[lane::4].count(0) / max(len(sample[lane::4]), 1) for lane in range(4)]
    empty = (shares[0] > _NULS_SHARE, shares[1] > _NULS_SHARE, shares[2] > _NULS_SHARE, shares[3] > _NULS_SHARE)
    return {
        (True, True, True, False): "utf-32-be",
        (False, True, True, True): "utf-32-le",
        (True, False, True, False): "utf-16-be",
        (False, True, False, True): "utf-16-le",
    }.get(empty)


def _decodes(head: bytes, encoding: str) -> bool:
    """Whether the head is text in a wide encoding (its last character may be cut)."""
    unit = 4 if encoding.startswith("utf-32") else 2
    text = head[: len(head) // unit * unit].decode(encoding, "replace")
    return "\ufffd" not in text[:-1] and "\0" not in text


def is_utf8(head: bytes) -> bool:
    """Whether a file's first bytes are UTF-8; the last character may be cut."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _of_bytes(head: bytes, whole: bool) -> Charset:
    """UTF-8, or the one candidate that explains what is not."""
    try:
        encodings.utf8_prefix(head, whole).decode()
    except UnicodeDecodeError:
        rest = _MULTIBYTE.sub(b"", head)
        bad = len(rest) - len(rest.translate(None, _HIGH))
        good = len(head) - len(rest)
        if bad >= EVIDENCE:
            from chalicelib.engine.text import candidates  # with its expressions 1.5 ms that UTF-8 spares

            found = candidates.only(head)
            if found is not None and good <= bad * found.chance:
                return Charset(found.encoding, found.confidence, True)
        return Charset("utf-8", round(good / (good + bad), 3), True, _resembled(head))
    return Charset("utf-8", 1.0, True)


def _resembled(head: bytes) -> tuple[str, ...]:
    from chalicelib.engine.text import resemblance  # like the candidates

    return resemblance.resembled(head)
