"""Whatever a file holds, no cell of it stands in a log, a metric, a notice, a job record or an execution's history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.model import JSON, Status
from chalicelib.stages import publish, settling
from tests import witness
from tests.pipeline import RESULTS, contract

MARK = "Qx7Zv"
"""Stands in cells, and nowhere else."""

FIELDS: list[JSON] = [
    {"name": "id", "type": "integer", "constraints": {"required": True}},
    {"name": "name", "type": "string", "constraints": {"unique": True, "maxLength": 30}},
    {"name": "country", "type": "string", "constraints": {"enum": ["DE", "US"]}},
    {"name": "size", "type": "number", "constraints": {"minimum": 0}},
    {"name": "at", "type": "datetime"},
    {"name": "more", "type": "object"},
    {"name": "tags", "type": "list"},
    {"name": "free", "type": "any"},
]
GOOD = ["1", "a", "DE", "1.5", "2026-03-01T00:00:00Z", "{}", "x", "y"]
HEADER = ",".join(field["name"] for field in FIELDS)

marked = st.sampled_from([
    MARK, f" {MARK} ", f'"{MARK}"', f'"{MARK}""', f'"{MARK}\n{MARK}"', f'1,5" {MARK}', f"={MARK}()", f"\x00{MARK}",
    f'"{{""{MARK}"": 1}}"', f'"{{{MARK}"', f"2026-{MARK}", f"1{MARK}", f"{MARK}," + MARK, f"\udcff{MARK}",
])  # fmt: skip


@st.composite
def rows(draw: st.DrawFn) -> str:
    cells = list(GOOD)
    for position in draw(st.sets(st.integers(0, len(cells) - 1), max_size=3)):
        cells[position] = draw(marked)
    cells[0] = cells[0] if MARK in cells[0] else str(draw(st.integers(0, 9)))
    return ",".join(cells)


files = st.lists(rows(), min_size=1, max_size=8)


def body_of(lines: list[str]) -> bytes:
    always = ",".join(["7", MARK, *GOOD[2:]])
    return "\n".join([HEADER, always, *lines, ""]).encode("utf-8", "surrogateescape")


def described(**sluice: Any) -> JSON:
    return contract(*FIELDS, sluice=sluice, schema={"primaryKey": ["id"]})


CONTRACTS: dict[str, JSON | None] = {
    "tolerant": described(
        partitionBy=["name"], aggregates=[{"name": "by_name", "groupBy": ["name"], "measures": {"n": {"count": "*"}}}]
    ),
    "strict": described(tolerance={"maxRejectedRows": 0}),
    "none": None,
}


def assert_nothing_left(seen: witness.Witness) -> None:
    for line in seen.told.splitlines():
        assert MARK not in line, line


@pytest.mark.parametrize("name", CONTRACTS)
@given(lines=files, chunk_size=st.integers(40, 400))
def test_no_cell_leaves_with_the_words_about_a_job(name: str, lines: list[str], chunk_size: int) -> None:
    with witness.listening() as seen:
        job = witness.whole_job(seen, body_of(lines), CONTRACTS[name], chunk_size=chunk_size, sweeps=False)
    assert job.status.is_final
    assert_nothing_left(seen)
    kept = b"".join(seen.ports.objects.get(RESULTS, each.key) for each in seen.ports.objects.list(RESULTS, "work/"))
    assert MARK.encode() in kept or job.rows.read == 0  # it was there to leave


def raising(kind: Callable[[str], Exception]) -> Any:
    def fault(*_: Any, **__: Any) -> Any:
        try:
            float(MARK)
        except ValueError as error:
            raise kind(MARK) from error

    return fault


def odd(frame: pd.DataFrame) -> Any:
    return list(frame["name"])


def indexed(frame: pd.DataFrame) -> Any:
    return frame.set_index("name", drop=False).astype({"name": "float64"})


@pytest.mark.parametrize("chunk_size", [100, 1 << 20])
@pytest.mark.parametrize("transform", [raising(ValueError), raising(KeyError), odd, indexed])
def test_no_cell_leaves_with_a_failing_transform(
    monkeypatch: pytest.MonkeyPatch, transform: Any, chunk_size: int
) -> None:
    monkeypatch.setattr("chalicelib.steps.transforms.find", lambda dataset: transform)
    with witness.listening() as seen:
        job = witness.whole_job(seen, body_of([]), described(), chunk_size=chunk_size)
    assert job.error is not None
    assert job.error.code == "transform-failed"
    assert_nothing_left(seen)


@pytest.mark.parametrize(
    "place, name",
    [
        ("chalicelib.steps", "_plan"),
        ("chalicelib.steps.worker", "run"),
        (settling, "next_round"),
        (settling, "merge"),
        (publish, "publish"),
    ],
    ids=["ValidateData", "ProcessChunk", "AggregateData", "AggregateData, merging", "StoreResults"],
)
def test_no_cell_leaves_with_a_fault_in_the_code(monkeypatch: pytest.MonkeyPatch, place: Any, name: str) -> None:
    """An exception's own text often quotes the value that it choked on."""
    target = f"{place}.{name}" if isinstance(place, str) else f"{place.__name__}.{name}"
    monkeypatch.setattr(target, raising(ValueError))
    with witness.listening() as seen:
        job = witness.whole_job(seen, body_of([]), described())
    assert job.status is Status.FAILED
    assert job.error is not None
    assert job.error.code == "internal-error"
    assert job.error.message.startswith("ValueError")
    assert_nothing_left(seen)
