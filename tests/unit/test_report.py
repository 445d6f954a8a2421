"""The report: complete for every kind of job, self-contained, escaped, and well-formed."""

from __future__ import annotations

import copy
import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import Any

import pyarrow as pa
import pytest

from chalicelib.engine import ledger, report
from chalicelib.engine.measure.profile import Profile
from chalicelib.engine.report import markup
from chalicelib.model import Failure, Job, Rows, Source, Status

EVIL = "<script>alert('x')</script>\"&\u202e"
ROWS = Rows(read=7, valid=4, rejected=2, blank=1)
VOID = {"meta", "br"}


class Page(HTMLParser):
    """Checks nesting while it reads; keeps the elements, their attributes and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def ids(self) -> list[str]:
        return [attributes["id"] or "" for _, attributes in self.elements if "id" in attributes]


def job(**changes: Any) -> dict[str, Any]:
    source = Source("inbox", "incoming/orders/a b.csv", "v1", 2048, "e")
    made = Job.received(source, "2026-01-02T03:04:05+00:00").with_(
        status=Status.SUCCEEDED,
        started_at="2026-01-02T03:04:06+00:00",
        finished_at="2026-01-02T03:04:08.500000+00:00",
        rows=ROWS,
        outputs={"manifest": "s3://results/manifest.json"},
    )
    return made.with_(**changes).to_json()


def document(value: str = "plain") -> dict[str, Any]:
    profile = Profile()
    profile.add(pa.table({value: [value, value, None, ""], "n": [1.5, 2.5, 1e9, None], "b": [True, True, None, False]}))
    reasons = [
        {
            "code": "type-error",
            "field": value,
            "count": 2,
            "examples": [{"record": 3, "line": 4, "note": value}, {"record": 1234, "line": 5678, "note": value}],
        },
        {"code": "extra-cell", "field": "", "count": 1, "examples": []},
    ]
    chunks = [
        {
            "index": index,
            "range": [index * 1024, index * 1024 + 1024],
            "round": 1 + index,
            "delivered": 0,
            **rows.to_json(),
        }
        for index, rows in enumerate([Rows(read=3, valid=3), Rows(read=4, valid=1, rejected=2, blank=1)])
    ]
    return {
        "job": job(),
        "contract": {"name": value, "schema": {"fields": [{"name": value}]}},
        "summary": {
            "contract": "given",
            "encoding": "utf-8",
            "dialect": {"delimiter": "\t", "quoteChar": None, "header": True},
            "dialect_confidence": 0.9995,
            "rows": ROWS.to_json(),
            "delivered": 4,
            "findings": {"total": 5, "records": 2, "reasons": reasons},
            "aggregates": {value: [{"k": value, "n": 2, "m": 2.5}, {"k": None, "n": 1, "m": None}], "none": []},
            "profile": profile.result(),
        },
        "ledger": {"size_bytes": 2048, "rows": ROWS.to_json(), "chunks": chunks},
        "timeline": [
            {"stage": "validate", "start": "2026-01-02T03:04:06+00:00", "end": "2026-01-02T03:04:06.250000+00:00"},
            {"stage": "process", "start": "2026-01-02T03:04:06.250000+00:00", "end": "2026-01-02T03:04:08+00:00"},
        ],
    }


def test_a_job_that_succeeded():
    page = Page(report.render(document()))
    assert [name for name in page.ids() if not name.endswith("-title")] == [
        "rows",
        "findings",
        "columns",
        "aggregates",
        "ledger",
        "timeline",
        "contract",
        "outputs",
    ]
    for words in (
        "a b.csv Succeeded",
        "s3://inbox/incoming/orders/a b.csv",
        "2.0 KiB · received 2026-01-02 03:04:05 UTC · processed in 2.5 s",
        "valid (57.1 %)",
        "5 findings in 2 records",
        "record 3 (line 4), record 1,234 (line 5,678)",
        "2 further findings have other reasons.",
        "7 read = 4 valid + 2 rejected + 1 blank , in 2 chunks over all 2.0 KiB".replace(" ,", ","),
        "processed again",
        "validate 250 ms",
        "> 99.9 %",
        "Delimiter tab",
        "Quote none",
        "s3://results/manifest.json",
    ):
        assert words in page.text, words


def test_whatever_comes_from_outside_is_escaped():
    evil = document(EVIL)
    evil["job"] = job(
        source=Source(EVIL, f"incoming/orders/{EVIL}", "v", 1, "e"),
        status=Status.FAILED,
        error=Failure(EVIL, EVIL),
        outputs={EVIL: EVIL},
    )
    evil["timeline"][0]["stage"] = EVIL
    evil["summary"]["encoding"] = evil["summary"]["dialect"]["delimiter"] = EVIL
    html = report.render(evil)
    page = Page(html)
    assert "<script" not in html
    assert "\u202e" not in html
    assert page.text.count("alert('x')") > 12
    allowed = {attribute for _, attributes in Page(report.render(document())).elements for attribute in attributes}
    assert {attribute for _, attributes in page.elements for attribute in attributes} <= allowed


def test_nothing_is_fetched_or_run():
    html = report.render(document())
    page = Page(html)
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "link", "img", "iframe", "object", "a"})
    assert not re.search(r"url\(|@import|https?:", html)
    assert not any(name.startswith("on") or name in ("src", "href") for _, named in page.elements for name in named)


def test_charts_and_tables_can_be_read_aloud():
    page = Page(report.render(document()))
    for tag, attributes in page.elements:
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or (attributes["role"] == "img" and attributes["aria-label"])
        if tag == "table":
            assert attributes["aria-label"]
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
    assert [tag for tag, _ in page.elements if tag in ("h1", "h2", "h3")][:2] == ["h1", "h2"]
    assert len(page.ids()) == len(set(page.ids()))


def test_a_job_that_failed_before_anything_was_read():
    failed = job(status=Status.FAILED, error=Failure("not-csv", "the object is a PNG image"), rows=Rows(), outputs={})
    for more in ({}, {"contract": None, "summary": None, "ledger": None, "timeline": None}):
        page = Page(report.render({"job": failed, **more}))
        assert [name for name in page.ids() if not name.endswith("-title")] == ["failure"]
        assert "Why it failed not-csv the object is a PNG image" in page.text
        assert "current data is unchanged" in page.text


def test_a_job_over_its_tolerance_shows_its_reasons():
    reasons = [{"code": "type-error", "field": "n", "count": 2}]
    failed = {**job(status=Status.FAILED, error=Failure("tolerance-exceeded", "too many")), "reasons": reasons}
    page = Page(report.render({"job": failed}))
    assert "2 findings." in page.text
    assert "Failed" in page.text


def test_a_file_without_records():
    empty = document()
    empty["job"] = job(rows=Rows())
    empty["summary"].update(
        rows=Rows().to_json(), aggregates={}, profile=[], findings={"total": 0, "records": 0, "reasons": []}
    )
    text = Page(report.render(empty)).text
    assert "The file has a header and no records." in text
    assert "Every record passed every check." in text


def test_long_aggregates_are_cut_and_the_rest_counted():
    long = document()
    long["summary"]["aggregates"] = {"long": [{"k": f"key{number}", "n": number} for number in range(1234)]}
    text = Page(report.render(long)).text
    assert "key49 " in text
    assert "key50 " not in text
    assert "The first 50 of 1,234 rows; the other 1,184 are in summary.json." in text


def test_many_chunks_are_cut_and_the_rest_counted():
    long = document()
    long["ledger"]["chunks"] = [{**long["ledger"]["chunks"][0], "index": index} for index in range(60)]
    assert "The other 10 chunks are in manifest.json." in Page(report.render(long)).text


def test_the_transform_is_mentioned_where_it_changes_the_number_of_rows():
    changed = document()
    changed["summary"]["delivered"] = 9
    assert "The transform made 9 rows of the 4 valid ones." in Page(report.render(changed)).text


def test_a_ledger_as_the_ledger_makes_it():
    made = ledger.balance(
        [
            ledger.Report(
                index=0,
                round=1,
                start=0,
                end=2048,
                first_record=10,
                next_record=2048,
                continuations={},
                lines=7,
                rows=ROWS,
                size_bytes=2038,
                delivered=4,
                outputs={"data": [{"rows": 4}], "rejects": {}},
            )
        ],
        10,
        2048,
        transformed=False,
    )
    page = Page(report.render({"job": job(), "ledger": made}))
    assert "in 1 chunk over all 2.0 KiB" in page.text


def test_rendering_changes_nothing():
    given = document()
    before = copy.deepcopy(given)
    assert report.render(given) == report.render(given)
    assert given == before


@pytest.mark.parametrize(
    "value, expected",
    [
        (1234567, "1,234,567"),
        (0, "0"),
        (1234.5678, "1,234.57"),
        (12.5, "12.5"),
        (3.0, "3"),
        (0.00001234, "1.234e-05"),
        (1e20, "1e+20"),
        (float("nan"), "nan"),
        ("12.50", "12.50"),
        (True, "True"),
    ],
)
def test_numbers_as_people_read_them(value, expected):
    assert markup.number(value) == expected


@pytest.mark.parametrize(
    "part, whole, expected",
    [
        (0, 5, "0 %"),
        (5, 5, "100 %"),
        (1, 3, "33.3 %"),
        (1, 10**6, "< 0.1 %"),
        (10**6 - 1, 10**6, "> 99.9 %"),
        (0, 0, "–"),
    ],
)
def test_percentages_do_not_round_to_all_or_nothing(part, whole, expected):
    assert markup.percent(part, whole) == expected


@pytest.mark.parametrize(
    "count, expected", [(0, "0 bytes"), (1023, "1,023 bytes"), (1024, "1.0 KiB"), (5 * 2**40, "5,120.0 GiB")]
)
def test_sizes(count, expected):
    assert markup.size(count) == expected


@pytest.mark.parametrize(
    "seconds, expected", [(0.25, "250 ms"), (61, "61.0 s"), (200, "3 min 20 s"), (7300, "2 h 1 min")]
)
def test_durations(seconds, expected):
    assert markup.duration(seconds) == expected


def chart_of(values: Any) -> tuple[list[str], list[str]]:
    """The texts at the ends of a column's axis, and what its bars tell."""
    profile = Profile()
    profile.add(pa.table({"answer": values}))
    html = report.render({**document(), "summary": {**document()["summary"], "profile": profile.result()}})
    axis = re.search(r'<div class="ends" aria-hidden="true"><span>(.*?)</span><span>(.*?)</span></div>', html)
    assert axis is not None
    return list(axis.groups()), re.findall(r"<rect [^>]*><title>(.*?)</title></rect>", html)


