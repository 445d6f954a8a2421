"""A text's hash is a function of its bytes alone, and the one that is written here in plain Python."""

from __future__ import annotations

import operator
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
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
    return finished(short(text, state) if len(text) <= hashing.LONG_TEXT_BYTES else state ^ long(text))


def finished(state: int) -> int:
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
    width = min(1 << (len(text) - 1).bit_length() - 1, hashing.LONGEST_STRIPE_BYTES)
    total = 0
    for start in range(0, len(text), width):
        start = min(start, len(text) - width)
        total = total * FOLD + summed(text[start : start + width]) & WORD
    return total


def summed(stripe: bytes) -> int:
    factors = [finished(number * FOLD & WORD) | 1 for number in range(1, len(stripe) // 8 + 1)]
    forward, backward = (
        sum(map(operator.mul, each, factors)) & WORD for each in (words(stripe), map(turned, words(stripe)))
    )
    return forward ^ turned(backward)


def turned(word: int) -> int:
    return int.from_bytes(word.to_bytes(8, "little"), "big")


def words(text: bytes) -> list[int]:
    return [int.from_bytes(text[at : at + 8], "little") for at in range(0, len(text), 8)]


@pytest.fixture(scope="module", params=[256, 512, hashing.LONGEST_STRIPE_BYTES], autouse=True)
def longest_stripe(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashing, "LONGEST_STRIPE_BYTES", request.param)
        yield


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
