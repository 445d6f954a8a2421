"""The ledger refuses every report that does not add up."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.engine import ledger
from chalicelib.engine.checks.findings import Base
from chalicelib.engine.ledger import Report
from chalicelib.errors import Terminal
from chalicelib.model import Rows
from tests import pipeline
from tests.fakes import MemoryPorts
from tests.pipeline import RESULTS, contract


def report(index: int, start: int, end: int, first: int | None, after: int | None, read: int = 1) -> Report:
    rows = Rows(read=read, valid=read)
    outputs = {"data": [{"rows": read}]} if read else {}
    return Report(index, 1, start, end, first, after, {}, lines=read, rows=rows, delivered=read, outputs=outputs)


REPORTS = [
    report(0, 0, 10, 3, 12),
    report(1, 10, 20, 12, 35),
    report(2, 20, 30, None, None, 0),
    report(3, 30, 40, 35, 40),
]


def never(chunk: Report, first: int) -> int:
    raise AssertionError(f"chunk {chunk.index} was read")


def balance(reports: list[Report], *, transformed: bool = False) -> Any:
    return ledger.balance(reports, 3, 40, transformed=transformed)


def test_a_ledger_that_balances_has_every_chunk_and_the_totals() -> None:
    balanced = balance(REPORTS)
    assert balanced["rows"] == {"read": 3, "valid": 3, "rejected": 0, "blank": 0}
    assert [chunk["records"] for chunk in balanced["chunks"]] == [[3, 12], [12, 35], [None, None], [35, 40]]


CORRUPTIONS: dict[str, Callable[[list[Report]], list[Report]]] = {
    "a chunk is missing": lambda reports: reports[:1] + reports[2:],
    "a chunk stands twice": lambda reports: [reports[0], *reports],
    "the last chunk is missing": lambda reports: reports[:-1],
    "a range has a gap": lambda reports: [replace(reports[0], end=9), *reports[1:]],
    "records overlap": lambda reports: [replace(reports[0], next_record=13), *reports[1:]],
    "records leave a gap": lambda reports: [reports[0], replace(reports[1], first_record=13), *reports[2:]],
    "the first record is not the file's": lambda reports: [replace(reports[0], first_record=4), *reports[1:]],
    "the last record ends before the object": lambda reports: [*reports[:-1], replace(reports[-1], next_record=39)],
    "a record is not accounted for": lambda reports: [replace(reports[0], rows=Rows(read=2, valid=1)), *reports[1:]],
    "counts are negative": lambda reports: [replace(reports[0], rows=Rows(1, 2, -1, 0)), *reports[1:]],
    "rows come from nowhere": lambda reports: [*reports[:2], replace(reports[2], rows=Rows(1, 1)), reports[3]],
    "a valid row is not delivered": lambda reports: [replace(reports[0], delivered=0), *reports[1:]],
    "a delivered row is not written": lambda reports: [replace(reports[0], outputs={}), *reports[1:]],
}


@pytest.mark.parametrize("corrupt", CORRUPTIONS.values(), ids=CORRUPTIONS.keys())
def test_a_corrupted_report_is_refused(corrupt: Callable[[list[Report]], list[Report]]) -> None:
    with pytest.raises(Terminal, match="ledger-unbalanced"):
        balance(corrupt(REPORTS))


def test_a_transform_may_add_and_drop_rows_if_they_are_counted() -> None:
    doubled = replace(REPORTS[0], delivered=2, outputs={"data": [{"rows": 2}]})
    assert balance([doubled, *REPORTS[1:]], transformed=True)["delivered"] == 4
    with pytest.raises(Terminal, match="ledger-unbalanced"):
        balance([doubled, *REPORTS[1:]])


def test_bases_count_what_stands_before_a_chunk() -> None:
    assert ledger.bases(REPORTS, header_lines=1) == {0: Base(0, 1), 1: Base(1, 2), 2: Base(2, 3), 3: Base(2, 3)}


def test_a_chunk_that_guessed_wrong_still_tells_where_the_next_one_begins() -> None:
    wrong = replace(REPORTS[1], first_record=15, next_record=20, continuations={"quoted": (12, 35)})
    reports = [REPORTS[0], wrong, *REPORTS[2:]]
    firsts = ledger.first_records(reports, 3, never)
    assert firsts == [3, 12, 35, 35, 40]
    assert ledger.unproven(reports, firsts) == [1]


def test_where_no_report_tells_the_chunk_is_read() -> None:
    wrong = replace(REPORTS[1], first_record=15, next_record=20)
    asked = []

    def resolve(chunk: Report, first: int) -> int:
        asked.append((chunk.index, first))
        return 35

    assert ledger.first_records([REPORTS[0], wrong, *REPORTS[2:]], 3, resolve)[-1] == 40
    assert asked == [(1, 12)]


@pytest.mark.parametrize("field", ["read", "valid", "rejected", "blank"])
def test_a_job_whose_stored_report_was_changed_fails_and_publishes_nothing(field: str) -> None:
    class Corrupting(MemoryPorts):
        """Changes the report of the second chunk as it is written."""

    ports = Corrupting()
    put = ports.objects.put

    def corrupt(bucket: str, key: str, body: bytes, content_type: str, if_match: str | None = None) -> Any:
        if key.endswith("chunk-00001/report.json"):
            document = json.loads(body)
            document["rows"][field] += 1
            body = json.dumps(document).encode()
        return put(bucket, key, body, content_type, if_match)

    ports.objects.put = corrupt  # type: ignore[method-assign]
    outcome = pipeline.run(b"id\n1\n2\n3\n4\n", contract({"name": "id", "type": "integer"}), chunk_size=5, ports=ports)
    assert outcome.job.error is not None
    assert outcome.job.error.code == "ledger-unbalanced"
    assert outcome.published == []
    assert outcome.current == []
    assert ports.objects.get_with_etag(RESULTS, "datasets/things/current.json") is None
