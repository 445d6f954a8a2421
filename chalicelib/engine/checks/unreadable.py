"""Why a text is not of its field's type, where the type's name alone would mislead whoever corrects it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa

from chalicelib.engine import arrays
from chalicelib.engine.arrays import Mask
from chalicelib.engine.contract.fields import OPTIONS, Field
from chalicelib.engine.types import numbers
from chalicelib.errors import UNREADABLE

_NUMBERS: Final = ("integer", "number")


class Explainer:
    """Explains the texts that a field's reader refuses."""

    def __init__(self, field: Field) -> None:
        is_number = field.type in _NUMBERS
        self._written = numbers.written(field) if is_number else None
        self._lexical = numbers.lexical(field) if is_number and not field.bare_number else None
        self._too_large = _too_large(field)
        self._options = _options(field)

    def explained(self, texts: pa.StringArray) -> Iterator[tuple[Mask, str]]:
        """Every explanation, empty where there is nothing to say, with the mask of the texts that it is true of; each
        text has one.
        """
        # A number that is written as it should be is refused for one reason: the type of the values cannot hold it.
        none = np.zeros(len(texts), np.bool_)
        large = none if self._written is None else self._written(texts)
        signed = none if self._lexical is None else arrays.matches(texts, self._lexical) & ~large
        rest = ~large & ~signed
        for mask, reason in ((large, self._too_large), (signed, UNREADABLE["sign"]), (rest, self._options)):
            if mask.any():
                yield mask, reason


def _too_large(field: Field) -> str:
    if field.precision is None:
        return UNREADABLE["too-large"].format(type=field.type)
    scale = field.scale or 0
    return UNREADABLE["does-not-fit"].format(before=field.precision - scale, after=scale)


def _options(field: Field) -> str:
    """The options that the field has, in the contract's words."""
    usual = Field(field.name, field.type)
    given: dict[str, Any] = {
        key: getattr(field, attribute)
        for key, attribute in OPTIONS.items()
        if getattr(field, attribute) != getattr(usual, attribute)
    }
    if not given:
        return ""
    if field.type in _NUMBERS:
        given.setdefault("groupChar", None)  # "1.234,5" is no number for want of it
    told = [UNREADABLE["option"].format(key=key, value=_shown(given[key])) for key in OPTIONS if key in given]
    return UNREADABLE["options"].format(options=", ".join(told))


def _shown(value: Any) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False)
