"""Reading a JSON descriptor key by key: every refusal names the path of the key and says what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar

from chalicelib.errors import InvalidContract
from chalicelib.frozen import frozen

DOCUMENT: Final = "(document)"
"""The path of a fault that concerns the document as a whole."""

DOCUMENT_LIMIT_BYTES: Final = 1 << 20
"""Largest contract; one with 1,000 fields and long enumerations takes some 200 KiB."""

DIGITS_LIMIT: Final = 400
"""Longest number, in digits: a 64-bit float has at most 309 before the point, an exact decimal 38."""

_SIMPLE_KEY = re.compile(r"[A-Za-z_$][\w$-]*")
_SHOWN_CHARACTERS = 80
_T = TypeVar("_T", bound=str)


@frozen
class Node:
    """A JSON value and the path that leads to it. Each method reads the value as one kind of thing, or raises
    ``InvalidContract`` for the path.
    """

    value: Any
    path: str = DOCUMENT

    def refusal(self, problem: str) -> InvalidContract:
        return InvalidContract(self.path, problem)

    def child(self, key: str) -> Node:
        """The node of a key, whether it is there or not (then its value is None)."""
        step = key if _SIMPLE_KEY.fullmatch(key) else f"[{_quoted(key)}]"
        prefix = "" if self.path == DOCUMENT else self.path
        joint = "." if prefix and not step.startswith("[") else ""
        return Node(self.members().get(key), f"{prefix}{joint}{step}")

    def get(self, key: str) -> Node | None:
        """The node of a key, None where the object has no such key. A key that is ``null`` is there."""
        return self.child(key) if key in self.members() else None

    def require(self, key: str) -> Node:
        node = self.get(key)
        if node is None:
            raise self.child(key).refusal("is missing")
        return node

    def members(self) -> dict[str, Any]:
        if not isinstance(self.value, dict):
            raise self._unlike("an object")
        return self.value

    def children(self) -> Iterator[tuple[str, Node]]:
        for key in self.members():
            yield key, self.child(key)

    def items(self) -> list[Node]:
        if not isinstance(self.value, list | tuple):
            raise self._unlike("an array")
        return [Node(item, f"{self.path}[{index}]") for index, item in enumerate(self.value)]

    def text(self, *, empty: bool = False) -> str:
        if not isinstance(self.value, str):
            raise self._unlike("a text")
        if not self.value and not empty:
            raise self.refusal("is empty")
        try:
            self.value.encode()
        except UnicodeEncodeError:
            raise self.refusal("has half of a surrogate pair, which is no character") from None
        return self.value

    def texts(self, *, empty: bool = False) -> tuple[str, ...]:
        """An array of distinct texts; ``empty`` says whether a text may be ``""``."""
        found: dict[str, None] = {}
        for item in self.items():
            text = item.text(empty=empty)
            if text in found:
                raise item.refusal(f"{shown(text)} is listed twice")
            found[text] = None
        return tuple(found)

    def one_of(self, allowed: Iterable[_T]) -> _T:
        text = self.text(empty=True)
        choices = tuple(allowed)
        for choice in choices:
            if choice == text:
                return choice
        raise self.refusal(f"is {shown(text)}, expected one of {', '.join(choices)}{did_you_mean(text, choices)}")

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self._unlike("true or false")
        return self.value

    def whole(self, minimum: int, maximum: int) -> int:
        """A whole number from ``minimum`` to ``maximum``; ``5.0`` is one, ``true`` and ``"5"`` are not."""
        number = self.number()
        if number != number.to_integral_value() or not minimum <= number <= maximum:
            raise self.refusal(f"is {shown(self.value)}, expected a whole number from {minimum} to {maximum}")
        return int(number)

    def ratio(self) -> float:
        """A number from 0 to 1."""
        number = self.number()
        if not 0 <= number <= 1:
            raise self.refusal(f"is {shown(self.value)}, expected a number from 0 to 1")
        return float(number)

    def number(self) -> Decimal:
        """Any JSON number, exactly as it is written."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float | Decimal):
            raise self._unlike("a number")
        if isinstance(self.value, int) and self.value.bit_length() > 4 * DIGITS_LIMIT:
            raise self.refusal(f"has more than {DIGITS_LIMIT} digits")
        number = Decimal(repr(self.value)) if isinstance(self.value, float) else Decimal(self.value)
        if (
            not number.is_finite()
            or abs(number.adjusted()) > DIGITS_LIMIT
            or len(number.as_tuple().digits) > DIGITS_LIMIT
        ):
            raise self.refusal(f"is not a number of at most {DIGITS_LIMIT} digits")
        return number

    def only(self, known: Iterable[str]) -> None:
        """Refuse a key that is not known: what Sluice does not honour must not look as if it were."""
        names = tuple(known)
        for key, child in self.children():
            if key not in names:
                raise child.refusal(f"is not a known key{did_you_mean(key, names)}")

    def no_typos(self, known: Iterable[str], elsewhere: Mapping[str, str], passed_over: Container[str] = ()) -> None:
        """Refuse a key that looks like a misspelt known one, or belongs ``elsewhere`` (key → where). Others may stand:
        descriptors may be extended; those that are ``passed_over`` are spelt right.
        """
        names = tuple(known)
        for key, child in self.children():
            if key in elsewhere:
                raise child.refusal(f"belongs {elsewhere[key]}")
            is_right = key in names or key in passed_over or key[:1] == "$"
            if not is_right and (hint := did_you_mean(key, names, cutoff=0.8)):
                raise child.refusal(f"is not a known key{hint}")

    def _unlike(self, expected: str) -> InvalidContract:
        return self.refusal(f"is {kind_of(self.value)}, expected {expected}")


