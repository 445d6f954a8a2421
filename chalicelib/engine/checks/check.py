"""From columns of text to typed columns, and every finding on the way.

A cell is checked in this order: is it missing, is it of the field's type, does it keep each constraint. The verdict on
a cell depends on its text and its field alone. Uniqueness depends on the whole file: see ``uniqueness``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chalicelib.engine import arrays, coding, types
from chalicelib.engine.arrays import ArrowArray, Mask
from chalicelib.engine.checks.derived import FLOAT, Deriver
from chalicelib.engine.checks.findings import Findings, Found, notes_on, same_note, shown_column
from chalicelib.engine.checks.matching import Expression
from chalicelib.engine.checks.references import KeySet, Reference
from chalicelib.engine.contract import Contract, durations
from chalicelib.engine.contract.binding import Binding
from chalicelib.engine.contract.fields import Field
from chalicelib.engine.records.parse import Parsed
from chalicelib.engine.records.split import Offsets
from chalicelib.engine.types import nested

Test = Callable[[pa.StringArray, pa.Array], Mask]
"""Texts and values of a column → which of its cells break the constraint; nulls never do."""


MOST_KEPT: Final = 0.9
"""The share of rows from which on each column is filtered by itself: that copies stretches, where a table's filter
takes row after row by its number, and is up to three times as fast where stretches are long."""


@dataclass(frozen=True, slots=True)
class Constraint:
    name: str
    expected: str
    broken: Test


@dataclass(slots=True)
class Checked:
    """A block's rows, typed, with the findings so far."""

    table: pa.Table
    """One column per field of the contract, in its order, coded or not, and then those that it derives; a cell with a
    finding is null.
    """
    findings: Findings
    """First those on a row's structure, then by field in the contract's order, then on what is derived."""

    def rows(self, kept: Mask) -> pa.Table:
        mask = arrays.booleans(kept)
        if np.count_nonzero(kept) < MOST_KEPT * len(kept):
            return self.table.filter(mask)
        return pa.Table.from_arrays([column.filter(mask) for column in self.table.columns], self.table.column_names)


class Checker:
    """A contract's checks, prepared once and applied to block after block."""

    def __init__(self, contract: Contract, binding: Binding, references: Sequence[KeySet] | None = None) -> None:
        """``references``: the keys that the contract's foreign keys refer to, in order; None: they are not checked, for
        callers that want the schema or the keys alone.
        """
        fields = [(each.name, types.arrow_type(each)) for each in contract.fields]
        self.schema = pa.schema([*fields, *((each.name, FLOAT) for each in contract.derived)])
        """That of ``Checked.table``, with no column coded."""
        self._columns: dict[int, int] = {
            position: column for column, position in enumerate(binding.fields) if position is not None
        }
        """Position of a field in the contract → column of the file."""
        self._fields = [_FieldChecker(each) for each in contract.fields]
        self._places = {each.name: place for place, each in enumerate(contract.fields)}
        self._deriver = Deriver(contract.derived)
        self._references = [] if references is None else [
            Reference(key, [contract.fields[self._places[name]] for name in key.fields], known)
            for key, known in zip(contract.foreign_keys, references, strict=True)
        ]  # fmt: skip

    def check(self, parsed: Parsed) -> Checked:
        rows = len(parsed.records)
        findings = Findings(parsed.notes)
        for note, of_rows in parsed.ragged.notes():
            findings.add(Found(note.code, note.field, of_rows, same_note(note.note, len(of_rows))))
        values: list[pa.Array] = []
        for position, checker in enumerate(self._fields):
            if position not in self._columns:
                values.append(pa.nulls(rows, self.schema.field(position).type))
                continue
            column = self._columns[position]
            typed, every = checker.check(parsed.columns[column])
            values.append(typed)
            if every and parsed.rejected:
                unchecked = parsed.accounted_for(column)
                every = [found.without(unchecked) for found in every]
            for found in every:
                findings.add(found)
        for found in self._foreign(values, parsed):
            findings.add(found)
        values += self._deriver.derive(dict(zip(self._places, values, strict=True)), rows, findings)
        return Checked(pa.Table.from_arrays(values, names=self.schema.names), findings)

    def _foreign(self, values: list[pa.Array], parsed: Parsed) -> Iterator[Found]:
        for reference in self._references:
            key = reference.key
            places = [self._places[name] for name in key.fields]
            if not all(place in self._columns for place in places):
                continue  # a part of the key is null in every row
            rows = reference.lacking([values[place] for place in places])
            if not len(rows):
                continue
            cells = [shown_column(_texts(parsed.columns[self._columns[place]], rows)) for place in places]
            notes = notes_on(
                "foreign-key",
                pc.binary_join_element_wise(*cells, *arrays.strings([", "])),
                fields=", ".join(key.fields),
                reference=", ".join(key.reference_fields),
                resource=key.resource,
            )
            yield Found("foreign-key", key.fields[0] if len(key.fields) == 1 else "", rows, notes)


class _FieldChecker:
    def __init__(self, checked: Field) -> None:
        self._field = checked
        self._is_nested = pa.types.is_nested(types.arrow_type(checked))
        self._missing = _Missing(checked.missing_values)
        self._constraints = list(_constraints(checked))

    def check(self, column: ArrowArray) -> tuple[ArrowArray, list[Found]]:
        """The typed column, coded as the texts are unless its values are nested, and its findings by check."""
        if not coding.is_coded(column) or self._is_nested:
            return self._check(coding.decoded(column))
        values, found = self._check(column.dictionary)
        return coding.replaced(column, values), [_of_rows(column, each) for each in found]

    def _check(self, texts: pa.StringArray) -> tuple[ArrowArray, list[Found]]:
        found: list[Found] = []
        missing = self._missing.mask(texts)
        given = texts if missing is None else arrays.with_only(texts, ~missing)
        values, bad = types.read(self._field, given)
        if self._field.constraints.required and missing is not None:
            found.append(self._found("constraint-error", texts, missing, constraint="required", expected="true"))
        if bad.any():
            found.append(self._found("type-error", texts, bad, type=self._field.type, format=self._field.format))
        for constraint in self._constraints:
            broken = constraint.broken(given, values)
            if broken.any():
                expected = constraint.expected
                found.append(
                    self._found("constraint-error", texts, broken, constraint=constraint.name, expected=expected)
                )
        return values, found

    def _found(self, code: str, texts: pa.StringArray, mask: Mask, **values: str) -> Found:
        rows = np.flatnonzero(mask)
        return Found(code, self._field.name, rows, notes_on(code, shown_column(_texts(texts, rows)), **values))


def _of_rows(column: ArrowArray, found: Found) -> Found:
    """What was found of a coded column's distinct texts, as findings of its rows."""
    rows, places = coding.rows_with(column, found.rows)
    return Found(found.code, found.field, rows, found.notes.take(places))


def _texts(texts: ArrowArray, rows: Offsets) -> pa.StringArray:
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
        shortest = given.min_length
        yield Constraint("minLength", str(shortest), _measured(checked, lambda sizes: sizes < shortest))
    if given.max_length is not None:
        longest = given.max_length
        yield Constraint("maxLength", str(longest), _measured(checked, lambda sizes: sizes > longest))


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


def _measured(checked: Field, breaks: Callable[[NDArray[np.int32]], Mask]) -> Test:
    return lambda _, values: arrays.valid(values) & breaks(nested.lengths(checked, values))
