"""A column of moments is read a date at a time where dates repeat, and each text is judged as if it stood alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine.types.layouts import Layout, layout

LAYOUTS = [
    Layout((*layout("%Y-%m-%d"), "T ", *layout("%H:%M:%S"))),
    Layout(layout("%H:%M %d.%m.%Y")),
    Layout(layout("%Y-%m-%d")),
    Layout(layout("%d%H%m%Y")),
    Layout(layout("%m.%Y")),
    Layout(layout("%H:%M")),
]


@st.composite
def columns(draw: st.DrawFn) -> tuple[Layout, list[bytes]]:
    expected = draw(st.sampled_from(LAYOUTS))
    signs = [sign if len(sign) < 3 and sign[0] != "%" else "0123456789" for sign in expected.signs]
    text = st.tuples(*(st.sampled_from(letters) for letters in signs)).map("".join)
    texts: list[str] = []
    for base in draw(st.lists(text, min_size=1, max_size=4)):
        for _ in range(draw(st.integers(1, 12))):
            place, letter = draw(st.integers(-expected.width, expected.width - 1)), draw(st.sampled_from("0129T.x"))
            texts.append(base if place < 0 else base[:place] + letter + base[place + 1 :])
    return expected, [each.encode() for each in texts]


@given(columns())
def test_each_text_is_read_as_if_it_stood_alone(given: tuple[Layout, list[bytes]]) -> None:
    expected, texts = given
    seconds, good = expected.read(np.frombuffer(b"".join(texts), np.uint8).reshape(len(texts), -1))
    alone = [expected.read(np.frombuffer(text, np.uint8).reshape(1, -1)) for text in texts]
    assert good.tolist() == [bool(fine[0]) for _, fine in alone]
    assert seconds[good].tolist() == [int(value[0]) for value, fine in alone if fine[0]]
