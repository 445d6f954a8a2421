"""A chunk's bytes come in parts, the next ones while one is worked on, and nothing of it outlives the tape."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import steps
from chalicelib.engine.plan import Plan, Task
from chalicelib.engine.records import speculate, split
from chalicelib.errors import SluiceError, Terminal, Transient
from chalicelib.model import Source
from chalicelib.stages import tape as tapes
from chalicelib.stages.tape import ObjectTape
from tests import pipeline
from tests.fakes import MemoryPorts
from tests.property.test_chunks import BREAKS, ROWS, THINGS, essence, file_of

PART = 8
BODY = bytes(range(200))
WAIT_SECONDS = 20


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tapes, "PART_SIZE_BYTES", PART)
        patch.setattr(tapes, "FIRST_PART_BYTES", PART // 2)
        patch.setattr(tapes, "READ_ON_BYTES", 4)
        patch.setattr(tapes, "_HEAD_BYTES", 3)
        for engine in (split, speculate):
            patch.setattr(engine, "LOOKAHEAD_BYTES", 1)
        yield


class Objects:
    """Remembers what was asked for; fails, or is silent until it is let go, from an offset on."""

    def __init__(self, error: SluiceError | None = None, at: int = len(BODY), *, held: bool = False) -> None:
        self.asked: list[tuple[int, int]] = []
        self.changed = threading.Condition()
        self.go = threading.Event()
        self._error, self._at = error, at
        if not held:
            self.go.set()

    def read_range(self, source: Source, start: int, end: int) -> bytes:
        with self.changed:
            self.asked.append((start, end))
            self.changed.notify_all()
        if start >= self._at and self._error is not None:
            raise self._error
        if start >= self._at:
            assert self.go.wait(WAIT_SECONDS)
        return BODY[start:end]


def tape_of(objects: Any, start: int, end: int, first_record: int | None = None, ahead: int = 2) -> ObjectTape:
    plan, task = planned()
    source = replace(plan.source, size_bytes=len(BODY))
    plan = replace(plan, source=source, text=replace(plan.text, source=source))
    return ObjectTape(objects, plan, replace(task, start=start, end=end, first_record=first_record), ahead)


def planned() -> tuple[Plan, Task]:
    ports = MemoryPorts()
    source = pipeline.upload(ports, b"a\n1\n", "incoming/things/a.csv")
    plan = steps._plan(ports, pipeline.settings(100), source)
    return plan, Task("plan", 1, "process", 0, 0, 1)


def read_ahead_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


@given(
    st.integers(0, 199),
    st.integers(1, 200),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=9),
    st.integers(0, 2),
)
def test_what_is_at_hand_is_the_object(start: int, size: int, moves: list[tuple[int, int]], ahead: int) -> None:
    objects = Objects()
    end = min(start + size, len(BODY))
    with tape_of(objects, start, end, first_record=start, ahead=ahead) as tape:
        for dropped, wanted in moves:
            at, before = tape.base + min(dropped, len(tape.data)), tape.base + len(tape.data)
            more = tape.reach(at, at + wanted)
            reached = tape.base + len(tape.data)
            assert tape.base <= at
            assert reached >= min(at + wanted, end + 4, len(BODY))
            assert more == (reached > before)
            assert tape.data == BODY[tape.base : reached]
            assert tape.at_end == (reached == len(BODY))
        again = tape.again()
        again.reach(start, len(BODY))
        assert again.data == BODY[start : min(end + 4, len(BODY))]
    assert not ahead or all(finish - begin <= PART for begin, finish in objects.asked)


@pytest.mark.parametrize(
    ("start", "first_record", "base"),
    [(20, None, 19), (0, None, 0), (20, 20, 20), (20, 33, 33), (20, 50, 50), (20, 60, 50)],
)
def test_a_tape_begins_at_its_first_record_or_where_that_is_guessed_by(
    start: int, first_record: int | None, base: int
) -> None:
    with tape_of(Objects(), start, 50, first_record=first_record) as tape:
        assert tape.base == base


def test_each_byte_is_asked_for_once_and_no_more_than_is_wanted() -> None:
    objects = Objects()
    with tape_of(objects, 10, 50, first_record=10) as tape:
        tape.reach(10, 500)
        assert not tape.reach(10, 500)
        # Of two that are asked for side by side either may come first.
        assert sorted(objects.asked) == [(10, 14), (14, 22), (22, 30), (30, 38), (38, 46), (46, 54)]
        tape.extend()
        assert tape.reach(40, 500)
        assert objects.asked[6:] == [(54, 62)]
        assert tape.data == BODY[40:62]


def test_the_next_parts_come_while_one_is_worked_on() -> None:
    objects = Objects(at=14, held=True)
    with tape_of(objects, 10, 90, first_record=10) as tape:
        tape.reach(10, 12)
        with objects.changed:
            assert objects.changed.wait_for(lambda: len(objects.asked) == 3, WAIT_SECONDS)
        assert sorted(objects.asked) == [(10, 14), (14, 22), (22, 30)]  # and no third one ahead
        objects.go.set()
        tape.reach(14, 20)
        assert tape.data == BODY[14:22]


def test_where_nothing_is_to_come_ahead_each_window_is_read_at_once_and_by_no_thread() -> None:
    objects = Objects()
    with tape_of(objects, 10, 90, first_record=10, ahead=0) as tape:
        tape.reach(10, 13)
        tape.reach(12, 15)
        tape.reach(14, 26)
        assert not tape.reach(20, 26)
        assert objects.asked == [(10, 13), (12, 15), (14, 26)]
        assert read_ahead_threads() == []


@pytest.mark.parametrize("error", [Transient("short-read", "cut"), Terminal("object-replaced", "another")], ids=str)
def test_the_error_of_a_part_ahead_is_raised_where_the_part_is_wanted(error: SluiceError) -> None:
    with tape_of(Objects(error, at=14), 10, 90, first_record=10) as tape:
        assert tape.reach(10, 14)
        with pytest.raises(type(error)) as caught:
            tape.reach(10, 15)
    assert caught.value is error


def test_no_thread_outlives_a_chunk_that_fails() -> None:
    objects = Objects(at=14, held=True)

    def fail() -> None:
        with tape_of(objects, 10, 90, first_record=10) as tape:
            tape.reach(10, 14)
            assert read_ahead_threads()
            objects.go.set()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert read_ahead_threads() == []


@given(ROWS, BREAKS, st.integers(1, 64), st.integers(1, 40), st.sampled_from(["utf-8", "utf-16"]))
def test_outputs_do_not_depend_on_the_parts(
    rows: list[str], line_break: str, chunk: int, part: int, encoding: str
) -> None:
    body = file_of(rows, line_break, last=True).decode().encode(encoding)
    outcomes = []
    for size in (part, 1 << 20):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tapes, "PART_SIZE_BYTES", size)
            patch.setattr(steps, "BLOCK_SIZE_BYTES", 16)
            outcomes.append(pipeline.run(body, THINGS, chunk_size=chunk))
    cut, whole = outcomes
    assert essence(cut) == essence(whole)
    assert cut.published == whole.published
    data = [name for name in whole.published if name.startswith("data/")]
    assert [cut.body(name) for name in data] == [whole.body(name) for name in data]


def test_a_tape_read_again_asks_for_as_much_as_a_request_is_worth() -> None:
    with tape_of(whole := Objects(), 0, len(BODY), first_record=0, ahead=1) as tape:
        again = tape.again()
        asked = len(whole.asked)
        for end in range(1, len(BODY), 7):
            again.reach(0, end)
        assert again.data == BODY[: len(again.data)]
        assert len(whole.asked) - asked <= 2 + len(BODY) // PART
