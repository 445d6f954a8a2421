"""A verdict, and a value, depend on the cell alone: not on the other records, the block, the chunk, nor on which of a
reader's ways a column took. Every type and format, each constraint, and aggregates and profiles over all of them.
"""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from functools import cache
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import steps
from chalicelib.engine import arrays, types
from chalicelib.engine import contract as contracts
from chalicelib.engine.checks.check import Checker
from chalicelib.engine.contract.binding import bind
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.contract.fields import TYPES
from chalicelib.engine.records.lenient import Layout
from chalicelib.engine.records.parse import Parsed
from chalicelib.engine.records.ragged import Ragged
from chalicelib.engine.records.spoilt import Spoilt
from chalicelib.engine.records.structure import Structure
from chalicelib.engine.types import resolving
from tests import pipeline
from tests.pipeline import Outcome, contract
from tests.property.test_chunks import essence

pytestmark = pytest.mark.usefixtures("either_reader")

FIELDS: dict[str, Any] = {
    "integer": {"constraints": {"minimum": -5, "maximum": 1000}},
    "integer grouped": {"type": "integer", "groupChar": ","},
    "integer bare": {"type": "integer", "bareNumber": False},
    "integer enum": {"type": "integer", "constraints": {"enum": [1, 5, 1000]}},
    "integer category": {"type": "integer", "categories": [1, 5, 7]},
    "number": {"constraints": {"exclusiveMinimum": -3.5, "exclusiveMaximum": 1e6}},
    "number enum": {"type": "number", "constraints": {"enum": [0, 5, 3.5]}},
    "number comma": {"type": "number", "decimalChar": ",", "groupChar": "."},
    "number bare": {"type": "number", "bareNumber": False},
    "decimal": {"type": "number"},
    "boolean": {},
    "boolean words": {"type": "boolean", "trueValues": ["ja", "1"], "falseValues": ["nein", "NA"]},
    "string": {"constraints": {"minLength": 1, "maxLength": 8, "pattern": "[^x]*"}},
    "string missing": {"type": "string", "missingValues": ["NA", "None", "5"], "constraints": {"required": True}},
    "email": {"type": "string", "format": "email"},
    "uri": {"type": "string", "format": "uri"},
    "uuid": {"type": "string", "format": "uuid"},
    "binary": {"type": "string", "format": "binary"},
    "date": {"constraints": {"minimum": "2000-01-01"}},
    "date pattern": {"type": "date", "format": "%d/%m/%y"},
    "date any": {"type": "date", "format": "any"},
    "time": {"constraints": {"maximum": "12:00:00"}},
    "time pattern": {"type": "time", "format": "%H:%M"},
    "datetime": {"constraints": {"minimum": "2000-01-01T00:00:00Z"}},
    "datetime local": {"type": "datetime", "format": "%Y-%m-%d %H:%M"},
    "datetime zone": {"type": "datetime", "format": "%Y-%m-%dT%H:%M:%S%z"},
    "year": {"constraints": {"minimum": 2000}},
    "yearmonth": {"constraints": {"maximum": "2024-06"}},
    "duration": {"constraints": {"minimum": "P1D"}},
    "object": {"constraints": {"minLength": 1}},
    "array": {"constraints": {"maxLength": 2}},
    "list": {"constraints": {"minLength": 2}},
    "list of integers": {"type": "list", "itemType": "integer", "delimiter": ";"},
    "geopoint": {},
    "geopoint array": {"type": "geopoint", "format": "array"},
    "geojson": {},
    "any": {},
}
DESCRIBED = contract(
    *({"name": name, "type": name} | given for name, given in FIELDS.items()),
    sluice={
        "decimals": {"decimal": {"precision": 7, "scale": 2}},
        "aggregates": [
            {
                "name": "all",
                "groupBy": [],
                "measures": {
                    **{f"n {name}": {"count": name} for name in FIELDS},
                    **{f"sum {name}": {"sum": name} for name in ("integer", "number", "decimal")},
                    **{
                        f"least {name}": {"min": name} for name in ("number", "date", "time", "datetime", "year", "any")
                    },
                    **{f"half {name}": {"quantile": name, "q": 0.5} for name in ("integer", "number", "decimal")},
                    "different": {"approxDistinct": "string"},
                },
            },
            {"name": "by", "groupBy": ["boolean", "number", "date"], "measures": {"rows": {"count": "*"}}},
        ],
    },
)

