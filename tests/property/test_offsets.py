"""Where positions of a rewritten text were in the file: as encoding back all that lies before them tells."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine.text import encodings, offsets
from chalicelib.engine.text.encodings import Original, to_text
from chalicelib.engine.text.offsets import OriginalOffsets

ENCODINGS = [name for name in encodings.SUPPORTED if name != "utf-8" and name not in ("utf-16", "utf-32")]


@given(
    st.sampled_from(ENCODINGS),
    st.binary(max_size=60),
    st.text(max_size=20),
    st.integers(1, 40),
    st.sampled_from([b"", b"\xc3"]),
    st.data(),
)
def test_as_encoded_back(name: str, raw: bytes, characters: str, piece: int, cut: bytes, data: st.DataObject) -> None:
    original = Original(name)
    text = to_text(raw + characters.encode(original.codec, "replace"), name)
    starts = [at for at in range(len(text) + 1) if at == len(text) or text[at] & 0xC0 != 0x80]
    first = data.draw(st.sampled_from(starts))
    asked = [
        sorted(each) for each in data.draw(st.lists(st.lists(st.sampled_from([at for at in starts if at >= first]))))
    ]
    with mock.patch.object(offsets, "PIECE_BYTES", piece):
        found = OriginalOffsets(text + cut, first, 1000, original)
        for positions in asked:
            expected = [1000 + len(original.of(text[first:position])) for position in positions]
            assert found.of(np.array(positions, np.int64)).tolist() == expected


def test_they_are_counted_from_the_first_whole_character() -> None:
    text = to_text("aé日".encode("utf-16-le"), "utf-16-le")
    found = OriginalOffsets(text, 2, 4, Original("utf-16-le"))  # position 2 is within é
    assert found.of(np.array([3, 6])).tolist() == [4, 6]
    with pytest.raises(ValueError, match="before"):
        found.of(np.array([0, 3]))


@pytest.mark.parametrize(
    ("name", "raw", "asked", "expected"),
    [
        pytest.param("utf-16-le", "\ud020a\ud7a3".encode("utf-16-le"), [0, 3, 4, 7], [0, 2, 4, 6], id="characters"),
        pytest.param("ascii", b"a\x81b\xffc", [0, 1, 4, 5, 8, 9], [0, 1, 2, 3, 4, 5], id="bytes"),
    ],
)
def test_escaped_bytes_are_told_from_the_characters_that_begin_alike(
    name: str, raw: bytes, asked: list[int], expected: list[int]
) -> None:
    """The last ones before the surrogates, of which escaped bytes are, begin with the same byte in UTF-8."""
    found = OriginalOffsets(to_text(raw, name), 0, 0, Original(name))
    assert found.of(np.array(asked)).tolist() == expected
