"""Cells of a corrected rejects.csv that nobody has corrected: U+FFFD stands in them for a byte that was no character.

There it is a character like any other, and would be delivered as if the file had had it. Only ``_errors`` tells whose
it is: in a row that was rejected for something else it is the file's own. Without that column any may be such a byte.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from chalicelib.engine import arrays, coding
from chalicelib.engine.contract.schema import reserved
from chalicelib.engine.records.parse import Parsed, clear
from chalicelib.errors import FINDINGS

_BEFORE, _AFTER = map(re.escape, FINDINGS["encoding-error"].partition("{encoding}")[0].split("{byte}"))
_TOLD: Final = rf"{_BEFORE}[0-9]+[^;]*{_AFTER}|{re.escape(FINDINGS['replacement-character'])}"
"""What ``_errors`` says of a row with such bytes, and of one that comes back a second time."""


def clear_unmended(parsed: Parsed, labels: Sequence[str]) -> None:
    """Make these cells null, and note their rows in the structure; ``labels``: those of a rejects.csv."""
    first, rows = reserved(labels), np.arange(len(parsed.records))
    if "_errors" in labels[:first]:
        told = coding.decoded(parsed.columns[labels.index("_errors")])
        rows = np.flatnonzero(arrays.matches(told, _TOLD))
    own = parsed.columns[first:]
    cleared = clear(own, rows, lambda texts: arrays.matches(texts, "\ufffd"))
    parsed.columns[first:] = own
    unmended = {first + place: at for place, at in cleared.items() if len(at)}
    parsed.structure = replace(parsed.structure, unmended=unmended)
