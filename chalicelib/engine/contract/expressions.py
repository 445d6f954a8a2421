"""``sluice.derive``: columns that the contract derives from its fields by arithmetic.

    expression = product, {("+" | "-"), product} ;
    product    = value, {("*" | "/"), value} ;
    value      = number | column | "-", value | "(", expression, ")"
               | "coalesce", "(", expression, {",", expression}, ")" ;
    column     = an identifier, or any name in double quotes, one in it doubled (as in SQL) ;

Not Python's own parser, which reads some texts otherwise than they are meant, and without a word: it drops what follows
a ``#``, makes one name of ``"a""b"``, takes ``'a'`` for the same as ``"a"``, ``1_0`` for 10, and another normal form of
an identifier for the identifier, and knows columns such as ``class`` for words of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from chalicelib.engine.contract.descriptor import Node, did_you_mean, shown
from chalicelib.engine.contract.fields import Field
from chalicelib.engine.contract.schema import RESERVED_LABELS
from chalicelib.errors import InvalidContract
from chalicelib.frozen import frozen

MAX_CHARACTERS: Final = 1000
MAX_NESTED: Final = 32
"""Most signs, brackets and calls within each other. Each may keep one more intermediate result of a block in memory."""

NUMERIC: Final = ("integer", "number")
"""The types of fields that can be calculated with."""

Function = Literal["add", "subtract", "multiply", "divide", "negate", "coalesce"]
_SUMS: Final[Mapping[str, Function]] = {"+": "add", "-": "subtract"}
_PRODUCTS: Final[Mapping[str, Function]] = {"*": "multiply", "/": "divide"}


@frozen
class Column:
    """The value of a field, or of a column derived before."""

    name: str


@frozen
class Apply:
    """A function of the last results, which it takes away: one of ``negate``, two of every other."""

    function: Function


Step: TypeAlias = float | Column | Apply
"""A float is a constant."""


@frozen
class Derived:
    """A column of float64 that the contract derives."""

    name: str
    text: str
    """The expression as it stands in the contract."""
    steps: tuple[Step, ...]
    """The expression in postfix order: each step leaves one result, and the last one is the column's value."""


def read(node: Node, fields: Sequence[Field]) -> tuple[Derived, ...]:
    """``sluice.derive``: name → expression, of fields and of columns derived before. Errors: ``InvalidContract``."""
    names = list(node.members())
    columns = {field.name: field.type for field in fields}
    found: list[Derived] = []
    for place, (name, child) in enumerate(node.children()):
        _check_name(Node(name, child.path), fields)
        found.append(Derived(name, child.text(), _Parser(child, columns, later=names[place:]).read()))
        columns[name] = "number"
    return tuple(found)


def _check_name(node: Node, fields: Sequence[Field]) -> None:
    name = node.text()
    if not name.strip():
        raise node.refusal("has a blank name")
    if name in RESERVED_LABELS:
        raise node.refusal("has the name of a column of rejects.csv")
    if any(field.name == name for field in fields):
        raise node.refusal("has the name of a field")


class _Token(NamedTuple):
    kind: str
    """number, name, quoted, mark; empty at the end."""
    text: str
    place: int
    """Of its first character in the expression, from 1."""


