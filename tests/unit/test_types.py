"""Which texts are of which type: the examples of docs/types.md, and what the readers promise about arrays."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from chalicelib.engine import arrays, types
from chalicelib.engine.contract.fields import Field
from chalicelib.engine.types import patterns

BAD = "bad"
EUROPEAN: dict[str, Any] = {"decimal_char": ",", "group_char": "."}


def utc(year: int, month: int, day: int, hour: int, minute: int, second: int = 0, micro: int = 0) -> dt.datetime:
    return dt.datetime(year, month, day, hour, minute, second, micro, dt.UTC)


def naive(*parts: int) -> dt.datetime:
    return utc(*parts).replace(tzinfo=None)


def read(field: Field, *texts: str | None):
    values, bad = types.read(field, arrays.strings(texts))
    values.validate(full=True)
    return [BAD if is_bad else value for value, is_bad in zip(values.to_pylist(), bad, strict=True)]


EXAMPLES = [
    (Field("x", "integer"), {
        "0": 0, "+5": 5, "-5": -5, "007": 7, "-0": 0, "9223372036854775807": 2**63 - 1,
        "-9223372036854775808": -(2**63), "9223372036854775808": BAD, "0" * 5000 + "7": 7, "9" * 5000: BAD,
        "": BAD, "-": BAD, "5.0": BAD, "1e3": BAD, "0x1F": BAD, "1_000": BAD, " 5": BAD, "5 ": BAD,
        "5\n": BAD, "٣": BAD, "1,000": BAD,
    }),
    (Field("x", "integer", group_char=","), {
        "1,234": 1234, "-1,234,567": -1234567, "12,34,567": 1234567, "1000": 1000, "1,5": BAD, "1,00": BAD,
        ",100": BAD, "1,000,": BAD, "1,,000": BAD,
    }),
    (Field("x", "integer", bare_number=False), {
        "$5": 5, "5 %": 5, "$-5": -5, "-$5": BAD, "1 of 2": BAD, "5.5%": BAD, "$": BAD, "line\n5": 5,
        "5½": BAD, "٣5": BAD, "5 m²": 5, "ー5": BAD, "コーヒー5": 5, "{5}": BAD, "moins 5": BAD,
        "No. 5": BAD, "No.5": BAD, "5.": BAD, "(5)": BAD, "−5": BAD, "EUR-5": -5, "-(5)": BAD, "5 (net)": 5,
    }),
    (Field("x", "number"), {
        "1": 1.0, "+1.5": 1.5, "1.": 1.0, ".5": 0.5, "1e3": 1000.0, "1E-2": 0.01, "1e-400": 0.0, "1e400": BAD,
        "NaN": BAD, "nan": BAD, "INF": BAD, "inf": BAD, "-infinity": BAD, ".": BAD, "1_000": BAD, "0x1F": BAD,
        "1e": BAD, "٣": BAD, " 1": BAD, "1,5": BAD, "1.2.3": BAD,
    }),
    (Field("x", "number", **EUROPEAN), {
        "1,5": 1.5, "1.234,5": 1234.5, "1.234.567": 1234567.0, ",5": 0.5, "1.5": BAD, "1,5e2": 150.0,
        "1,234.5": BAD,
    }),
    (Field("x", "number", bare_number=False), {
        "€95.50": 95.5, "95.5%": 95.5, "No.5": 0.5, "5 (est.)": BAD, "x": BAD, "EUR-5": -5.0, "€+5": 5.0, "5-": BAD,
        "５5": BAD, "5 ¾ in": BAD,
        "(5.00)": BAD, "$(5)": BAD, "(5 €)": BAD, "(.5": BAD, "5)": BAD, "［5］": BAD, "<5>": BAD, "（5.00）": BAD,
        "5 (net)": 5.0, "(net) 5": 5.0, "5 [kg]": 5.0, "<5": 5.0, "> 5": 5.0, "<b>5</b>": 5.0, "(a) 5 (b)": 5.0,
        "−5": BAD, "–5": BAD, "－5": BAD, "＋5": BAD, "﹣5": BAD, "⁻5": BAD, "₋5": BAD, "➖5": BAD, "±5": BAD,
        "\xad5": BAD, "EUR–5": BAD, "EUR – 5": BAD, "−€5": BAD, "5−": BAD, "5 €–": BAD, "5,–": BAD, "▲5": BAD,
        "負5": BAD, "5 km-h": BAD, "5 km–h": 5.0, "Ost‑West 5": 5.0, "5 m s⁻¹": 5.0, "5⁻¹": BAD, "5 m s⁻": BAD,
        "5 CR": BAD, "5DR": BAD, "Cr 5": BAD, "minus 5": BAD, "5 CRC": 5.0, "5 ČR": 5.0, "5 kr": 5.0, "5 EUR": 5.0,
    }),
    (Field("x", "number", bare_number=False, decimal_char="–"), {
        "€5–5": 5.5, "€5–": 5.0, "−5–5": BAD,
    }),
    (Field("x", "number", precision=5, scale=2), {
        "1.5": Decimal("1.50"), "1.500": Decimal("1.50"), "1e2": Decimal(100), "-999.99": Decimal("-999.99"),
        "1000": BAD, "1.555": BAD, "1e-3": BAD, "9" * 400: BAD, "1e99999999999": BAD, "NaN": BAD,
        "0e99999999999": Decimal(0),
    }),
    (Field("x", "boolean"), {
        "true": True, "1": True, "FALSE": False, "0": False, "yes": BAD, "tRUE": BAD, "": BAD,
    }),
    (Field("x", "boolean", true_values=("yes", "on"), false_values=("no",)), {
        "on": True, "no": False, "true": BAD,
    }),
    (Field("x", "date"), {
        "2024-02-29": dt.date(2024, 2, 29), "2023-02-29": BAD, "1900-02-29": BAD, "0000-01-01": BAD,
        "0001-01-01": dt.date(1, 1, 1), "9999-12-31": dt.date(9999, 12, 31), "2024-1-1": BAD,
        "10000-01-01": BAD, "2024-01-01T00:00:00": BAD, "20240101": BAD, " 2024-01-01": BAD,
    }),
    (Field("x", "date", "any"), {
        "2024-02-29": dt.date(2024, 2, 29), "29.02.2024": BAD,
    }),
    (Field("x", "date", "%d/%m/%Y"), {
        "29/02/2024": dt.date(2024, 2, 29), "29/02/2023": BAD, "1/2/2024": BAD,
    }),
    (Field("x", "date", "%B %d, %y"), {
        "march 05, 68": dt.date(2068, 3, 5), "May 05, 69": dt.date(1969, 5, 5), "Mar 05, 68": BAD,
        "AUGUST 05, 24": dt.date(2024, 8, 5), "Augu\u017ft 05, 24": BAD, "\u017feptember 05, 24": BAD,
    }),
    (Field("x", "date", "%b %Y"), {
        "Feb 2024": dt.date(2024, 2, 1), "Foo 2024": BAD, "sEP 2024": dt.date(2024, 9, 1), "\u017fep 2024": BAD,
    }),
    (Field("x", "date", "%Y-%j"), {
        "2024-366": dt.date(2024, 12, 31), "2023-366": BAD, "2023-000": BAD,
    }),
    (Field("x", "date", "%Y%%%m%%%d"), {
        "2024%01%02": dt.date(2024, 1, 2),
    }),
    (Field("x", "time"), {
        "00:00:00": dt.time(), "23:59:59.5": dt.time(23, 59, 59, 500_000), "24:00:00": BAD, "23:59:60": BAD,
        "10:00": BAD, "10:00:00.": BAD, "10:00:00.1234567": BAD, "10:00:00Z": BAD,
    }),
    (Field("x", "time", "%I:%M %p"), {
        "12:30 AM": dt.time(0, 30), "12:30 pm": dt.time(12, 30), "00:30 AM": BAD,
        "12:30 \uff21M": BAD,
    }),
    (Field("x", "datetime"), {
        "2024-01-02T03:04:05Z": utc(2024, 1, 2, 3, 4, 5), "2024-01-02 03:04:05": utc(2024, 1, 2, 3, 4, 5),
        "2024-01-02T03:04:05.25+02:00": utc(2024, 1, 2, 1, 4, 5, 250_000),
        "2024-01-02T03:04:05-14:00": utc(2024, 1, 2, 17, 4, 5), "2024-01-02T03:04:05+14:01": BAD,
        "2024-01-02T03:04:05+0200": BAD, "2024-01-02T03:04:05+02": BAD, "2024-01-02": BAD,
        "2024-01-02T03:04": BAD, "2024-01-02T24:00:00": BAD, "2016-12-31T23:59:60Z": BAD,
        "2024-01-02T03:04:05.1234567": BAD, "2024-01-02t03:04:05z": BAD, "0001-01-01T00:00:00+00:01": BAD,
        "9999-12-31T23:59:59-00:01": BAD, "0000-12-31T23:00:00-02:00": BAD, "0000-12-31T23:00:00.5-14:00": BAD,
        "0001-01-01T14:00:00+14:00": utc(1, 1, 1, 0, 0), "9999-12-31T09:59:59-14:00": utc(9999, 12, 31, 23, 59, 59),
    }),
    (Field("x", "datetime", "%d.%m.%Y %H:%M"), {
        "02.01.2024 03:04": naive(2024, 1, 2, 3, 4), "2.1.2024 3:04": BAD,
    }),
    (Field("x", "datetime", "%Y-%m-%dT%H:%M:%S.%f%z"), {
        "2024-01-02T03:04:05.6-0730": utc(2024, 1, 2, 10, 34, 5, 600_000),
        "2024-01-02T03:04:05.6Z": utc(2024, 1, 2, 3, 4, 5, 600_000), "2024-01-02T03:04:05.6": BAD,
    }),
    (Field("x", "year"), {
        "2024": 2024, "-0044": -44, "12345": 12345, "24": BAD, "02024": BAD, "+2024": BAD,
    }),
    (Field("x", "yearmonth"), {
        "2024-01": "2024-01", "2024-13": BAD, "2024-1": BAD,
    }),
    (Field("x", "string", "email"), {
        "a.b+c@example.co.uk": "a.b+c@example.co.uk", "a@localhost": "a@localhost", "a@": BAD,
        "a b@c.de": BAD, "a@-c.de": BAD,
    }),
    (Field("x", "string", "uri"), {
        "https://u@ex.org:8/p?q=1#f": "https://u@ex.org:8/p?q=1#f", "urn:isbn:1": "urn:isbn:1",
        "mailto:a@b.c": "mailto:a@b.c", "//ex.org": BAD, "http://a b": BAD, "a": BAD, "http://x/%zz": BAD,
        "http://[::1]/": "http://[::1]/", "http://[1:2]/": "http://[1:2]/", "http://[::1": BAD, "http://[::z]/": BAD,
    }),
    (Field("x", "string", "uuid"), {
        "123E4567-e89b-12d3-a456-426614174000": "123E4567-e89b-12d3-a456-426614174000",
        "123e4567e89b12d3a456426614174000": BAD,
    }),
    (Field("x", "string", "binary"), {
        "aGk=": "aGk=", "aGkh": "aGkh", "aGk": BAD, "aG=k": BAD, "a-_=": BAD,
    }),
    (Field("x", "any"), {
        "": "", " anything ": " anything ",
    }),
]  # fmt: skip
"""Field → texts and what they are read as."""


@pytest.mark.parametrize(
    ("field", "expected"),
    EXAMPLES,
    ids=[f"{field.type} {field.format} {place}" for place, (field, _) in enumerate(EXAMPLES)],
)
def test_examples(field, expected):
    assert read(field, *expected) == list(expected.values())
    for text, value in expected.items():
        assert read(field, text) == [value], text
        assert read(field, None, text, None) == [None, value, None], text
    good = [text for text, value in expected.items() if value is not BAD]
    assert read(field, *good) == [expected[text] for text in good]


ALL = [
    Field("x", "integer"), Field("x", "number"), Field("x", "number", precision=9, scale=2), Field("x", "boolean"),
    Field("x", "date"), Field("x", "time"), Field("x", "datetime"), Field("x", "datetime", "%d/%m/%Y %H:%M"),
    Field("x", "date", "%d %b %Y"), Field("x", "year"), Field("x", "yearmonth"), Field("x", "string"),
    Field("x", "string", "uuid"), Field("x", "any"), Field("x", "integer", group_char=","), Field("x", "duration"),
    Field("x", "object"), Field("x", "array"), Field("x", "list"), Field("x", "list", item_type="datetime"),
    Field("x", "geopoint"), Field("x", "geopoint", "array"), Field("x", "geojson"), Field("x", "geojson", "topojson"),
]  # fmt: skip


@pytest.mark.parametrize("field", ALL, ids=str)
@pytest.mark.parametrize("length", [0, 1, 9, 5000])
def test_empty_and_missing_columns_have_the_type(field, length):
    values, bad = types.read(field, arrays.strings([None] * length))
    assert (values.type, values.null_count, len(bad)) == (types.arrow_type(field), length, length)
    assert not bad.any()


@pytest.mark.parametrize("field", ALL, ids=str)
def test_an_empty_slice_has_the_type(field):
    values, bad = types.read(field, arrays.strings(["x", "y"]).slice(1, 0))
    assert (values.type, len(values), len(bad)) == (types.arrow_type(field), 0, 0)


@pytest.mark.parametrize("where", [0, 100, 2047, 2048, 9_999])
@pytest.mark.parametrize("texts", [("integer", "5"), ("number", "0.5"), ("date", "2024-01-01"), ("time", "10:00:00")])
def test_one_bad_text_in_a_long_column(texts, where):
    kind, text = texts
    column = [text] * 10_000
    column[where] = "2024-13-01"
    values, bad = types.read(Field("x", kind), arrays.strings(column))
    assert np.flatnonzero(bad).tolist() == [where]
    assert values.null_count == 1
    assert not values[where].is_valid
    assert values.filter(values.is_valid()).unique().to_pylist() == read(Field("x", kind), text)


def test_strings_are_the_very_array_that_came():
    texts = arrays.strings(["a", None, "b"])
    assert types.read(Field("x", "string"), texts)[0] is texts


def test_values_under_nulls_do_not_matter():
    texts = arrays.with_only(arrays.strings(["1", "0x1F", "nan", "2"]), np.array([True, False, False, True]))
    for kind in ("integer", "number"):
        values, bad = types.read(Field("x", kind), texts)
        assert values.to_pylist() == [1, None, None, 2]
        assert not bad.any()


def test_limits_are_read_as_cells_are():
    assert types.limit(Field("x", "date", "%d/%m/%Y"), "02/01/2024").as_py() == dt.date(2024, 1, 2)
    assert types.limit(Field("x", "number", **EUROPEAN), "1.234,5").as_py() == 1234.5
    with pytest.raises(ValueError, match='"1e3" is not of type integer/default'):
        types.limit(Field("x", "integer"), "1e3")


@pytest.mark.parametrize(
    "field",
    [
        Field("x", "point"),
        Field("x", "geopoint", "wkt"),
        Field("x", "string", "ipv4"),
        Field("x", "date", "YYYY-MM-DD"),
        Field("x", "date", "%Q"),
    ],
    ids=str,
)
def test_unknown_types_and_formats_are_refused(field):
    for texts in ([], [None], ["x"]):
        with pytest.raises(ValueError, match=r"not supported|has the directive"):
            types.read(field, arrays.strings(texts))


@pytest.mark.parametrize(
    ("kind", "pattern", "problem"),
    [
        ("date", "%Y-%m-%d %H", '"%H", which has no place in a date'),
        ("time", "%H:%M %d", '"%d", which has no place in a time'),
        ("time", "%M:%S", "has no %H or %I, which a time needs"),
        ("date", "%d/%m", "has no %Y or %y, which a date needs"),
        ("date", "%Y %Y", 'has "%Y" twice'),
        ("date", "%Y %m %B", "has %m and %B, which exclude each other"),
        ("date", "%Y %j %d", "has %d and %j, which exclude each other"),
        ("time", "%I:%M", "has one of %I and %p, which need each other"),
        ("datetime", "%Y %", 'has the directive "%", expected'),
        ("datetime", "%Y-%m-%d %Z", 'has the directive "%Z", expected'),
    ],
)
def test_patterns_that_name_no_value_are_refused(kind, pattern, problem):
    with pytest.raises(ValueError, match=problem):
        patterns.compiled(kind, pattern)


@pytest.mark.parametrize(
    ("letter", "arrow_type", "rest", "words"),
    [("b", pa.date32(), "Y", ["sep", "\u017fep"]), ("p", pa.time64("us"), "I", ["pm", "\uff50m"])],
)
def test_a_word_that_is_none_of_the_directives_is_bad_whatever_the_expression_lets_pass(
    letter, arrow_type, rest, words
):
    kind = "date" if letter == "b" else "time"
    expression = rf"\A(?P<{letter}>.+) (?P<{rest}>[0-9]+)\z"
    loose = patterns.Pattern(kind, expression, frozenset((letter, rest)), None, arrow_type)
    values, bad = loose.read(arrays.strings([f"{word} 10" for word in words]))
    assert bad.tolist() == [False, True]
    assert values.null_count == 1


def test_the_hot_path_does_not_import_pandas():
    script = """
