"""A column of blocks with different types becomes one that holds every value, or the job ends."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

from chalicelib.engine.delivery.schemas import conform
from chalicelib.errors import Terminal


def as_floats(text: str, kind: pa.DataType) -> list[float | None]:
    given = pa.table({"x": pa.array([Decimal(text), None], kind)})
    found: list[float | None] = conform(given, pa.schema([("x", pa.float64())])).column(0).to_pylist()
    return found


@pytest.mark.parametrize("scale", [2, 15, 18, 36])
@pytest.mark.parametrize("text", ["0.1", "19.99", "-3", "0"])
def test_a_decimal_that_a_floats_text_has_too_becomes_one_whatever_its_scale(text: str, scale: int) -> None:
    assert as_floats(text, pa.decimal128(38, scale)) == [float(text), None]


def test_a_large_decimal_of_few_digits_becomes_a_float() -> None:
    assert as_floats("1e25", pa.decimal128(38, 0)) == [1e25, None]


@pytest.mark.parametrize(
    ("text", "scale"), [("12345678901234567", 0), ("123456789012345678.25", 2), ("0.12345678901234567", 20)]
)
def test_a_decimal_of_more_digits_than_a_float_keeps_ends_the_job(text: str, scale: int) -> None:
    with pytest.raises(Terminal, match="cannot hold them without loss") as caught:
        as_floats(text, pa.decimal128(38, scale))
    assert caught.value.code == "transform-schema"
    assert text[:8] not in str(caught.value)
