"""Which contract is drafted from which texts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine import arrays, contract, types
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.types import infer
from chalicelib.engine.types.infer import NULL_WORDS, Survey, Surveys, survey

INT64_MAX = 2**63 - 1


def field_of(*texts: str | None):
    return survey(arrays.strings(texts)).field("x")


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", "-20", "0"], ("integer", "default")),
        ([str(INT64_MAX), str(-INT64_MAX - 1)], ("integer", "default")),
        (["1", "2.5"], ("number", "default")),
        (["-0", "1"], ("number", "default")),
        (["1e-05", ".5", "-0.25", "-0"], ("number", "default")),
        (["true", "FALSE"], ("boolean", "default")),
        (["2024-02-29"], ("date", "default")),
        (["2024/02/29"], ("date", "%Y/%m/%d")),
        (["29-Feb-2024", "01-MAR-2024"], ("date", "%d-%b-%Y")),
        (["29 Feb 2024"], ("date", "%d %b %Y")),
        (["2024-02-29T10:00:00Z", "2024-02-29 10:00:00.5+02:00"], ("datetime", "default")),
        (["2024-02-29 10:00"], ("datetime", "%Y-%m-%d %H:%M")),
        (["2024-02-29T10:00"], ("datetime", "%Y-%m-%dT%H:%M")),
        (["2024/02/29 10:00:00"], ("datetime", "%Y/%m/%d %H:%M:%S")),
        (["10:00:00", "10:00:00.25"], ("time", "default")),
        (["10:00"], ("time", "%H:%M")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_types_that_every_text_has(texts, kind):
    found = field_of(*texts)
    assert (found.type, found.format) == kind
    assert found.missing_values == ("",)


@pytest.mark.parametrize(
    "texts",
    [
        ["7", "007"],
        ["+49", "30"],
        ["0.5", "00.5"],
        [str(INT64_MAX + 1)],
        ["9007199254740993", "0.5"],
        ["1", "2", "x"],
        ["1", "2024-01-01"],
        ["1", "true"],
        ["0x1F"],
        ["1_000"],
        ["1,000"],
        [" 5"],
        ["inf", "1"],
        ["1e400"],
        ["01/02/2024"],
        ["01.02.2024"],
        ["2024-01-01", "2024-01-01T00:00:00"],
        ["2024-01-01", "2024/01/01"],
        ["2023-02-29"],
        ["24:00"],
        ["yes", "no"],
        ["Truely"],
    ],
    ids=" ".join,
)
def test_columns_of_strings(texts):
    assert field_of(*texts).type == "string"


def test_nothing_but_missing_values_is_a_string():
    for texts in ([], [""], ["", None], ["NA"], ["NA", "", "-"]):
        found = field_of(*texts)
        assert (found.type, found.missing_values) == ("string", ("",))


@pytest.mark.parametrize("word", NULL_WORDS)
@pytest.mark.parametrize("value", ["1", "1.5", "true", "2024-01-01", "2024-01-01T00:00:00Z", "10:00"])
def test_null_words_are_missing_values_of_typed_columns(word, value):
    found = field_of(value, word, "")
    assert found.type != "string"
    assert found.missing_values == ("", word)


def test_null_words_are_text_among_strings():
    assert field_of("DE", "NA", "US").missing_values == ("",)
    assert field_of("Paris", "None").missing_values == ("",)


def test_the_order_of_missing_values_is_fixed():
    assert field_of("-", "NA", "1").missing_values == field_of("NA", "1", "-").missing_values == ("", "NA", "-")


def test_a_late_text_counts_as_much_as_an_early_one():
    texts = ["1"] * 100_000 + ["x"]
    assert field_of(*texts).type == "string"
    assert field_of(*texts[:-1]).type == "integer"


def readings_of(*texts: str | None):
    found = survey(arrays.strings(texts)).readings("x")
    return [(each.type, each.format, each.decimal_char, each.group_char) for each in found]


COMMA, POINTS, COMMAS = (
    ("number", "default", ",", None),
    ("number", "default", ",", "."),
    ("number", "default", ".", ","),
)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["1,5", "-0,25", "7", ""], [COMMA]),
        (["1.234,5", "12", "1.234.567"], [POINTS]),
        (["1,234,567", "1,234.5", "1e5"], [COMMAS]),
        (["1,234", "12"], [COMMA, COMMAS]),
        (["31.12.2023", "01.02.2024"], [("date", "%d.%m.%Y", ".", None)]),
        (["12/31/2023", "NA"], [("date", "%m/%d/%Y", ".", None)]),
        (["01-02-2024"], [("date", "%d-%m-%Y", ".", None), ("date", "%m-%d-%Y", ".", None)]),
        (["31.12.2023 10:00"], [("datetime", "%d.%m.%Y %H:%M", ".", None)]),
        (["31/12/2023 10:00:59"], [("datetime", "%d/%m/%Y %H:%M:%S", ".", None)]),
        (["1,5", "x"], []),
        (["1", "2.5"], []),
        (["030,5"], []),
        (["007,5", "1,5"], []),
        (["1.2.3", "1.2.10"], []),
        (["030 1234"], []),
        (["+49,5"], []),
        (["1,2,3"], []),
        (["31.12.2023", "12/31/2023"], []),
        (["31.02.2023"], []),
        (["NA", ""], []),
    ],
    ids=lambda value: " ".join(value) if value and isinstance(value[0], str) else None,
)
def test_what_columns_of_strings_might_be_read_as(texts, expected):
    assert readings_of(*texts) == expected


def test_a_late_text_settles_which_is_the_day():
    assert len(readings_of(*["01/02/2024"] * 1000)) == 2
    assert readings_of(*["01/02/2024"] * 1000, "13/02/2024") == [("date", "%d/%m/%Y", ".", None)]


@pytest.mark.parametrize(
    ("texts", "spaced"),
    [([" 5", " x", ""], True), ([" 5", "x"], False), ([" 5", "NA"], False), (["\t5"], False), (["5 "], False)],
    ids=repr,
)
def test_columns_whose_texts_begin_with_a_space(texts, spaced):
    assert survey(arrays.strings(texts)).spaced is spaced


def test_surveys_know_slices():
    texts = arrays.strings(["x", "1", "NA", "2", "y"])
    assert survey(texts.slice(1, 3)) == survey(arrays.strings(["1", "NA", "2"]))


def test_the_draft_is_a_contract():
    surveys = Surveys(3)
    surveys.add([arrays.strings(["7", "NA"]), arrays.strings(["", "a"]), arrays.strings(["10:00", "11:30"])])
    drafted = infer.draft("trips", ["n", "note", "at"], surveys.columns, Dialect(delimiter=";"), "utf-8")
    assert drafted.inferred
    assert [(each.name, each.type) for each in drafted.fields] == [("n", "integer"), ("note", "string"), ("at", "time")]
    document = json.loads(json.dumps(contract.to_document(drafted)))
    assert contract.parse(document).fields == drafted.fields


def test_the_columns_of_rejects_csv_get_no_field():
    surveys = [Survey()] * 4
    drafted = infer.draft("orders", ["_record", "_line", "_errors", "id"], surveys, None, None)
    assert [each.name for each in drafted.fields] == ["id"]


def test_labels_and_surveys_must_match():
    with pytest.raises(ValueError, match="zip"):
        infer.draft("orders", ["a", "b"], [Survey()], None, None)


TEXTS = st.one_of(
    st.none(),
    st.sampled_from(["", *NULL_WORDS, "007", "+1", "1.0", "0x1F", "x", "true", "False", "2024-01-01", "2024/01/01",
                     "01-Feb-2024", "2024-01-01T00:00:00", "2024-01-01 00:00", "12:00", "12:00:00", "1e3", "1e999",
                     "1,5", "1.234,5", "1,234", "-1,234.5", "31.12.2023", "01/02/2024", "01-02-2024 10:00", " 5"]),
    st.integers().map(str),
    st.floats().map(repr),
    st.dates().map(str),
    st.datetimes().map(str),
    st.times().map(str),
    st.text(max_size=4),
)  # fmt: skip
COMMAS_MEAN = [
    st.from_regex(rf"-?[0-9]{{1,3}}(\{mark}[0-9]{{3}}){{0,2}}(\{point}[0-9]{{1,3}})?", fullmatch=True)
    for mark, point in ((".", ","), (",", "."))
]
ONE_KIND = st.sampled_from(
    [*COMMAS_MEAN, st.dates().map("{:%d.%m.%Y}".format), st.dates().map("{:%m/%d/%Y}".format),
     st.integers(-(2**70), 2**70).map(str), st.floats().map(repr), st.dates().map(str), st.datetimes().map(str),
     st.times().map(str), st.sampled_from(["true", "FALSE"])]
)  # fmt: skip
COLUMNS = st.one_of(
    st.lists(TEXTS, max_size=12),
    ONE_KIND.flatmap(lambda kind: st.lists(st.one_of(kind, kind, st.sampled_from(["", *NULL_WORDS])), max_size=12)),
)


@given(COLUMNS, st.data())
def test_surveys_depend_neither_on_the_cut_nor_on_the_order(texts, choices):
    whole = survey(arrays.strings(texts))
    rest, parts = choices.draw(st.permutations(texts)), []
    while rest:
        size = choices.draw(st.integers(1, len(rest)))
        parts.append(survey(arrays.strings(rest[:size])))
        rest = rest[size:]
    while len(parts) > 1:  # merged as any tree, in any order
        one = parts.pop(choices.draw(st.integers(0, len(parts) - 1)))
        parts.append(parts.pop(choices.draw(st.integers(0, len(parts) - 1))).merge(one))
    assert Survey().merge(parts[0] if parts else Survey()) == whole
    assert Survey.from_json(json.loads(json.dumps(whole.to_json()))) == whole


@given(COLUMNS)
def test_a_reading_accepts_what_it_was_told_of(texts):
    for field in survey(arrays.strings(texts)).readings("x"):
        given_texts = [None if text in field.missing_values else text for text in texts]
        assert not types.read(field, arrays.strings(given_texts))[1].any(), field


@given(st.lists(COLUMNS, min_size=1, max_size=3))
def test_the_draft_accepts_what_it_was_drafted_from(columns):
    surveys = Surveys(len(columns))
    rows = max(map(len, columns))
    padded = [[*texts, *[""] * (rows - len(texts))] for texts in columns]
    half = rows // 2
    surveys.add([arrays.strings(texts[:half]) for texts in padded])
    other = Surveys(len(columns))
    other.add([arrays.strings(texts[half:]) for texts in padded])
    surveys.merge(Surveys.from_json(json.loads(json.dumps(other.to_json()))))
    drafted = infer.draft("d", [f"c{place}" for place in range(len(columns))], surveys.columns, Dialect(), "utf-8")
    for field, texts in zip(drafted.fields, padded, strict=True):
        given_texts = [None if text in field.missing_values else text for text in texts]
        values, bad = types.read(field, arrays.strings(given_texts))
        assert not bad.any(), field
        if field.type == "integer":
            assert [None if value is None else str(value) for value in values.to_pylist()] == given_texts
