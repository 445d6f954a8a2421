"""What the file should be: a dataset's contract. Plain Python throughout, so that light functions can read one too."""

from __future__ import annotations

from chalicelib.engine.contract.binding import Binding, bind, bind_positions
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.contract.expressions import Derived
from chalicelib.engine.contract.fields import TYPES, Constraints, Field, ForeignKey
from chalicelib.engine.contract.resource import Contract, parse, to_document
from chalicelib.engine.contract.schema import RESERVED_LABELS
from chalicelib.engine.contract.sluice_keys import Aggregate, Measure, Tolerance

__all__ = [
    "RESERVED_LABELS",
    "TYPES",
    "Aggregate",
    "Binding",
    "Constraints",
    "Contract",
    "Derived",
    "Dialect",
    "Field",
    "ForeignKey",
    "Measure",
    "Tolerance",
    "bind",
    "bind_positions",
    "parse",
    "to_document",
]
