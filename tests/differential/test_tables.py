"""Sluice finds what Frictionless finds, but for the differences that docs/differences.md lists."""

from __future__ import annotations

from hypothesis import event, given

from chalicelib.engine.contract.fields import TYPES
from tests.differential.compare import compare
from tests.differential.explanations import explain
from tests.differential.tables import POOLS, Table, tables

PLAIN = {"blank-rows", "primary-key-field", "patterns-match-whole-texts", "patterns-mean-ascii"}
"""Differences in tables without stray quotes, ragged rows or odd texts."""


def test_every_type_is_tried() -> None:
    assert {pool.field["type"] for pool in POOLS} == set(TYPES)


def assert_explained(table: Table, allowed: set[str] | None = None) -> None:
    """``allowed``: the ids of the only differences that may be; None: any on the list."""
    compared = compare(table)
    explained, unexplained = explain(compared)
    for found in sorted(set(explained.values())):
        event(found)
    unexpected = {finding: why for finding, why in explained.items() if allowed is not None and why not in allowed}
    assert not unexplained, (table, sorted(unexplained), sorted(compared.ours), sorted(compared.theirs))
    assert not unexpected, (table, unexpected)


@given(tables(odd=False, rough=False))
def test_plain_tables_are_judged_alike(table: Table) -> None:
    assert_explained(table, PLAIN)


@given(tables(odd=True, rough=True))
def test_rough_tables_with_odd_texts_differ_as_is_written(table: Table) -> None:
    assert_explained(table)
