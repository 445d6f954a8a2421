"""Records whose quotes are not well formed are read as the plain reader reads each by itself."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.records.automaton import Grammar
from chalicelib.engine.records.chunk import Origin
from chalicelib.engine.records.lenient import Layout, cells, record_bytes
from chalicelib.engine.records.parse import parse
from chalicelib.engine.records.split import blocks
from tests.property.test_split import Tape

pytestmark = pytest.mark.usefixtures("either_reader")

PIECES = st.sampled_from(['"', '"', '""', ",", ",", " ", "a", "yyyyyyyyyy", "é", "#", "\\", '\n"', "\r\n", '"b'])
RECORDS = st.lists(st.lists(PIECES, min_size=1, max_size=9).map("".join), min_size=1, max_size=12)
DIALECTS = st.builds(
    Dialect,
    double_quote=st.booleans(),
    escape_char=st.sampled_from([None, None, "\\"]),
    comment_char=st.sampled_from([None, "#"]),
    skip_initial_space=st.sampled_from([False, False, True]),
)
WIDTH = 3


@given(RECORDS, DIALECTS)
@example(['"5" disk",a,b', '5" disk,a,b', '"a"" ,b"c,"d"e', '"a\nb" c,"d,e",f'], Dialect())
@example(['"a"b,"c', 'd"e,f"'], Dialect(double_quote=False))
def test_cells_are_those_of_the_record_by_itself(records: list[str], dialect: Dialect) -> None:
    body = "\n".join(records).encode() + b"\n"
    layout = Layout(("a", "b", "c"), dialect, "utf-8", 200)
    for block in blocks(Tape(body, 0, len(body), 1), 0, len(body), Grammar.of(dialect, layout.limit), 1 << 20):
        parsed = parse(block, Origin(block.base, None), layout)
        rows = list(zip(*(column.to_pylist() for column in parsed.columns), strict=True))
        for at, count, row in zip(parsed.records.tolist(), parsed.cells.tolist(), rows, strict=True):
            raw = record_bytes(block.data, int(block.starts[at]), int(block.starts[at + 1]), dialect).decode()
            texts = cells(raw, dialect)
            assert count in (0, len(texts))
            assert row == tuple([*texts, *[None] * WIDTH][:WIDTH])
