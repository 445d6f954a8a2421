"""Columns that are read as codes (``coding``), of which the texts are known: a cell's code is found where the cell lies
among the file's bytes, and no text made of it.

A cell is taken as the one to eight words that the longest known text fills, and what lies behind it overwritten by
bytes that no UTF-8 has. A sum of products of its first words, as many as tell the known texts apart, is a place in a
table, where a code is; then all the words of that code's text are compared with the cell's. The factors are such that
no two of the texts have the same place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chalicelib.engine import arrays, coding
from chalicelib.engine.arrays import ArrowArray, Spans
from chalicelib.engine.coding import Codes
from chalicelib.frozen import frozen

Offsets = NDArray[np.int64]
Words = NDArray[np.uint64]

MOST_TEXTS: Final = 256
"""For so many texts one of a few tables of 256 KiB gives each a place of its own."""
WIDTHS: Final = (8, 16, 32, 64)
"""In bytes. To compare longer texts takes more time than Arrow does, which looks each up by its hash."""
_NO_TEXT: Final = b"\xff"
_TRIES: Final = 64
"""Each table fails with a probability of 0.4, but texts that are made for it may share their place in all of them."""
_ONE: Final = np.uint64(1)
_HALF: Final = np.uint64(32)
_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)
"""See ``hashing``: products of consecutive numbers lie far apart."""


class Coding:
    """Decides which columns are read as codes: by a glance at a chunk's first rows, and then from block to block."""

    def __init__(self) -> None:
        self.wants_glance = True
        self.columns: Mapping[int, Codebook] = {}
        """The columns to read as codes in the next block."""

    def glance(self, columns: Sequence[ArrowArray]) -> None:
        """Choose by the first ``JUDGED_ROWS`` rows of a chunk, or a little less, as plain texts."""
        self.wants_glance = False
        self.columns = {place: Codebook(column) for place, column in enumerate(columns) if coding.is_worth(column)}

    def revise(self, columns: Sequence[ArrowArray]) -> None:
        """Let go of the columns that a block just read shows to have many values."""
        self.columns = {place: book for place, book in self.columns.items() if coding.stays_worth(columns[place])}


class Codebook:
    """The texts that a column has had so far. Rows get the same texts whatever is known; only the time changes, and the
    order of the column's values.
    """

    def __init__(self, sample: pa.StringArray | None = None) -> None:
        """``sample``: texts that are likely to come."""
        self._sample = sample
        self._codes: dict[bytes, int] = {}
        self._texts = arrays.strings([])
        self._table: _Table | None = None
        """None before the first texts, and where it does not pay."""
        self.pays = True
        """Whether the texts, as far as they are known, are so few and so short that they can be looked up."""

    def codes(self, spans: Spans, starts: Offsets, ends: Offsets) -> Codes:
        """A code for each text between ``starts``, ascending, and ``ends``; only as long as that pays."""
        if self._sample is not None:  # not before: a block that Arrow reads looks nothing up
            self._learn(_bytes_of(self._sample.unique()))
            self._sample = None
        if self._table is None:
            codes, missed = np.empty(len(starts), np.int32), np.arange(len(starts))
        else:
            codes, missed = self._table.look_up(spans.data, starts, ends)
        if len(missed):
            new = spans.gathered(spans.edges(starts[missed], ends[missed])).dictionary_encode()
            texts = _bytes_of(new.dictionary)
            self._learn(texts)
            known = np.array([self._codes[text] for text in texts], np.int32)
            codes[missed] = known[coding.codes_of(new)]
        return codes

    def column(self, codes: Codes) -> pa.DictionaryArray:
        """The coded column, each of whose values is one of a row."""
        return coding.without_unused(coding.coded(codes, self._texts))

    def _learn(self, texts: Iterable[bytes]) -> None:
        for text in texts:
            self._codes.setdefault(text, len(self._codes))
        known = list(self._codes)
        self._texts = arrays.binaries(known).cast(pa.string(), safe=False)
        self._table = _Table.of(known)
        self.pays = self._table is not None


def _bytes_of(texts: pa.StringArray) -> list[bytes]:
    edges, data = arrays.offsets(texts).tolist(), arrays.data(texts).tobytes()
    return [data[start:end] for start, end in pairwise(edges)]


@frozen
class _Table:
    """Where the codes of some texts are found."""

    words: Words
    """Of each text a row."""
    factors: Words
    """One for each of the first words by which all the texts differ, odd."""
    codes: Codes
    """At each place a text's code; 0 where there is none."""

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> _Table | None:
        """``texts``: at least one, no two alike. None where they are too many or too long."""
        longest = max(map(len, texts))
        if len(texts) > MOST_TEXTS or longest > WIDTHS[-1]:
            return None
        width = next(width for width in WIDTHS if longest <= width)
        filled = [text.ljust(width, _NO_TEXT) for text in texts]
        words = np.frombuffer(b"".join(filled), "<u8").reshape(len(texts), -1)
        telling = next((end for end in range(8, width, 8) if len({text[:end] for text in filled}) == len(texts)), width)
        codes = np.zeros(1 << max(2 * (len(texts) - 1).bit_length(), 4), np.int32)
        factors = np.arange(1, telling // 8 + 1, dtype=np.uint64) * _FACTOR | _ONE
        for _ in range(_TRIES):
            places = _places(words.T, factors, len(codes))
            if len(arrays.distinct(places)) == len(texts):
                codes[places] = np.arange(len(texts))
                return cls(words, factors, codes)
            factors = (factors ^ factors >> _HALF) * _FACTOR | _ONE
        return None

    def look_up(self, data: bytes, starts: Offsets, ends: Offsets) -> tuple[Codes, Offsets]:
        """The code of each text, and which have none, ascending."""
        codes = np.zeros(len(starts), np.int32)
        count = self.words.shape[1]
        width = 8 * count
        # Where a text would be filled up with what lies behind the data, it is not looked for.
        reach = int(np.searchsorted(starts, len(data) - width, "right"))
        starts, sizes = starts[:reach], (ends - starts)[:reach]
        words = arrays.windows(data, width)[starts].view("<u8").reshape(reach, count)
        words |= _behind(width).take(sizes, axis=0, mode="clip")
        self.codes.take(_places(words.T, self.factors, len(self.codes)), out=codes[:reach], mode="clip")
        # As many flags as a text has words, looked at together.
        other = (self.words.take(codes[:reach], axis=0, mode="clip") != words).view(f"u{count}").ravel()
        differs = (sizes > width) | (other != 0)
        return codes, np.concatenate((np.flatnonzero(differs), np.arange(reach, len(codes))))


def _places(words: Words, factors: Words, size: int) -> NDArray[np.int64]:
    """Where in a table of ``size`` places, a power of two, texts belong: the highest bits depend on all others, of as
    many words as there are factors.
    """
    sums: Words = words[0] * factors[0]
    for each, factor in zip(words[1 : len(factors)], factors[1:], strict=True):
        sums += each * factor
    sums >>= np.uint64(65 - size.bit_length())
    return sums.view(np.int64)


@cache
def _behind(width: int) -> Words:
    """For each size up to ``width`` the bits of the bytes that a text does not have, as words."""
    return (255 - np.tri(width + 1, width, -1, np.uint8) * 255).view("<u8")
