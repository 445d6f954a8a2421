"""One pass, several readers: what they are given, and how it ends when one of them or the pass fails."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.stages import lanes
from ops.interrupts import terminated_as_interrupted


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    yield
    assert [thread for thread in threading.enumerate() if isinstance(thread, lanes._Lane)] == []


def failing(pieces: Iterator[int]) -> list[int]:
    next(pieces)
    raise ValueError("a reader")


@given(st.integers(1, 4), st.lists(st.integers(), max_size=8))
def test_each_reader_is_given_its_own_pieces_in_order(readers: int, pieces: list[int]) -> None:
    rows = ([(reader, piece) for reader in range(readers)] for piece in pieces)
    expected = [[(reader, piece) for piece in pieces] for reader in range(readers)]
    assert lanes.read(rows, [list[tuple[int, int]]] * readers) == expected


def test_a_reader_that_wants_no_more_stops_nobody() -> None:
    def first(pieces: Iterator[int]) -> int:
        return next(pieces)

    def total(pieces: Iterator[int]) -> int:
        return sum(pieces)

    assert lanes.read([(number, number) for number in range(9)], [first, total]) == [0, 36]


def test_no_reader_is_far_behind() -> None:
    made: list[int] = []

    def rows() -> Iterator[tuple[int]]:
        for number in range(9):
            made.append(number)
            yield (number,)

    def slow(pieces: Iterator[int]) -> list[int]:
        behind = []
        for number in pieces:
            time.sleep(0.01)
            behind.append(len(made) - 1 - number)
        return behind

    (behind,) = lanes.read(rows(), [slow])
    assert max(behind) <= 1


@pytest.mark.parametrize("place", [0, 1])
def test_when_a_reader_fails_no_other_takes_its_pieces_for_whole(place: int) -> None:
    whole: list[list[int]] = []
    readers: list[Callable[[Iterator[int]], Any]] = [lambda pieces: whole.append(list(pieces))] * 2
    readers[place] = failing
    endless = ((number, number) for number in iter(int, 1))
    with pytest.raises(ValueError, match="a reader"):
        lanes.read(endless, readers)
    assert whole == []


def test_when_the_rows_fail_no_reader_takes_its_pieces_for_whole() -> None:
    whole: list[list[int]] = []

    def rows() -> Iterator[tuple[int, int]]:
        yield 1, 1
        raise ValueError("the rows")

    with pytest.raises(ValueError, match="the rows"):
        lanes.read(rows(), [lambda pieces: whole.append(list(pieces)), lambda pieces: whole.append(list(pieces))])
    assert whole == []


def test_what_ends_a_process_is_raised_too() -> None:
    class Killed(BaseException):
        pass

    def killed(pieces: Iterator[int]) -> None:
        raise Killed

    with pytest.raises(Killed):
        lanes.read([(1,), (2,), (3,)], [killed])


def test_no_reader_is_at_work_any_more_after_an_interrupt() -> None:
    """It comes when all pieces are given, and the last of them is being written."""
    written: list[int] = []

    def slow(pieces: Iterator[int]) -> None:
        total = sum(pieces)
        signal.raise_signal(signal.SIGTERM)
        time.sleep(0.1)
        written.append(total)

    with terminated_as_interrupted(), pytest.raises(KeyboardInterrupt):
        lanes.read([(1,), (2,)], [slow])
    assert written == [3]
