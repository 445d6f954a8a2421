"""One pass over rows of pieces that several readers want, each its own piece of every row. A reader has a thread, and
takes a piece while the next row is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Final, Generic, TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")


def read(rows: Iterable[Sequence[T]], readers: Sequence[Callable[[Iterator[T]], R]]) -> list[R]:
    """What each reader makes of its pieces; a row has one for each, in their order.

    Errors: that of the rows, or else of a reader. The pieces of all other readers then end with an error, too: none
    takes them for whole. No reader is at work any more when this ends, not even by Ctrl-C.
    """
    lanes = [_Lane(reader) for reader in readers]
    ending = _BROKEN
    try:
        for lane in lanes:
            lane.start()
        for row in rows:
            _give(row, lanes)
            del row  # or its pieces would be held while the next ones are made
            if any(lane.failures for lane in lanes):
                break
        else:
            ending = _END
    finally:
        for lane in lanes:
            lane.end(ending)
        _wait_for([lane for lane in lanes if lane.ident is not None])
    failures = [failure for lane in lanes for failure in lane.failures]
    if failures:
        raise next((failure for failure in failures if not isinstance(failure, _Broken)), failures[0])
    return [result for lane in lanes for result in lane.results]


def _give(row: Sequence[T], lanes: Sequence[_Lane[T, R]]) -> None:
    for lane, piece in zip(lanes, row, strict=True):
        lane.give(piece)


def _wait_for(lanes: Sequence[_Lane[T, R]]) -> None:
    """Errors: what interrupts the waiting, once it is over."""
    interrupts = []
    for lane in lanes:
        while not lane.is_through:
            try:
                lane.through.get()
            except BaseException as interrupt:  # noqa: BLE001 - raised below
                interrupts.append(interrupt)
        lane.join()
    if interrupts:
        raise interrupts[0]


class _Broken(Exception):
    """Another reader failed, or the rows."""


class _Ending:
    """Comes after the last piece."""


_END: Final = _Ending()
_BROKEN: Final = _Ending()


class _Lane(Thread, Generic[T, R]):
    """A reader at work. ``SimpleQueue``, unlike ``Queue``, is whole whenever Ctrl-C interrupts it."""

    def __init__(self, reader: Callable[[Iterator[T]], R]) -> None:
        super().__init__(daemon=True)
        self._reader = reader
        self._wanted: SimpleQueue[None] = SimpleQueue()
        self._pieces: SimpleQueue[T | _Ending] = SimpleQueue()
        self._is_over = False
        self.results: list[R] = []
        self.failures: list[BaseException] = []
        self.is_through = False
        self.through: SimpleQueue[None] = SimpleQueue()
        """To wait at. ``join`` takes a thread for ended once it was interrupted (Python 3.11)."""

    def give(self, piece: T) -> None:
        """Waits until the one before is done with."""
        self._wanted.get()
        self._pieces.put(piece)

    def end(self, ending: _Ending) -> None:
        self._pieces.put(ending)

    def run(self) -> None:
        try:
            self.results.append(self._reader(cast("Iterator[T]", iter(self._next, _END))))
        except BaseException as failure:  # noqa: BLE001 - raised in ``read``
            self.failures.append(failure)
        with suppress(_Broken):
            while not self._is_over:  # whoever gives the pieces would wait for ever
                self._next()
        self.is_through = True
        self.through.put(None)

    def _next(self) -> T | _Ending:
        self._wanted.put(None)
        piece = self._pieces.get()
        self._is_over = isinstance(piece, _Ending)
        if piece is _BROKEN:
            raise _Broken
        return piece
