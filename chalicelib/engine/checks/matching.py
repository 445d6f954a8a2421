"""A contract's regular expression over a column of texts.

To begin a match costs RE2 as much as to read forty bytes. So texts are matched some dozens at a time, joined by line
feeds, wherever neither they nor anything that the expression matches holds a line feed. Where such a stretch is
refused, its texts are matched one by one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.engine import arrays
from chalicelib.engine.arrays import Mask
from chalicelib.engine.contract import regexes

STRETCH_ROWS: Final = 64
_LF: Final = 10
_LINE_FEED: Final = arrays.strings(["\n"])


class TooLarge(Exception):
    """An expression would take more memory than RE2 gives one."""


class Expression:
    """An expression in RE2's syntax that whole texts must match."""

    def __init__(self, pattern: str) -> None:
        """Errors: ``TooLarge``."""
        self._one = rf"\A(?:{pattern})\z"
        if not _compiles(self._one):
            raise TooLarge("is too large for RE2")
        # "^" and "$" are the ends of a line here, and every text is one.
        many = rf"\A(?m:(?:(?:\A|\n)(?:{pattern}))+)\z"
        self._many = many if _stays_in_a_line(pattern) and _compiles(many) else None

    def matches(self, texts: pa.StringArray) -> Mask:
        """Which texts match; False for a null."""
        if self._many is None or len(texts) <= STRETCH_ROWS:
            return arrays.matches(texts, self._one)
        # A null refuses its stretch, too: where there are few of them, that costs less than to copy all others.
        present = texts.drop_null() if texts.null_count > len(texts) // (4 * STRETCH_ROWS) else texts
        if (arrays.text_bytes(present) == _LF).any():
            return arrays.matches(texts, self._one)
        found = self._stretches(present, self._many)
        if not found.all():
            found[~found] = arrays.matches(present.filter(arrays.booleans(~found)), self._one)
        if len(present) == len(texts):
            return found
        every = arrays.valid(texts)
        every[every] = found
        return every

    @staticmethod
    def _stretches(texts: pa.StringArray, pattern: str) -> Mask:
        """For each text whether the stretch that it is in matches."""
        edges = np.append(np.arange(0, len(texts), STRETCH_ROWS, dtype=np.int32), np.int32(len(texts)))
        stretches = pa.ListArray.from_arrays(arrays.from_values(edges, pa.int32()), texts)
        found = arrays.matches(pc.binary_join(stretches, _LINE_FEED[0]), pattern)
        # The pattern may take the line feed after an empty first text for the one before the next.
        found &= np.diff(arrays.offsets(texts))[edges[:-1]] > 0
        return np.repeat(found, np.diff(edges))


def _compiles(pattern: str) -> bool:
    try:
        arrays.matches(_LINE_FEED, pattern)
    except pa.ArrowInvalid:
        return False
    return True


def _stays_in_a_line(pattern: str) -> bool:
    """Whether surely nothing that the pattern matches holds a line feed."""
    leaves = regexes.leaves(pattern)
    if leaves is None or any("\n" in leaf for leaf in leaves):
        return False
    return not leaves or not arrays.matches(_LINE_FEED, rf"\A(?:{'|'.join(sorted(set(leaves)))})\z").any()
