"""What the file should be: a dataset's contract, read from its descriptor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from chalicelib.engine.dialect import Dialect
from chalicelib.engine.fields import FALSE_VALUES, TRUE_VALUES, Constraints, Field

__all__ = ["FALSE_VALUES", "TRUE_VALUES", "Aggregate", "Constraints", "Contract", "Dialect", "Field", "Measure", "Tolerance"]

SUPPORTED_TYPES: Final = (
    "string", "integer", "number", "boolean", "date", "datetime", "time", "year", "yearmonth", "any",
)


@dataclass(frozen=True, slots=True)
class Measure:
    """One number per group of an aggregate."""

    name: str
    function: str
    """One of count, sum, min, max, mean, approxDistinct, quantile."""
    column: str
    """A column of the transformed rows; ``*`` (count only) counts rows."""
    q: float | None = None
    """Which quantile, 0 to 1; None for every other function."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One table of ``sluice.aggregates``."""

    name: str
    group_by: tuple[str, ...]
    """Columns of the transformed rows; none: one group of all rows."""
    measures: tuple[Measure, ...]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How many rejected rows a job may have and still succeed; beyond either limit it fails."""

    max_rejected_rows: int | None = None
    """None: no absolute limit."""
    max_rejected_ratio: float = 0.05
    """Rejected rows / rows read, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Contract:
    """A dataset's contract."""

    name: str
    fields: tuple[Field, ...]
    primary_key: tuple[str, ...] = ()
    fields_match: str = "exact"
    missing_values: tuple[str, ...] = ("",)
    dialect: Dialect | None = None
    encoding: str | None = None
    tolerance: Tolerance = Tolerance()
    aggregates: tuple[Aggregate, ...] = ()
    partition_by: tuple[str, ...] = ()
    mode: Literal["append", "replace"] = "append"
    inferred: bool = False
    """True for a draft made from the data itself."""
