"""A 64-bit hash of values: the same in every process and on every platform, and vectorised.

Numbers take MurmurHash3's 64-bit finaliser (Appleby, https://github.com/aappleby/smhasher), a bijection, so integers
never collide. Text is read in 8-byte words, each folded in by a multiplication and a shift, and finished the same way:
texts of one length of up to 8 bytes never collide either, and longer ones behave like random 64-bit numbers (the tests
hash a million texts of several families without a collision). Short texts are filled up with zeros to one of a few
widths and folded side by side, a word of each at a time; of long ones many words of each, which are folded into each
other at last. It is not meant to withstand an adversary.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chalicelib.engine.arrays import distinct, windows

Hashes = NDArray[np.uint64]

VERSION: Final = 2
"""To be raised where a hash changes: what workers tell each other in hashes, perhaps across a deployment, names it."""

LONG_TEXT_BYTES: Final = 256
"""Longer texts are folded by stripes: a vectorised step per word pays only while many texts are alive."""

_WIDTHS: Final = (8, 16, 32, 64, 128, LONG_TEXT_BYTES)
"""Shorter texts are filled up with zeros to the next of these."""
_PIECE_ROWS: Final = 1 << 14
"""Texts whose words, filled up, stay in the processor's cache."""
_LANES_BYTES: Final = 1 << 18
"""Likewise the stripes of long texts: of a block's all at once it takes half as long again."""

_MIX_1: Final = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2: Final = np.uint64(0xC4CEB9FE1A85EC53)
_FOLD: Final = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio, made odd: Knuth's multiplicative hashing."""
_FLOAT_SALT: Final = np.uint64(0xA0761D6478BD642F)
_S33: Final = np.uint64(33)
_S32: Final = np.uint64(32)
_S29: Final = np.uint64(29)


