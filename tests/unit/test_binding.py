"""How a header's labels, or the columns of a file without one, are bound to a contract's fields."""

from __future__ import annotations

import pytest

from chalicelib.engine import contract as contracts
from chalicelib.engine.contract import Contract, Field
from chalicelib.errors import Terminal


def made(fields_match: str, *names: str, required: tuple[str, ...] = (), key: tuple[str, ...] = ()) -> Contract:
    fields = tuple(Field(n, "string", constraints=contracts.Constraints(required=n in required)) for n in names)
    return Contract("c", fields, primary_key=key, fields_match=fields_match)


@pytest.mark.parametrize(
    "fields_match, labels, places, absent",
    [
        ("exact", "a b c", (0, 1, 2), ()),
        ("equal", "c a b", (2, 0, 1), ()),
        ("subset", "x c a b", (None, 2, 0, 1), ()),
        ("superset", "c a", (2, 0), (1,)),
        ("partial", "x c", (None, 2), (0, 1)),
        ("exact", "_record _line _errors a b c", (None, None, None, 0, 1, 2), ()),
        ("equal", "_record _line _errors b a c", (None, None, None, 1, 0, 2), ()),
    ],
)
def test_labels_are_bound(
    fields_match: str, labels: str, places: tuple[int | None, ...], absent: tuple[int, ...]
) -> None:
    bound = contracts.bind(made(fields_match, "a", "b", "c"), labels.split())
    assert bound == contracts.Binding(places, absent)


@pytest.mark.parametrize(
    "fields_match, labels, findings",
    [
        ("exact", ["a", "x", "c"], ['label in position 2 is "x", expected "b"']),
        ("exact", ["a", "", "c"], ["label in position 2 is blank"]),
        ("exact", ["a", "b", "c", "d"], ['the label "d" in position 4 is not in the contract']),
        ("exact", ["a"], ['the field "b" is missing from the header', 'the field "c" is missing from the header']),
        ("exact", ["a", "a", "c"], ['label "a" in position 2 is the same as in position 1']),
        ("equal", ["b", "a"], ['the field "c" is missing from the header']),
        ("equal", ["b", "a", "c", "x"], ['the label "x" in position 4 is not in the contract']),
        ("subset", ["a", "b", "x"], ['the field "c" is missing from the header']),
        ("subset", ["a", "b", "c", "a"], ['label "a" in position 4 is the same as in position 1']),
        ("superset", ["a", "x"], ['the label "x" in position 2 is not in the contract']),
        ("partial", ["x"], [f'the field "{name}" is missing from the header' for name in "abc"]),
        ("exact", ["_record", "a", "x", "c"], ['label in position 3 is "x", expected "b"']),
    ],
)
def test_every_label_that_does_not_match_is_named(fields_match: str, labels: list[str], findings: list[str]) -> None:
    with pytest.raises(Terminal) as caught:
        contracts.bind(made(fields_match, "a", "b", "c"), labels)
    assert caught.value.code == "header-mismatch"
    assert caught.value.message == "; ".join(findings)


@pytest.mark.parametrize("fields_match", ["superset", "partial"])
def test_a_required_field_needs_its_column(fields_match: str) -> None:
    for contract in (made(fields_match, "a", "b", required=("b",)), made(fields_match, "a", "b", key=("b",))):
        with pytest.raises(Terminal, match='"b" is missing'):
            contracts.bind(contract, ["a"])


def test_white_space_around_a_label_does_not_count() -> None:
    assert contracts.bind(made("exact", "a", "b"), ["a", " b "]).fields == (0, 1)
    assert contracts.bind(made("equal", "a", " a"), [" a", "a"]).fields == (1, 0)


def test_a_column_without_a_label_is_an_extra_one_where_these_are_allowed() -> None:
    assert contracts.bind(made("subset", "a"), ["a", "", ""]).fields == (0, None, None)


def test_a_long_list_of_findings_is_cut_and_says_so() -> None:
    with pytest.raises(Terminal) as caught:
        contracts.bind(made("equal", "a"), ["a", *(f"x{i}" for i in range(1000))])
    assert caught.value.message.endswith("; and 900 more")


@pytest.mark.parametrize(
    "fields_match, width, places, absent",
    [
        ("exact", 3, (0, 1, 2), ()),
        ("exact", 5, (0, 1, 2), ()),
        ("exact", 1, (0, 1, 2), ()),
        ("subset", 4, (0, 1, 2, None), ()),
        ("superset", 2, (0, 1), (2,)),
        ("partial", 5, (0, 1, 2, None, None), ()),
    ],
)
def test_positions_are_bound(
    fields_match: str, width: int, places: tuple[int | None, ...], absent: tuple[int, ...]
) -> None:
    assert contracts.bind_positions(made(fields_match, "a", "b", "c"), width) == contracts.Binding(places, absent)


def test_a_required_field_is_not_left_out_by_position() -> None:
    assert contracts.bind_positions(made("superset", "a", "b", required=("b",)), 1).absent == ()