TEXTS = (
    # Libraries differ on these.
    *("0x1F", "1_0", "1_000", " 5", "5 ", "5\n", "inf", "-Infinity", "NaN", "nan", "3.5", "٣", "1e400", "1e3", "+5"),
    *("-0", "007", "-007", "5", "1", "0", "", "-", "+", ".", "1.", ".5", "1,5", "1,234", "1.234,5", "12,34,567", "€95"),
    *("-$5", "9223372036854775808", "-9223372036854775808", "9" * 30, "1.555", "99999.99", "100000"),
    *("9223372036854775807", "0.0", "-0.0", "5-", "(5)", "−5", "5 km–h"),
    *("95 %", "true", "TRUE", "tRUE", "False", "ja", "nein", "NA", "None", "x", "null", "\\N"),
    *("2024-01-02", "2024-02-30", "1999-12-31", "2024-1-2", "02/01/24", "31/02/24", "20240102", "01/02/2024", "10"),
    *("03:04:05", "03:04", "24:00:00", "23:59:60", "13:00:00.5", "10:00:00Z", "03:04:05.1234567", "030405"),
    *("2024-01-02T03:04:05", "2024-01-02 03:04:05Z", "2024-01-02T03:04:05+02:00", "2024-01-02T03:04:05+0200"),
    *("2024-01-02 03:04", "2024-01-02T03", "0001-01-01T00:00:00+14:00", "1999-12-31T23:59:59.999999Z", "2024-W01-2"),
    *("2024", "1999", "-0044", "12345", "02024", "24", "2024-01", "2024-13", "2024-07", "P1D", "PT36H", "P1M", "P1W"),
    *("{}", '{"a": 1}', '{"a": NaN}', '{"a": 1, "a": 2}', "[]", "[1, 2, 3]", "[1,]", "a,b", "1;2", "1; 2", "1;;2"),
    *("90.5, 45.5", "90.5,45.5", "90 ,45", "[90.5, 45.5]", "200,45", '{"type": "Point", "coordinates": [1, 2]}'),
    *("a@localhost", "a@b.c", "a b", "http://x/%zz", "urn:a:b", "123e4567-e89b-12d3-a456-426614174000", "aGkh"),
    *("aG kh", "=1+1", "'", "é", "日本", "\u2028", "a" * 9, "\ufeff", "a\r\nb"),
)  # fmt: skip
ROWS = st.lists(st.lists(st.sampled_from(TEXTS), min_size=len(FIELDS), max_size=len(FIELDS)), min_size=1, max_size=12)
FILLER = {"string missing": "1"}
"""What a column has that has no good text: else nothing, which is a missing value."""
Findings = dict[str, set[str]]


def file_of(rows: list[list[str]]) -> bytes:
    sink = io.StringIO(newline="")
    csv.writer(sink, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([list(FIELDS), *rows])
    return sink.getvalue().encode()


def run(rows: list[list[str]], chunk_size: int = 1 << 20, block_size: int = 1 << 20) -> Outcome:
    with mock.patch.object(steps, "BLOCK_SIZE_BYTES", block_size):
        return pipeline.run(file_of(rows), DESCRIBED, chunk_size=chunk_size)


def findings(outcome: Outcome, record: int) -> Findings:
    found: Findings = {}
    for number, name, code in outcome.findings:
        if number == record:
            found.setdefault(name, set()).add(code)
    return found


CONTRACT = contracts.parse(DESCRIBED)
CHECKER = Checker(CONTRACT, bind(CONTRACT, list(FIELDS)))


@cache
def alone(text: str) -> Findings:
    """What is wrong with a text as the only one of each field."""
    texts = [arrays.strings([text]) for _ in FIELDS]
    found: Findings = {}
    none = np.zeros(0, np.int64)
    layout = Layout(tuple(FIELDS), Dialect(), "utf-8", 1 << 20)
    spoilt = Spoilt.of(none, none)
    structure = Structure(layout, {}, none, none, spoilt, spoilt, Ragged(none, none))
    parsed = Parsed(texts, np.zeros(1, np.int64), 0, np.full(1, len(FIELDS)), structure, {})
    for each in CHECKER.check(parsed).findings.checks:
        found.setdefault(each.field, set()).add(each.code)
    return found


@cache
def value(at: int, text: str) -> Any:
    """The value of a text, read as the only one."""
    if text in CONTRACT.fields[at].missing_values:
        return None
    return types.read(CONTRACT.fields[at], arrays.strings([text]))[0].to_pylist()[0]


def test_every_type_is_here() -> None:
    assert {given.get("type", name) for name, given in FIELDS.items()} == set(TYPES)


def test_no_check_imports_pandas() -> None:
    """Only a transform needs it, and it takes 0.16 s."""
    code = (
        "import sys\n"
        "from tests.property.test_neighbours import FIELDS, TEXTS, run\n"
        "run([[text] * len(FIELDS) for text in (*TEXTS, 'é' * 101)])\n"
        "sys.exit('pandas' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@given(ROWS, st.data())
def test_a_verdict_depends_on_the_cell_alone(rows: list[list[str]], data: st.DataObject) -> None:
    """Columns are dirty as drawn, or without their bad texts, so that whole columns are readable too."""
    for at, name in enumerate(FIELDS):
        if data.draw(st.booleans()):
            clean = [text for text in (row[at] for row in rows) if name not in alone(text)]
            for row in rows:
                row[at] = row[at] if row[at] in clean else clean[0] if clean else FILLER.get(name, "")
    sizes: Any = {name: data.draw(st.integers(1, 4)) for name in ("SEGMENT_ROWS", "TRIAL_ROWS", "PATIENCE")}
    whole = run(rows)
    with mock.patch.multiple(resolving, **sizes):
        cut = run(rows, data.draw(st.integers(100, 3000)), data.draw(st.integers(1, 4000)))
    assert essence(cut) == essence(whole)
    for record, row in enumerate(rows, start=1):
        expected = {name: codes for name, text in zip(FIELDS, row, strict=True) if (codes := alone(text).get(name))}
        assert findings(whole, record) == expected, row


@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=40), st.data())
def test_a_value_depends_on_the_cell_alone(texts: list[str], data: st.DataObject) -> None:
    """Each field has its good ones among the texts; those that have fewer begin again."""
    good = [[text for text in texts if name not in alone(text)] or [FILLER.get(name, "")] for name in FIELDS]
    rows = [[column[at % len(column)] for column in good] for at in range(max(map(len, good)))]
    whole = run(rows)
    assert whole.job.rows.valid == len(rows)
    assert essence(run(rows, data.draw(st.integers(100, 3000)), data.draw(st.integers(1, 4000)))) == essence(whole)
    for row, delivered in zip(rows, whole.table.to_pylist(), strict=True):
        assert repr(list(delivered.values())) == repr([value(at, text) for at, text in enumerate(row)])
