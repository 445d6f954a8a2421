"""One pass over rows of pieces that several readers want, each its own piece of every row: a reader has a thread, and
is never more than two rows behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from queue import Queue
from threading import Thread
from typing import Final, Generic, TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")


def read(rows: Iterable[Sequence[T]], readers: Sequence[Callable[[Iterator[T]], R]]) -> list[R]:
    """What each reader makes of its pieces; a row has one for each, in their order.

    Errors: the first one, of the rows or of a reader. The pieces of the other readers then end with an error, too: none
    takes them for whole.
    """
    lanes = [_Lane(reader) for reader in readers]
    ending = _BROKEN
    for lane in lanes:
        lane.start()
    try:
        for row in rows:
            for lane, piece in zip(lanes, row, strict=True):
                lane.pieces.put(piece)
            del row, piece  # or they would be held while the next ones are made
            if any(lane.failures for lane in lanes):
                break
        else:
            ending = _END
    finally:
        for lane in lanes:
            lane.pieces.put(ending)
        for lane in lanes:
            lane.join()
    failures = [failure for lane in lanes for failure in lane.failures]
    if failures:
        raise next((failure for failure in failures if not isinstance(failure, _Broken)), failures[0])
    return [result for lane in lanes for result in lane.results]


class _Broken(Exception):
    """Another reader failed, or the rows."""


class _Ending:
    """Comes after the last piece."""


_END: Final = _Ending()
_BROKEN: Final = _Ending()


class _Lane(Thread, Generic[T, R]):
    def __init__(self, reader: Callable[[Iterator[T]], R]) -> None:
        super().__init__(daemon=True)
        self._reader = reader
        self._is_over = False
        self.pieces: Queue[T | _Ending] = Queue(maxsize=1)
        self.results: list[R] = []
        self.failures: list[BaseException] = []

    def run(self) -> None:
        try:
            self.results.append(self._reader(cast("Iterator[T]", iter(self._next, _END))))
        except BaseException as failure:  # noqa: BLE001 - raised in ``read``
            self.failures.append(failure)
        while not self._is_over:  # whoever gives the pieces would wait for ever
            self._is_over = isinstance(self.pieces.get(), _Ending)

    def _next(self) -> T | _Ending:
        piece = self.pieces.get()
        self._is_over = isinstance(piece, _Ending)
        if piece is _BROKEN:
            raise _Broken
        return piece