def test_an_axis_ends_with_a_value_that_the_column_may_have() -> None:
    # Of answers from 1 to 5 none is a 6, where the last bin of whole numbers ends.
    assert chart_of([1, 5, 5]) == (["1", "5"], ["1: 1", "2: 0", "3: 0", "4: 0", "5: 2"])
    assert chart_of(range(40))[0] == ["0", "39"]
    assert chart_of(range(40))[1][-1] == "38 to 39: 2"
    days = [date(9999, 12, 30), date(9999, 12, 31)]
    assert chart_of(days) == (["9999-12-30", "9999-12-31"], ["9999-12-30: 1", "9999-12-31: 1"])
    ends, bars = chart_of([0.0, 10.0])
    assert (ends, bars[0], bars[-1]) == (["0", "10"], "0 to 0.5: 1", "9.5 to 10: 1")
    moments = [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 12, tzinfo=UTC)]
    assert chart_of(moments)[1][0].startswith("2024-01-01T00:00:00Z to 2024-01-01T")


def test_a_range_of_texts_from_right_to_left_has_the_least_first() -> None:
    profile = Profile()
    profile.add(pa.table({"city": ["אילת", "תל אביב"]}))
    html = report.render({**document(), "summary": {**document()["summary"], "profile": profile.result()}})
    assert "<bdi>אילת</bdi> – <bdi>תל אביב</bdi>" in html


