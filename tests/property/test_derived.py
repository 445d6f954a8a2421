"""Random expressions over random rows give what Python's own operators give, read by Python's own parser."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.engine.checks.derived import Deriver
from chalicelib.engine.checks.findings import Findings, Found, same_note
from chalicelib.engine.contract import Field, expressions
from chalicelib.engine.contract.descriptor import Node
from chalicelib.engine.types import numbers
from chalicelib.errors import InvalidContract

FIELDS = [Field("a", "integer"), Field("b", "number"), Field("c", "number", precision=20, scale=3)]
TYPES = {"a": pa.int64(), "b": pa.float64(), "c": pa.decimal128(20, 3)}


@dataclass(frozen=True)
class Cell:
    """A float64 or null, with the operators of the expressions."""

    value: float | None

    def __add__(self, other: Cell) -> Cell:
        return self._with(other, lambda x, y: x + y)

    def __sub__(self, other: Cell) -> Cell:
        return self._with(other, lambda x, y: x - y)

    def __mul__(self, other: Cell) -> Cell:
        return self._with(other, lambda x, y: x * y)

    def __truediv__(self, other: Cell) -> Cell:
        return self._with(other, quotient)

    def __neg__(self) -> Cell:
        return Cell(None if self.value is None else -self.value)

    def _with(self, other: Cell, function: Any) -> Cell:
        return Cell(None if self.value is None or other.value is None else function(self.value, other.value))


def quotient(left: float, right: float) -> float:
    """By IEEE 754, where Python raises."""
    if right:
        return left / right
    return math.nan if math.isnan(left) or not left else math.copysign(math.inf, left) * math.copysign(1, right)


def coalesced(*cells: Cell) -> Cell:
    return next((cell for cell in cells if cell.value is not None), Cell(None))


def expected(text: str, row: dict[str, Any]) -> float | None:
    names: dict[str, Any] = {name: Cell(None if value is None else float(value)) for name, value in row.items()}
    python = re.sub(r"(?<![\w.])([0-9.]+(?:e-?[0-9]+)?)", r"Cell(float('\1'))", text)
    return eval(f"({python})", {"__builtins__": {}, "Cell": Cell, "float": float, "coalesce": coalesced} | names).value


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", " + ", "\n-\t", " * ", " / "]), inner).map("".join),
        inner.map("({})".format),
        inner.map("-{}".format),
        st.lists(inner, min_size=1, max_size=3).map(lambda each: f"coalesce({', '.join(each)})"),
    )


EXPRESSIONS = st.recursive(
    st.sampled_from(["a", "b", "c", "0", "1", "0.1", "2.", ".5", "1e308", "5e-324"]), grown, max_leaves=10
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "a": st.none() | st.sampled_from([0, 1, -3, 2**53 + 1, -(2**63), 2**63 - 1]),
            "b": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            "c": st.none() | st.decimals(-(10**17) + 1, 10**17 - 1, places=3),
        }
    ),
    min_size=1,
    max_size=8,
)


def columns_of(rows: list[dict[str, Any]], coded: bool, before: int) -> dict[str, pa.Array]:
    """``before``: other rows in the same memory, which are sliced off."""
    columns = {}
    for name, kind in TYPES.items():
        column = pa.array([None] * before + [row[name] for row in rows], kind)
        columns[name] = (column.dictionary_encode() if coded else column).slice(before)
    return columns


def bits(value: float | None) -> Any:
    """What tells -0.0 from 0.0."""
    return value if value is None else value.hex()


@given(EXPRESSIONS, EXPRESSIONS, ROWS, st.booleans(), st.integers(0, 3), st.sets(st.integers(0, 7)), st.data())
@example("a", "b/a", [{"a": 0, "b": -0.0, "c": None}], False, 0, set(), None)
@example("-0", "1-2-3/4/5*6", [{"a": None, "b": None, "c": None}], True, 0, set(), None)
@example("c", "-c", [{"a": 0, "b": 0.0, "c": Decimal("-9223372036854775.808")}], False, 1, set(), None)
def test_expressions_equal_pythons(
    first: str, second: str, rows: list[dict[str, Any]], coded: bool, before: int, found: set[int], data: Any
) -> None:
    text = second if data is None else data.draw(st.sampled_from([second, f"made + {second}", f'-"made" * {second}']))
    try:
        derived = expressions.read(Node({"made": first, "next": text}), FIELDS)
    except InvalidContract as refusal:
        assert "nested" in refusal.message  # noqa: PT017
        return
    earlier = np.array(sorted(row for row in found if row < len(rows)), np.int64)
    findings = Findings([Found("type-error", "a", earlier, same_note("", len(earlier)))])
    made, following = Deriver(derived).derive(columns_of(rows, coded, before), len(rows), findings)
    told = {
        (found.field, row): note.rpartition(" ")[2]
        for found in findings.checks[1:]
        for row, note in zip(found.rows.tolist(), found.notes.texts(), strict=True)
    }
    for place, row in enumerate(rows):
        wanted = expected(first, row)
        checked(wanted, made[place].as_py(), told.pop(("made", place), None), place in earlier)
        wanted = expected(text.replace('"', ""), row | {"made": made[place].as_py()})
        checked(wanted, following[place].as_py(), told.pop(("next", place), None), place in earlier)
    assert told == {}


def checked(wanted: float | None, value: float | None, note: str | None, rejected_before: bool) -> None:
    if wanted is None or math.isfinite(wanted):
        assert bits(value) == bits(wanted)
        assert note is None
        return
    assert value is None
    word = "NaN" if math.isnan(wanted) else "INF" if wanted > 0 else "-INF"
    assert note == (None if rejected_before else f'"{word}"')


@given(EXPRESSIONS, ROWS, st.data())
def test_blocks_make_no_difference(text: str, rows: list[dict[str, Any]], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(rows)))
    try:
        deriver = Deriver(expressions.read(Node({"made": text}), FIELDS))
    except InvalidContract as refusal:
        assert "nested" in refusal.message  # noqa: PT017
        return
    whole, *parts = (
        deriver.derive(columns_of(part, False, 0), len(part), Findings())[0] for part in (rows, rows[:cut], rows[cut:])
    )
    assert [bits(value) for part in parts for value in part.to_pylist()] == list(map(bits, whole.to_pylist()))


@given(st.text("ab01.e+-*/(),\"coalesce \n#'é_", max_size=30) | st.text(max_size=10))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        (made,) = expressions.read(Node({"made": text}), FIELDS)
    except InvalidContract as refusal:
        str(refusal).encode()
        return
    Deriver([made]).derive(columns_of([{"a": 1, "b": 1.0, "c": Decimal(1)}], False, 0), 1, Findings())


@given(st.sampled_from([(38, 0), (38, 38), (38, 20), (18, 6), (12, 2), (22, 22), (23, 23)]), st.data())
@example((38, 0), None)
@example((38, 2), None)
@example((38, 20), None)
@example((38, 23), None)
def test_decimals_become_the_nearest_floats(size: tuple[int, int], data: Any) -> None:
    precision, scale = size
    units = [1, -(2**63), 2**63, 2**53, 2**53 + 1, -(2**53), -(2**53) - 1, 2**64 + 5, None]
    units += [-8391377425033787941, -1777534351747915059]  # rounded twice they would be others
    if data is not None:
        limit = 10**precision - 1
        unit = st.none() | st.integers(-limit, limit) | st.integers(-(10 ** min(precision, 15)) + 1, 10**12 - 1)
        units = data.draw(st.lists(unit, max_size=8))
    exact = [None if unit is None else Decimal(f"{unit}e-{scale}") for unit in units]
    for values in (exact, *([each] for each in exact)):
        floats = numbers.floats_of(pa.array(values, pa.decimal128(precision, scale)))
        assert floats.to_pylist() == [None if value is None else float(value) for value in values]


@pytest.mark.parametrize("text", ["b / a", "b * a"])
def test_what_lies_under_a_null_is_no_finding(text: str) -> None:
    """Kernels calculate there too, and what comes out may be infinite."""
    b = pa.Array.from_buffers(pa.float64(), 2, [pa.py_buffer(b"\1"), pa.py_buffer(np.array([1.0, np.inf]))])
    findings = Findings()
    columns = {"a": pa.array([2, 0]), "b": b}
    (made,) = Deriver(expressions.read(Node({"made": text}), FIELDS)).derive(columns, 2, findings)
    assert made.to_pylist() == [0.5 if "/" in text else 2.0, None]
    assert findings.count == 0
