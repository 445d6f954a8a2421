"""Single records are read and written as the csv module does it, in a part of its memory."""

from __future__ import annotations

import csv
import io
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine.checks.formulas import neutralise
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.records.lenient import cells
from chalicelib.engine.rejects import single

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