def load(document: bytes | str | dict[str, Any]) -> Node:
    """The root of a document: bytes (UTF-8, with or without a byte order mark), text, or JSON that was read already.

    Errors: ``InvalidContract`` with the path ``(document)``: too large, not UTF-8, not JSON (with line and column), a
    key given twice, not an object.
    """
    if isinstance(document, bytes | str):
        document = _loads(_decoded(document))
    root = Node(document)
    root.members()
    return root


def _decoded(document: bytes | str) -> str:
    size = len(document)
    if size > DOCUMENT_LIMIT_BYTES:
        raise InvalidContract(DOCUMENT, f"is larger than {DOCUMENT_LIMIT_BYTES >> 20} MiB")
    if isinstance(document, str):
        return document.removeprefix("\ufeff")
    try:
        return document.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidContract(DOCUMENT, f"is not UTF-8 (byte {error.start})") from None


def _loads(text: str) -> Any:
    try:
        return json.loads(
            text,
            parse_float=_decimal,
            parse_int=_integer,
            parse_constant=_no_constant,
            object_pairs_hook=_distinct,
        )
    except json.JSONDecodeError as error:
        raise InvalidContract(
            DOCUMENT, f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise InvalidContract(DOCUMENT, "is nested too deeply") from None


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise InvalidContract(DOCUMENT, f"the number {_cut(text)} is out of range") from None


def _integer(text: str) -> int:
    # int() refuses more than 4,300 digits with a ValueError that names an interpreter's setting.
    if len(text) > DIGITS_LIMIT:
        raise InvalidContract(DOCUMENT, f"the number {_cut(text)} has more than {DIGITS_LIMIT} digits")
    return int(text)


def _no_constant(text: str) -> Any:
    raise InvalidContract(DOCUMENT, f"is not JSON: {text} is not a JSON number")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise InvalidContract(DOCUMENT, f"the key {_quoted(key)} stands twice in one object")
        members[key] = value
    return members


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """``; did you mean "required"?``, or nothing where no known word is near. Case and separators do not count."""
    from difflib import get_close_matches  # for an error alone

    names = {plain(name): name for name in known}
    near = get_close_matches(plain(word[:_SHOWN_CHARACTERS]), names, n=1, cutoff=cutoff)
    return f"; did you mean {_quoted(names[near[0]])}?" if near else ""


def plain(word: str) -> str:
    """A word without case and separators."""
    return re.sub(r"[\s_-]", "", word).lower()


def kind_of(value: Any) -> str:
    """What a JSON value is, for people."""
    match value:
        case None:
            return "null"
        case bool() | int() | float() | Decimal() | str():
            return shown(value)
        case dict():
            return "an object"
        case list() | tuple():
            return "an array"
        case _:
            return f"a Python {type(value).__name__}"


def shown(value: object) -> str:
    """A scalar as JSON would write it, cut where it is long."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() if value.bit_length() > 4 * DIGITS_LIMIT:
            return "a very large number"
        case str():
            return _quoted(value)
        case _:
            return _cut(str(value))


def _quoted(text: str) -> str:
    ascii_only = any(0xD800 <= ord(character) <= 0xDFFF for character in text)
    return json.dumps(_cut(text), ensure_ascii=ascii_only)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
