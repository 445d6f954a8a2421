"""Bytes that no cell may have: those that are no character of the file's encoding, and NULs."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from chalicelib.engine import arrays
from chalicelib.engine.records.split import Offsets
from chalicelib.frozen import frozen

MARK: Final = b"\0"
"""Stands for such a byte in a cell, which is then not read; so NULs mark themselves."""
_NONE: Offsets = np.empty(0, np.int64)


@frozen
class Spoilt:
    """Where such bytes of one kind are, in records or in rows."""

    at: Offsets
    """Which have any, ascending."""
    firsts: Offsets
    """The place of the first byte in each."""
    counts: Offsets
    """How many each has."""

    @classmethod
    def of(cls, places: Offsets, starts: Offsets) -> Spoilt:
        """``places``: of all such bytes, ascending; ``starts``: of each record, and at last where they end."""
        if not len(places):
            return cls(_NONE, _NONE, _NONE)
        edges = np.searchsorted(places, starts)
        counts = np.diff(edges)
        at = np.flatnonzero(counts)
        return cls(at, places[edges[at]], counts[at])


def is_ascii(data: bytes, start: int, end: int) -> bool:
    return arrays.is_ascii(np.frombuffer(data, np.uint8, end - start, start))


def not_utf8(data: bytes, start: int, end: int) -> Offsets:
    """The places of the bytes that are not UTF-8, in a stretch that begins and ends where records do."""
    if _is_utf8(data, start, end):
        return _NONE
    window = np.frombuffer(data, np.uint8, end - start, start)
    high = window >= 128
    high[1:] |= high[:-1]  # and what comes behind, which ends what is no character: all else can be left out
    places = np.flatnonzero(high)
    looked_at = window[places]
    # Each such byte, 128 or more, becomes a surrogate and that a question mark, which is less; all within the codec.
    shown = looked_at.tobytes().decode("utf-8", "surrogateescape").encode("utf-8", "replace")
    found: Offsets = places[np.frombuffer(shown, np.uint8) != looked_at]
    return found + start


def _is_utf8(data: bytes, start: int, end: int) -> bool:
    edges = pa.py_buffer(np.array([start, end], np.int32))
    whole = pa.BinaryArray.from_buffers(pa.binary(), 1, [None, edges, pa.py_buffer(data)])
    try:
        whole.cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def nuls(data: bytes, start: int, end: int) -> Offsets:
    """The places of the NULs."""
    if data.find(0, start, end) < 0:
        return _NONE
    return np.flatnonzero(np.frombuffer(data, np.uint8, end - start, start) == 0) + start


def marked(data: bytes, places: Offsets) -> bytes:
    """The data with a mark in each of these places."""
    copy = np.frombuffer(data, np.uint8).copy()
    copy[places] = ord(MARK)
    return copy.tobytes()
