"""A column read at once where that is known to be right, and text by text where it is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.engine import arrays
from chalicelib.engine.arrays import ArrowArray, Mask

Fast = Callable[[pa.StringArray], "ArrowArray | None"]
"""Reads a whole column at once, or returns None where it cannot vouch for every text."""
Slow = Callable[[pa.StringArray], tuple["ArrowArray", Mask]]
"""Reads any column text by text: the values (null where unreadable) and which texts are unreadable."""

Letters = Sequence[tuple[str, str]]
"""Ranges of ASCII letters: the first and the last of each."""

SEGMENT_ROWS: Final = 2048
"""A column that ``Fast`` refuses is read in segments of this many rows, so that a few bad texts cost a few slow
segments. Small against a block's tens of thousands of rows, large against the 50 µs that an expression takes to
compile."""

TRIAL_ROWS: Final = 256
"""A long column is tried on so many rows first: a cast that Arrow refuses costs about 1 µs per bad text, because Arrow
words an error for each of them."""

PATIENCE: Final = 3
"""After more refused segments than this, and more refused than read, the rest of the column is left to ``Slow``."""


def resolve(texts: pa.StringArray, fast: Fast, slow: Slow, letters: Letters) -> tuple[ArrowArray, Mask]:
    """The values of a column and the mask of its unreadable texts, by ``fast`` wherever it answers.

    The result is the same as ``slow``'s for any cut into parts, if ``fast`` answers only where ``slow`` finds every
    text readable, and with the same values. The readers' tests hold them to that. ``letters``: what
    readable texts are mostly made of; texts with others are tried apart, for most bad ones are.
    """
    if len(texts) <= SEGMENT_ROWS:
        values = fast(texts)
        return slow(texts) if values is None else (values, np.zeros(len(texts), np.bool_))
    odd = _with_other_letters(texts, letters)
    if odd is None:
        return _by_segments(texts, fast, slow)
    if odd.all():
        return slow(texts)
    values, bad = _by_segments(arrays.with_only(texts, ~odd), fast, slow)
    others, bad[odd] = slow(cast("pa.StringArray", texts.filter(arrays.booleans(odd))))
    if others.null_count < len(others):
        values = pc.replace_with_mask(values, arrays.booleans(odd), others)
    return values, bad


def _by_segments(texts: pa.StringArray, fast: Fast, slow: Slow) -> tuple[ArrowArray, Mask]:
    """As ``resolve``: the whole column, or else in segments, by ``fast`` wherever that answers."""
    bad = np.zeros(len(texts), np.bool_)
    values = None if fast(texts.slice(0, TRIAL_ROWS)) is None else fast(texts)
    if values is not None:
        return values, bad
    pieces: list[ArrowArray] = []
    start = refused = 0
    while start < len(texts):
        given_up = refused > PATIENCE and refused > len(pieces) // 2
        piece = texts.slice(start, len(texts) if given_up else SEGMENT_ROWS)
        values = None if given_up else fast(piece)
        if values is None:
            refused += 1
            values, bad[start : start + len(piece)] = slow(piece)
        pieces.append(values)
        start += len(piece)
    return pa.concat_arrays(pieces), bad


def _with_other_letters(texts: pa.StringArray, letters: Letters) -> Mask | None:
    """Which texts hold a byte outside these ranges; None where none does."""
    text = arrays.text_bytes(texts)
    foreign = np.ones(len(text), np.bool_)
    for first, last in letters:  # a look into a table would take ten times as long
        foreign &= text - np.uint8(ord(first)) > np.uint8(ord(last) - ord(first))
    return arrays.with_flag(texts, foreign) if foreign.any() else None


def cast_or_none(texts: pa.StringArray, arrow_type: pa.DataType) -> ArrowArray | None:
    """The column cast as a whole; None where Arrow refuses any text of it."""
    try:
        return pc.cast(texts, arrow_type)
    except pa.ArrowInvalid:
        return None
