"""A regular expression over a column gives what it gives of each text."""

from __future__ import annotations

from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.engine import arrays
from chalicelib.engine.checks import matching
from chalicelib.engine.checks.matching import Expression
from chalicelib.engine.contract import regexes
from tests import pipeline

LEAVES = [
    *("a", "b", "@", " ", ".", "\n", r"\n", r"\s", r"\S", r"\w", r"\W", r"\d", r"\D", r"\.", r"\x0a", r"\012"),
    *("[ab]", "[^a]", r"[^a\s]", r"[^\n]", "[\n]", r"[\t-a]", "[[:space:]]", "[^[:space:]]", r"[\W]", "[]a]"),
    *(r"\pL", r"\PL", r"\Qa.\E", "\\Qa\nb\\E"),
    *("^", "$", r"\A", r"\z", r"\b", r"\B", "(?i)", "(?s)", "(?m)", "", "|", "é", "ß"),
]  # fmt: skip
PATTERNS = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join),
        st.tuples(st.sampled_from(["(", "(?:", "(?P<n>", "(?s:", "(?-s:", "(?m:", "(?i:"]), inner).map(
            lambda parts: f"{parts[0]}{parts[1]})"
        ),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "*?"])).map("".join),
    ),
    max_leaves=6,
).filter(lambda pattern: not regexes.check(pattern))
TEXTS = st.lists(st.none() | st.text("ab@. \néß1A", max_size=4), max_size=12)


@given(PATTERNS, TEXTS, st.integers(1, 4))
@example("a+", [*"aaaa", None, *"aaab", ""], 2)
@example("a*", [None, None, *"aaaaa", ""], 1)
def test_a_column_matches_as_each_of_its_texts_does(pattern, texts, stretch):
    column = arrays.strings(["x", *texts]).slice(1)
    with mock.patch.object(matching, "STRETCH_ROWS", stretch):
        found = Expression(pattern).matches(column).tolist()
    assert found == arrays.matches(column, rf"\A(?:{pattern})\z").tolist()


def test_what_is_too_large_for_re2_in_stretches_is_matched_text_by_text():
    expression = Expression(r"\pL{446}" + "a" * 1000)
    texts = arrays.strings(["x", "é" * 446 + "a" * 1000] * matching.STRETCH_ROWS)
    assert expression.matches(texts).tolist() == [False, True] * matching.STRETCH_ROWS


@pytest.mark.parametrize("pattern", [r"\pL{1000}", r"[\pL\pN]{900}", r"(\pL{30}){30}"])
def test_what_is_too_large_for_re2_fails_the_job(pattern):
    assert regexes.check(pattern) == ""
    described = pipeline.contract({"name": "a", "type": "string", "constraints": {"pattern": pattern}})
    error = pipeline.run(b"a\nx\n", described).job.error
    assert error is not None
    assert error.code == "invalid-contract"
    assert error.message == "schema.fields[0].constraints.pattern: is too large for RE2"


@pytest.mark.parametrize(
    ("pattern", "stays"),
    [
        (r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}", True),
        ("K-[0-9]{5}", True),
        ("^.*$", True),
        ("", True),
        ("(?i:a.)", True),
        ("[^@]+", False),
        ("(?s).*", False),
        (r"a\W", False),
        (r"\Qa\E", True),
        ("\\Qa\nb\\E", False),
    ],
)
def test_patterns_that_stay_in_a_line_are_matched_by_stretches(pattern, stays):
    assert matching._stays_in_a_line(pattern) is stays
