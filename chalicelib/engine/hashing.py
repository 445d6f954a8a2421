"""A 64-bit hash of values: the same in every process and on every platform, and vectorised.

Numbers take MurmurHash3's 64-bit finaliser (Appleby, https://github.com/aappleby/smhasher), a bijection, so integers
never collide. Text is read in 8-byte words, each folded in by a multiplication and a shift, and finished the same way:
texts of one length of up to 8 bytes never collide either, and longer ones behave like random 64-bit numbers (the tests
hash a million texts of several families without a collision). Short texts are filled up with zeros to one of a few
widths and folded side by side, a word of each at a time; of long ones each word is multiplied by a factor of its own,
and all are summed up. It is not meant to withstand an adversary.
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

VERSION: Final = 3
"""To be raised where a hash changes: what workers tell each other in hashes, perhaps across a deployment, names it."""

LONG_TEXT_BYTES: Final = 256
"""Longer texts are summed up: a vectorised step per word pays only while many texts are alive."""

_WIDTHS: Final = (8, 16, 32, 64, 128, LONG_TEXT_BYTES)
"""Shorter texts are filled up with zeros to the next of these."""
_PIECE_ROWS: Final = 1 << 14
"""Texts whose words, filled up, stay in the processor's cache."""
_STRIPES_BYTES: Final = 1 << 19
"""Likewise the stripes of long texts: of a block's all at once it takes half as long again."""
LONGEST_STRIPE_BYTES: Final = 1 << 16
"""A text is gathered in as few stripes as can be, each of which costs as much time as 200 of its bytes; but for each
word of a stripe there is a factor to be kept."""

_MIX_1: Final = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2: Final = np.uint64(0xC4CEB9FE1A85EC53)
_FOLD: Final = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio, made odd: Knuth's multiplicative hashing."""
_FLOAT_SALT: Final = np.uint64(0xA0761D6478BD642F)
_S33: Final = np.uint64(33)
_S32: Final = np.uint64(32)


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
    """Fold the words of every text into its seed, as if zeros filled it up to ``width`` bytes."""
    words = _words_from(text, starts, width)
    words &= _masks(width).take(sizes, axis=0)
    hashes = seeds.copy()
    for word in words.T:
        hashes ^= word
        hashes *= _FOLD
        hashes ^= hashes >> _S32
    return hashes


def _words_from(text: NDArray[np.uint8], starts: NDArray[np.int64], width: int) -> Hashes:
    """For each of ``starts``, ascending, a row of the ``width`` bytes from there on; behind the end are zeros."""
    every = windows(text, width)
    within = int(np.searchsorted(starts, len(every)))
    if within == len(starts):
        return every[starts].view("<u8").reshape(len(starts), -1)
    rest = np.append(text[starts[within] :], np.zeros(width, np.uint8))
    # All are gathered at once, and the few behind put right: to lay the two together would be another copy.
    rows = every[np.minimum(starts, len(every) - 1)] if len(every) else np.empty(len(starts), every.dtype)
    rows[within:] = windows(rest, width)[starts[within:] - starts[within]]
    return rows.view("<u8").reshape(len(starts), -1)


def _hash_long(text: NDArray[np.uint8], starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> Hashes:
    """One number for each text, by two stripes that are as wide as the greatest power of two below its size, or by
    more of ``LONGEST_STRIPE_BYTES``: it takes the same time for a byte however long a text is.
    """
    hashes = np.empty(len(sizes), np.uint64)
    widths = np.minimum(1 << np.frexp((sizes - 1).astype(np.float64))[1].astype(np.int64) - 1, LONGEST_STRIPE_BYTES)
    for width in distinct(widths).tolist():
        alike, at_once = np.flatnonzero(widths == width), max(_STRIPES_BYTES // width, 1)
        for first in range(0, len(alike), at_once):
            rows = alike[first : first + at_once]
            hashes[rows] = _sum_stripes(text, starts[rows], sizes[rows], width)
    return hashes


def _sum_stripes(text: NDArray[np.uint8], starts: NDArray[np.int64], sizes: NDArray[np.int64], width: int) -> Hashes:
    """Sum up the stripes of ``width`` bytes of every text, of which each has at least two. A text's last stripe ends
    where the text does, and so may begin within the one before it.
    """
    stripes = windows(text, width)
    sums = np.zeros(len(sizes), np.uint64)
    for start in range(0, int(sizes.max()), width):
        rows = np.flatnonzero(sizes > start)
        places = starts[rows] + np.minimum(start, sizes[rows] - width)
        words = stripes[places].view("<u8").reshape(len(rows), -1)
        sums[rows] = sums[rows] * _FOLD + _sum_words(words)
    return sums


def _sum_words(words: Hashes) -> Hashes:
    """One number for each row, whose words are used up: multilinear hashing (Carter & Wegman, Universal classes of hash
    functions, 1979), modulo 2^64.

    A difference in a word's highest byte reaches the sum's highest byte alone, where another word could well undo it.
    So the words are summed up once more from behind, byte by byte: there it reaches all the bytes.
    """
    factors = _factors(words.shape[1])
    forward = words @ factors
    backward = words.byteswap(inplace=True) @ factors
    return forward ^ backward.byteswap()


@cache
def _factors(count: int) -> Hashes:
    """Odd: a difference in one word alone never leaves the sum as it is."""
    return _finish(np.arange(1, count + 1, dtype=np.uint64) * _FOLD) | np.uint64(1)
