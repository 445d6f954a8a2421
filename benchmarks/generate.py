"""Writes a benchmark's input: orders of an invented shop, the same bytes for the same number of rows.

    python -m benchmarks.generate ROWS PATH [--bad SHARE]

Everything is made in numpy, a column at a time, so ten million rows take seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

SEED: Final = 20_261_101
PIECE_ROWS: Final = 500_000
COUNTRIES: Final = ["AT", "BR", "CH", "DE", "ES", "FR", "GB", "IN", "JP", "US"]
STATUSES: Final = ["cancelled", "delivered", "paid", "pending", "shipped"]
NAMES: Final = (
    ["ada", "ben", "chen", "dora", "emil", "fatima", "gita", "hugo", "ines", "jonas", "kaoru", "lena", "marek", "nour", "olga", "pedro", "quinn", "rosa", "sven"]
)
NOTES: Final = [
    "",
    "",
    "leave at the door",
    "gift wrap if you please",
    "ring twice at the second floor",
    "no invoice inside the box",
    "call before delivery",
    "leave it with the neighbour",
]
FAULTS: Final = {
    "order_id": "A-1007",
    "customer_email": "ada.example.com",
    "country": "UK",
    "status": "SHIPPED",
    "quantity": "0",
    "unit_price": "n/a",
    "discount": "15",
    "ordered_at": "2024-31-01T10:00:00Z",
}


def piece(first: int, rows: int, bad: float) -> pa.Table:
    rng = np.random.default_rng((SEED, first))

    def pick(words: Sequence[str]) -> pa.Array:
        return pa.array(words).take(pa.array(rng.integers(0, len(words), rows)))

    email = pc.binary_join_element_wise(
        pick(NAMES), ".", pa.array(rng.integers(0, 400_000, rows)).cast(pa.string()), "@example.com", ""
    )
    cents = np.minimum(rng.lognormal(8, 0.8, rows), 999_999).astype(np.int64)
    price = pc.binary_join_element_wise(
        pa.array(cents // 100).cast(pa.string()), pc.utf8_lpad(pa.array(cents % 100).cast(pa.string()), 2, "0"), "."
    )
    second = 1_704_067_200 + np.cumsum(rng.integers(0, 6, rows)) + first * 3
    columns = {
        "order_id": pa.array(np.arange(first, first + rows) + 1_000_001).cast(pa.string()),
        "customer_email": email,
        "country": pick(COUNTRIES),
        "status": pick(STATUSES),
        "quantity": pa.array(1 + rng.integers(0, 20, rows)).cast(pa.string()),
        "unit_price": price,
        "discount": pick(["", "0", "0.05", "0.1", "0.15", "0.25"]),
        "ordered_at": pc.strftime(pa.array(second, pa.timestamp("s")), format="%Y-%m-%dT%H:%M:%SZ"),
        "note": pick(NOTES),
    }
    broken = rng.random(rows) < bad
    which = rng.integers(0, len(FAULTS), rows)
    for number, (name, text) in enumerate(FAULTS.items()):
        columns[name] = pc.if_else(pa.array(broken & (which == number)), text, columns[name])
    return pa.table(columns)


def write(path: Path, rows: int, bad: float) -> None:
    with open(path, "wb") as sink:
        for first in range(0, rows, PIECE_ROWS):
            pacsv.write_csv(
                piece(first, min(PIECE_ROWS, rows - first), bad),
                sink,
                pacsv.WriteOptions(include_header=first == 0, quoting_style="none", quoting_header="none"),
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", type=int)
    parser.add_argument("path", type=Path)
    parser.add_argument("--bad", type=float, default=0.001)
    given = parser.parse_args()
    write(given.path, given.rows, given.bad)
