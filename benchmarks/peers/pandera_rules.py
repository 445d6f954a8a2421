"""The contract as pandera checks, for both pandera peers. Types are checked after a lenient cast."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.task import Field


def checks(field: Field, pa: Any) -> list[Any]:
    """``pa`` is ``pandera.pandas`` or ``pandera.polars``."""
    found = []
    if field.minimum is not None:
        found.append(pa.Check.ge(field.minimum))
    if field.maximum is not None:
        found.append(pa.Check.le(field.maximum))
    if field.enum is not None:
        found.append(pa.Check.isin(field.enum))
    if field.pattern is not None:
        found.append(pa.Check.str_matches(f"^(?:{field.pattern})$"))
    if field.max_length is not None:
        found.append(pa.Check.str_length(max_value=field.max_length))
    return found
