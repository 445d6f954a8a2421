"""Where positions of a rewritten text were in the file, for many positions at once."""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chalicelib.engine.arrays import distinct
from chalicelib.engine.text.encodings import Original, characters_from

Positions = NDArray[np.int64]

PIECE_BYTES: Final = 1 << 18
"""So much of the text is looked at together: some ten bytes of memory for each of its own."""
_CODE_POINTS: Final = 0x110000
_ESCAPE_LEAD, _LEAST_SECOND = 0xED, 0xA0
"""How an escaped byte begins, and no character does."""
_STAND_IN: Final = np.frombuffer("\ufffd".encode(), np.uint8)


class OriginalOffsets:
    """Where positions of a stretch of text were in the original, by the sizes of all characters before them."""

    def __init__(self, text: bytes, start: int, origin: int, original: Original) -> None:
        """``origin``: the original offset of the first character at or after position ``start`` of ``text``."""
        self._text, self._original = text, original
        self._edges = [characters_from(text, start)]
        """Where the pieces that were looked at begin, and the one that comes after them."""
        self._origins = [origin]
        """Of each edge."""

    def of(self, positions: Positions) -> Positions:
        """``positions``: ascending, each where a character begins or the text ends.

        Errors: ``ValueError`` for a position before ``start``.
        """
        found, done = np.empty(len(positions), np.int64), 0
        while done < len(positions):
            piece = bisect_right(self._edges, int(positions[done])) - 1
            if piece < 0:
                raise ValueError(f"position {positions[done]} is before the stretch")
            done += self._look(piece, positions[done:], found[done:])
        return found

    def _look(self, piece: int, positions: Positions, found: Positions) -> int:
        """Look at a piece, and tell how many of the positions are in it."""
        text, start, origin = self._text, self._edges[piece], self._origins[piece]
        last = int(positions[-1])  # beyond it the text may end within a character
        stop = characters_from(text, start + PIECE_BYTES) if start + PIECE_BYTES < last else last
        data = np.frombuffer(text, np.uint8, stop - start, start)
        starts = np.flatnonzero(data & 0xC0 != 0x80)
        offsets = np.concatenate(([origin], origin + np.cumsum(self._sizes(data, starts), dtype=np.int64)))
        if piece == len(self._edges) - 1 and stop < last:
            self._edges.append(stop)
            self._origins.append(int(offsets[-1]))
        within = len(positions) if stop == last else int(np.searchsorted(positions, stop))
        found[:within] = offsets[np.searchsorted(starts, positions[:within] - start)]
        return within

    def _sizes(self, text: NDArray[np.uint8], starts: Positions) -> NDArray[np.uint8]:
        """How many bytes each character takes in the original; ``starts``: where they are in the text."""
        if self._original.has_a_byte_for_each:
            return np.ones(len(starts), np.uint8)
        escapes = np.flatnonzero(text[starts] == _ESCAPE_LEAD)
        escapes = escapes[text[starts[escapes] + 1] >= _LEAST_SECOND]
        if len(escapes):  # a codec would call a handler for each
            text = text.copy()
            text[np.add.outer(starts[escapes], np.arange(3))] = _STAND_IN
        points = np.frombuffer(text.tobytes().decode().encode("utf-32-le"), np.uint32).copy()
        points[escapes] = 0
        table = _table(self._original.encoding)
        sizes: NDArray[np.uint8] = table[points]
        unknown = distinct(points[sizes == 0])
        if len(unknown):
            usual = Original(self._original.encoding)  # a character's other code is as long
            table[unknown] = [len(usual.of(chr(each).encode())) for each in unknown.tolist()]
            sizes = table[points]
        sizes[escapes] = 1
        return sizes


@lru_cache(maxsize=1)
def _table(encoding: str) -> NDArray[np.uint8]:
    """How many bytes each code point takes; 0: that is to be found out."""
    return np.zeros(_CODE_POINTS, np.uint8)
