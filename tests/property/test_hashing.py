"""A text's hash is a function of its bytes alone, and the one that is written here in plain Python."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine import arrays, hashing

WORD = 2**64 - 1
FOLD = 0x9E3779B97F4A7C15

near_the_limit = st.integers(hashing.LONG_TEXT_BYTES - 2, hashing.LONG_TEXT_BYTES + 2)
sizes = st.integers(0, 20) | near_the_limit | st.sampled_from([511, 512, 513, 1023, 1024]) | st.integers(0, 5000)
texts = st.builds(lambda size, seed: np.random.default_rng(seed).bytes(size), sizes, st.integers(0, 3))
columns = st.lists(texts | st.binary(max_size=30), max_size=12) | st.lists(st.binary(max_size=9), max_size=40)


def plain(text: bytes) -> int:
    state = len(text) * 0xC4CEB9FE1A85EC53 & WORD
    state = short(text, state) if len(text) <= hashing.LONG_TEXT_BYTES else state ^ long(text)
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        state = (state ^ state >> 33) * factor & WORD
    return state ^ state >> 33


def short(text: bytes, state: int) -> int:
    width = next(width for width in (8, 16, 32, 64, 128, 256) if len(text) <= width)
    for word in words(text.ljust(width, b"\0")):
        state = (state ^ word) * FOLD & WORD
        state ^= state >> 32
    return state


def long(text: bytes) -> int:
    width = 1 << len(text).bit_length() - 3
    starts = [min(start, len(text) - width) for start in range(0, len(text), width)]
    lanes = [0] * (width // 8)
    for start in starts:
        lanes = [stirred(lane ^ word) for lane, word in zip(lanes, words(text[start : start + width]), strict=True)]
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = [stirred(left) ^ right for left, right in zip(lanes[:half], lanes[half:], strict=True)]
    return lanes[0]


def stirred(word: int) -> int:
    return (word ^ word >> 29) * FOLD & WORD


def words(text: bytes) -> list[int]:
    return [int.from_bytes(text[at : at + 8], "little") for at in range(0, len(text), 8)]


@given(columns, st.data())
def test_a_hash_depends_on_the_text_alone(column: list[bytes], data: st.DataObject) -> None:
    array = arrays.binaries(column)
    assert hashing.hash_array(array).tolist() == [plain(text) for text in column]
    start = data.draw(st.integers(0, len(column)))
    part = array.slice(start, data.draw(st.integers(0, len(column))))
    assert hashing.hash_array(part).tolist() == [plain(text) for text in part.to_pylist()]


def test_a_null_is_passed_over() -> None:
    given = ["x" * 300, None, "y" * 600, None, "z"]
    hashes = hashing.hash_array(pa.array(given)).tolist()
    assert [hashes[at] for at in (0, 2, 4)] == [plain(text.encode()) for text in given if text]
