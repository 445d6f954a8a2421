"""Which bytes of a window are of a kind, as one bit each: 64 at a time are moved, combined and counted.

Bit i of word j stands for byte ``64 * j + i``. There is always a bit for what comes after the window, which is not set
unless ``marked`` sets it; what the bits after that one hold has no meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Words = NDArray[np.uint64]
Offsets = NDArray[np.int64]

_ONE: Final = np.uint64(1)
_LAST: Final = np.uint64(63)
_PIECE_BYTES: Final = 1 << 18
"""Flags of so many bytes stay in the processor's cache until they are packed: a third less time than for a window's all
at once, and no memory as large as the window."""
_DENSE: Final = 10
"""Where one bit in fewer is set, numpy finds all of them at once faster than ``places`` does piece by piece."""
_SPARSE: Final = 40
"""Where one bit in more is set, most bytes have none, and pieces of four bytes are faster to look through than bytes.
At one in 13 bytes take half the time of words of eight."""


def packed(flags: Mask) -> Words:
    """A bit for each flag."""
    words = np.zeros(len(flags) // 64 + 1, "<u8")
    folded = np.packbits(flags, bitorder="little")
    words.view(np.uint8)[: len(folded)] = folded
    return words


def where(data: Bytes, is_of_kind: Callable[[Bytes], Mask]) -> Words:
    """A bit for each byte of a kind; ``is_of_kind`` gets some bytes at a time."""
    words = np.zeros(len(data) // 64 + 1, "<u8")
    folded = words.view(np.uint8)
    for start in range(0, len(data), _PIECE_BYTES):
        flags = is_of_kind(data[start : start + _PIECE_BYTES])
        folded[start >> 3 : start + len(flags) + 7 >> 3] = np.packbits(flags, bitorder="little")
    return words


def equal(data: Bytes, byte: int) -> Words:
    """A bit for each byte that is this one."""
    return where(data, lambda some: some == byte)


def marked(words: Words, place: int) -> Words:
    """The same bits, and the one at ``place``."""
    words = words.copy()
    words[place >> 6] |= _ONE << np.uint64(place & 63)
    return words


def count(words: Words) -> int:
    """How many bits are set."""
    return int(np.bitwise_count(words).sum())


def places(words: Words) -> Offsets:
    """Where the bits are set, ascending."""
    gap = 64 * len(words) / max(count(words), 1)
    if gap < _DENSE:
        return np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little").view(np.bool_))
    size = 1 if gap < _SPARSE else 4
    left = words.view(f"<u{size}")
    starts = np.flatnonzero(left != 0)
    left = left[starts]
    starts *= 8 * size
    found = [starts[:0]]
    while len(left):  # the lowest bit of every piece that has one left
        fewer = left - left.dtype.type(1)
        found.append(starts + np.bitwise_count(fewer & ~left))
        left &= fewer
        more = np.flatnonzero(left != 0)
        left, starts = left[more], starts[more]
    together = np.concatenate(found)
    if len(found) > 2:
        together.sort(kind="stable")  # which merges what is ascending already
    return together


def at(words: Words, places: Offsets) -> Mask:
    """Whether the bits at these places are set."""
    found: Mask = (words[places >> 6] >> (places & 63).astype(np.uint64) & _ONE).astype(np.bool_)
    return found


def before(words: Words, places: Offsets) -> Offsets:
    """How many bits are set before each of these places."""
    counts = np.bitwise_count(words)
    words_before = np.cumsum(counts, dtype=np.int64) - counts
    word, bit = places >> 6, (places & 63).astype(np.uint64)
    found: Offsets = words_before[word] + np.bitwise_count(words[word] & (_ONE << bit) - _ONE)
    return found


def later(words: Words, step: int = 1, first: bool = False) -> Words:
    """Each bit moved ``step`` places on; ``first``: what comes to the first place."""
    whole, part = divmod(step, 64)
    moved = np.zeros_like(words)
    moved[whole:] = words[: len(words) - whole] << np.uint64(part)
    if part:
        moved[whole + 1 :] |= words[: len(words) - whole - 1] >> np.uint64(64 - part)
    if first:
        moved[0] |= _ONE
    return moved


def earlier(words: Words) -> Words:
    """Each bit moved to the place before."""
    moved = words >> _ONE
    moved[:-1] |= words[1:] << _LAST
    return moved


def spread(words: Words, runs: Words) -> Words:
    """The bits, and all that follow on one of them without a gap in ``runs``; takes steps twice as long each time."""
    step = 1
    while runs.any():
        words = words | runs & later(words, step)
        runs = runs & later(runs, step)
        step *= 2
    return words


def parities(words: Words) -> Words:
    """Whether the bits up to each place, itself included, are odd in number."""
    odd = words.copy()
    for step in (1, 2, 4, 8, 16, 32):
        odd ^= odd << np.uint64(step)
    before = np.bitwise_xor.accumulate(odd >> _LAST)
    odd[1:] ^= -before[:-1]  # all ones where those of the words before are odd in number
    return odd