def hash_array(array: Any) -> Hashes:
    """One hash per row of a canonical array (see ``measure.canonical``); undefined where the row is null.

    Errors: ``TypeError`` where the type is not plain (see ``measure.canonical.is_plain``).

    A whole number has one hash whether it is stored as an integer or as a float. Decimals are hashed by their unscaled
    value: compare only columns of one scale.
    """
    kind = array.type
    types = pa.types
    if types.is_null(kind):
        return np.zeros(len(array), np.uint64)
    if types.is_boolean(kind):
        return _finish(_words(array.cast(pa.int64()), "<i8").view(np.uint64))
    if types.is_floating(kind):
        return _hash_floats(_words(array, "<f8"))
    if types.is_decimal(kind):
        return _hash_limbs(_words(array, "<u4", kind.byte_width // 4).reshape(-1, kind.byte_width // 4))
    if types.is_string(kind) or types.is_binary(kind):
        return _hash_texts(array)
    if not types.is_temporal(kind) and not types.is_integer(kind):
        raise TypeError(f"{kind} has no hash")
    if kind.bit_width == 32:
        return _finish(_words(array, "<i4").astype(np.int64).view(np.uint64))
    return _finish(_words(array, "<i8").view(np.uint64))


def _words(array: Any, dtype: str, per_row: int = 1) -> NDArray[Any]:
    data = array.buffers()[1]
    if data is None or len(array) == 0:
        return np.zeros(len(array) * per_row, dtype)
    start = array.offset * per_row * np.dtype(dtype).itemsize
    return np.frombuffer(data, dtype, len(array) * per_row, start)


def _finish(words: Hashes) -> Hashes:
    """MurmurHash3's fmix64."""
    mixed = words ^ (words >> _S33)
    mixed *= _MIX_1
    mixed ^= mixed >> _S33
    mixed *= _MIX_2
    mixed ^= mixed >> _S33
    return mixed


def _hash_floats(values: NDArray[np.float64]) -> Hashes:
    bits = values.view(np.uint64) ^ _FLOAT_SALT
    whole = np.flatnonzero(values == np.floor(values))
    whole = whole[np.abs(values[whole]) < 2.0**63]
    bits[whole] = values[whole].astype(np.int64).view(np.uint64)
    return _finish(bits)


def _hash_limbs(limbs: NDArray[np.uint32]) -> Hashes:
    """Two's complement numbers of two or more 32-bit limbs; one that fits 64 bits hashes as the integer does."""
    low = np.ascontiguousarray(limbs[:, :2]).view("<u8").ravel()
    hashed = _finish(low)
    sign = (low >> np.uint64(63)).astype(bool)
    extension = np.where(sign, np.uint32(0xFFFFFFFF), np.uint32(0))
    for column in range(2, limbs.shape[1]):
        wide = limbs[:, column] != extension
        if wide.any():
            hashed = np.where(wide, _finish(hashed ^ limbs[:, column] * _FOLD), hashed)
    return hashed


def _hash_texts(array: Any) -> Hashes:
    if len(array) == 0:
        return np.zeros(0, np.uint64)
    _, offset_buffer, data = array.buffers()
    edges = np.frombuffer(offset_buffer, "<i4", len(array) + 1, array.offset * 4)
    text = np.frombuffer(b"" if data is None else data, np.uint8)
    starts = range(0, len(array), _PIECE_ROWS)
    return np.concatenate([_hash_piece(text, edges[start : start + _PIECE_ROWS + 1]) for start in starts])


def _hash_piece(text: NDArray[np.uint8], edges: NDArray[np.int32]) -> Hashes:
    """``edges``: where in ``text`` each text starts, and the last one stops."""
    starts, sizes = edges[:-1].astype(np.int64), np.diff(edges)
    hashes = sizes.astype(np.uint64) * _MIX_2
    counts = np.diff([np.count_nonzero(sizes <= width) for width in _WIDTHS], prepend=0).tolist()
    if any(counts) and edges[-1] + LONG_TEXT_BYTES > len(text):  # a text that is filled up would end behind the end
        text = np.append(text[edges[0] : edges[-1]], np.zeros(LONG_TEXT_BYTES, np.uint8))
        starts -= edges[0]
    for count, (less, width) in zip(counts, pairwise((-1, *_WIDTHS)), strict=True):
        if count == len(sizes):
            return _finish(_fold_padded(hashes, text, starts, sizes, width))
        if count:
            rows = np.flatnonzero((sizes > less) & (sizes <= width))
            hashes[rows] = _fold_padded(hashes[rows], text, starts[rows], sizes[rows], width)
    rows = np.flatnonzero(sizes > LONG_TEXT_BYTES)
    if len(rows):
        hashes[rows] ^= _hash_long(text, starts[rows], sizes[rows].astype(np.int64))
    return _finish(hashes)


@cache
def _masks(width: int) -> Hashes:
    """For each size up to ``width`` the bits of the bytes that a text has, as words."""
    return (np.tri(width + 1, width, -1) * 255).astype(np.uint8).view("<u8")


def _fold_padded(
    seeds: Hashes, text: NDArray[np.uint8], starts: NDArray[np.int64], sizes: NDArray[np.int32], width: int
) -> Hashes:
    """Fold the words of every text into its seed, as if zeros filled it up to ``width`` bytes.

    ``text`` goes on as far.
    """
    words = windows(text, width)[starts].view("<u8").reshape(len(starts), -1)
    words &= _masks(width).take(sizes, axis=0)
    hashes = seeds.copy()
    for word in words.T:
        hashes ^= word
        hashes *= _FOLD
        hashes ^= hashes >> _S32
    return hashes


def _hash_long(text: NDArray[np.uint8], starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> Hashes:
    """One number for each text, by stripes of an eighth to a quarter of its size: it takes the same few steps, and so
    the same time for a byte, however long a text is and however many there are.
    """
    hashes = np.empty(len(sizes), np.uint64)
    magnitudes = np.frexp(sizes.astype(np.float64))[1]
    for magnitude in distinct(magnitudes).tolist():
        alike, width = np.flatnonzero(magnitudes == magnitude), 1 << magnitude - 3
        at_once = max(_LANES_BYTES // width, 1)
        for first in range(0, len(alike), at_once):
            rows = alike[first : first + at_once]
            hashes[rows] = _fold_stripes(text, starts[rows], sizes[rows], width)
    return hashes


def _fold_stripes(text: NDArray[np.uint8], starts: NDArray[np.int64], sizes: NDArray[np.int64], width: int) -> Hashes:
    """Fold the stripes of ``width`` bytes of every text, of which each has four to eight, into each other, and then the
    words of the result. A text's last stripe ends where the text does, and so may begin within the one before it.

    Every step is a bijection of the word that comes in, and of what it meets: texts of one size that differ in one
    word, and not where stripes overlap, never collide. A multiplication carries differences up alone; so each is spread
    downward before, by a distance that is no whole number of bytes: what the next stripe would have to differ by, to
    undo it, is no text's natural variant.
    """
    counts = ((sizes - 1) // width + 1).astype(np.uint8)
    order = np.argsort(np.uint8(8) - counts, kind="stable")  # a radix sort: those that have most come first
    starts, last = starts[order], (sizes - width)[order]
    stripes = windows(text, width)
    lanes = np.zeros((len(sizes), width // 8), np.uint64)
    for step in range(int(counts.max())):
        reach = int(np.count_nonzero(counts > step))
        places = starts[:reach] + np.minimum(step * width, last[:reach])
        folded = lanes[:reach]
        folded ^= stripes[places].view("<u8").reshape(reach, -1)
        folded ^= folded >> _S29
        folded *= _FOLD
    while lanes.shape[1] > 1:
        left, right = np.hsplit(lanes, 2)
        lanes = (left ^ (left >> _S29)) * _FOLD ^ right
    hashes = np.empty(len(sizes), np.uint64)
    hashes[order] = lanes[:, 0]
    return hashes
