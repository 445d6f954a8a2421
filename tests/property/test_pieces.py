"""Arrow's reader gives the same records of a block in pieces as at once."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.records import arrowcsv, unquoted
from chalicelib.engine.records.automaton import Grammar
from chalicelib.engine.records.chunk import Origin
from chalicelib.engine.records.lenient import Layout
from chalicelib.engine.records.parse import parse
from chalicelib.engine.records.split import blocks
from tests.property.test_split import Tape
from tests.property.test_unquoted import told

DIALECTS = st.builds(
    Dialect,
    double_quote=st.booleans(),
    escape_char=st.sampled_from([None, None, "\\"]),
    comment_char=st.sampled_from([None, "#"]),
    skip_initial_space=st.booleans(),
)
CELLS = st.sampled_from(
    [
        *(b"a", b"", b" b", b"#", b"x" * 11, b'""', b'"a,b"', b'"a\nb"', b'"q""q"', b'"\n"', b'a"b', b'"yyyy\nyyyyyy"'),
        *(b"\0", b'"\0"', b'"\0\n"', b"\xff", b'"\xff\n"', b"\xc3\xa9", b'"\r\n"', b'"\\""'),
    ]
)
ROWS = st.lists(st.lists(CELLS, min_size=1, max_size=5), min_size=1, max_size=12)
"""Short cells and long ones, which the reader looks at eight bytes at a time."""


def read(body: bytes, dialect: Dialect, piece_bytes: int) -> list[Any]:
    layout = Layout(("a", "b", "c"), dialect, "utf-8", 100)
    with (
        mock.patch.object(unquoted, "LEAST_RECORDS", 1 << 40),
        mock.patch.object(arrowcsv, "PIECE_BYTES", piece_bytes),
        mock.patch.object(arrowcsv, "PIECE_BYTES_PER_COLUMN", 0),
    ):
        found = blocks(Tape(body, 0, len(body), 1), 0, len(body), Grammar.of(dialect, layout.limit), 1 << 20)
        return [told(parse(block, Origin(block.base, None), layout)) for block in found]


@given(ROWS, st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"]), st.booleans(), DIALECTS, st.integers(1, 150))
@example([[b"a", b"b", b"c"]] * 2, b"\n", True, Dialect(), 1)
def test_a_block_in_pieces_is_read_as_at_once(
    rows: list[list[bytes]], line_break: bytes, last: bool, dialect: Dialect, piece_bytes: int
) -> None:
    body = line_break.join(b",".join(row) for row in rows) + line_break * last
    assert read(body, dialect, piece_bytes) == read(body, dialect, 1 << 20)


@pytest.mark.parametrize("spoilt", [b"\0", b"\xff"], ids=["a NUL", "no UTF-8"])
def test_a_spoilt_byte_hides_no_quote_from_the_end_of_a_piece(spoilt: bytes) -> None:
    """Arrow looks at eight bytes with an instruction that stops at a NUL (GH-50481), and may miss a quote behind it."""
    body = b'"aaa\n","""",aa\na,' + spoilt + b',a\n"aa\n","a' + spoilt + b'""aa,","aa' + spoilt + b'\n"'
    whole = read(body, Dialect(), 1 << 20)
    assert [cells for *_, cells, _, _ in whole] == [[3, 3, 3]]
    for piece_bytes in range(1, len(body) + 2):
        assert read(body, Dialect(), piece_bytes) == whole
