"""JSON for people is the same JSON."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.pretty import pretty

TEXTS = st.text() | st.sampled_from(["}\\0{", "}, {", "\\0", '"}'])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
VALUES = st.recursive(LEAVES, lambda each: st.lists(each, max_size=4) | st.dictionaries(st.text(), each, max_size=4))


@given(VALUES)
def test_it_says_the_same(value: Any) -> None:
    assert json.loads(pretty(value)) == value


@given(st.lists(st.dictionaries(TEXTS, LEAVES, max_size=3), min_size=1))
def test_rows_stand_on_lines(rows: list[dict[str, Any]]) -> None:
    first, *lines, last = pretty(rows).split("\n")
    assert (first, last) == ("[", "]")
    assert [json.loads(line.removesuffix(",")) for line in lines] == rows


def test_what_holds_nothing_nested_is_a_line() -> None:
    assert pretty(
        {"name": "é", "groups": [{"country": "DE", "orders": 2}, {"country": "FR", "orders": 1}], "keys": []}
    ) == (
        '{\n  "name": "é",\n  "groups": [\n    {"country": "DE", "orders": 2},\n'
        '    {"country": "FR", "orders": 1}\n  ],\n  "keys": []\n}'
    )
