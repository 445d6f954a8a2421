"""The columns that a contract derives (``sluice.derive``), calculated a block at a time.

Arithmetic is that of IEEE 754 in float64, operation by operation in the order written, as in numpy and pandas. Where an
operand is null, so is the result, but for ``coalesce``: it takes the first operand that is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chalicelib.engine import arrays, coding
from chalicelib.engine.arrays import ArrowArray, Mask
from chalicelib.engine.checks.findings import Findings, Found, notes_on
from chalicelib.engine.contract import Derived
from chalicelib.engine.contract.expressions import Apply, Column, Step
from chalicelib.engine.records.split import Offsets
from chalicelib.engine.types import numbers

FLOAT: Final = pa.float64()

_FUNCTIONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "add": pc.add,
    "subtract": pc.subtract,
    "multiply": pc.multiply,
    "divide": pc.divide,
    "coalesce": pc.coalesce,
}

_INFINITE, _MINUS_INFINITE, _NOT_A_NUMBER = range(3)
_WORDS: Final = arrays.strings(["INF", "-INF", "NaN"])
"""As Table Schema writes them (https://specs.frictionlessdata.io/table-schema/#number)."""


class Deriver:
    """A contract's derived columns, calculated for block after block."""

    def __init__(self, derived: Sequence[Derived]) -> None:
        self._derived = derived
        self._constants = {
            step: arrays.scalar(step) for each in derived for step in each.steps if isinstance(step, float)
        }

    def derive(self, columns: Mapping[str, ArrowArray], rows: int, findings: Findings) -> list[ArrowArray]:
        """The derived columns, each of so many rows. ``columns``: the fields' by name, coded or not.

        A result that is infinite or not a number is null, also for what is derived from it. Each such cell is a finding
        if its row had none before the first column was derived.
        """
        floats: dict[str, ArrowArray] = {}
        rejected: Mask | None = None
        for each in self._derived:
            result = self._value(each.steps, columns, floats)
            if isinstance(result, pa.Scalar):  # there are constants alone
                result = arrays.from_values(np.full(rows, result.as_py()), FLOAT)
            values = arrays.values_of(result, np.float64)
            if not (finite := np.isfinite(values)).all():
                if rejected is None:
                    rejected = findings.rejected(rows)
                present = arrays.valid(result)
                findings.add(_found(each.name, values, np.flatnonzero(present & ~finite & ~rejected)))
                result = arrays.from_values(values, FLOAT, present & finite)
            floats[each.name] = result
        return [floats[each.name] for each in self._derived]

    def _value(self, steps: Sequence[Step], columns: Mapping[str, ArrowArray], floats: dict[str, ArrowArray]) -> Any:
        """The value of an expression: an array, or a scalar. ``floats``: columns as they are calculated with; those
        that are read for the first time are added.
        """
        results: list[Any] = []
        for step in steps:
            match step:
                case Column(name):
                    if name not in floats:
                        floats[name] = coding.decoded(coding.mapped(columns[name], numbers.floats_of))
                    results.append(floats[name])
                case Apply("negate"):
                    results.append(pc.negate(results.pop()))
                case Apply(function):
                    right, left = results.pop(), results.pop()
                    results.append(_FUNCTIONS[function](left, right))
                case _:
                    results.append(self._constants[step])
        (result,) = results
        return result


def _found(name: str, values: NDArray[np.float64], rows: Offsets) -> Found:
    chosen = values[rows]
    words = np.where(np.isnan(chosen), _NOT_A_NUMBER, np.where(chosen > 0, _INFINITE, _MINUS_INFINITE))
    cells = _WORDS.take(arrays.from_values(words, pa.int64()))
    return Found("type-error", name, rows, notes_on("type-error", cells, type="number", format="default"))
