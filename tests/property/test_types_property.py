"""The readers against rules written a second time in plain Python, one text at a time.

Whatever a column's other texts are, wherever it is cut, and whether it is sliced: the same verdicts and values.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
import re
import sys
import unicodedata
from decimal import Decimal
from fractions import Fraction
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine import arrays, types
from chalicelib.engine.contract import signs
from chalicelib.engine.contract.fields import FALSE_VALUES, TRUE_VALUES, Field
from chalicelib.engine.types import resolving
from tests.property import nested_rules as rules
from tests.property.nested_rules import BAD

NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?(Z|[+-][0-9]{2}:[0-9]{2})?"
)


def integer(text):
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        return BAD
    return int(text) if -(2**63) <= int(text) < 2**63 else BAD


def number(text):
    return float(text) if NUMBER.fullmatch(text) and math.isfinite(float(text)) else BAD


def decimal(precision, scale):
    def rule(text):
        if not NUMBER.fullmatch(text):
            return BAD
        value = Fraction(text)
        scaled = value * 10**scale
        return value if scaled.denominator == 1 and abs(scaled) < 10**precision else BAD

    return rule


SIGNS = {each for each in map(chr, range(128, sys.maxunicode + 1)) if unicodedata.category(each) == "Pd"}
SIGNS |= set(signs.MINUSES + signs.PLUSES + signs.NEGATIVES)
BRACKETS = dict(zip(signs.OPENING, signs.CLOSING, strict=True))


def may_be_signed(text, start, end):
    """Whether what surrounds the number at ``[start, end)`` may be its sign, gone through letter by letter."""
    for at, each in enumerate(text):
        neighbours = (text[at - 1 : at], text[at + 1 : at + 2])
        if each in SIGNS and not all(other and other in LETTERS for other in neighbours):
            return True
        if each == "⁻" and not (neighbours[0] in LETTERS and neighbours[1] in set("¹²")):
            return True
    for side, nothing_before in ((text[:start], True), (text[end:], False)):
        opened = None
        for each in side if nothing_before else reversed(side):
            pairs = BRACKETS if nothing_before else {**{close: open_ for open_, close in BRACKETS.items()}, ">": "<"}
            if each in pairs:
                opened = each
            elif each in pairs.values():
                opened = None
        if opened is not None:
            return True
    words = "".join(each if each in LETTERS else " " for each in text).lower().split()
    kana = [each for at, each in enumerate(text) if each in "ーｰ" and not re.match("[ぁ-ヿｦ-ﾟ]", text[max(at - 1, 0)])]
    return bool(kana or text[:1] in set("ーｰ") or "マイナス" in text or not set(signs.WORDS).isdisjoint(words))


def bare(rule, around):
    """A number with text before and after: the only one in it, so that it is the only run of its characters."""

    def read_bare(text):
        found = re.fullmatch(rf"(?s)({around}*)([+-]?{BARE[rule]})({around}*)", text)
        if not found or may_be_signed(text, found.start(2), found.end(2)):
            return BAD
        if any(map(is_other_digit, found[1] + found[3])):
            return BAD
        return rule(found[2])

    return read_bare


def is_other_digit(character):
    """Of a living script but ASCII's, or one part of a fraction."""
    fraction = "\N{FRACTION SLASH}" in unicodedata.normalize("NFKD", character)
    return character < "\U00010000" and (unicodedata.category(character) == "Nd" or fraction)


