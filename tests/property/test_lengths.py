"""Characters are counted as Python counts them, and limits on a text's length are kept and broken by them."""

from __future__ import annotations

import operator
from typing import cast

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine import arrays
from chalicelib.engine.contract.fields import Field
from chalicelib.engine.types import nested

texts = st.text("aé日😀", max_size=8) | st.builds(
    operator.mul, st.sampled_from(["a", "é", "日a", "😀"]), st.integers(0, 90)
)
columns = st.lists(texts | st.none(), max_size=20)


def drawn_slice(column: list[str | None], data: st.DataObject) -> tuple[list[str | None], pa.StringArray]:
    start = data.draw(st.integers(0, len(column)))
    size = data.draw(st.integers(0, len(column)))
    return column[start : start + size], cast("pa.StringArray", arrays.strings(column).slice(start, size))


@given(columns, st.data())
def test_characters_are_counted(column: list[str | None], data: st.DataObject) -> None:
    expected, array = drawn_slice(column, data)
    counted = arrays.characters(array).tolist()
    for text, size in zip(expected, counted, strict=True):
        assert text is None or size == len(text)


@given(columns, st.integers(0, 100) | st.just(10**30), st.data())
def test_limits_are_those_of_characters(column: list[str | None], limit: int, data: st.DataObject) -> None:
    expected, array = drawn_slice(column, data)
    lengths = nested.lengths(Field("text", "string"), array, limit)
    for compare in (operator.lt, operator.gt):
        broken = compare(lengths, limit).tolist()
        for text, found in zip(expected, broken, strict=True):
            assert text is None or found == compare(len(text), limit)
