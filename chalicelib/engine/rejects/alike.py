"""Which records both outputs have as they stand in the file: found in a pass over their bytes, cell by cell nowhere."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chalicelib.engine import arrays
from chalicelib.engine.arrays import Mask
from chalicelib.engine.checks.formulas import MAY_START, are_signed_numbers
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.records.split import Offsets
from chalicelib.engine.rejects.escape import FIRST_PRINTABLE

_LONGEST_NUMBER: Final = 32
"""In bytes. A longer one is taken for a formula here."""
_COMMA: Final = ord(",")
_STARTS, _SIGN, _SPECIAL = 1, 2, 3
_CLASSES: Final = MAY_START * np.uint8(_STARTS)
_CLASSES[list(b"+-")] = _SIGN
_CLASSES[[*range(FIRST_PRINTABLE), *b'"\\']] = _SPECIAL
"""Of each byte: what it may be at the start of a cell, or that it is quoted or escaped in one of the outputs."""


def alike(records: pa.BinaryArray, dialect: Dialect) -> Mask:
    """Which records, whose cells are parted by commas, are the same in the file, in CSV and in a JSON string: nothing
    in them is quoted or escaped, no cell neutralised. ``dialect``: of the file.

    A line break can be inside quotes only, and so is none of theirs. Doubtful ones are left out.
    """
    table = _CLASSES.copy()
    for char in (dialect.quote_char, dialect.escape_char):
        if char is not None:
            table[ord(char)] = _SPECIAL
    data, edges = arrays.text_bytes(records), arrays.offsets(records) - arrays.offsets(records)[0]
    found = arrays.classes(data, table)
    others = found == _SPECIAL
    begins = np.zeros(len(data), np.bool_)
    np.logical_and(found[1:], data[:-1] == _COMMA, out=begins[1:])
    begins[edges[:-1][np.diff(edges) > 0]] = True
    places = np.flatnonzero(begins)
    others[places[found[places] == _STARTS]] = True
    signs = places[found[places] == _SIGN]
    if len(signs):
        stops = edges[1:][np.searchsorted(edges[1:], signs, "right")]
        others[signs] = ~_are_numbers(data, signs, stops)
    return ~arrays.with_flag(records, others)


def _are_numbers(data: NDArray[np.uint8], starts: Offsets, stops: NDArray[np.int32]) -> Mask:
    """Which cells that start there, with a sign, are numbers; ``stops``: where their records end."""
    ends, longer = starts + 1, np.arange(len(starts))
    for _ in range(_LONGEST_NUMBER):
        longer = longer[ends[longer] < stops[longer]]
        longer = longer[data[ends[longer]] != _COMMA]
        ends[longer] += 1
    edges = np.empty(2 * len(starts), np.int32)
    edges[0::2], edges[1::2] = starts, ends
    cells = arrays.spans(data, edges).take(arrays.from_values(np.arange(0, len(edges), 2), pa.int64()))
    numbers = are_signed_numbers(arrays.retyped(cells, pa.string()))
    numbers[longer] = False
    return numbers
