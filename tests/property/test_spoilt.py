"""The bytes that are no character are found, each and no other."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.engine.records import spoilt

BYTES = (0x00, 0x41, 0x80, 0x81, 0xA0, 0xBF, 0xC0, 0xC3, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xFF)
PIECES = st.sampled_from([*map(str.encode, ("a", "bc", "\n", "é", "品", "🙂")), *(bytes([byte]) for byte in BYTES)])


def expected(data: bytes) -> list[int]:
    places, at = [], 0
    for character in data.decode("utf-8", "surrogateescape"):
        if "\udc80" <= character <= "\udcff":
            places.append(at)
        at += len(character.encode("utf-8", "surrogateescape"))
    return places


@given(st.lists(PIECES).map(b"".join), st.sampled_from([b"", b"ab\n"]), st.sampled_from([b"", b"\ncd"]))
@example(b"\xe2\x82", b"", b"\ncd")
def test_each_byte_that_is_no_character_is_found(data: bytes, before: bytes, behind: bytes) -> None:
    start, end = len(before), len(before) + len(data)
    found = spoilt.not_utf8(before + data + behind, start, end).tolist()
    assert found == [start + place for place in expected(data)]


@pytest.mark.parametrize("text", ["", "plain", "é品🙂"])
def test_of_characters_none_is(text: str) -> None:
    data = text.encode()
    assert not len(spoilt.not_utf8(data, 0, len(data)))
