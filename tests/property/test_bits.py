"""Bits are moved, spread and counted as the flags that they stand for would be, across words and at their ends."""

from __future__ import annotations

from itertools import accumulate, chain
from unittest import mock

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine import bits

runs = st.tuples(st.booleans(), st.integers(1, 130))
flags = st.lists(runs, max_size=8).map(lambda drawn: [flag for flag, size in drawn for _ in range(size)])
mixed = st.lists(flags | st.lists(st.booleans(), max_size=130), max_size=4).map(lambda parts: list(chain(*parts)))


def words(given: list[bool]) -> bits.Words:
    return bits.packed(np.array(given, np.bool_))


def held(found: bits.Words, size: int) -> list[bool]:
    return bits.at(found, np.arange(size)).tolist()


@given(mixed)
def test_bits_are_found_where_they_are(given: list[bool]) -> None:
    assert held(words(given), len(given) + 1) == [*given, False]
    assert bits.places(words(given)).tolist() == [place for place, flag in enumerate(given) if flag]
    assert bits.places(bits.marked(words(given), len(given))).tolist()[-1] == len(given)


@given(mixed, st.sampled_from([8, 64, 1 << 18]))
def test_bytes_of_a_kind_are_found_for_any_cut(given: list[bool], piece_bytes: int) -> None:
    with mock.patch.object(bits, "_PIECE_BYTES", piece_bytes):
        found = bits.equal(np.array(given, np.uint8), 1)
    assert found.tolist() == words(given).tolist()


@given(mixed, st.data())
def test_bits_are_counted(given: list[bool], data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(given)), max_size=9))
    counted = bits.before(words(given), np.array(places, np.int64))
    assert counted.tolist() == [sum(given[:place]) for place in places]


@given(mixed, st.booleans())
def test_bits_move(given: list[bool], first: bool) -> None:
    size = len(given)
    assert held(bits.later(words(given), first=first), size + 1) == [first, *given]
    assert held(bits.earlier(words(given)), size) == [*given, False][1:]
    for step in (1, 2, 32, 64, 128):
        if step <= size:
            assert held(bits.later(words(given), step), size) == [False] * step + given[: size - step]


@given(mixed)
def test_parities_count(given: list[bool]) -> None:
    assert held(bits.parities(words(given)), len(given)) == [count % 2 == 1 for count in accumulate(given)]


@given(mixed, mixed)
def test_bits_spread_along_runs(given: list[bool], along: list[bool]) -> None:
    size = min(len(given), len(along))
    expected: list[bool] = []
    for flag, follows in zip(given, along, strict=False):
        expected.append(flag or (follows and bool(expected) and expected[-1]))
    assert held(bits.spread(words(given[:size]), words(along[:size])), size) == expected
