"""Single records are read and written as the csv module does it, in a part of its memory."""

from __future__ import annotations

import base64
import csv
import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine.checks.formulas import neutralise
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.records.lenient import cells
from chalicelib.engine.rejects import single
from chalicelib.engine.text.encodings import Original, to_text
from chalicelib.model import JSON

LETTERS = st.sampled_from([*"ab ,;\t'=é\0", "\ufeff", '"'])


@given(st.text(LETTERS), st.sampled_from(",;\t"), st.sampled_from(["'", None]), st.booleans())
def test_cells_are_those_of_the_csv_module(text: str, delimiter: str, quote: str | None, skip: bool) -> None:
    dialect = Dialect(delimiter=delimiter, quote_char=quote, skip_initial_space=skip)
    reader = csv.reader(
        [text],
        delimiter=delimiter,
        quotechar=quote,
        skipinitialspace=skip,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
    )
    assert cells(text, dialect) == next(reader, [""])


@pytest.mark.parametrize(
    ("text", "keys", "expected"),
    [
        pytest.param('a\\,b,"c\\"d,",\\\\,e', {}, ["a,b", 'c"d,', "\\", "e"], id="in cells, quoted or not"),
        pytest.param('"a""b\\,",c', {}, ['a"b,', "c"], id="a doubled quote"),
        pytest.param('"a""b\\,",c', {"double_quote": False}, ['a"b,"', "c"], id="quotes are not doubled"),
        pytest.param('"a"b\\,,"c', {}, ["ab,", "c"], id="text after a quote, an unclosed one"),
        pytest.param('a"b\\,c",d', {}, ['a"b,c"', "d"], id="a quote within a cell"),
        pytest.param('\\"a,b', {}, ['"a', "b"], id="an escaped quote opens no cell"),
        pytest.param('  a b,\\ c,  "d, e"', {"skip_initial_space": True}, ["a b", " c", "d, e"], id="spaces"),
        pytest.param(" a,\\ b", {}, [" a", " b"], id="spaces that stay"),
        pytest.param('"a\\"', {"quote_char": None}, ['"a"'], id="no quotes"),
        pytest.param("a,b\\", {}, ["a", "b\\"], id="at the end"),
        pytest.param("a\\,b,", {}, ["a,b", ""], id="an empty last cell"),
    ],
)
def test_cells_with_escapes(text: str, keys: JSON, expected: list[str]) -> None:
    assert cells(text, Dialect(escape_char="\\", **keys)) == expected


@pytest.mark.parametrize(
    ("raw", "original", "text", "exact"),
    [
        pytest.param('a"é'.encode(), Original("utf-8"), 'a"é', None, id="a text"),
        pytest.param('a"é'.encode(), Original("cp1252"), 'a"é', None, id="of another encoding"),
        pytest.param(b"a\xff", Original("utf-8"), None, b"a\xff", id="no text"),
        pytest.param(to_text(b"a\x81", "cp1252"), Original("cp1252"), None, b"a\x81", id="none of another encoding"),
        pytest.param(
            "a纊".encode(), Original("cp932", {"纊": "fa5c"}), "a纊", b"a\xfa\x5c", id="a character of two codes"
        ),
    ],
)
def test_a_record_is_shown_as_its_text_where_that_tells_its_bytes(
    raw: bytes, original: Original, text: str | None, exact: bytes | None
) -> None:
    line = b'{"errors": [' + single.json_tail(raw, original) + b'"}'
    shown = {} if text is None else {"raw": text}
    if exact is not None:
        shown["raw_base64"] = base64.b64encode(exact).decode()
    assert line == json.dumps({"errors": [], **shown}, ensure_ascii=False).encode()


@given(st.lists(st.text(st.one_of(LETTERS, st.sampled_from("\r\n"))), min_size=2))
def test_a_line_is_that_of_the_csv_module(texts: list[str]) -> None:
    sink = io.StringIO(newline="")
    csv.writer(sink).writerow([neutralise(text) for text in texts])
    assert single.csv_line(texts) + b"\r\n" == sink.getvalue().encode()


def test_a_long_record_takes_few_times_its_size() -> None:
    raw = b"1," + b"x" * 1_000_000
    tracemalloc.start()
    single.csv_tail(raw, Dialect(), 0, is_rejects=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * len(raw)  # with the four bytes a character of the csv module it was 12
