"""Which texts are integers and numbers, and reading them. The rules are written out in docs/types.md.

XML Schema's lexical forms (https://www.w3.org/TR/xmlschema11-2/#decimal, #double), ASCII digits only, without XSD's
``INF`` and ``NaN``. A whole column is cast by Arrow, which accepts a little less (a leading ``+`` of an integer) and
a little more (``0x1F``, ``nan``, ``inf``) than the rules; each ``fast`` reader's checks after its cast close that gap.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.engine import arrays
from chalicelib.engine.arrays import ArrowArray, Mask
from chalicelib.engine.contract import signs
from chalicelib.engine.contract.fields import Field
from chalicelib.engine.contract.sluice_keys import MAX_PRECISION
from chalicelib.engine.types.resolving import Slow, cast_or_none, resolve

INT64_DIGITS: Final = 18
"""Any integer of so many digits fits int64, whose largest value has 19."""

_INTEGER: Final = r"\A[+-]?[0-9]+\z"
_PLAIN_INTEGER: Final = rf"\A-?[0-9]{{1,{INT64_DIGITS}}}\z"
_SHORT_INTEGER: Final = rf"\A[+-]?0*[0-9]{{1,{INT64_DIGITS}}}\z"
_EXPONENT: Final = "(?:[eE][+-]?[0-9]+)?"
_NUMBER: Final = rf"\A[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+){_EXPONENT}\z"


def integer_reader(field: Field) -> Slow:
    """Reads texts as int64."""
    return read_integers if _is_plain(field) else _rewritten(field, read_integers)


def number_reader(field: Field) -> Slow:
    """Reads texts as float64, or as decimal128 where the field has a precision."""
    plain = read_floats if field.precision is None else _decimals(field.precision, field.scale or 0)
    return plain if _is_plain(field) else _rewritten(field, plain)


def written(field: Field) -> Callable[[pa.StringArray], Mask]:
    """Which texts are integers or numbers, however large, as the field has them written."""
    pattern, doubtful = lexical(field), signs.doubtful(field)

    def matching(texts: pa.StringArray) -> Mask:
        good = arrays.matches(texts, pattern)
        return good if doubtful is None else good & ~arrays.matches(texts, doubtful)

    return matching


def lexical(field: Field) -> str:
    """The RE2 pattern of ``written``, but for signs in the text around a number. Of what is not a plain number, the
    number itself is the first group.
    """
    if _is_plain(field):
        return _INTEGER if field.type == "integer" else _NUMBER
    number = rf"[+-]?{_grouped(field)}"
    if field.type == "number":
        point = re.escape(field.decimal_char)
        number = rf"[+-]?(?:{_grouped(field)}(?:{point}[0-9]*)?|{point}[0-9]+){_EXPONENT}"
    # What surrounds a bare number holds no digit, sign or mark: "-$5" must not become 5, nor "5½".
    marks = "".join(re.escape(mark) for mark in field.decimal_char + (field.group_char or ""))
    around = "" if field.bare_number else rf"[^0-9{signs.OTHER_DIGITS}+\-{marks}]*"
    return rf"\A(?s:{around})({number})(?s:{around})\z"


def decimal_type(precision: int, scale: int) -> pa.Decimal128Type:
    """The Arrow type of an exact decimal."""
    return pa.decimal128(precision, scale)


def _is_plain(field: Field) -> bool:
    has_point = field.type == "number" and field.decimal_char != "."
    return field.bare_number and field.group_char is None and not has_point


def _grouped(field: Field) -> str:
    """Digits, whole or in groups: of three, or of two and three with three at the end (``12,34,567``).

    So ``1,5`` read with a group character is an error and not 15.
    """
    if not field.group_char:
        return "[0-9]+"
    mark = re.escape(field.group_char)
    return rf"(?:[0-9]{{1,3}}(?:{mark}[0-9]{{2,3}})*{mark}[0-9]{{3}}|[0-9]+)"


def _rewritten(field: Field, plain: Slow) -> Slow:
    """A reader of numbers with marks of their own: those that match are rewritten plainly and read by ``plain``."""
    pattern, well_written = lexical(field), written(field)

    def read(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
        good = well_written(texts)
        rewritten = arrays.with_only(texts, good)
        if not field.bare_number:
            rewritten = pc.replace_substring_regex(rewritten, pattern=pattern, replacement=r"\1")
        if field.group_char:
            rewritten = pc.replace_substring(rewritten, pattern=field.group_char, replacement="")
        if field.type == "number" and field.decimal_char != ".":
            rewritten = pc.replace_substring(rewritten, pattern=field.decimal_char, replacement=".")
        values, bad = plain(rewritten)
        return values, bad | (arrays.valid(texts) & ~good)

    return read


def read_integers(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
    """int64 from ``[+-]?[0-9]+``; what lies outside int64 is unreadable."""
    return resolve(texts, _fast_integers, _slow_integers, (("-", "9"),))


def _fast_integers(texts: pa.StringArray) -> ArrowArray | None:
    values = cast_or_none(texts, pa.int64())
    # The cast also reads hexadecimal. An "x" that lies under a null is no reason to refuse.
    text = arrays.text_bytes(texts)
    if values is not None and (np.any(text == ord("x")) or np.any(text == ord("X"))):
        return None if (arrays.holding(texts, b"xX") & arrays.valid(texts)).any() else values
    return values


def _slow_integers(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
    good = arrays.matches(texts, _INTEGER)
    # The cast knows no "+", nor more than 19 digits, be they zeros.
    odd = good & ~arrays.matches(texts, _PLAIN_INTEGER)
    if not odd.any():
        return pc.cast(arrays.with_only(texts, good), pa.int64()), arrays.valid(texts) & ~good
    for row in np.flatnonzero(odd & ~arrays.matches(texts, _SHORT_INTEGER)):
        good[row] = _fits_int64(texts[int(row)].as_py())
    canonical = pc.replace_substring_regex(
        arrays.with_only(texts, good), pattern=r"\A\+?(-?)0*([0-9])", replacement=r"\1\2", max_replacements=1
    )
    return pc.cast(canonical, pa.int64()), arrays.valid(texts) & ~good


def _fits_int64(text: str) -> bool:
    digits = text.lstrip("+-0") or "0"
    if len(digits) > INT64_DIGITS + 1:  # Python refuses to convert thousands of digits
        return False
    value = -int(digits) if text.startswith("-") else int(digits)
    return -(2**63) <= value < 2**63


def read_floats(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
    """The nearest float64 to each number; one that overflows to infinity is unreadable."""
    return resolve(texts, _fast_floats, _slow_floats, (("-", "9"),))


def _fast_floats(texts: pa.StringArray) -> ArrowArray | None:
    values = cast_or_none(texts, pa.float64())
    # Beyond the rule the cast reads only the words for NaN and infinity.
    if values is not None and not np.isfinite(arrays.values_of(values, np.float64)).all():
        return None
    return values


def _slow_floats(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
    good = arrays.matches(texts, _NUMBER)
    values = arrays.values_of(pc.cast(arrays.with_only(texts, good), pa.float64()), np.float64)
    good &= np.isfinite(values)
    return arrays.from_values(values, pa.float64(), good), arrays.valid(texts) & ~good


def _decimals(precision: int, scale: int) -> Slow:
    """A reader of exact decimals: a number is readable if decimal128(precision, scale) holds it without rounding."""
    arrow_type = decimal_type(precision, scale)
    fitting = rf"\A[+-]?0?[0-9]{{0,{precision - scale}}}(?:\.[0-9]{{0,{scale}}})?\z"

    def fast(texts: pa.StringArray) -> ArrowArray | None:
        # Arrow's arithmetic wraps around beyond 128 bits, silently: its cast reads 400 nines as -1. So many digits,
        # and with the exponents' so many zeros, never come to it.
        if np.diff(arrays.offsets(texts)).max(initial=0) > MAX_PRECISION - scale:
            return None
        if np.any((arrays.text_bytes(texts) | np.uint8(0x20)) == ord("e")):
            return None
        return cast_or_none(texts, arrow_type)

    def slow(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
        good = arrays.matches(texts, _NUMBER)
        simple = good & arrays.matches(texts, fitting)
        values = pc.cast(arrays.with_only(texts, simple), arrow_type)
        rest = np.flatnonzero(good & ~simple)
        if not len(rest):
            return values, arrays.valid(texts) & ~good
        cells = arrays.values_of(values, "V16").view(np.uint8).reshape(-1, 16).copy()
        for row in rest:
            unscaled = _unscaled(texts[int(row)].as_py(), precision, scale)
            if unscaled is None:
                good[row] = False
            else:
                cells[row] = np.frombuffer(unscaled.to_bytes(16, "little", signed=True), np.uint8)
        return arrays.from_values(cells, arrow_type, good), arrays.valid(texts) & ~good

    return lambda texts: resolve(texts, fast, slow, (("-", "9"),))


_PARTS: Final = re.compile(r"([+-]?)([0-9]*)\.?([0-9]*)(?:[eE]([+-]?)0*([0-9]*))?")


def _unscaled(text: str, precision: int, scale: int) -> int | None:
    """A number's text × 10^scale, exactly; None where that is no integer of at most ``precision`` digits."""
    parts = _PARTS.fullmatch(text)
    assert parts is not None, "only texts that match the rule for numbers come here"
    sign, whole, fraction, exponent_sign, exponent_digits = parts.groups()
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return 0
    if len(exponent_digits or "") > 9:  # more zeros than a text can hold digits
        return None
    exponent = int((exponent_sign or "") + (exponent_digits or "0"))
    coefficient = digits.rstrip("0")
    shift = exponent - len(fraction) + len(digits) - len(coefficient) + scale
    if shift < 0 or len(coefficient) + shift > precision:
        return None
    unscaled = int(coefficient + "0" * shift)
    return -unscaled if sign == "-" else unscaled


FLOAT_INTEGERS: Final = 2**53
"""Up to here every integer is a float64."""
FLOAT_POWERS: Final = 22
"""So is every power of ten up to this one."""


def floats_of(values: ArrowArray) -> ArrowArray:
    """The nearest float64 to each integer, float or exact decimal. Arrow's own cast of a decimal is not always that."""
    if pa.types.is_floating(values.type):
        return values
    if not pa.types.is_decimal(values.type):
        return values.cast(pa.float64(), safe=False)
    unscaled = arrays.values_of(values, "V16").view(np.int64).reshape(-1, 2)
    low, high = unscaled[:, 0], unscaled[:, 1]
    small = (low >> 63 == high) & (low >= -FLOAT_INTEGERS) & (low <= FLOAT_INTEGERS)
    kept = arrays.valid(values)
    if values.type.scale <= FLOAT_POWERS and (small | ~kept).all():
        # Of two numbers that are exact a division is rounded once, and so to the nearest.
        return arrays.from_values(low / float(10**values.type.scale), pa.float64(), kept)
    return values.cast(pa.string()).cast(pa.float64())
