"""Dataclasses that nobody changes, and that cost a process little to begin with.

``dataclass(frozen=True, slots=True)`` compiles seven methods for each class: 0.5 ms, and there are eighty classes. Here
``__init__`` alone is compiled; the others find the fields by their names.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, NoReturn, TypeVar, cast, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """The class as ``dataclass(frozen=True, slots=True)`` makes it. Errors: ``FrozenInstanceError`` where a field that
    has a value is assigned or deleted.
    """
    made = dataclass(slots=True, eq=False, repr=False)(cls)
    known = fields(cast("Any", made))
    shown = [each.name for each in known if each.repr]
    values = attrgetter("__class__", *(each.name for each in known if each.compare))

    def __eq__(self: T, other: object) -> bool:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: T) -> int:
        return hash(values(self))

    def __repr__(self: T) -> str:
        told = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{self.__class__.__qualname__}({told})"

    def __setattr__(self: T, name: str, value: object) -> None:
        if hasattr(self, name):  # ``__init__`` alone comes before there is one
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def __delattr__(self: T, name: str) -> NoReturn:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    for method in (__eq__, __hash__, __repr__, __setattr__, __delattr__):
        if method.__name__ not in cls.__dict__:
            setattr(made, method.__name__, method)
    return made
