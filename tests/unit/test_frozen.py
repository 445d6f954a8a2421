"""``frozen`` makes what ``dataclass(frozen=True, slots=True)`` makes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, dataclass, field, replace
from typing import Any

import pytest

from chalicelib.frozen import frozen


def declared(name: str, decorator: Callable[[type[Any]], type[Any]]) -> Any:
    class Place:
        """A place."""

        name: str
        sizes: tuple[int, ...] = ()
        told: Any = field(default_factory=dict)
        note: str = field(default="", compare=False)
        secret: str = field(default="", repr=False)

        @property
        def count(self) -> int:
            return len(self.sizes)

    Place.__name__ = Place.__qualname__ = name
    return decorator(Place)


Own = declared("Own", frozen)
Usual = declared("Usual", dataclass(frozen=True, slots=True))

VALUES: list[dict[str, Any]] = [
    {"name": "a"},
    {"name": "b"},
    {"name": "a", "sizes": (1, 2)},
    {"name": "a", "told": {"x": [1]}},
    {"name": "a", "note": "n"},
    {"name": "a", "secret": "s"},
]


@pytest.mark.parametrize("given", VALUES, ids=str)
def test_it_reads_as_a_dataclass_does(given: dict[str, Any]) -> None:
    own, usual = Own(**given), Usual(**given)
    assert repr(own) == repr(usual).replace("Usual", "Own")
    assert (Own.__doc__, own.count, Own.__match_args__) == (Usual.__doc__, usual.count, Usual.__match_args__)
    assert asdict(replace(own, sizes=(3,)))["sizes"] == asdict(replace(usual, sizes=(3,)))["sizes"] == (3,)
    assert not hasattr(own, "__dict__")
    match own:
        case Own(name, sizes):
            assert (name, sizes) == (own.name, own.sizes)


CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    (("a",), {}),
    (("a", (1,)), {"secret": "s"}),
    (("a", (1,), {}, "n", "s"), {}),
    ((), {}),
    ((), {"sizes": (1,)}),
    (("a",), {"name": "b"}),
    (("a",), {"other": 1}),
    (("a", (1,), {}, "n", "s", "more"), {}),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_it_is_called_as_a_dataclass_is(call: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
    given, named = call
    made = []
    for kind in (Own, Usual):
        try:
            made.append(asdict(kind(*given, **named)))
        except TypeError:
            made.append({})
    assert made[0] == made[1]


@pytest.mark.parametrize(
    "more",
    [
        {"__annotations__": {"a": int}, "__post_init__": lambda self: None},
        {"__annotations__": {"a": int}, "a": field(init=False, default=1)},
        {"__annotations__": {"a": int}, "a": field(kw_only=True)},
    ],
    ids=["post-init", "not given", "by name alone"],
)
def test_what_it_cannot_make_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="Odd has more to its making"):
        frozen(type("Odd", (), more))


def test_a_default_that_is_made_is_made_for_each() -> None:
    assert Own("a").told is not Own("a").told


@pytest.mark.parametrize("given", VALUES, ids=str)
def test_equal_are_the_same_as_of_a_dataclass(given: dict[str, Any]) -> None:
    assert [Own(**given) == Own(**other) for other in VALUES] == [Usual(**given) == Usual(**other) for other in VALUES]
    own = Own(**given)
    assert copy.copy(own) == own
    assert pickle.loads(pickle.dumps(own)) == own
    other: object = Usual(**given)
    assert own != other


def test_it_is_equal_to_itself_as_a_tuple_is() -> None:
    """Also where a field is not; a dataclass is since Python 3.13 no longer."""
    own = Own(float("nan"))
    assert own == copy.copy(own)


def test_equal_ones_have_one_hash() -> None:
    one, same, other = (replace(Own("a", (1,), note=note), told=()) for note in ("", "n", "n"))
    assert hash(one) == hash(same)
    assert len({one, same, replace(other, name="b")}) == 2
    with pytest.raises(TypeError, match="unhashable"):
        hash(Own("a"))


def test_a_method_of_the_class_stays() -> None:
    @frozen
    class Named:
        name: str
        size: int

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Named) and self.name == other.name

        def __hash__(self) -> int:
            return hash(self.name)

    assert Named("a", 1) == Named("a", 2)
    assert len({Named("a", 1), Named("a", 2)}) == 1


@pytest.mark.parametrize("place", [Own("a"), copy.copy(Own("a")), pickle.loads(pickle.dumps(Own("a"))), Usual("a")])
def test_a_field_is_neither_assigned_nor_deleted(place: Any) -> None:
    for name in ("name", "told", "note"):
        with pytest.raises(FrozenInstanceError, match=f"cannot assign to field '{name}'"):
            setattr(place, name, "b")
        with pytest.raises(FrozenInstanceError, match=f"cannot delete field '{name}'"):
            delattr(place, name)
    assert (place.name, place.told, place.note) == ("a", {}, "")


def test_what_is_no_field_is_not_assigned_either() -> None:
    for name in ("count", "unknown"):
        with pytest.raises(AttributeError):
            setattr(Own("a"), name, 1)


def test_an_assignment_is_an_error_to_mypy_too() -> None:
    @frozen
    class Named:
        name: str

    with pytest.raises(FrozenInstanceError):
        Named("a").name = "b"  # type: ignore[misc]
