"""A transform whose column has another type in another block: the outcome is that of the rows, whatever their cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final
from unittest import mock

import pandas as pd
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine.delivery import transform as transforms
from chalicelib.engine.delivery.deliver import Delivery
from tests import pipeline
from tests.pipeline import Outcome, contract

THINGS = contract(
    {"name": "kind", "type": "string"},
    {"name": "value", "type": "string"},
    {"name": "note", "type": "string"},
    sluice={"aggregates": [{"name": "by_ref", "groupBy": ["ref"], "measures": {"rows": {"count": "*"}}}]},
)
FAKE: Final = '"\ni,9,x\ns,9,x\n"'
"""A note in which a worker that guesses its start wrong sees rows, of types that go together with none."""

WHOLE: Final = [1, 2**53, 2**53 + 1, 1234567890123456789, -(2**63)]
REAL: Final = [0.5, 2.0, 1e300, math.nan]
MOMENTS: Final = ["2026-03-01T10:00:00.000001", "9999-12-31T23:59:59.999999"]

ARROW: Final = {
    "i": pa.int64(),
    "f": pa.float64(),
    "u": pa.timestamp("us"),
    "n": pa.timestamp("ns"),
    "s": pa.string(),
    "0": pa.null(),
}  # fmt: skip
ADD: Final = Delivery.add
Row = tuple[str, str, str]


def rows(*kinds: tuple[str, Sequence[Any]]) -> st.SearchStrategy[list[Row]]:
    notes = st.sampled_from(["", "", FAKE])
    each = [st.tuples(st.just(kind), st.sampled_from([*map(str, values)]), notes) for kind, values in kinds]
    return st.lists(st.one_of(each), min_size=1, max_size=8)


NUMBERS = rows(("i", WHOLE), ("f", REAL), ("0", [""]))
TIMES = rows(("u", MOMENTS), ("n", MOMENTS[:1]), ("0", [""]))
TEXTS = rows(("s", ["a"]), ("f", REAL[:1]), ("0", [""]))


def ref_of(row: Row) -> pa.Array:
    kind, text, _ = row
    read: dict[str, Any] = {"i": int, "f": float, "s": str, "u": pd.Timestamp, "n": pd.Timestamp, "0": lambda _: None}
    return pa.array([read[kind](text)], ARROW[kind])


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """A column ``ref``, of the type that the block's only row names."""
    (kind,), (text,) = frame["kind"], frame["value"]
    ref = ref_of((kind, "" if text is pd.NA else text, ""))
    return pd.DataFrame({"ref": pd.Series(ref, dtype=pd.ArrowDtype(ref.type), index=frame.index)})


def row_by_row(delivery: Delivery, table: pa.Table, records: tuple[int, int]) -> None:
    """Each row as a block of its own, which has one type."""
    for row in range(table.num_rows):
        ADD(delivery, table.slice(row, 1), records)


def outcome_of(given: list[Row], chunk_size: int) -> Outcome:
    body = "kind,value,note\n" + "".join(",".join(row) + "\n" for row in given)
    with (
        mock.patch.object(Delivery, "add", row_by_row),
        mock.patch.object(transforms, "find", return_value=typed),
    ):
        return pipeline.run(body.encode(), THINGS, chunk_size=chunk_size)


def goes_together(given: list[Row]) -> bool:
    kinds = {kind for kind, _, _ in given}
    if kinds >= {"i", "f"}:
        return all(abs(int(value)) <= 2**53 for kind, value, _ in given if kind == "i")
    if kinds >= {"u", "n"}:
        return all(value != MOMENTS[1] for _, value, _ in given)
    return not kinds >= {"s", "f"}


@given(NUMBERS | TIMES | TEXTS, st.integers(1, 120) | st.just(1 << 20))
def test_any_cut_gives_the_outcome_of_the_rows(given: list[Row], chunk_size: int) -> None:
    outcome = outcome_of(given, chunk_size)
    error = outcome.job.error
    if not goes_together(given):
        assert error is not None
        assert error.code == "transform-schema"
        assert '"ref"' in error.message
        assert not [value for kind, value, _ in given if kind in "iu" and len(value) > 2 and value in error.message]
        return
    assert error is None, error
    expected = next(ARROW[kind] for kind in "fnius0" if kind in {row[0] for row in given})
    found = outcome.table.column("ref")
    assert found.type == expected
    assert str(found.to_pylist()) == str([ref_of(row).cast(expected)[0].as_py() for row in given])
