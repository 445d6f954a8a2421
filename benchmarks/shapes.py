"""The files that are raced, as data: their columns, what may be in them, and what is put in to break a row.

Five shapes hold the same business (orders of an invented shop, a derived ``amount``, two keys to aggregate by) in files
that ask different things of a CSV reader.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

COUNTRIES: Final = ["AT", "BR", "CH", "DE", "ES", "FR", "GB", "IN", "JP", "US"]
STATUSES: Final = ["cancelled", "delivered", "paid", "pending", "shipped"]
DISCOUNTS: Final = ["", "0", "0.05", "0.1", "0.15", "0.25"]
QUANTITIES: Final = [str(number) for number in range(1, 21)]
NAMES: Final = [
    *("ada", "ben", "chen", "dora", "emil", "fatima", "gita", "hugo", "ines", "jonas"),
    *("kaoru", "lena", "marek", "nour", "olga", "pedro", "quinn", "rosa", "sven"),
]
NOTES: Final = [
    *("", "", ""),
    "leave at the door",
    "gift wrap if you please",
    "ring twice at the second floor",
    "no invoice inside the box",
    "call before delivery",
    "leave it with the neighbour",
]
QUOTED_NOTES: Final = [
    *("", ""),
    "leave at the door\nring twice",
    'the bell says "Weaver"\n\nsecond floor, left',
    "no invoice inside the box, please",
    "call before delivery:\nafter six, or on Saturday",
    'gift wrap, with a card: "all the best"',
]
SENTENCES: Final = [
    "The parcel came two days late, but the box was whole and everything inside it was as described.",
    'My neighbour asked "where did you get that?" and I had to admit that I no longer remembered it.',
    "Die Größe passt, die Farbe nicht ganz: auf dem Bild wirkt das Grün deutlich kräftiger, als es wirklich ist.",
    "I have washed it six times now, at forty degrees, and neither the seams nor the colour have changed.",
    "Le café est bien emballé, moulu assez fin, et il reste frais près d'un mois après l'ouverture.",
    "For the price there is nothing to complain about; for twice the price I would have sent it back.",
    "品質はとても良いですが、説明書は英語だけでした。次は日本語の説明も入れてください。",
    "The second one I ordered broke after a week, customer service answered within the hour, and sent a new one.",
    "Buen producto, buen precio, y el envío tardó solamente tres días desde el otro lado del continente.",
    "It does what it should, it is quiet, and it does not smell: five stars, and no further questions.",
    'The manual calls it "splash proof", which it is, as long as nobody takes that for "water proof".',
    "Would buy again, though next time in blue, and with the longer cable, which was out of stock in May.",
]
EMAIL: Final = r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}"
AMOUNT: Final = "quantity * unit_price * (1 - coalesce(discount, 0))"
"""In what a contract derives; what the peers do by their own means."""
FIRST_SECOND: Final = 1_704_067_200
"""2024-01-01T00:00:00Z"""


class Cells(NamedTuple):
    """A column of some rows: what is written, and what the truth knows of it without reading that back."""

    texts: pa.Array
    values: np.ndarray[Any, Any]
    """The number; of a datetime the seconds since 1970; of a text its length in bytes. 0 where the cell is empty."""
    empty: np.ndarray[Any, np.dtype[np.bool_]]
    codes: np.ndarray[Any, Any] | None = None
    """Which of the column's ``words`` each cell is."""