import sys
from chalicelib.engine import arrays, types
from chalicelib.engine.contract.fields import Field
for kind in ("integer", "number", "boolean", "date", "time", "datetime", "string", "year"):
    types.read(Field("x", kind), arrays.strings(["1", "2024-01-01", "10:00:00", "2024-01-01T00:00:00Z", None]))
types.read(Field("x", "number", precision=5, scale=2), arrays.strings(["1", "1e2", "x"]))
types.read(Field("x", "date", "%d %b %Y"), arrays.strings(["01 Jan 2024", "x"]))
assert types.limit(Field("x", "integer"), "5").is_valid
sys.exit("pandas" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_bitmaps_survive_any_offset():
    flags = np.random.default_rng(1).integers(0, 2, 1000).astype(np.bool_)
    texts = arrays.with_only(arrays.strings(["x"] * 1000), flags)
    for start in (0, 1, 7, 8, 9, 500, 1000):
        assert np.array_equal(arrays.valid(texts.slice(start)), flags[start:])
        assert np.array_equal(arrays.trues(arrays.booleans(flags).slice(start)), flags[start:])
    assert pa.StringArray is type(texts)


FRICTIONLESS_DIFFERS = [
    (Field("x", "integer"), {"1_000": BAD, "٣": BAD, " 5": BAD, "5 ": BAD, "9223372036854775808": BAD}),
    (Field("x", "number"), {"NaN": BAD, "INF": BAD, "inf": BAD, "-Infinity": BAD, "1e400": BAD}),
    (Field("x", "number", group_char=","), {"1,5": BAD}),
    (Field("x", "integer", group_char=","), {"1,234": 1234}),
    (Field("x", "number", bare_number=False), {"No.5": 0.5, "(5)": BAD, "−5": BAD, "5 DR": BAD}),
    (Field("x", "date"), {"2024-1-2": BAD}),
    (Field("x", "date", "%d/%m/%Y"), {"1/2/2024": BAD}),
    (Field("x", "time"), {"24:00:00": BAD, "10:00:00Z": BAD, "10:00:00.1234567": BAD}),
    (Field("x", "datetime"), {
        "2024-01-02T24:00:00": BAD, "2024-01-02t03:04:05z": BAD, "2024-01-02T03:04:05+0200": BAD,
        "2024-01-02T03:04:05+02:00": utc(2024, 1, 2, 1, 4, 5), "2024-01-02T03:04:05": utc(2024, 1, 2, 3, 4, 5),
    }),
    (Field("x", "date", "any"), {"01/02/2024": BAD}),
    (Field("x", "year"), {"12345": 12345, "-0044": -44}),
    (Field("x", "yearmonth"), {"2024-1": BAD}),
    (Field("x", "string", "email"), {"a@localhost": "a@localhost"}),
    (Field("x", "string", "uri"), {"http://x/%zz": BAD}),
    (Field("x", "duration"), {
        "P1W": BAD, "P0.5Y": BAD, "+P1D": BAD, "PT": BAD, "P1DT": BAD, "PT0,5S": BAD, "PT1.1234567S": BAD,
    }),
    (Field("x", "object"), {'{"a":NaN}': BAD, '{"a":1,"a":2}': BAD}),
    (Field("x", "array"), {"[Infinity]": BAD}),
    (Field("x", "list", item_type="integer"), {"1, 2": BAD, "1_0": BAD}),
    (Field("x", "geopoint"), {"90 ,45": BAD}),
    (Field("x", "geopoint", "array"), {'["90","45"]': BAD}),
    (Field("x", "geojson"), {'{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,1]]]}': BAD}),
]  # fmt: skip


@pytest.mark.parametrize(("field", "expected"), FRICTIONLESS_DIFFERS, ids=lambda value: getattr(value, "type", ""))
def test_the_written_differences_from_frictionless(field, expected):
    page = (Path(__file__).parents[2] / "docs" / "types.md").read_text(encoding="utf-8")
    table = page.partition("## Differences from Frictionless")[2].partition("\n## ")[0]
    assert read(field, *expected) == list(expected.values())
    for text in expected:
        assert f"`{text.strip()}`" in table
