"""A file on its way to UTF-8: decoded piece by piece, with what leads from its text back to its own bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from chalicelib.engine.text.encodings import UTF8, Original, Variants, characters_from, decoder
from chalicelib.errors import Terminal
from chalicelib.frozen import frozen


@frozen
class Limits:
    """What a compressed file may unpack to."""

    size_bytes: int
    """Most bytes, whatever the file's size."""
    ratio: float
    """Most bytes per byte of the compressed file …"""
    ratio_above_bytes: int
    """… once there are so many: a small file that packs well is no bomb."""

    def check(self, unpacked_bytes: int, packed_bytes: int) -> None:
        """Errors: ``Terminal("expansion-limit")``."""
        if unpacked_bytes > self.size_bytes:
            raise Terminal(
                "expansion-limit", f"the file unpacks to more than {self.size_bytes:,} bytes, which is the limit"
            )
        if unpacked_bytes > max(self.ratio_above_bytes, self.ratio * packed_bytes):
            raise Terminal(
                "expansion-limit",
                f"the file's {packed_bytes:,} bytes unpack to more than {unpacked_bytes:,}, the limit is"
                f" {self.ratio:g} to 1",
            )


def limited(pieces: Iterable[bytes], limits: Limits, packed_bytes: int) -> Iterator[bytes]:
    """The unpacked pieces, as long as they are within the limits. Errors: ``Terminal("expansion-limit")``."""
    unpacked = 0
    for piece in pieces:
        unpacked += len(piece)
        limits.check(unpacked, packed_bytes)
        yield piece


class Rewriter:
    """Decodes a file. Once ``text`` is through, the other attributes tell about all of it."""

    def __init__(self, encoding: str, step_bytes: int) -> None:
        """``step_bytes``: how far the marks are apart in the text."""
        self._decoder = None if encoding == UTF8 else decoder(encoding)
        self._step = step_bytes
        self._encoding = encoding
        self._variants = Variants(encoding)
        self.size_bytes = 0
        """Of the text."""
        self.original_bytes = 0
        """Of the file (unpacked)."""
        self.origins: list[int] = []
        """For every ``step_bytes`` of the text: the original offset of the first character at or after. None of them
        for UTF-8, whose text is the file itself."""

    @property
    def variants(self) -> dict[str, str]:
        """See ``encodings.Original``."""
        return self._variants.found

    def text(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The text, in about as many pieces."""
        for piece in pieces:
            yield self._decoded(piece, final=False)
        last = self._decoded(b"", final=True)
        if last:
            yield last

    def _decoded(self, piece: bytes, *, final: bool) -> bytes:
        if self._decoder is None:
            self.original_bytes += len(piece)
            self.size_bytes += len(piece)
            return piece
        pending = self._decoder.getstate()[0]
        characters = self._decoder.decode(piece, final)
        raw = pending + piece
        raw = raw[: len(raw) - len(self._decoder.getstate()[0])]
        text = characters.encode("utf-8", "surrogatepass")
        self._variants.look(raw, characters)
        self._mark(text)
        self.size_bytes += len(text)
        self.original_bytes += len(raw)
        return text

    def _mark(self, text: bytes) -> None:
        """Note the marks that lie in the next stretch of text."""
        original = Original(self._encoding)
        origin, position = self.original_bytes, 0
        while (at := len(self.origins) * self._step - self.size_bytes) < len(text):
            following = characters_from(text, at)
            origin += len(original.of(text[position:following]))
            position = following
            self.origins.append(origin)
