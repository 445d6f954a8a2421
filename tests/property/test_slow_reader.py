"""The whole pipeline against ``tests/slow.py``, a reader written from the rules alone: any bytes, dialect and cut.

The limits and the sizes of blocks and reads are small, so that each of their edges falls everywhere.
"""

from __future__ import annotations

import base64
import os
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib import steps
from chalicelib.stages import tape
from tests import pipeline, slow
from tests.pipeline import Outcome, contract
from tests.property.test_chunks import essence
from tests.slow import Rules

pytestmark = pytest.mark.usefixtures("either_reader")

PIECES = st.sampled_from(
    [
        *(b"1", b"2", b"3", b"x", b"1.5", b"9", b" ", b"'", b";", b"\t", b"=1", b"\xc3\xa9", b"\xe6\x97\xa5"),
        *(b'"', b'"', b'""', b",", b",", b",", b"\n", b"\n", b"\r\n", b"\r", b"\r\r\n", b"\\", b"\\", b"#"),
        *(b"\xff", b"\xc3", b"\0", b"\x1a", b"\x0b", b"\x1c", b"\xe2\x80\xa8", b"\xc2\x85", b"\xef\xbb\xbf"),
        *(b'"a\nb"', b'"a""b"', b',"', b'",', b'"\n', b'\n"', b'1,"\n2,fake,1\n",1\n', b"1,a,1\n", b'"\\"'),
    ]
)
CELLS = st.sampled_from(
    b'1|2|3|4|-3|x||1.5|"a"|"a\nb"|"a""b"|"|a"|"a"b|\xc3\xa9|","|007|""|"\r\n"| 5|#1|b|c|1e0|\\'.split(b"|")
)
ROWS = st.lists(st.lists(CELLS, min_size=1, max_size=4).map(b",".join), max_size=12)
TAILS = st.lists(PIECES, max_size=40).map(b"".join) | st.builds(
    lambda rows, ends, last: ends.join(rows) + ends * last,
    ROWS,
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.booleans(),
)
RULES = st.builds(
    Rules,
    delimiter=st.sampled_from([b",", b",", b",", b";", b"\t"]),
    quote=st.sampled_from([b'"', b'"', b'"', b'"', None, b"'"]),
    doubled=st.sampled_from([True, True, True, False]),
    escape=st.sampled_from([None, None, b"\\"]),
    comment=st.sampled_from([None, None, b"#"]),
    skip_space=st.sampled_from([False, False, True]),
    header=st.sampled_from([True, True, True, False]),
    limit=st.sampled_from([4, 8, 16, 40, 1000]),
)
MARKS = st.sampled_from([b"", b"", b"\xef\xbb\xbf"])
SIZES = st.tuples(st.integers(1, 40) | st.integers(1, 4), st.sampled_from([1, 5, 20, 1 << 20]), st.integers(1, 40))
"""Of a chunk, a block, and what a worker reads beyond its chunk at first."""

COLUMNS = [
    slow.Column("id", slow.integer, required=True),
    slow.Column("name", str, unique=True),
    slow.Column("size", slow.number, keeps=lambda value: value <= 1.5),
]


def described(rules: Rules) -> Any:
    dialect: dict[str, Any] = {
        "delimiter": rules.delimiter.decode(),
        "quoteChar": rules.quote.decode() if rules.quote else None,
        "doubleQuote": rules.doubled,
        "skipInitialSpace": rules.skip_space,
        "header": rules.header,
    }
    dialect |= {"escapeChar": rules.escape.decode()} if rules.escape else {}
    dialect |= {"commentChar": rules.comment.decode()} if rules.comment else {}
    return contract(
        {"name": "id", "type": "integer", "constraints": {"required": True}},
        {"name": "name", "type": "string", "constraints": {"unique": True}},
        {"name": "size", "type": "number", "constraints": {"maximum": 1.5}},
        schema={"primaryKey": ["id"]},
        dialect=dialect,
        encoding="utf-8",
        sluice={
            "aggregates": [
                {"name": "all", "groupBy": ["name"], "measures": {"n": {"count": "*"}, "total": {"sum": "size"}}},
                {"name": "mid", "groupBy": [], "measures": {"half": {"quantile": "size", "q": 0.5}}},
            ]
        },
    )


