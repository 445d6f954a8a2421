"""Dataclasses that nobody changes, and that cost a process little to begin with.

``dataclass(frozen=True, slots=True)`` compiles seven methods for each class: 0.5 ms, and there are eighty classes. Here
none is compiled: all find the fields by their names.
"""

from __future__ import annotations

from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, NoReturn, TypeVar, cast, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """The class as ``dataclass(frozen=True, slots=True)`` makes it.

    Errors: ``TypeError`` for a class with ``__post_init__``, or a field that has its own way to be given, which nobody
    needs here; later ``FrozenInstanceError`` where a field that has a value is assigned or deleted.
    """
    made = dataclass(slots=True, init=False, eq=False, repr=False)(cls)
    known = fields(cast("Any", made))
    if hasattr(cls, "__post_init__") or any(each.kw_only or not each.init for each in known):
        raise TypeError(f"{cls.__qualname__} has more to its making than its fields")
    names = [each.name for each in known]
    defaults = {each.name: each.default for each in known if each.default is not MISSING}
    factories = {each.name: each.default_factory for each in known if each.default_factory is not MISSING}
    shown = [each.name for each in known if each.repr]
    values = attrgetter("__class__", *(each.name for each in known if each.compare))
    assign = object.__setattr__

    def __init__(self: T, *given: Any, **named: Any) -> None:
        for name, value in zip(names, given, strict=False):
            assign(self, name, value)
        for name in names[len(given) :]:
            if name in named:
                assign(self, name, named.pop(name))
            elif name in defaults:
                assign(self, name, defaults[name])
            elif name in factories:
                assign(self, name, factories[name]())
            else:
                raise TypeError(f"{cls.__qualname__} has no value for {name!r}")
        if named or len(given) > len(names):
            raise TypeError(
                f"{cls.__qualname__} was given more than its fields, or one twice: {*given[len(names) :], *named}"
            )

    def __eq__(self: T, other: object) -> bool:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: T) -> int:
        return hash(values(self))

    def __repr__(self: T) -> str:
        told = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{self.__class__.__qualname__}({told})"

    def __setattr__(self: T, name: str, value: object) -> None:
        if hasattr(self, name):  # ``pickle`` and ``copy`` come before there is one
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        assign(self, name, value)

    def __delattr__(self: T, name: str) -> NoReturn:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    for method in (__init__, __eq__, __hash__, __repr__, __setattr__, __delattr__):
        if method.__name__ not in cls.__dict__:
            setattr(made, method.__name__, method)
    return made
