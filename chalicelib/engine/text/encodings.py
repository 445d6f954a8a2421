"""The encodings that a file may have, and the way from each to UTF-8 and back to the very same bytes.

A file that is not UTF-8 is rewritten as UTF-8 before it is cut into chunks. A byte that its encoding has no character
for is *escaped*: byte ``b`` becomes the code point U+DC00 + b, half of a surrogate pair, written in three bytes as
UTF-8 would write it. No valid text in any encoding has such a code point alone, and no UTF-8 reader accepts it: so a
chunk finds the byte as what it is, an ``encoding-error`` on its record, and the way back is exact.
(Python's ``surrogateescape`` (PEP 383) is the same idea, but knows no bytes below 128, of which UTF-16 has bad ones.)
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import field
from functools import lru_cache
from typing import Final

from chalicelib.frozen import frozen

UTF8: Final = "utf-8"

_WIDE: Final = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
_MULTIBYTE: Final = ("cp932", "gb18030", "big5", "cp949")
_SINGLE: Final = (
    "ascii",
    *(f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)),
    *(f"cp125{page}" for page in range(9)),
    *("cp437", "cp850", "cp852", "cp855", "cp858", "cp866", "cp874", "koi8-r", "koi8-u", "mac-roman"),
)  # fmt: skip

SUPPORTED: Final = (UTF8, *_WIDE, *_SINGLE, *_MULTIBYTE)
"""By Python's names. Codecs with a state (ISO-2022, UTF-7, HZ) are left out: in them a comma's byte may be half of a
character, and one bad byte changes the meaning of all that follows."""

_SUPERSETS: Final = {
    "utf-8-sig": UTF8,  # a byte order mark is always looked for
    "shift_jis": "cp932",  # what Windows and its spreadsheets write under that name
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "cp950": "big5",
    "euc_kr": "cp949",
}
"""Names of an encoding that another one contains."""
_CODECS: Final = {"big5": "cp950"}
"""Where the codec that reads an encoding best has another name."""
_ESCAPED: Final = re.compile("[\udc00-\udcff]+")
_SURROGATE: Final = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
_SHOWN: Final = "\ufffd".encode()
_ESCAPES: Final = [chr(0xDC00 + byte) for byte in range(256)]
_UNESCAPED: Final = {each: bytes([byte]) for byte, each in enumerate(_ESCAPES)}
_HANDLER: Final = "chalicelib.escape-bytes"
_BUILT_IN: Final = "surrogateescape"
"""Does likewise, in a fiftieth of the time, wherever it is one byte, from 128 on, that is no character."""


def canonical(name: str) -> str | None:
    """The name under which an encoding is known here; None for one that is not supported.

    Errors: ``LookupError`` where no encoding has this name.

    >>> canonical("Windows-1252"), canonical("latin-1"), canonical("Shift_JIS"), canonical("utf-7")
    ('cp1252', 'iso8859-1', 'cp932', None)
    """
    try:
        found = codecs.lookup(name).name
    except ValueError:  # a NUL in the name
        raise LookupError(name) from None
    found = _SUPERSETS.get(found, found)
    return found if found in SUPPORTED else None


def utf8_prefix(data: bytes, whole: bool) -> bytes:
    """``data`` without the character that its end cuts, where it is not the whole file."""
    if whole:
        return data
    for back in range(1, min(4, len(data) + 1)):
        if data[-back] & 0xC0 != 0x80:
            return data[:-back] if data[-back] >= 0xC0 else data
    return data


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    """The codecs' error handler: the bytes that could not be decoded, escaped, and where to go on; and the way back."""
    if isinstance(error, UnicodeDecodeError):
        # One byte costs no more than itself where characters share bytes with the delimiter, quote and line breaks; a
        # wide encoding goes on at its next unit, and the last bytes of a file at its end.
        alone = not error.encoding.startswith("utf") and not error.reason.startswith("incomplete")
        end = error.start + 1 if alone else error.end
        return "".join([_ESCAPES[byte] for byte in error.object[error.start : end]]), end
    if isinstance(error, UnicodeEncodeError) and (byte := _UNESCAPED.get(error.object[error.start])):
        return byte, error.start + 1
    raise error


codecs.register_error(_HANDLER, _escape)


def _handler(encoding: str) -> str:
    return _BUILT_IN if encoding in _SINGLE else _HANDLER


def decoder(encoding: str) -> codecs.IncrementalDecoder:
    """An incremental decoder that escapes what it cannot decode: it never raises and never loses a byte."""
    return codecs.getincrementaldecoder(_CODECS.get(encoding, encoding))(_handler(encoding))