def run(body: bytes, rules: Rules, sizes: tuple[int, int, int] = (1 << 20, 1 << 20, 1 << 16)) -> Outcome:
    chunk, block, read_on = sizes
    with (
        mock.patch.object(steps, "RECORD_LIMIT_BYTES", rules.limit),
        mock.patch.object(steps, "BLOCK_SIZE_BYTES", block),
        mock.patch.object(tape, "READ_ON_BYTES", read_on),
    ):
        return pipeline.run(body, described(rules), chunk_size=chunk)


def assert_as_slow(outcome: Outcome, body: bytes, rules: Rules) -> None:
    expected = slow.read(body, rules, COLUMNS, "id")
    rows = outcome.job.rows
    counts = (expected.read, len(expected.delivered), len(expected.rejected), expected.blank)
    assert (rows.read, rows.valid, rows.rejected, rows.blank) == counts
    assert outcome.document("summary.json")["findings"]["total"] == sum(len(row.errors) for row in expected.rejected)
    for row, each in zip(expected.rejected, outcome.rejects, strict=True):
        raw = base64.b64decode(each["raw_base64"]) if "raw_base64" in each else each["raw"].encode()
        found = sorted((error["field"], error["code"]) for error in each["errors"])
        assert (each["record"], each["line"], each["byte"], raw, found) == (
            row.record, row.line, row.byte, row.raw, sorted(row.errors)
        )  # fmt: skip
    assert [tuple(row.values()) for row in outcome.table.to_pylist()] == expected.delivered


FAKE = b'1,a,1\n2,"\n3,fake,1\n4,fake,1\n",1\n5,b" pipe,1\n6,"c\n'


@given(MARKS, TAILS, RULES, SIZES)
@example(b"", FAKE, Rules(), (5, 1, 1))
@example(b"", FAKE, Rules(limit=8), (3, 1, 1))
@example(b"", b'1,a,1\n"2"\\,b,1\n3,"c"\\\nd,1\n', Rules(escape=b"\\"), (1, 1, 1))
@example(b"", b'""\\\n\\\t""\r\r\n"a\nb"', Rules(escape=b"\\", limit=4), (4, 20, 3))
@example(b"", b"1,a,1\n\\", Rules(escape=b"\\"), (7, 1, 1))
@example(b"", b'1,\\ a,1\n2, \\ b,1\n3, "c",\\ 1\n', Rules(escape=b"\\", skip_space=True), (7, 20, 1))
@example(b"", b"1,\\ a,1\n\\ 2,b,1\n", Rules(quote=None, escape=b"\\", skip_space=True), (7, 20, 1))
@example(b"", b'1,"' + b"a" * 50 + b'",1\n2,b,1\n', Rules(limit=16), (9, 5, 2))
def test_everything_is_as_the_slow_reader_says(
    mark: bytes, tail: bytes, rules: Rules, sizes: tuple[int, int, int]
) -> None:
    first = (b"id", b"name", b"size") if rules.header else (b"7", b"q", b"1")
    body = mark + rules.delimiter.join(first) + b"\n" + tail.replace(b",", rules.delimiter)
    whole, cut = run(body, rules), run(body, rules, sizes)
    assert essence(cut) == essence(whole)
    if whole.job.error is not None:
        assert whole.job.error.code == "not-csv"  # binary, by its NULs
        return
    assert_as_slow(cut, body, rules)
    chunks = cut.document("manifest.json")["ledger"]["chunks"]
    assert {chunk["round"] for chunk in chunks} <= {1, 2}
    assert sum(chunk["round"] > 1 for chunk in chunks) == cut.job.chunks.repaired


@pytest.mark.parametrize("limit", [8, 1000])
@pytest.mark.parametrize("escape", [None, b"\\"])
def test_every_chunk_size(limit: int, escape: bytes | None) -> None:
    """Nearly: the larger ones are sampled unless the profile is ``thorough``."""
    rules = Rules(limit=limit, escape=escape)
    body = b"id,name,size\r\n" + FAKE + b'7,\xc3\xa9,1\r\r\n8,"d\r\n""",1\r9,\xff,1\n10,\\"e\n'
    step = 1 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 13
    for size in [*range(1, 8), *range(8, len(body) + 1, step)]:
        assert_as_slow(run(body, rules, (size, 1 + size % 7, 1)), body, rules)
