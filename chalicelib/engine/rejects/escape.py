"""Texts as CSV and JSON have them: whole columns, to the bytes that ``csv.writer`` and ``json.dumps`` write.

All take and give binary arrays without nulls, whose texts may have gaps (see ``drafts``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.engine import arrays
from chalicelib.engine.arrays import Mask
from chalicelib.engine.checks.formulas import MAY_START, neutralise_column

Part: TypeAlias = "pa.BinaryArray | pa.BinaryScalar"  # a text, because these are generic for type checkers only

QUOTED: Final = '",\r\n'
"""A cell of CSV that holds one of these is quoted."""
_FIRST_PRINTABLE: Final = 0x20


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
    if data.min(initial=255) < _FIRST_PRINTABLE:
        special += np.unique(data[data < _FIRST_PRINTABLE]).tolist()
    for byte in special:  # the backslash first: the others' escapes have one
        texts = pc.replace_substring(texts, chr(byte), json.dumps(chr(byte))[1:-1])
    return texts


def alike(records: pa.BinaryArray, quote_char: str | None) -> Mask:
    """Which records, whose cells are parted by commas, are the same in the file, in CSV and in a JSON string: nothing
    in them is quoted or escaped, no cell neutralised. ``quote_char``: of the file.

    A line break can be inside quotes only, and so is none of theirs.
    """
    table = _CLASSES.copy()
    if quote_char is not None:
        table[ord(quote_char)] = _SPECIAL
    data, edges = arrays.text_bytes(records), arrays.offsets(records)
    found = arrays.classes(data, table)
    others = found == _SPECIAL
    others[1:] |= (found[1:] == _MAY_START) & (data[:-1] == ord(","))
    starts = (edges[:-1] - edges[0])[np.diff(edges) > 0]
    others[starts] |= found[starts] == _MAY_START
    return ~arrays.with_flag(records, others)


_MAY_START, _SPECIAL = 1, 2
_CLASSES: Final = MAY_START.astype(np.uint8)
_CLASSES[[*range(_FIRST_PRINTABLE), *b'"\\']] = _SPECIAL
