"""Texts as CSV and JSON have them: whole columns, to the bytes that ``csv.writer`` and ``json.dumps`` write.

All take and give binary arrays without nulls, whose texts may have gaps (see ``drafts``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.engine import arrays
from chalicelib.engine.arrays import Mask
from chalicelib.engine.checks.formulas import neutralise_column

Part: TypeAlias = "pa.BinaryArray | pa.BinaryScalar"  # a text, because these are generic for type checkers only

QUOTED: Final = '",\r\n'
"""A cell of CSV that holds one of these is quoted."""
FIRST_PRINTABLE: Final = 0x20
"""What is before it is escaped in a string of JSON."""


def encoded(texts: Sequence[str]) -> pa.BinaryArray:
    """Python's texts, which may have gaps."""
    return arrays.binaries([text.encode("utf-8", "surrogateescape") for text in texts])


def constants(*texts: str) -> list[pa.BinaryScalar]:
    """Parts that are the same in every row."""
    return list(encoded(texts))


_NOTHING, _QUOTE = constants("", '"')


def joined(*parts: Part, by: pa.BinaryScalar = _NOTHING) -> pa.BinaryArray:
    """The parts of each row, one after the other; null where one of them is."""
    return pc.binary_join_element_wise(*parts, by)


def csv_cells(texts: pa.BinaryArray) -> pa.BinaryArray:
    """Cells of ``rejects.csv``: neutralised, and quoted where ``csv.QUOTE_MINIMAL`` says so."""
    return quoted(csv_escaped(neutralise_column(texts)), arrays.holding(texts, QUOTED.encode()))


def csv_escaped(texts: pa.BinaryArray) -> pa.BinaryArray:
    """What stands between the quotes of a cell of CSV."""
    return pc.replace_substring(texts, '"', '""') if (arrays.text_bytes(texts) == ord('"')).any() else texts


def quoted(texts: pa.BinaryArray, chosen: Mask) -> pa.BinaryArray:
    """The texts, and quotes around the chosen ones."""
    if chosen.all():
        return joined(_QUOTE, texts, _QUOTE)
    if not chosen.any():
        return texts
    mask = arrays.booleans(chosen)
    return pc.replace_with_mask(texts, mask, joined(_QUOTE, texts.filter(mask), _QUOTE))


def json_texts(texts: pa.BinaryArray) -> pa.BinaryArray:
    """What stands between the quotes of a JSON string, written with ``ensure_ascii=False``."""
    data = arrays.text_bytes(texts)
    special = [byte for byte in b'\\"' if (data == byte).any()]
    if data.min(initial=255) < FIRST_PRINTABLE:
        special += arrays.distinct(data[data < FIRST_PRINTABLE]).tolist()
    for byte in special:  # the backslash first: the others' escapes have one
        texts = pc.replace_substring(texts, chr(byte), json.dumps(chr(byte))[1:-1])
    return texts
