"""The ledger refuses every report that does not add up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from chalicelib.engine import ledger, worker
from chalicelib.engine.checks.findings import Base
from chalicelib.engine.ledger import Report
from chalicelib.engine.plan import Task
from chalicelib.errors import Terminal
from chalicelib.model import Rows, Source
from chalicelib.ports import Body, Stored
from chalicelib.stages import settling
from tests import pipeline
from tests.fakes import MemoryPorts
from tests.pipeline import Outcome
from tests.property.test_chunks import THINGS, essence


def report(index: int, start: int, end: int, first: int | None, after: int | None, read: int = 1) -> Report:
    rows = Rows(read=read, valid=read)
    outputs = {"data": [{"rows": read}]} if read else {}
    size = (after or 0) - (first or 0)
    return Report(
        index, 1, start, end, first, after, {}, lines=read, rows=rows, size_bytes=size, delivered=read, outputs=outputs
    )


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
    "bytes were passed over": lambda reports: [replace(reports[0], size_bytes=8), *reports[1:]],
    "a rejected record is not written": lambda reports: [
        replace(reports[0], rows=Rows(read=2, valid=1, rejected=1)),
        *reports[1:],
    ],
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


BODY = b'id,name,size\n1,a,1\nx,b,1\n\n2,"c\n5,q,1\n",1\n3,d,9\n3,e,1\n4,fffffff,1.50\n'
CHUNK_SIZE = 17
"""A quarter of ``BODY``; the third chunk guesses wrong."""
REPORT_NAMES = [*(f"round-1/chunk-{index:05}-report.json" for index in range(4)), "round-2/chunk-00002-report.json"]


def job(alter: Callable[[str, bytes], bytes] = lambda key, body: body) -> Outcome:
    """``alter`` is given each partial result as it is written."""
    ports = MemoryPorts()
    put = ports.objects.put

    def altered(bucket: str, key: str, body: Body, content_type: str, if_match: str | None = None) -> Stored:
        told = put(bucket, key, body, content_type, if_match)
        if "/chunk-" in key:
            put(bucket, key, alter(key, ports.objects.get(bucket, key)), content_type)
        return told

    ports.objects.put = altered  # type: ignore[method-assign]
    return pipeline.run(BODY, THINGS, chunk_size=CHUNK_SIZE, ports=ports)


def assert_refused(outcome: Outcome) -> None:
    assert outcome.job.error is not None
    assert outcome.job.error.code == "ledger-unbalanced"
    assert set(outcome.published) <= {"rejects.csv"}
    assert outcome.current == []


@cache
def written() -> dict[str, bytes]:
    """The partial results of a job that nothing happens to, by the end of their keys."""
    seen: dict[str, bytes] = {}

    def keep(key: str, body: bytes) -> bytes:
        seen[key.split("/", 3)[3]] = body
        return body

    assert job(keep).job.error is None
    return seen


def test_the_job_under_test_has_a_repaired_chunk() -> None:
    assert sorted(name for name in written() if name.endswith("report.json")) == REPORT_NAMES


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every member and item."""
    members = document.items() if isinstance(document, dict) else enumerate(document)
    for name, value in members:
        yield (*path, name)
        if isinstance(value, dict | list):
            yield from places(value, (*path, name))


def with_another(document: Any, path: tuple[Any, ...]) -> Any:
    """A copy with something else at one place."""
    name, *rest = path
    copy = document.copy()
    old = document[name]
    copy[name] = with_another(old, tuple(rest)) if rest else old + 1 if isinstance(old, int) else "another"
    return copy


@pytest.mark.parametrize("name", REPORT_NAMES)
def test_each_field_of_a_stored_report_is_held_to_what_the_worker_wrote(name: str) -> None:
    task = Task("plan", int(name[6]), "process", int(name[14:19]), 0, 0)
    document = json.loads(written()[name])
    task = replace(task, start=document["start"], end=document["end"])
    assert ledger.unsealed(written()[name], task).index == task.index
    paths = list(places(document))
    assert len(paths) > 30
    for path in paths:
        with pytest.raises(Terminal, match="ledger-unbalanced"):
            ledger.unsealed(json.dumps(with_another(document, path)).encode(), task)
    for other in (b"", b"{}", b"[]", b"null", written()[name][:-1]):
        with pytest.raises(Terminal, match="ledger-unbalanced"):
            ledger.unsealed(other, task)
    with pytest.raises(Terminal, match="another task"):
        ledger.unsealed(written()[name], replace(task, round=task.round + 1))


