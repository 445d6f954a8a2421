"""Cells that a spreadsheet would run as a formula, neutralised in rejects.csv and restored when it is uploaded again.

A spreadsheet may take a cell that starts with one of ``= + - @``, also in their full-width forms, with a tab or a line
break, perhaps behind NULs that it drops, for a formula (OWASP, "CSV Injection"; ASVS 5, 1.2.10), and quotes in the file
do not keep it from that; an apostrophe before it does. So that no text is lost, a text that has apostrophes before a
formula already gets one more: ``restore(neutralise(text)) == text`` for every text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.engine import arrays
from chalicelib.engine.arrays import Mask
from chalicelib.engine.contract.schema import reserved

_STARTS: Final = "'*\\x00*[=+\\-@\\t\\r\\n\uff1d\uff0b\uff0d\uff20]"
_FORMULA: Final = re.compile(_STARTS)
# A number is what it says, and a spreadsheet should go on to show it as one.
_NUMBER: Final = r"'*[+-](?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_SIGNED_NUMBER: Final = re.compile(rf"{_NUMBER}\Z")


def neutralise(text: str) -> str:
    """The text as it stands in rejects.csv: with an apostrophe before it if it is a formula, perhaps behind
    apostrophes; else as it is.

    >>> neutralise("=1+1"), neutralise("-5"), neutralise("'=1+1")
    ("'=1+1", '-5', "''=1+1")
    """
    return "'" + text if _is_formula(text) else text


def neutralise_column(texts: pa.BinaryArray) -> pa.BinaryArray:
    """``neutralise`` of each text; none is null."""
    edges = arrays.offsets(texts)
    given = np.flatnonzero(np.diff(edges))
    suspects = given[MAY_START[arrays.data(texts)[edges[given]]]]
    if not len(suspects):
        return texts
    chosen = texts.take(arrays.from_values(suspects, pa.int64()))
    strings = arrays.retyped(chosen, pa.string())  # of binaries RE2 would match bytes, not characters
    formulas = arrays.matches(strings, rf"\A{_STARTS}") & ~are_signed_numbers(strings)
    mask = np.zeros(len(texts), np.bool_)
    mask[suspects[formulas]] = True
    prefixed = pc.binary_join_element_wise(*_APOSTROPHE, chosen.filter(arrays.booleans(formulas)), *_NOTHING)
    return pc.replace_with_mask(texts, arrays.booleans(mask), prefixed)


def are_signed_numbers(texts: pa.StringArray) -> Mask:
    """Which texts start with a sign, perhaps behind apostrophes, and yet are no formulas."""
    return arrays.matches(texts, rf"\A{_NUMBER}\z")


MAY_START: Final = np.isin(np.arange(256), list(b"'\0=+-@\t\r\n\xef"))
"""First bytes of what ``_STARTS`` matches, EF being that of the full-width forms."""
_APOSTROPHE, _NOTHING = arrays.binaries([b"'"]), arrays.binaries([b""])


def restore(text: str) -> str:
    """The text that ``neutralise`` was given; one that it cannot have made, such as ``'tis``, stays as it is.

    >>> restore("'=1+1"), restore("'-5"), restore("'tis")
    ('=1+1', "'-5", "'tis")
    """
    return text[1:] if text.startswith("'") and _is_formula(text) else text


def restore_column(texts: pa.StringArray) -> pa.StringArray:
    """``restore`` of each text; the very array that was given where there is nothing to restore."""
    places = np.flatnonzero(arrays.matches(texts, rf"\A'{_STARTS}"))
    if not len(places):
        return texts
    mask = np.zeros(len(texts), np.bool_)
    mask[places] = True
    found = texts.take(arrays.from_values(places, pa.int64())).to_pylist()
    return pc.replace_with_mask(texts, arrays.booleans(mask), arrays.strings([restore(text) for text in found]))


def is_rejects(labels: Sequence[str]) -> bool:
    """Whether a header is that of a rejects.csv: labels that no field can have stand first."""
    return reserved(labels) > 0


def restored_labels(labels: tuple[str, ...]) -> tuple[str, ...]:
    """A header's labels, restored where the header is that of a rejects.csv."""
    return tuple(map(restore, labels)) if is_rejects(labels) else labels


def _is_formula(text: str) -> bool:
    return _FORMULA.match(text) is not None and _SIGNED_NUMBER.match(text) is None
