"""Records without quotes are read by where their delimiters are as Arrow reads them; and coded columns, of which texts
are known, as they would be plain.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.engine import codebook, coding
from chalicelib.engine.arrays import Spans
from chalicelib.engine.codebook import Codebook, Coding
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.records import unquoted
from chalicelib.engine.records.automaton import Grammar
from chalicelib.engine.records.chunk import Origin
from chalicelib.engine.records.lenient import Layout
from chalicelib.engine.records.parse import Parsed, parse
from chalicelib.engine.records.split import Block, blocks
from tests.property.test_split import Tape

CELLS = st.sampled_from(
    ["", "a", "b", " c", "é", "日本", "eightbyt", "nine bytes", "#d", "\0", "x" * 70, "'", "\ufeff"]
)
ROWS = st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=30)
DIALECTS = st.builds(
    Dialect,
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    quote_char=st.sampled_from(['"', None]),
    escape_char=st.sampled_from([None, "\\"]),
    comment_char=st.sampled_from([None, "#"]),
    skip_initial_space=st.booleans(),
)
WIDTH = 3


def found(body: bytes, dialect: Dialect, block_bytes: int, least_records: int, coded: bool) -> list[Parsed]:
    grammar = Grammar.of(dialect, 60)
    layout = Layout(tuple("abc"[:WIDTH]), dialect, "utf-8", 60)
    codes = Coding()
    every = []
    with (
        mock.patch.object(unquoted, "LEAST_RECORDS", least_records),
        mock.patch.object(unquoted, "_PIECE_RECORDS", 3),
        mock.patch.object(coding, "ROWS_PER_VALUE", 0),
    ):
        for block in blocks(Tape(body, 0, len(body), 1), 0, len(body), grammar, block_bytes):
            parsed = parse(block, Origin(block.base, None), layout, codes.columns if coded else {})
            if coded and codes.wants_glance:
                codes.glance(parsed.columns)
            every.append(parsed)
    return every


def told(parsed: Parsed) -> Any:
    columns = [coding.decoded(column).to_pylist() for column in parsed.columns]
    unread = {column: rows.tolist() for column, rows in parsed.unread.items()}
    return (
        columns,
        parsed.records.tolist(),
        parsed.blank,
        parsed.cells.tolist(),
        parsed.structure.faulty.tolist(),
        unread,
    )


@given(ROWS, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), DIALECTS, st.integers(8, 400), st.booleans())
@example([["a", "b", "c"]] * 4, "\r\n", True, Dialect(), 400, True)
@example([["a", "b", "c"], [""], ["a", "b"]], "\r\n", False, Dialect(), 400, False)
@example([["a", "b", " c"]], "\r", False, Dialect(skip_initial_space=True), 400, False)
def test_records_are_read_as_by_arrow(
    rows: list[list[str]], line_break: str, last: bool, dialect: Dialect, block_bytes: int, coded: bool
) -> None:
    body = (line_break.join(dialect.delimiter.join(row) for row in rows) + line_break * last).encode()
    by_delimiters = found(body, dialect, block_bytes, 1, coded)
    by_arrow = found(body, dialect, block_bytes, 1 << 40, coded)
    assert [told(parsed) for parsed in by_delimiters] == [told(parsed) for parsed in by_arrow]


def test_one_column_is_read_without_any_delimiter() -> None:
    starts = np.array([0, 3, 5, 8])
    block = Block(0, b"ab\nc\nde\nnext", starts, np.zeros(len(starts) - 1, np.uint8), starts, starts[1:])
    columns, miscounted = unquoted.read_texts(block, np.ones(3, np.bool_), Layout(("a",), Dialect(), "utf-8", 60), {})
    assert ([column.to_pylist() for column in columns], miscounted) == ([["ab", "c", "de"]], {})


@pytest.mark.parametrize(
    ("dialect", "limit", "is_for_this"),
    [
        (Dialect(), 60, False),
        (Dialect(quote_char=None, escape_char='"'), 60, False),
        (Dialect(quote_char=None), 3, False),
        (Dialect(quote_char=None), 60, True),
        (Dialect(quote_char="'", escape_char="\\"), 60, True),
    ],
    ids=["quote", "escape", "too long", "neither", "not in the block"],
)
def test_what_this_is_for(dialect: Dialect, limit: int, is_for_this: bool) -> None:
    starts = np.array([0, 4])
    block = Block(0, b'"a"\n', starts, np.zeros(len(starts) - 1, np.uint8), starts, starts[1:])
    layout = Layout(("a",), dialect, "utf-8", limit)
    with (
        mock.patch.object(unquoted, "LEAST_RECORDS", 1),
        mock.patch.object(unquoted, "read_texts", wraps=unquoted.read_texts) as read,
    ):
        parse(block, Origin(0, None), layout)
    assert read.called == is_for_this


FAMILIES = st.sampled_from(["", "a", "ab", "abcdefgh", "abcdefgh" * 3, "é"])
TEXTS = st.builds(str.__add__, FAMILIES, st.text("ab\0é", max_size=4) | st.integers(0, 400).map(str)) | st.text(
    "xy", min_size=30, max_size=70
)


@given(st.lists(st.lists(TEXTS, min_size=1, max_size=40), min_size=1, max_size=5), st.integers(0, 70))
@example([["a", "a\0", "", "\0"]], 70)
@example([["abcdefgh"], ["abcdefghi", "abcdefgh"]], 70)
@example([["abcdefgh 1", "xbcdefgh 2"], ["abcdefgh 2", "xbcdefgh 1", "abcdefgh 1"]], 70)
@example([[str(number) for number in range(300)], ["1", "2"]], 70)
def test_texts_are_told_by_their_bytes(given: list[list[str]], behind: int) -> None:
    book = Codebook()
    for texts in given:
        pieces = [text.encode() for text in texts]
        ends = np.cumsum([len(piece) + 1 for piece in pieces]) - 1
        starts = ends - [len(piece) for piece in pieces]
        read = book.column(book.codes(Spans(b",".join(pieces) + b"," * behind, 0), starts, ends))
        read.validate(full=True)
        assert read.to_pylist() == texts
        assert sorted(read.dictionary.to_pylist()) == sorted(set(texts))


def test_texts_made_to_share_their_place_are_read_all_the_same() -> None:
    with mock.patch.object(codebook, "_places", lambda words, factors, size: np.zeros(len(words[0]), np.int64)):
        book = Codebook()
        codes = book.codes(Spans(b"a,b,b,a,", 0), np.arange(0, 8, 2), np.arange(1, 8, 2))
    assert not book.pays
    assert book.column(codes).to_pylist() == ["a", "b", "b", "a"]
