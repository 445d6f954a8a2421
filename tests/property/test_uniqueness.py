"""Repeated keys are those whose values are the same: hashes only propose, and may be as bad as they like."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.engine import hashing
from chalicelib.engine.checks.uniqueness import Key, Occurrences

TEXTS = st.sampled_from([None, "", "a", "b", "ab"])
NUMBERS = st.sampled_from([None, 0, 1, 2, 33])
REALS = st.sampled_from([None, 0.0, -0.0, 0.5])
ROWS = st.lists(st.tuples(TEXTS, NUMBERS, REALS), max_size=12)
KEYS = [
    Key("primary-key", ("text",)),
    Key("primary-key", ("text", "number")),
    Key("unique-error", ("text", "number")),
    Key("primary-key", ("number", "real")),
]


def occurrences(rows: list[Any], key: Key) -> Occurrences:
    schema = pa.schema([("text", pa.string()), ("number", pa.int64()), ("real", pa.float64())])
    table = pa.Table.from_arrays(
        [pa.array([row[at] for row in rows], kind) for at, kind in enumerate(schema.types)], schema=schema
    )
    return Occurrences.of(key, table, np.arange(1, len(rows) + 1))


@pytest.mark.parametrize("key", KEYS, ids=lambda key: "-".join((key.code, *key.fields)))
@given(ROWS, st.sampled_from([1, 2, 1 << 63]))
@example([("a", 1, 0.5), ("b", 1, 0.5), ("a", 1, 0.5), ("b", 1, 0.5), ("a", 1, 0.5)], 1)
@example([("a", None, 0.5), ("b", 2, 0.0), ("a", None, 0.5), (None, None, -0.0)], 1)
def test_repeats_are_those_of_values(key: Key, rows: list[Any], hashes: int) -> None:
    """``hashes``: how many there are; with one, all rows are alike to them."""
    places = [["text", "number", "real"].index(name) for name in key.fields]
    of_key = [tuple(row[place] for place in places) for row in rows]
    absent = any if key.code == "unique-error" else all
    first: dict[Any, int] = {}
    expected = []
    for record, value in enumerate(of_key, 1):
        if not absent(each is None for each in value) and first.setdefault(value, record) != record:
            expected.append((record, first[value]))
    real = hashing.hash_array
    with mock.patch.object(hashing, "hash_array", lambda column: real(column) % np.uint64(hashes)):
        every = occurrences(rows, key)
    later, firsts = (every.records[places].tolist() for places in every.repeats())
    assert list(zip(later, firsts, strict=True)) == expected