PARTIALS = ("rejects", "reasons", "measures", "keys-0.arrow", "keys-1.arrow")
"""The Parquet files are copied by their ETags: see the adapters' tests."""


@pytest.mark.parametrize("name", [*REPORT_NAMES, *(f"round-1/chunk-00001-{partial}" for partial in PARTIALS)])
def test_a_job_with_a_changed_partial_result_fails_and_publishes_nothing(name: str) -> None:
    assert name in written()
    assert_refused(job(lambda key, body: body[:-2] + b"?" + body[-1:] if key.endswith(name) else body))


NUMBERS = [
    ("index",), ("round",), ("start",), ("end",), ("first_record",), ("next_record",), ("size_bytes",), ("delivered",),
    ("findings",), ("rows", "read"), ("rows", "valid"), ("rows", "rejected"), ("rows", "blank"),
]  # fmt: skip
"""``lines`` is not among them: the numbers of lines rest on it, and nothing else does."""


@pytest.mark.parametrize("path", NUMBERS, ids=".".join)
@pytest.mark.parametrize("by", [1, -1])
def test_a_worker_that_miscounts_is_found_out(path: tuple[str, ...], by: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A false number in the report of each chunk in turn: refused, or the chunk is done again and nothing changes."""
    right, refused = essence(job()), 0
    run = worker.run
    for liar in REPORT_NAMES:

        def false(task: Task, *rest: Any, liar: str = liar) -> worker.Result:
            result = run(task, *rest)
            if liar == f"round-{task.round}/chunk-{task.index:05}-report.json":
                *above, last = path
                held = result.report[above[0]] if above else result.report
                held[last] = (held[last] or 0) + by
            return result

        monkeypatch.setattr(worker, "run", false)
        outcome = job()
        if outcome.job.error is not None:
            assert_refused(outcome)
            refused += 1
        else:
            assert essence(outcome) == right
            assert path[0] == "first_record" or liar.startswith("round-1/chunk-00002")
    assert refused >= (0 if path[0] == "first_record" else 4)


def test_a_wrong_guess_and_a_repeated_key_are_repaired_in_one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "MAX_ROUNDS", 2)
    outcome = pipeline.run(BODY + b"1,z,1\n", THINGS, chunk_size=CHUNK_SIZE)
    assert (outcome.job.error, outcome.job.chunks.repaired) == (None, 3)


def test_a_chunk_that_could_not_be_read_ends_the_job_before_anything_is_done_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Though it could be by now: nothing is known of its records, and the chunk before it guessed wrong."""
    ports = MemoryPorts()
    refused: list[int] = []
    read_range = ports.objects.read_range

    def once(source: Source, start: int, end: int) -> bytes:
        if not refused and start >= len(BODY) - CHUNK_SIZE - 1:  # the last chunk
            refused.append(start)
            raise Terminal("access-denied", "s3:GetObject is not allowed")
        return read_range(source, start, end)

    monkeypatch.setattr(ports.objects, "read_range", once)
    source = pipeline.upload(ports, BODY, "incoming/things/a.csv")
    ports.objects.add(pipeline.INBOX, "contracts/things.json", json.dumps(THINGS).encode())
    called = pipeline.execute(ports, pipeline.settings(CHUNK_SIZE), source, "arn:1")
    error = ports.jobs.records[source.job_id].error
    assert error is not None
    assert (error.code, len(refused)) == ("access-denied", 1)
    assert called == [(1, index) for index in range(4)]


def test_a_round_that_settles_is_accepted_though_it_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "MAX_ROUNDS", 2)
    assert job().job.error is None
    monkeypatch.setattr(settling, "MAX_ROUNDS", 1)
    error = job().job.error
    assert error is not None
    assert error.code == "not-settled"
