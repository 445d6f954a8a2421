"""What is checked of a field's cells: whether they are missing, of the field's type, and keep its constraints."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.engine import arrays, coding, types
from chalicelib.engine.arrays import ArrowArray, Mask
from chalicelib.engine.checks.findings import Found, notes_on, shown_column
from chalicelib.engine.checks.matching import Expression
from chalicelib.engine.checks.unreadable import Explainer
from chalicelib.engine.contract import durations
from chalicelib.engine.contract.fields import Field
from chalicelib.engine.records.split import Offsets
from chalicelib.engine.types import nested
from chalicelib.frozen import frozen

Test = Callable[[pa.StringArray, pa.Array], Mask]
"""Texts and values of a column → which of its cells break the constraint; nulls never do."""


@frozen
class Constraint:
    """A constraint of a field, prepared."""

    name: str
    expected: str
    broken: Test


Column = tuple[ArrowArray, list[Found]]
"""Typed values, and what was found of their texts, check by check; the field is yet to be named."""

TOGETHER_ROWS: Final = 16_384
"""Shorter columns of fields that are alike are checked as one: of a hundred columns the calls would cost more than the
work."""


class CellChecker:
    """The checks of fields that differ by their names alone."""

    def __init__(self, checked: Field) -> None:
        """Errors: ``matching.TooLarge``."""
        self._field = checked
        self._is_nested = pa.types.is_nested(types.arrow_type(checked))
        self._missing = _Missing(checked.missing_values)
        self._explainer = Explainer(checked)
        self._constraints = list(_constraints(checked))

    def check(self, columns: Sequence[ArrowArray]) -> list[Column]:
        """Each of some columns of one length, typed, and coded as its texts are unless its values are nested."""
        coded = [coding.is_coded(column) and not self._is_nested for column in columns]
        pairs = list(zip(columns, coded, strict=True))
        plain = iter(self._plain([coding.decoded(column) for column, is_coded in pairs if not is_coded]))
        return [self._coded(column) if is_coded else next(plain) for column, is_coded in pairs]

    def _coded(self, column: ArrowArray) -> Column:
        values, found = self._check(column.dictionary)
        return coding.replaced(column, values), [_of_rows(column, each) for each in found]

    def _plain(self, columns: Sequence[ArrowArray]) -> list[Column]:
        rows = len(columns[0]) if columns else 0
        if len(columns) < 2 or not 0 < rows <= TOGETHER_ROWS or self._is_nested:
            return [self._check(column) for column in columns]
        values, found = self._check(pa.concat_arrays(columns))
        starts = range(0, len(values), rows)
        return [(values.slice(start, rows), [each.between(start, start + rows) for each in found]) for start in starts]

    def _check(self, texts: pa.StringArray) -> Column:
        found: list[Found] = []
        missing = self._missing.mask(texts)
        given = texts if missing is None else arrays.with_only(texts, ~missing)
        values, bad = types.read(self._field, given)
        if self._field.constraints.required and missing is not None:
            found.append(self._found("constraint-error", texts, missing, constraint="required", expected="true"))
        if bad.any():
            found += self._unreadable(texts, np.flatnonzero(bad))
        for constraint in self._constraints:
            broken = constraint.broken(given, values)
            if broken.any():
                expected = constraint.expected
                found.append(
                    self._found("constraint-error", texts, broken, constraint=constraint.name, expected=expected)
                )
        return values, found

    def _unreadable(self, texts: pa.StringArray, rows: Offsets) -> Iterator[Found]:
        given = texts_at(texts, rows)
        shown = shown_column(given)
        for mask, reason in self._explainer.explained(given):
            cells = shown.filter(arrays.booleans(mask))
            of_type = notes_on("type-error", cells, reason=reason, type=self._field.type, format=self._field.format)
            yield Found("type-error", "", rows[mask], of_type)

    def _found(self, code: str, texts: pa.StringArray, mask: Mask, **values: str) -> Found:
        rows = np.flatnonzero(mask)
        return Found(code, "", rows, notes_on(code, shown_column(texts_at(texts, rows)), **values))


def _of_rows(column: ArrowArray, found: Found) -> Found:
    """What was found of a coded column's distinct texts, as findings of its rows."""
    rows, places = coding.rows_with(column, found.rows)
    return Found(found.code, found.field, rows, found.notes.take(places))