def test_names_of_any_length_make_nothing_wider_than_the_page() -> None:
    """A contract names its aggregates and measures, a file its columns: no name is too long for either."""
    html = report.render(document("n" * 300))
    rules = dict(re.findall(r"^(\S[^{@]*?) \{([^}]*)\}", html, flags=re.MULTILINE))
    for selector in ("h1", "h3", ".where", ".name", ".value", "th.measure"):
        assert "overflow-wrap: anywhere" in rules[selector], selector
    (aggregate,) = re.findall(r'<table class="dense" aria-label="Aggregate n+">.*?</thead>', html, flags=re.DOTALL)
    assert re.findall('<th scope="col" class="([^"]*)">', aggregate) == ["value", "n measure", "n measure"]
    assert all("white-space: normal" in rules[selector] for selector in ("thead .value", "th.measure"))


def measured(rows: list[dict[str, Any]], **measures: Any) -> str:
    """The text of the section on an aggregate of these measures."""
    made = document()
    made["contract"]["sluice"] = {"aggregates": [{"name": "a", "groupBy": ["k"], "measures": measures}]}
    made["summary"]["aggregates"] = {"a": rows}
    found = re.search('<section id="aggregates".*?</section>', report.render(made), re.DOTALL)
    assert found is not None
    return Page(found[0]).text