Maker = Callable[[np.random.Generator, int, int], Cells]
"""Random numbers, the first row's number from 0, how many rows."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    make: Maker
    constraints: Mapping[str, Any] = field(default_factory=dict)
    faults: Sequence[str] = ()
    """Cells that break it."""
    words: Sequence[str] = ()
    """All that a column to group by may hold."""

    def descriptor(self) -> dict[str, Any]:
        """Its field in the contract."""
        return {"name": self.name, "type": self.type} | ({"constraints": self.constraints} if self.constraints else {})


@dataclass(frozen=True, slots=True)
class Shape:
    name: str
    columns: Sequence[Column]
    keys: tuple[str, str]
    rows: int
    """In the file that is raced: 180 MB or so."""
    piece_rows: int
    quote: str = "none"
    """Which cells are quoted: ``none``, ``needed`` or ``all``."""

    def contract(self) -> dict[str, Any]:
        measures = {"orders": {"count": "*"}, "revenue": {"sum": "amount"}}
        return {
            "name": self.name,
            "encoding": "utf-8",
            "dialect": {"delimiter": ",", "header": True},
            "schema": {"fields": [column.descriptor() for column in self.columns], "missingValues": [""]},
            "sluice": {
                "tolerance": {"maxRejectedRatio": 1},
                "derive": {"amount": AMOUNT},
                "aggregates": [{"name": "by_keys", "groupBy": list(self.keys), "measures": measures}],
            },
        }


def _numbered(start: int) -> Maker:
    def make(rng: np.random.Generator, first: int, rows: int) -> Cells:
        values = np.arange(first, first + rows) + start
        return Cells(_digits(values), values, np.zeros(rows, np.bool_))

    return make


def _words(words: Sequence[str], values: Sequence[float] | None = None) -> Maker:
    """One of ``words``; its value is its length in bytes, or that of ``values``."""
    texts = pa.array(words, pa.string())
    worth = np.array([len(word.encode()) for word in words] if values is None else values)
    empty = np.array([not word for word in words])

    def make(rng: np.random.Generator, first: int, rows: int) -> Cells:
        codes = rng.integers(0, len(words), rows)
        return Cells(texts.take(pa.array(codes)), worth[codes], empty[codes], codes)

    return make


def _email(rng: np.random.Generator, first: int, rows: int) -> Cells:
    name = pa.array(NAMES).take(pa.array(rng.integers(0, len(NAMES), rows)))
    texts = pc.binary_join_element_wise(name, ".", _digits(rng.integers(0, 400_000, rows)), "@example.com", "")
    return Cells(texts, _lengths(texts), np.zeros(rows, np.bool_))


def _price(rng: np.random.Generator, first: int, rows: int) -> Cells:
    cents = np.minimum(rng.lognormal(8, 0.8, rows), 999_999).astype(np.int64)
    texts = pc.binary_join_element_wise(_digits(cents // 100), pc.utf8_lpad(_digits(cents % 100), 2, "0"), ".")
    return Cells(texts, cents / 100, np.zeros(rows, np.bool_))


def _moment(rng: np.random.Generator, first: int, rows: int) -> Cells:
    seconds = FIRST_SECOND + np.cumsum(rng.integers(0, 6, rows)) + first * 3
    texts = pc.strftime(pa.array(seconds, pa.timestamp("s")), format="%Y-%m-%dT%H:%M:%SZ")
    return Cells(texts, seconds, np.zeros(rows, np.bool_))


def _integer(low: int, high: int) -> Maker:
    def make(rng: np.random.Generator, first: int, rows: int) -> Cells:
        values = rng.integers(low, high + 1, rows)
        return Cells(_digits(values), values, np.zeros(rows, np.bool_))

    return make


def _code(rng: np.random.Generator, first: int, rows: int) -> Cells:
    texts = pc.binary_join_element_wise("K", pc.utf8_lpad(_digits(rng.integers(0, 100_000, rows)), 5, "0"), "-")
    return Cells(texts, _lengths(texts), np.zeros(rows, np.bool_))


def _review(rng: np.random.Generator, first: int, rows: int) -> Cells:
    pool = pa.array(SENTENCES)
    picked = [pool.take(pa.array(rng.integers(0, len(SENTENCES), rows))) for _ in range(8)]
    texts = pc.binary_join_element_wise(*picked, " ")
    return Cells(texts, _lengths(texts), np.zeros(rows, np.bool_))


def _digits(numbers: np.ndarray[Any, Any]) -> pa.Array:
    return pa.array(numbers).cast(pa.string())


def _lengths(texts: pa.Array) -> np.ndarray[Any, Any]:
    return np.asarray(pc.binary_length(texts), np.int64)


REQUIRED: Final = {"required": True}

_order_id = Column("order_id", "integer", _numbered(1_000_001), REQUIRED, ["A-1007"])
_customer = Column("customer_email", "string", _email, REQUIRED | {"pattern": EMAIL}, ["ada.example.com", ""])
_country = Column("country", "string", _words(COUNTRIES), REQUIRED | {"enum": COUNTRIES}, ["UK"], COUNTRIES)
_status = Column("status", "string", _words(STATUSES), REQUIRED | {"enum": STATUSES}, ["SHIPPED"], STATUSES)
_quantity = Column(
    "quantity", "integer", _words(QUANTITIES, range(1, 21)), REQUIRED | {"minimum": 1}, ["0", "2.5"], QUANTITIES
)
_unit_price = Column("unit_price", "number", _price, REQUIRED | {"minimum": 0}, ["n/a", "-1.00"])
_discount = Column(
    "discount",
    "number",
    _words(DISCOUNTS, [float(text or 0) for text in DISCOUNTS]),
    {"minimum": 0, "maximum": 1},
    ["15"],
)
_ordered_at = Column("ordered_at", "datetime", _moment, REQUIRED, ["2024-31-01T10:00:00Z"])
_ORDER = [_order_id, _customer, _country, _status, _quantity, _unit_price, _discount, _ordered_at]


def _wide() -> list[Column]:
    """191 columns more, of six kinds in turn."""
    kinds: list[tuple[str, Maker, Mapping[str, Any], Sequence[str]]] = [
        ("integer", _integer(-500, 99_999), {"minimum": -500}, ["-501"]),
        ("number", _price, REQUIRED | {"maximum": 10_000}, ["1e5"]),
        ("string", _words(["low", "medium", "high"]), {"enum": ["low", "medium", "high"]}, ["none"]),
        ("string", _code, REQUIRED | {"pattern": "K-[0-9]{5}"}, ["K-123"]),
        ("datetime", _moment, {}, ["yesterday"]),
        ("string", _words(NOTES), {"maxLength": 40}, ["x" * 41]),
    ]
    columns = [*_ORDER, Column("note", "string", _words(NOTES))]
    for number in range(len(columns) + 1, 201):
        type_, make, constraints, faults = kinds[number % len(kinds)]
        columns.append(Column(f"c{number:03}", type_, make, constraints, faults if number % 25 == 0 else ()))
    return columns


SHAPES: Final = {
    shape.name: shape
    for shape in (
        Shape("orders", [*_ORDER, Column("note", "string", _words(NOTES))], ("country", "status"), 2_000_000, 500_000),
        Shape("wide", _wide(), ("country", "status"), 88_000, 20_000),
        Shape(
            "narrow",
            [
                _quantity,
                _unit_price,
                Column(
                    "discount",
                    "number",
                    _words(DISCOUNTS[1:], [float(text) for text in DISCOUNTS[1:]]),
                    REQUIRED | {"minimum": 0, "maximum": 1},
                    ["15", ""],
                    DISCOUNTS[1:],
                ),
            ],
            ("quantity", "discount"),
            14_600_000,
            1_000_000,
        ),
        Shape(
            "text",
            [*_ORDER, Column("review", "string", _review, REQUIRED | {"maxLength": 2_000}, ["", "so good " * 300])],
            ("country", "status"),
            205_000,
            50_000,
            "needed",
        ),
        Shape(
            "quoted",
            [*_ORDER, Column("note", "string", _words(QUOTED_NOTES))],
            ("country", "status"),
            1_500_000,
            250_000,
            "all",
        ),
    )
}

STRAY: Final = replace(
    SHAPES["orders"],
    name="stray",
    columns=[
        *(replace(each, faults=()) for each in _ORDER),
        Column("note", "string", _words(NOTES), {}, ['"Weaver" rings']),
    ],
)
"""Orders of which each bad row has text after a closing quote."""
