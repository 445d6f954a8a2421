"""Records whose bytes are not all characters, some thousands at a time: as people see them, and as the file has them.

All take and give binary arrays without nulls; a record is escaped UTF-8 (``text.encodings``).
"""

from __future__ import annotations

import binascii
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.engine import arrays
from chalicelib.engine.rejects.escape import constants, encoded, joined
from chalicelib.engine.text import encodings
from chalicelib.engine.text.encodings import Original

_FEED: Final = ord("\n")
(_LF,) = constants("\n")
_ZEROS: Final = encoded(["", "\0", "\0\0"])


def readable(records: pa.BinaryArray) -> pa.BinaryArray:
    """``encodings.readable`` of each."""
    lines = joined(records, _LF)
    text = arrays.text_bytes(lines)
    # A line feed ends what is no character, and stays as it is: so all are read as one text.
    shown = np.frombuffer(encodings.readable(text.tobytes()).encode(), np.uint8)
    line_ends = np.searchsorted(np.flatnonzero(text == _FEED), arrays.offsets(lines)[1:] - 1)
    edges = np.zeros(len(records) + 1, np.int32)
    edges[1:] = np.flatnonzero(shown == _FEED)[line_ends] + 1
    return pc.binary_slice(arrays.spans(shown, edges), 0, -1)


def originals(records: pa.BinaryArray, original: Original) -> pa.BinaryArray:
    """``Original.of`` each."""
    if original.encoding == encodings.UTF8:
        return records
    if not original.has_a_byte_for_each:
        return arrays.binaries([original.of(record) for record in records.to_pylist()])
    exact = np.frombuffer(original.of(arrays.text_bytes(records).tobytes()), np.uint8)
    edges = np.zeros(len(records) + 1, np.int32)
    np.cumsum(arrays.characters(records), out=edges[1:])
    return arrays.spans(exact, edges)


def base64(records: pa.BinaryArray) -> pa.BinaryArray:
    """Each in base 64 (RFC 4648, section 4)."""
    lacking = -np.diff(arrays.offsets(records)) % 3
    # Filled up to threes of bytes all are coded as one; what their zeros became is then what fills the codes up.
    whole = joined(records, _ZEROS.take(arrays.from_values(lacking, pa.int32())))
    coded = np.frombuffer(binascii.b2a_base64(arrays.text_bytes(whole).tobytes(), newline=False), np.uint8).copy()
    edges = (arrays.offsets(whole) - arrays.offsets(whole)[0]) // 3 * 4
    for filled in (1, 2):
        coded[edges[1:][lacking >= filled] - filled] = ord("=")
    return arrays.spans(coded, edges)