_TOKEN: Final = re.compile(
    r"(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r'|(?P<name>[^\W\d]\w*)|(?P<quoted>"(?:[^"]|"")*")|(?P<mark>[-+*/(),])'
)
_BLANKS: Final = re.compile(r"\s*")


class _Parser:
    """By recursive descent; what it reads it writes down in postfix order."""

    def __init__(self, node: Node, columns: Mapping[str, str], later: Sequence[str]) -> None:
        """``columns``: name → type of what there is; ``later``: derived columns that there are not yet."""
        self._node, self._columns, self._later = node, columns, later
        text = node.text()
        if len(text) > MAX_CHARACTERS:
            raise node.refusal(f"has {len(text)} characters, the limit is {MAX_CHARACTERS}")
        self._tokens = self._tokenised(text)
        self._next = next(self._tokens)
        self._nested = 0
        self._steps: list[Step] = []

    def read(self) -> tuple[Step, ...]:
        self._expression()
        if self._next.kind:
            raise self._unexpected("an operator or the end")
        return tuple(self._steps)

    def _tokenised(self, text: str) -> Iterator[_Token]:
        place = _blanks(text, 0)
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None or match.lastgroup is None:
                what = "a quoted name that does not end" if text[place] == '"' else shown(text[place])
                raise self._node.refusal(f"has {what} at character {place + 1}, which is no part of an expression")
            yield _Token(match.lastgroup, match.group(), place + 1)
            place = _blanks(text, match.end())
        yield _Token("", "", place + 1)

    def _expression(self) -> None:
        self._chain(_SUMS, lambda: self._chain(_PRODUCTS, self._value))

    def _chain(self, functions: Mapping[str, Function], operand: Callable[[], None]) -> None:
        operand()
        while (function := functions.get(self._next.text)) is not None:
            self._advance()
            operand()
            self._steps.append(Apply(function))

    def _value(self) -> None:
        token = self._next
        if token.kind == "number":
            self._advance()
            self._steps.append(self._number(token))
        elif token.kind == "quoted":
            self._advance()
            self._steps.append(self._column(token.text[1:-1].replace('""', '"')))
        elif token.kind == "name":
            self._advance()
            if self._next.text == "(":
                self._call(token)
            else:
                self._steps.append(self._column(token.text))
        elif token.text == "-":
            self._advance()
            self._within(self._value)
            self._steps.append(Apply("negate"))
        elif token.text == "(":
            self._advance()
            self._within(self._expression)
            self._expect(")")
        else:
            raise self._unexpected("a number, a column or a bracket")

    def _call(self, name: _Token) -> None:
        if name.text != "coalesce":
            raise self._node.refusal(f"{shown(name.text)} is not a function; there is coalesce alone")
        self._advance()
        self._within(self._expression)
        while self._next.text == ",":
            self._advance()
            self._within(self._expression)
            self._steps.append(Apply("coalesce"))
        self._expect(")")

    def _within(self, read: Callable[[], None]) -> None:
        self._nested += 1
        if self._nested > MAX_NESTED:
            raise self._node.refusal(f"is nested more than {MAX_NESTED} levels deep")
        read()
        self._nested -= 1

    def _number(self, token: _Token) -> float:
        value = float(token.text)
        if math.isinf(value):
            raise self._node.refusal(f"has a number at character {token.place} that is too large for 64 bits")
        return value

    def _column(self, name: str) -> Column:
        kind = self._columns.get(name)
        if kind is None and name in self._later:
            raise self._node.refusal(f"{shown(name)} is not derived before this column")
        if kind is None:
            hint = did_you_mean(name, [each for each, kind in self._columns.items() if kind in NUMERIC])
            raise self._node.refusal(f"{shown(name)} is not the name of a field{hint}")
        if kind not in NUMERIC:
            raise self._node.refusal(f"{shown(name)} is a field of type {kind}, expected {' or '.join(NUMERIC)}")
        return Column(name)

    def _expect(self, mark: str) -> None:
        if self._next.text != mark:
            raise self._unexpected(f'an operator or "{mark}"')
        self._advance()

    def _advance(self) -> None:
        self._next = next(self._tokens)

    def _unexpected(self, expected: str) -> InvalidContract:
        found = f"has {shown(self._next.text)} at character {self._next.place}" if self._next.kind else "ends"
        return self._node.refusal(f"{found} where {expected} is expected")


def _blanks(text: str, place: int) -> int:
    """Where the blanks that begin at a place end."""
    match = _BLANKS.match(text, place)
    assert match is not None, "there may be no blanks"
    return match.end()