def test_an_estimated_count_is_told_from_an_exact_one() -> None:
    rows: list[dict[str, Any]] = [
        {"k": 60_946, "n": 60_000, "d": 60_946},
        {"k": 2, "n": 2048, "d": 1900},
        {"k": None, "n": 0, "d": 0},
    ]
    told = measured(rows, n={"count": "*"}, d={"approxDistinct": "id"})
    assert told.count("≈") == 2
    assert " ≈ 60,946 " in told
    assert " 1,900 " in told
    assert "≈ d: an estimate, for more than 2,048 distinct values: within 1.6 % (standard error)" in told
    assert "≈" not in measured(rows[1:], n={"count": "*"}, d={"approxDistinct": "id"})


def test_an_estimate_that_came_out_below_the_limit_is_no_exact_count() -> None:
    assert " ≈ 2,021 " in measured([{"k": 1, "d": 2021}], d={"approxDistinct": "id"})


@pytest.mark.parametrize(
    ("q", "value", "is_exact"),
    [
        (0.5, 49.875, False),
        (0.5, "49.87", False),
        (0.5, 1_000, False),
        (0.5, 256, False),  # of 257, too, the bin's middle is 256
        (0.5, -255, True),
        (0.5, 0.0, True),
        (0.5, None, True),
        (0.5, "INF", True),
        (0, 49.875, True),
        (1, "49.87", True),
        (1.0, 49.875, True),
    ],
)
def test_an_approximate_quantile_is_told_from_an_exact_one(q: float, value: Any, is_exact: bool) -> None:
    told = measured([{"k": 1, "m": value}], m={"quantile": "price", "q": q})
    assert ("≈" in told) is not is_exact
    assert is_exact or "≈ m: within 0.4 % of the quantile" in told


def test_a_column_that_the_contract_proves_unique_has_an_exact_count() -> None:
    made = document()
    profile = {"name": "id", "type": "integer", "count": 60_000, "nulls": 7, "approxDistinct": 60_000}
    for is_unique, shown in ((True, " 60,000 all differ "), (False, " ≈ 60,000 ")):
        made["summary"]["profile"] = [profile | {"unique": is_unique, "mostFrequent": None}]
        assert shown in Page(report.render(made)).text