def texts_at(texts: ArrowArray, rows: Offsets) -> pa.StringArray:
    return coding.decoded(texts.take(arrays.from_values(rows, pa.int64())))


class _Missing:
    """Which texts stand for a missing value."""

    def __init__(self, missing_values: tuple[str, ...]) -> None:
        self._others = [text.encode() for text in missing_values if text]
        self._empty = "" in missing_values

    def mask(self, texts: pa.StringArray) -> Mask | None:
        """None where no text is missing."""
        edges = arrays.offsets(texts)
        sizes = np.diff(edges)
        missing = sizes == 0 if self._empty else np.zeros(len(sizes), np.bool_)
        data = arrays.data(texts)
        for text in self._others:
            rows = np.flatnonzero(sizes == len(text))
            for at, byte in enumerate(text):
                rows = rows[data[edges[rows] + at] == byte]
            missing[rows] = True
        if texts.null_count:
            missing |= ~arrays.valid(texts)
        return missing if missing.any() else None


def _constraints(checked: Field) -> Iterator[Constraint]:
    """The tests of a field's constraints (https://datapackage.org/standard/table-schema/#field-constraints), but for
    ``required`` and ``unique``.
    """
    given = checked.constraints
    if given.enum is not None:
        allowed, _ = types.read(checked, arrays.strings(given.enum))
        yield Constraint("enum", ", ".join(given.enum), _absent(checked, allowed))
    if given.pattern is not None:
        expression = Expression(given.pattern)
        yield Constraint("pattern", given.pattern, lambda texts, _: arrays.valid(texts) & ~expression.matches(texts))
    yield from _limits(checked)
    if given.min_length is not None:
        yield Constraint("minLength", str(given.min_length), _measured(checked, operator.lt, given.min_length))
    if given.max_length is not None:
        yield Constraint("maxLength", str(given.max_length), _measured(checked, operator.gt, given.max_length))


def _limits(checked: Field) -> Iterator[Constraint]:
    given = checked.constraints
    limits: tuple[tuple[str, str | None, Callable[[Any, Any], Any], Callable[[Any, Any], bool]], ...] = (
        ("minimum", given.minimum, pc.less, operator.ge),
        ("maximum", given.maximum, pc.greater, operator.le),
        ("exclusiveMinimum", given.exclusive_minimum, pc.less_equal, operator.gt),
        ("exclusiveMaximum", given.exclusive_maximum, pc.greater_equal, operator.lt),
    )
    for name, text, breaks, keeps in limits:
        if text is None:
            continue
        if checked.type == "duration":
            yield Constraint(name, text, _lasting(keeps, durations.read(text)))
        else:
            yield Constraint(name, text, _beyond(breaks, types.limit(checked, text)))


def _lasting(keeps: Callable[[Any, Any], bool], limit: durations.Duration) -> Test:
    """Some durations have no order (a month, 30 days): what does not surely keep a limit breaks it, as with XSD."""
    return lambda _, values: arrays.valid(values) & ~nested.is_duration_within(values, lambda each: keeps(each, limit))


_ZERO: Final = arrays.scalar(0.0)


def _one_zero(values: pa.Array) -> pa.Array:
    """The values with 0.0 for -0.0: they are equal, but Arrow's ``is_in`` takes them for two."""
    return pc.add(values, _ZERO) if pa.types.is_floating(values.type) else values


def _absent(checked: Field, allowed: pa.Array) -> Test:
    known = _one_zero(nested.comparable(checked, allowed))

    def broken(_: pa.StringArray, values: pa.Array) -> Mask:
        found = pc.is_in(_one_zero(nested.comparable(checked, values)), value_set=known)
        return arrays.valid(values) & ~arrays.trues(found)

    return broken


def _beyond(breaks: Callable[[pa.Array, pa.Scalar], pa.BooleanArray], limit: pa.Scalar) -> Test:
    return lambda _, values: arrays.trues(breaks(values, limit))


def _measured(checked: Field, breaks: Callable[[Any, int], Mask], limit: int) -> Test:
    return lambda _, values: arrays.valid(values) & breaks(nested.lengths(checked, values, limit), limit)
