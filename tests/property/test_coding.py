"""Coded columns hold what the same columns hold plain, whichever of their values are dropped, and however rarely."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine import arrays, coding

VALUES = 24
"""More than are looked for one by one (``coding.FEW_CODES``)."""

values = st.lists(st.none() | st.text("ab", max_size=3), min_size=1, max_size=VALUES)
kept = st.lists(st.booleans() | st.just(True), max_size=60)


@st.composite
def columns(draw: st.DrawFn) -> tuple[coding.Codes, list[str | None], arrays.Mask | None]:
    """Codes, of which most are the first ones, the values they stand for, and which rows have one."""
    texts = draw(values)
    code = st.integers(0, len(texts) - 1)
    codes = draw(st.lists(st.integers(0, min(1, len(texts) - 1)) | code, max_size=60))
    present = draw(st.none() | st.lists(st.booleans(), min_size=len(codes), max_size=len(codes)))
    return np.array(codes, np.int32), texts, None if present is None else np.array(present, np.bool_)


def plain(codes: coding.Codes, texts: list[str | None], present: arrays.Mask | None) -> list[str | None]:
    has = np.ones(len(codes), np.bool_) if present is None else present
    return [texts[code] if held else None for code, held in zip(codes.tolist(), has.tolist(), strict=True)]


@given(columns())
def test_a_null_among_the_values_makes_its_rows_null(
    column: tuple[coding.Codes, list[str | None], arrays.Mask | None],
) -> None:
    codes, texts, present = column
    made = coding.coded(codes, arrays.strings(texts), present)
    made.validate(full=True)
    assert not made.dictionary.null_count
    assert coding.decoded(made).to_pylist() == plain(codes, texts, present)


@given(columns(), st.data())
def test_what_no_row_has_is_dropped_and_nothing_else(
    column: tuple[coding.Codes, list[str | None], arrays.Mask | None], data: st.DataObject
) -> None:
    codes, texts, present = column
    made = coding.coded(codes, arrays.strings(texts), present)
    mask = data.draw(st.lists(st.booleans(), min_size=len(codes), max_size=len(codes)))
    chosen = made.filter(arrays.booleans(np.array(mask, np.bool_)))
    left = coding.without_unused(chosen)
    left.validate(full=True)
    assert left.to_pylist() == chosen.to_pylist()
    assert set(left.dictionary.to_pylist()) == {text for text in left.to_pylist() if text is not None}


@pytest.mark.parametrize("dropped", [[0], [3], [3, 5], list(range(2, 20))], ids=str)
@pytest.mark.parametrize("rare", [True, False])
def test_values_are_dropped_alike_where_they_are_rare_and_where_not(dropped: list[int], rare: bool) -> None:
    rng = np.random.default_rng(7)
    codes = rng.integers(0, VALUES, 10_000).astype(np.int32)
    if rare:
        codes[:] = np.where(codes >= dropped[0], np.int32(VALUES - 1), codes)
        codes[: -len(dropped)] = np.minimum(codes[: -len(dropped)], max(dropped[0] - 1, 0))
        codes[-len(dropped) :] = dropped
    texts = [None if code in dropped else f"text {code}" for code in range(VALUES)]
    made = coding.coded(codes, arrays.strings(texts))
    made.validate(full=True)
    assert coding.decoded(made).to_pylist() == [texts[code] for code in codes.tolist()]
    assert set(coding.without_unused(made).dictionary.to_pylist()) == {texts[code] for code in codes.tolist()} - {None}