def escaped_size(encoding: str) -> int:
    """How many bytes of its text stand for a byte that is no character."""
    return 1 if encoding == UTF8 else 3


def to_text(data: bytes, encoding: str) -> bytes:
    """Bytes of an encoding as escaped UTF-8."""
    return decoder(encoding).decode(data, True).encode("utf-8", "surrogatepass")


def readable(text: bytes) -> str:
    """Escaped UTF-8, or a UTF-8 file's own bytes, for people: every escaped byte is shown as U+FFFD, as are a surrogate
    and other bytes that are no character.
    """
    return _SURROGATE.sub(_SHOWN, text).decode("utf-8", "replace")


@frozen
class Original:
    """The way back from escaped UTF-8 to a file's own bytes."""

    encoding: str
    variants: Mapping[str, str] = field(default_factory=dict)
    """Character → its bytes in this file (hexadecimal), where the encoding has two ways to write it and the file does
    not use the codec's."""

    @property
    def codec(self) -> str:
        """Python's name of what reads and writes the encoding."""
        return _CODECS.get(self.encoding, self.encoding)

    @property
    def has_a_byte_for_each(self) -> bool:
        """Whether every character, or byte that is none, is one byte in the file."""
        return self.encoding in _SINGLE

    def of(self, text: bytes) -> bytes:
        """The bytes that were decoded to ``text``, which starts and ends at characters."""
        if self.encoding == UTF8:
            return text
        characters = text.decode("utf-8", "surrogatepass")
        if self.encoding not in _WIDE:  # whose codecs take no single byte from a handler
            return self._encoded(characters)
        position, pieces = 0, []
        for run in _ESCAPED.finditer(characters):
            pieces.append(self._encoded(characters[position : run.start()]))
            pieces.extend(map(_UNESCAPED.__getitem__, run[0]))
            position = run.end()
        pieces.append(self._encoded(characters[position:]))
        return b"".join(pieces)

    def writes_as_usual(self, characters: str) -> bool:
        """Whether ``of`` is what the encoding's codec would write."""
        return not any(each in self.variants for each in characters) if self.variants else True

    def _encoded(self, characters: str) -> bytes:
        codec, handler = self.codec, _handler(self.encoding)
        if not self.variants:
            return characters.encode(codec, handler)
        pattern = re.compile(f"([{''.join(map(re.escape, self.variants))}])")
        pieces = pattern.split(characters)
        return b"".join(
            bytes.fromhex(self.variants[piece]) if at % 2 else piece.encode(codec, handler)
            for at, piece in enumerate(pieces)
        )


class Variants:
    """Finds the characters that a file writes in another way than the codec would.

    Shift-JIS as Windows has it, and Big5, have two codes for some characters (kanji of both NEC and IBM; all codes of
    such a pair are of the same length). Windows writes those of IBM, Python those of NEC.
    """

    def __init__(self, encoding: str) -> None:
        self._codec = _CODECS.get(encoding, encoding)
        self._twice = _twice(self._codec) if encoding in _MULTIBYTE else None
        self.found: dict[str, str] = {}
        """As ``Original.variants``. Of a character that a file writes in both ways, the way of its first."""
        self._usual: set[str] = set()

    def look(self, raw: bytes, characters: str) -> None:
        """Learn from a stretch of the file and the characters that it was decoded to."""
        if self._twice is None or not self._twice.search(characters):
            return
        position, at = 0, 0
        for each in self._twice.finditer(characters):
            at += self._size(characters[position : each.start()])
            position, character = each.start(), each[0]
            code = raw[at : at + 2]
            if character in self.found or character in self._usual:
                continue
            if code == character.encode(self._codec):
                self._usual.add(character)
            else:
                self.found[character] = code.hex()

    def _size(self, characters: str) -> int:
        escaped = len(_ESCAPED.sub("", characters))
        return len(characters) - escaped + len(_ESCAPED.sub("", characters).encode(self._codec))


@lru_cache(maxsize=len(_MULTIBYTE))
def _twice(codec: str) -> re.Pattern[str] | None:
    """Matches the characters that two codes of two bytes stand for; None where there are none."""
    found = set()
    for lead in range(0x81, 0xFF):
        for trail in range(0x40, 0xFF):
            code = bytes((lead, trail))
            characters = to_text(code, codec).decode("utf-8", "surrogatepass")
            if len(characters) == 1 and characters.encode(codec) != code:
                found.add(characters)
    return re.compile(f"[{''.join(map(re.escape, sorted(found)))}]") if found else None


def characters_from(text: bytes, position: int) -> int:
    """The offset of the first character of ``text`` at or after ``position``."""
    while position < len(text) and text[position] & 0xC0 == 0x80:
        position += 1
    return position
