"""From columns of text to typed columns, and every finding on the way.

A cell is checked in this order: is it missing, is it of the field's type, does it keep each constraint. The verdict on
a cell depends on its text and its field alone. Uniqueness depends on the whole file: see ``uniqueness``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.engine import arrays, coding, types
from chalicelib.engine.arrays import Mask
from chalicelib.engine.checks.cells import CellChecker, Column, texts_at
from chalicelib.engine.checks.derived import FLOAT, Deriver
from chalicelib.engine.checks.findings import Findings, Found, notes_on, shown_column
from chalicelib.engine.checks.matching import TooLarge
from chalicelib.engine.checks.references import KeySet, Reference
from chalicelib.engine.checks.structure import faults
from chalicelib.engine.contract import Contract
from chalicelib.engine.contract.binding import Binding
from chalicelib.engine.contract.fields import Field
from chalicelib.engine.records.parse import Parsed
from chalicelib.errors import InvalidContract


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
        """Some of the rows. A text that the others alone hold is nowhere in the table, nor in a file of it."""
        mask = arrays.booleans(kept)
        # Column by column whole stretches are copied, where a table's filter takes row after row, and cuts them anew.
        wholes = [arrays.whole(column).filter(mask) for column in self.table.columns]
        # Coded texts alone go to a file with their dictionary as it is (``delivery.parquet``).
        texts = [coding.without_unused(each) if each.type == coding.CODED_TEXT else each for each in wholes]
        return pa.Table.from_arrays(texts, self.table.column_names)


class Checker:
    """A contract's checks, prepared once and applied to block after block."""

    def __init__(self, contract: Contract, binding: Binding, references: Sequence[KeySet] | None = None) -> None:
        """``references``: the keys that the contract's foreign keys refer to, in order; None: they are not checked, for
        callers that want the schema or the keys alone. Errors: ``InvalidContract`` for a pattern that is too large.
        """
        fields = [(each.name, types.arrow_type(each)) for each in contract.fields]
        self.schema = pa.schema([*fields, *((each.name, FLOAT) for each in contract.derived)])
        """That of ``Checked.table``, with no column coded."""
        self._columns: dict[int, int] = {
            position: column for column, position in enumerate(binding.fields) if position is not None
        }
        """Position of a field in the contract → column of the file."""
        alike: dict[Field, list[int]] = {}
        for position in self._columns:
            alike.setdefault(replace(contract.fields[position], name=""), []).append(position)
        self._cells = [(_cell_checker(field, positions[0]), positions) for field, positions in alike.items()]
        """Checks, and the positions of the fields that they are the checks of."""
        self._places = {each.name: place for place, each in enumerate(contract.fields)}
        self._deriver = Deriver(contract.derived)
        self._references = [] if references is None else [
            Reference(key, [contract.fields[self._places[name]] for name in key.fields], known)
            for key, known in zip(contract.foreign_keys, references, strict=True)
        ]  # fmt: skip

    def check(self, parsed: Parsed) -> Checked:
        rows = len(parsed.records)
        findings = Findings()
        for found in faults(parsed.structure):
            findings.add(found)
        has_faults = bool(findings.checks)
        checked = self._checked(parsed)
        values: list[pa.Array] = []
        for position, name in enumerate(self._places):
            if position not in checked:
                values.append(pa.nulls(rows, self.schema.field(position).type))
                continue
            typed, every = checked[position]
            values.append(typed)
            if every and has_faults:
                unchecked = parsed.accounted_for(self._columns[position])
                every = [found.without(unchecked) for found in every]
            for found in every:
                findings.add(replace(found, field=name))
        for found in self._foreign(values, parsed):
            findings.add(found)
        values += self._deriver.derive(dict(zip(self._places, values, strict=True)), rows, findings)
        return Checked(pa.Table.from_arrays(values, names=self.schema.names), findings)

    def _checked(self, parsed: Parsed) -> dict[int, Column]:
        """By position of the field."""
        checked: dict[int, Column] = {}
        for cells, positions in self._cells:
            columns = [parsed.columns[self._columns[position]] for position in positions]
            checked.update(zip(positions, cells.check(columns), strict=True))
        return checked

    def _foreign(self, values: list[pa.Array], parsed: Parsed) -> Iterator[Found]:
        for reference in self._references:
            key = reference.key
            places = [self._places[name] for name in key.fields]
            if not all(place in self._columns for place in places):
                continue  # a part of the key is null in every row
            rows = reference.lacking([values[place] for place in places])
            if not len(rows):
                continue
            cells = [shown_column(texts_at(parsed.columns[self._columns[place]], rows)) for place in places]
            notes = notes_on(
                "foreign-key",
                pc.binary_join_element_wise(*cells, *arrays.strings([", "])),
                fields=", ".join(key.fields),
                reference=", ".join(key.reference_fields),
                resource=key.resource,
            )
            yield Found("foreign-key", key.fields[0] if len(key.fields) == 1 else "", rows, notes)


def _cell_checker(field: Field, position: int) -> CellChecker:
    try:
        return CellChecker(field)
    except TooLarge as error:
        raise InvalidContract(f"schema.fields[{position}].constraints.pattern", str(error)) from error
