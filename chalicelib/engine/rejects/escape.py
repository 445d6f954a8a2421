"""Texts as CSV and JSON have them: whole columns, to the bytes that ``csv.writer`` and ``json.dumps`` write.

All take and give binary arrays without nulls, whose texts may have gaps (see ``drafts``).
"""

from __future__ import annotations

import json
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.engine import arrays
from chalicelib.engine.arrays import Mask
from chalicelib.engine.checks.formulas import neutralise_column

_FIRST_PRINTABLE: Final = 0x20


def constants(*texts: str) -> list[pa.BinaryScalar]:
    """Parts that are the same in every row; they may have gaps."""
    return list(arrays.binaries([text.encode("utf-8", "surrogateescape") for text in texts]))


_NOTHING, _QUOTE = constants("", '"')


def joined(*parts: pa.BinaryArray | pa.BinaryScalar, by: pa.BinaryScalar = _NOTHING) -> pa.BinaryArray:
    """The parts of each row, one after the other."""
    return pc.binary_join_element_wise(*parts, by)


def csv_cells(texts: pa.BinaryArray) -> pa.BinaryArray:
    """Cells of ``rejects.csv``: neutralised, and quoted where ``csv.QUOTE_MINIMAL`` says so."""
    texts = neutralise_column(texts)
    quoted = arrays.holding(texts, b'",\r\n')
    if not quoted.any():
        return texts
    chosen = texts if quoted.all() else texts.filter(arrays.booleans(quoted))
    return _with(texts, quoted, joined(_QUOTE, pc.replace_substring(chosen, '"', '""'), _QUOTE))


def _with(texts: pa.BinaryArray, mask: Mask, others: pa.BinaryArray) -> pa.BinaryArray:
    return others if len(others) == len(texts) else pc.replace_with_mask(texts, arrays.booleans(mask), others)


def json_texts(texts: pa.BinaryArray) -> pa.BinaryArray:
    """What stands between the quotes of a JSON string, written with ``ensure_ascii=False``."""
    data = arrays.text_bytes(texts)
    special = [byte for byte in b'\\"' if (data == byte).any()]
    if data.min(initial=255) < _FIRST_PRINTABLE:
        special += np.unique(data[data < _FIRST_PRINTABLE]).tolist()
    for byte in special:  # the backslash first: the others' escapes have one
        texts = pc.replace_substring(texts, chr(byte), json.dumps(chr(byte))[1:-1])
    return texts
