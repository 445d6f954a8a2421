"""Writes ``samples/orders.csv``: 5,000 orders of an invented shop, the same bytes every time.

Most rows are good, and not easy: notes with commas, doubled quotes, line feeds and many scripts. About one row in forty
is broken, in every way that ``contracts/orders.json`` can find; ``FAULTS`` lists them, so that tests can count them
(and the last row has one of its own).

    python samples/make_orders.py            # writes beside itself
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

SEED = 20_240_229
ROWS = 5_000
HEADER = ["order_id", "customer_email", "country", "status", "quantity", "unit_price", "discount", "ordered_at", "note"]
COUNTRIES = {"US": 30, "DE": 16, "GB": 12, "FR": 10, "JP": 8, "IN": 8, "BR": 6, "ES": 4, "CH": 3, "AT": 3}
STATUSES = {"delivered": 62, "shipped": 14, "paid": 12, "pending": 7, "cancelled": 5}
GIVEN_NAMES = "ada ben chen dora emil fatima gita hugo ines jonas kaoru lena marek nour olga pedro quinn rosa sven tom"
NOTES = [
    "Leave at the door, please",
    'Engraving: "for M., with love"',
    "Rechnung an:\nHauptstraße 5\n80331 München",
    "包装はていねいにお願いします",
    "Livrer après 18 h ; code d'accès : 4B",
    "Gift wrap 🎁, no invoice inside",
    'Size is 5"2, not 5,2',
    "Ring twice.\n\nSecond floor.",
    "يرجى الاتصال قبل التسليم",
    "Entregar à portaria\r\n(prédio azul)",
    "=not a formula, just a note",
    "€ 10 voucher already used",
]


def _replaced(**cells: str) -> Callable[[list[str]], bytes]:
    """A fault that puts other text into the named cells."""

    def fault(row: list[str]) -> bytes:
        return _encode([cells.get(name, cell) for name, cell in zip(HEADER, row, strict=True)])

    return fault


def _encode(row: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(row)
    return text.getvalue().encode()


FAULTS: dict[str, tuple[int, str, Callable[[list[str]], bytes]]] = {
    # name: (how many rows, code of the finding, the row's bytes)
    "order_id is not an integer": (4, "type-error", _replaced(order_id="A-1007")),
    "order_id is missing": (3, "constraint-error", _replaced(order_id="")),
    "customer_email has no domain": (9, "constraint-error", _replaced(customer_email="ada.example.com")),
    "customer_email is missing": (5, "constraint-error", _replaced(customer_email="")),
    "country is outside the list": (10, "constraint-error", _replaced(country="UK")),
    "status is in capitals": (8, "constraint-error", _replaced(status="SHIPPED")),
    "quantity has a fraction": (5, "type-error", _replaced(quantity="2.5")),
    "quantity is zero": (7, "constraint-error", _replaced(quantity="0")),
    "unit_price has a decimal comma": (12, "type-error", _replaced(unit_price="19,90")),
    "unit_price is negative": (4, "constraint-error", _replaced(unit_price="-5.00")),
    "discount is in per cent": (9, "constraint-error", _replaced(discount="15")),
    "discount is a word": (3, "type-error", _replaced(discount="none")),
    "ordered_at has month and day exchanged": (8, "type-error", _replaced(ordered_at="2024-31-01T10:00:00Z")),
    "ordered_at is before the shop opened": (3, "constraint-error", _replaced(ordered_at="1970-01-01T00:00:00Z")),
    "note is too long": (2, "constraint-error", _replaced(note="very " * 120)),
    "three faults in one row": (3, "constraint-error", _replaced(country="??", quantity="-1", discount="2")),
    "the last two cells are missing": (6, "missing-cell", lambda row: _encode(row[:-2])),
    "a cell too many": (7, "extra-cell", lambda row: _encode([*row, "surplus"])),
    "text after a closing quote": (3, "text-after-quote", lambda row: _encode(row[:-1])[:-1] + b',"fragile" box\n'),
    "a byte that is not UTF-8": (2, "encoding-error", lambda row: _encode(row[:-1])[:-1] + b",caf\xe9 corner\n"),
    "a NUL byte": (1, "nul-byte", lambda row: _encode(row[:-1])[:-1] + b",third\x00floor\n"),
}
DUPLICATES = 6
"""Rows that repeat an order_id from further up, which the primary key forbids."""
BLANK_ROWS = 2


def _unclosed(row: list[str]) -> bytes:
    """A quote that is never closed (``unclosed-quote``): the last row alone, for others would lie in the open cell."""
    return _encode(row[:-1])[:-1] + b',"packed by Ada\n'


def _row(order_id: int, rng: random.Random, when: datetime) -> list[str]:
    name = rng.choice(GIVEN_NAMES.split())
    domain = rng.choice(["example.com", "example.org"])
    quantity = min(20, 1 + int(rng.expovariate(0.7)))
    price = f"{rng.lognormvariate(3.2, 0.8):.2f}"
    discount = rng.choice(["", "", "0", "0.05", "0.1", "0.15", "0.25"])
    return [
        str(order_id),
        f"{name}.{rng.randrange(400)}@{domain}",
        rng.choices(list(COUNTRIES), list(COUNTRIES.values()))[0],
        rng.choices(list(STATUSES), list(STATUSES.values()))[0],
        str(quantity),
        price,
        discount,
        when.strftime("%Y-%m-%dT%H:%M:%SZ"),
        rng.choice(NOTES) if rng.random() < 0.3 else "",
    ]


def make() -> bytes:
    """The whole file: a header and ``ROWS`` records (the blank ones included), line feeds between them."""
    rng = random.Random(SEED)
    when = datetime(2024, 1, 1, tzinfo=UTC)
    rows = []
    for number in range(ROWS):
        when += timedelta(seconds=rng.randrange(60, 6000))
        rows.append(_row(100_001 + number, rng, when))
    lines = [_encode(row) for row in rows]
    lines[-1] = _unclosed(rows[-1])
    places = sum(count for count, _, _ in FAULTS.values()) + DUPLICATES + BLANK_ROWS
    broken = iter(rng.sample(range(200, ROWS - 1), places))
    for count, _, fault in FAULTS.values():
        for _ in range(count):
            place = next(broken)
            lines[place] = fault(rows[place])
    for _ in range(DUPLICATES):
        place = next(broken)
        lines[place] = _encode([rows[place % 200][0], *rows[place][1:]])  # the first 200 rows are all good
    for _ in range(BLANK_ROWS):
        lines[next(broken)] = b"\n"
    return _encode(HEADER) + b"".join(lines)


if __name__ == "__main__":
    Path(__file__).with_name("orders.csv").write_bytes(make())