LETTERS = {each for each in map(chr, range(0x530)) if re.match(f"[{signs._LETTERS}]", each)}
BARE = {integer: "[0-9]+", number: r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"}


def date(text):
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return BAD
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return BAD


def time(text):
    found = re.fullmatch(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?", text)
    if not found:
        return BAD
    try:
        return dt.time(int(found[1]), int(found[2]), int(found[3]), int((found[4] or "").ljust(6, "0")))
    except ValueError:
        return BAD


def datetime(text):
    found = MOMENT.fullmatch(text)
    if not found:
        return BAD
    zone = found[8] or "Z"
    offset = 0 if zone == "Z" else int(zone[1:3]) * 60 + int(zone[4:])
    if offset > 14 * 60 or (zone != "Z" and int(zone[4:]) > 59):
        return BAD
    try:
        year, month, day, hour, minute, second = map(int, found.groups()[:6])
        micro = int((found[7] or "").ljust(6, "0"))
        local = dt.datetime(year, month, day, hour, minute, second, micro, dt.UTC)
        return local - dt.timedelta(minutes=-offset if zone[0] == "-" else offset)
    except (ValueError, OverflowError):
        return BAD


def boolean(text):
    return {**dict.fromkeys(TRUE_VALUES, True), **dict.fromkeys(FALSE_VALUES, False)}.get(text, BAD)


def strptime(pattern, shape):
    def rule(text):
        if not re.fullmatch(shape, text):
            return BAD
        try:
            return dt.datetime.strptime(text, pattern)  # noqa: DTZ007 - the pattern has no zone
        except ValueError:
            return BAD

    return rule


def us_date(text):
    value = strptime("%m/%d/%Y", r"[0-9]{2}/[0-9]{2}/[0-9]{4}")(text)
    return value if value is BAD else value.date()


def compact(text):
    return strptime("%d%b%y %I%p %M%S", r"(?s)[0-9]{2}[A-Za-z]{3}[0-9]{2} [0-9]{2}[A-Za-z]{2} [0-9]{4}")(text)


def ordinal(text):
    found = re.fullmatch(r"[0-9]{4}\.[0-9]{3} [0-9]{2}h[0-9]{2},[0-9]{1,6}(Z|[+-][0-9]{2}:?[0-9]{2})", text)
    zone = found[1].replace(":", "") if found else ""
    if not found or (zone != "Z" and (int(zone[1:3]) * 60 + int(zone[3:]) > 840 or int(zone[3:]) > 59)):
        return BAD
    try:
        moment = dt.datetime.strptime(text, "%Y.%j %Hh%M,%f%z")
        # Python takes day 366 of a year of 365 days for the first of the next one.
        return moment.astimezone(dt.UTC) if moment.year == int(text[:4]) else BAD
    except (ValueError, OverflowError):
        return BAD


def any_case(words):
    return st.sampled_from(words).flatmap(lambda word: st.sampled_from([word, word.upper(), word.lower()]))


DIGITS = st.text("0123456789", max_size=22)
TWO = st.integers(0, 99).map("{:02}".format)
CLOCK = st.builds("{:02}:{:02}:{:02}{}".format, st.integers(0, 24), st.integers(0, 60), st.integers(0, 60),
                  st.one_of(st.just(""), st.text("0123456789", max_size=7).map(".".__add__)))  # fmt: skip
DAY = st.one_of(
    st.dates().map(str),
    st.sampled_from(["0000-12-31", "0001-01-01", "9999-12-31"]),
    st.builds("{:04}-{:02}-{:02}".format, st.sampled_from([0, 1, 1900, 2000, 2023, 2024, 9999]), st.integers(0, 13),
              st.integers(27, 32)),
)  # fmt: skip
ZONE = st.one_of(
    st.sampled_from(["", "", "Z", "z", "+00", "+0000", "-00:00", "+14:00", "-14:00", "+14:01", "+05:60", "+24:00"]),
    st.builds("{}{:02}:{:02}".format, st.sampled_from("+-"), st.integers(0, 15), st.integers(0, 60)),
)
FLOATS = st.one_of(
    st.floats(allow_nan=True).map(repr),
    st.builds("{}{}{}{}{}".format, st.sampled_from(["", "+", "-"]), DIGITS, st.sampled_from(["", ".", ","]), DIGITS,
              st.sampled_from(["", "e5", "E-3", "e400", "e-400", "e", "e+"])),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
)  # fmt: skip
PADDED = st.builds("{}{}{}".format, st.sampled_from(["", "-", "+"]), st.integers(0, 60).map("0".__mul__), DIGITS)
DECIMALS = st.one_of(
    st.decimals(-99999, 99999, places=3).map(str),
    # Digits enough to pass the ends of 64, 128 and 256 bits.
    st.builds("{}{}{}{}".format, st.sampled_from(["", "-"]), st.sampled_from(["", "0.", "0", "00."]),
              st.one_of(DIGITS, st.builds(str.__mul__, st.sampled_from(["9", "0", "1", "12345"]), st.integers(1, 160))),
              st.one_of(st.just(""), st.builds("e{}".format, st.integers(-400, 400)))),
)  # fmt: skip
AROUND = st.one_of(
    st.sampled_from(
        [
            "",
            "",
            " ",
            "€",
            "EUR",
            "EUR ",
            " km–h",
            "m s⁻¹",
            "(net) ",
            " [kg]",
            "<b>",
            "</b>",
            "CR",
            " dr",
            "minus ",
            "コーヒー",
            "ー",
            "マイナス",
            "{",
            " moins",
        ]
    ),
    st.text("−–‐－＋±▲⁻¹()（）[]<> €%kmüCRdr-+½٣５²", max_size=5),
)
SURROUNDED = st.builds("{}{}{}".format, AROUND, st.sampled_from(["5", "-5", "+5", "5.25", ".5", "5e-1"]), AROUND)
NASTY = st.one_of(
    st.text(max_size=6),
    st.text("0123456789.+-eExXnaifINFT: ZM/_", max_size=20),
    st.sampled_from(["0x1F", "1_000", "٣", " 5", "5 ", "5\n", "NaN", "inf", "Infinity", "3.5", "2024-01-01", "", "-",
                     "+", "2024-01-01 03", "2024-01-01 03:04", "2024-01-01T030405", "12:34", "123456", "9" * 400]),
)  # fmt: skip

CASES = {
    "integer": (Field("x", "integer"), integer, st.one_of(st.integers(-(2**64), 2**64).map(str), DIGITS, PADDED)),
    "number": (Field("x", "number"), number, FLOATS),
    **{f"decimal({precision},{scale})": (Field("x", "number", precision=precision, scale=scale),
                                         decimal(precision, scale), st.one_of(FLOATS, DECIMALS))
       for precision, scale in ((7, 2), (1, 0), (5, 5), (38, 0), (38, 10), (38, 38), (18, 17))},
    "bare integer": (Field("x", "integer", bare_number=False), bare(integer, "[^0-9.+-]"), SURROUNDED),
    "bare number": (Field("x", "number", bare_number=False), bare(number, "[^0-9.+-]"), SURROUNDED),
    "boolean": (Field("x", "boolean"), boolean, any_case(["true", "False", "1", "0", "yes"])),
    "date": (Field("x", "date"), date, DAY),
    "time": (Field("x", "time"), time, CLOCK),
    "datetime": (Field("x", "datetime"), datetime,
                 st.builds("{}{}{}{}".format, DAY, st.sampled_from(["T", " ", "t"]), CLOCK, ZONE)),
    "us date": (Field("x", "date", "%m/%d/%Y"), us_date,
                st.builds("{:02}/{:02}/{:04}".format, st.integers(0, 13), st.integers(27, 32), st.integers(0, 9999))),
    "compact": (Field("x", "datetime", "%d%b%y %I%p %M%S"), compact,
                st.builds("{:02}{}{} {:02}{} {}{}".format, st.integers(0, 32), any_case(["Jan", "Feb", "Dec", "Foo"]),
                          TWO, st.integers(0, 13), any_case(["am", "pm"]), TWO, TWO)),
    "ordinal": (Field("x", "datetime", "%Y.%j %Hh%M,%f%z"), ordinal,
                st.builds("{:04}.{:03} {:02}h{:02},{}{}".format, st.sampled_from([0, 1, 2023, 2024, 9999]),
                          st.integers(0, 367), st.integers(0, 24), st.integers(0, 60), st.integers(0, 9999999), ZONE)),
    "duration": (Field("x", "duration"), rules.canonical_duration, rules.DURATIONS | rules.ORDERED_DURATIONS),
    "object": (Field("x", "object"), rules.json_of(dict), rules.OBJECTS | rules.JSON_TEXTS),
    "array": (Field("x", "array"), rules.json_of(list), rules.ARRAYS | rules.JSON_TEXTS),
    "geopoint": (Field("x", "geopoint"), rules.pair,
                 st.builds("{}{}{}".format, rules.DEGREES | FLOATS, st.sampled_from([",", ", ", ",  ", " ,", ";", ""]),
                           rules.DEGREES)),
    "geopoint array": (Field("x", "geopoint", "array"), rules.point_array,
                       st.builds("[{}, {}]".format, rules.DEGREES, rules.DEGREES) | rules.JSON_TEXTS),
    "geopoint object": (Field("x", "geopoint", "object"), rules.point_object,
                        st.builds('{{"{}": {}, "{}": {}}}'.format, st.sampled_from(["lon", "lat", "x"]), rules.DEGREES,
                                  st.sampled_from(["lat", "lon"]), rules.DEGREES)),
    "geojson": (Field("x", "geojson"), rules.geojson, rules.SHAPES),
    "strings": (Field("x", "list", delimiter="ab"), rules.list_of("ab", str), st.text("abc ", max_size=9)),
    "integers": (Field("x", "list", item_type="integer", delimiter="; "), rules.list_of("; ", integer),
                 st.lists(DIGITS | PADDED, max_size=4).map("; ".join)),
    "numbers": (Field("x", "list", item_type="number"), rules.list_of(",", number),
                st.lists(FLOATS, max_size=4).map(",".join)),
    "booleans": (Field("x", "list", item_type="boolean"), rules.list_of(",", boolean),
                 st.lists(st.sampled_from(["true", "0", "x"]), max_size=4).map(",".join)),
    "dates": (Field("x", "list", item_type="date"), rules.list_of(",", date), st.lists(DAY, max_size=3).map(",".join)),
    "times": (Field("x", "list", item_type="time"), rules.list_of(",", time),
              st.lists(CLOCK, max_size=3).map(",".join)),
    "moments": (Field("x", "list", item_type="datetime"), rules.list_of(",", datetime),
                st.lists(st.builds("{}T{}{}".format, DAY, CLOCK, ZONE), max_size=3).map(",".join)),
}  # fmt: skip


def outcomes(field, texts):
    """What ``read`` says of each text: None for null, BAD, or the value as Python's."""
    values, bad = types.read(field, texts)
    values.validate(full=True)
    assert values.type == types.arrow_type(field)
    found = values.to_pylist()
    assert all(value is None for value, is_bad in zip(found, bad, strict=True) if is_bad)
    return [BAD if is_bad else value for value, is_bad in zip(found, bad, strict=True)]


def comparable(outcome):
    """A value in a form that tells -0.0 from 0.0 and knows no time zone objects or decimal exponents."""
    if isinstance(outcome, float):
        return outcome.hex()
    if isinstance(outcome, Decimal):
        return Fraction(outcome)
    if isinstance(outcome, dt.datetime):
        return outcome.replace(tzinfo=None).isoformat()
    return outcome


@pytest.mark.parametrize("case", CASES)
@given(columns=st.data())
def test_a_column_is_read_as_each_of_its_texts_is(case, columns):
    field, rule, near = CASES[case]
    texts = columns.draw(st.lists(st.one_of(near, near, near, NASTY, st.none()), max_size=12))
    clean = [text for text in texts if text is not None and rule(text) is not BAD]
    for column in (texts, clean, [*clean, "", *clean], [None, *clean, None]):
        before, after = columns.draw(st.integers(0, 9)), columns.draw(st.integers(0, 2))
        whole = arrays.strings(["junk"] * before + column + [None] * after)
        sizes = {
            name: columns.draw(st.integers(least, 6))
            for name, least in (("SEGMENT_ROWS", 1), ("TRIAL_ROWS", 1), ("PATIENCE", 0))
        }
        with mock.patch.multiple(resolving, **sizes):
            found = outcomes(field, whole.slice(before, len(column)))
        expected = [None if text is None else rule(text) for text in column]
        assert list(map(comparable, found)) == list(map(comparable, expected)), column


@pytest.mark.parametrize("case", ["integer", "number", "decimal(7,2)"])
def test_every_short_text(case):
    field, rule, _ = CASES[case]
    texts = ["".join(signs) for width in range(5) for signs in itertools.product("019.-+eE_xinfaN T:Z", repeat=width)]
    expected = [comparable(rule(text)) for text in texts]
    assert list(map(comparable, outcomes(field, arrays.strings(texts)))) == expected
    # Arrow reads the whole column only if it likes every text, so what it likes is put to it again without the rest.
    liked = [text for text, value in zip(texts, expected, strict=True) if value is not BAD]
    assert list(map(comparable, outcomes(field, arrays.strings(liked)))) == [comparable(rule(text)) for text in liked]


@pytest.mark.parametrize("case", ["integer", "number", "decimal(7,2)"])
def test_every_very_short_text_alone(case):
    field, rule, _ = CASES[case]
    for width in range(4):
        for characters in itertools.product("09.-+exinfa ", repeat=width):
            text = "".join(characters)
            [found] = outcomes(field, arrays.strings([text]))
            assert comparable(found) == comparable(rule(text)), text


def test_every_day_of_the_calendar():
    texts = [
        f"{year:04}-{month:02}-{day:02}"
        for year in [*range(8), *range(1580, 1584), *range(1896, 1906), *range(1996, 2026), *range(9990, 10000)]
        for month in range(14)
        for day in range(33)
    ] + [f"{year:04}-02-29" for year in range(10000)]
    expected = [date(text) for text in texts]
    assert outcomes(Field("x", "date"), arrays.strings(texts)) == expected
    assert [
        BAD if found is BAD else found.date()
        for found in outcomes(Field("x", "datetime"), arrays.strings([f"{text}T00:00:00Z" for text in texts]))
    ] == expected
    assert outcomes(Field("x", "date", "%Y%m%d"), arrays.strings([text.replace("-", "") for text in texts])) == expected


@pytest.mark.parametrize("case", ["date", "time", "datetime", "us date"])
def test_every_single_change_of_a_good_text(case):
    field, rule, _ = CASES[case]
    good = {
        "date": ["2024-02-29"],
        "time": ["03:04:05", "03:04:05.123456"],
        "datetime": ["2024-01-02 03:04:05", "2024-01-02T03:04:05.678901Z", "2024-01-02 03:04:05-07:30"],
        "us date": ["01/02/2024"],
    }[case]
    changed = set(good)
    for text in good:
        for place in range(len(text) + 1):
            changed.add(text[:place] + text[place + 1 :])
            changed.update(text[:place] + sign + text[place:] for sign in " 0129:-+.TZtz")
            changed.update(text[:place] + sign + text[place + 1 :] for sign in " 0123456789:-+.TZtz/_x\u0663")
            changed.add(text[:place])
    texts = sorted(changed)
    expected = [comparable(rule(text)) for text in texts]
    assert list(map(comparable, outcomes(field, arrays.strings(texts)))) == expected
    for text, value in zip(texts, expected, strict=True):
        [alone] = outcomes(field, arrays.strings([text]))
        [_, among] = outcomes(field, arrays.strings([good[0], text]))
        assert comparable(alone) == comparable(among) == value, text
