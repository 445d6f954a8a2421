"""The uploads that faults are tried on: together they take every path on which the steps call AWS."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from chalicelib.model import Status
from tests.faults.world import Scenario
from tests.infrastructure.documents import ROOT
from tests.pipeline import contract

_HEADER = "order_id,customer_email,country,status,quantity,unit_price,discount,ordered_at,note\n"


def _orders() -> bytes:
    """Twelve orders: one repeats the key of an order in another chunk, one breaks a constraint, one spans two lines."""
    rows = []
    for number in range(12):
        order_id = 3 if number == 9 else number
        country = "XX" if number == 4 else "DE"
        note = '"Ring\ntwice"' if number == 6 else ""
        rows.append(f"{order_id},a{number}@example.com,{country},paid,2,9.5,,2024-01-01T00:00:{number:02}Z,{note}\n")
    return (_HEADER + "".join(rows)).encode()


def _contract(**sluice: Any) -> dict[str, Any]:
    contract: dict[str, Any] = json.loads((ROOT / "contracts" / "orders.json").read_text())
    contract["sluice"] |= {"tolerance": {"maxRejectedRatio": 1}} | sluice
    return contract


ORDERS: Final = Scenario("a contract with a key, a transform, a repair", _orders(), _contract(), chunk_size_bytes=500)

REFUSED: Final = Scenario(
    "more rejected rows than the contract tolerates",
    _orders(),
    _contract(tolerance={"maxRejectedRows": 0}),
    chunk_size_bytes=2000,
    expected=Status.FAILED,
)

_THINGS = "id,name\n" + "".join(f"{number},thing {number}\n" for number in range(60))

PACKED: Final = Scenario(
    "no contract, compressed: surveyed, and rewritten by a multipart upload",
    gzip.compress(_THINGS.encode("utf-16"), mtime=0),
    None,
    chunk_size_bytes=2000,
    key="incoming/things/a.csv.gz",
)


def _countries() -> dict[str, bytes]:
    """A dataset that another refers to: its current rows, as StoreResults leaves them."""
    part, manifest = "jobs/countries-1/data/part-00000.parquet", "jobs/countries-1/manifest.json"
    rows = io.BytesIO()
    pq.write_table(pa.table({"code": ["DE", "US"]}), rows)
    current = {"dataset": "countries", "mode": "append", "jobs": [{"job_id": "countries-1", "manifest": manifest}]}
    return {
        part: rows.getvalue(),
        manifest: json.dumps({"outputs": [{"name": "data", "key": part}]}).encode(),
        "datasets/countries/current.json": json.dumps(current).encode(),
    }


REFERRING: Final = Scenario(
    "a foreign key to another dataset",
    b"id,country\n1,DE\n2,XX\n",
    contract(
        {"name": "id", "type": "integer"},
        {"name": "country", "type": "string"},
        schema={
            "foreignKeys": [{"fields": "country", "reference": {"resource": "countries", "fields": "code"}}],
        },
    ),
    chunk_size_bytes=2000,
    key="incoming/places/a.csv",
    others=_countries(),
)

REFUTED: Final = Scenario(
    "a chunk that begins in a quoted cell full of rows",
    b'id,note\n1,"\n2,fake\n3,fake\n4,fake\n5,fake\n"\n6,true\n',
    contract({"name": "id", "type": "integer"}, {"name": "note", "type": "string"}, schema={"primaryKey": ["id"]}),
    chunk_size_bytes=20,
    key="incoming/notes/a.csv",
    first=True,
)

ALL: Final = (ORDERS, REFUSED, PACKED, REFUTED, REFERRING)
