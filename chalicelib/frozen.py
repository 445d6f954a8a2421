"""Dataclasses that nobody changes, and that cost a process little to begin with.

``dataclass(frozen=True, slots=True)`` compiles seven methods for each class: 0.4 ms, and there are eighty classes. Here
``__init__`` alone is compiled; the others find the fields by their names. That none is assigned is mypy's to see.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """The class as ``dataclass(frozen=True, slots=True)`` makes it, but for the error where a field is assigned."""
    made = dataclass(slots=True, eq=False, repr=False)(cls)
    known = fields(made)  # type: ignore[arg-type]
    shown = [each.name for each in known if each.repr]
    values = attrgetter("__class__", *(each.name for each in known if each.compare))

    def __eq__(self: T, other: object) -> bool:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: T) -> int:
        return hash(values(self))

    def __repr__(self: T) -> str:
        told = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{self.__class__.__qualname__}({told})"

    for method in (__eq__, __hash__, __repr__):
        if method.__name__ not in cls.__dict__:
            setattr(made, method.__name__, method)
    return made
