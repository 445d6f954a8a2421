"""A chunk's bytes, read from the object that holds the file's text: in parts, the next ones while one is worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from copy import copy
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from chalicelib.engine.plan import Plan, Task
from chalicelib.engine.records import chunk
from chalicelib.engine.records.tape import LOOKAHEAD_BYTES
from chalicelib.errors import Terminal
from chalicelib.ports import Objects
from chalicelib.settings import KIB, MIB, PARTS_AHEAD, RECORD_LIMIT_BYTES

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

Read = Callable[[int, int], bytes]
"""``Objects.read_range`` of one source."""

READ_ON_BYTES: Final = 64 * KIB
"""How much is read beyond a chunk at first, to finish its last record; doubled as long as that is not enough."""

PART_SIZE_BYTES: Final = 8 * MIB
"""What one request asks for: the smaller of the sizes that are usual for a range of S3.
https://docs.aws.amazon.com/whitepapers/latest/s3-optimizing-performance-best-practices/use-byte-range-fetches.html"""

FIRST_PART_BYTES: Final = RECORD_LIMIT_BYTES + LOOKAHEAD_BYTES
"""What the guess of a chunk's first record looks at: work begins as soon as it is there."""

_HEAD_BYTES: Final = 4 * LOOKAHEAD_BYTES
"""What is kept of a tape's beginning: whoever reads it ``again`` mostly gets no further."""


class _Parts:
    """Consecutive parts of an object from ``start`` on, the first one being small where others come ahead of need."""

    def __init__(self, read: Read, threads: Executor | None, start: int, ahead: int, least: int = 0) -> None:
        """``threads`` read the parts that come ahead."""
        self._read, self._threads, self._ahead, self._least = read, threads, ahead, least
        self._asked = start
        self._next_bytes = min(FIRST_PART_BYTES, PART_SIZE_BYTES)
        self._coming: deque[Future[bytes]] = deque()

    def next(self, wanted: int, end: int) -> bytes:
        """The next part. The ones after it are asked for, as far as ``end``; where none is to come ahead, it goes on
        to ``wanted``, or for the ``least`` that a request is worth.
        """
        if not self._ahead:
            start = self._asked
            worth = min(start + self._least, end)
            self._asked = min(start + PART_SIZE_BYTES, max(wanted, worth))
            self._least = PART_SIZE_BYTES if self._least else 0
            return self._read(start, self._asked)
        self._ask(end)
        part = self._coming.popleft().result()
        self._ask(end)
        return part

    def one_by_one(self, start: int) -> _Parts:
        """Parts of the same object from elsewhere on, each only read when it is wanted."""
        least = min(FIRST_PART_BYTES, PART_SIZE_BYTES) if self._ahead else self._least
        return _Parts(self._read, self._threads, start, 0, least)

    def _ask(self, end: int) -> None:
        while len(self._coming) < self._ahead and self._asked < end:
            assert self._threads is not None, "some parts come ahead"
            start, self._asked = self._asked, min(self._asked + self._next_bytes, end)
            self._coming.append(self._threads.submit(self._read, start, self._asked))
            self._next_bytes = PART_SIZE_BYTES


def _read(objects: Objects, plan: Plan, start: int, end: int) -> bytes:
    """Bytes of the file's text. Errors: those of ``Objects.read_range``; ``Terminal("output-replaced")`` where not the
    upload was replaced, but the text that was made of it, by another run of ValidateData.
    """
    try:
        return objects.read_range(plan.text.source, start, end)
    except Terminal as error:
        if error.code != "object-replaced" or plan.text.source == plan.source:
            raise
        raise Terminal("output-replaced", f"{plan.text.source.key} was written by another run") from error


def _threads(count: int) -> Executor:
    """They start when they are first asked for something."""
    from concurrent.futures import ThreadPoolExecutor  # 2 ms that a folder does not need

    return ThreadPoolExecutor(count, "read-ahead")


class ObjectTape:
    """Satisfies ``engine.records.tape.Tape``: the bytes of a task's chunk, from where it needs them, and on as its
    last record does.

    ``ahead``: most parts that are on their way, or wait to be worked on; 0: each window is read whole when it is
    wanted, with what is at hand of it, which costs no more than to copy that. To be used in a ``with`` block, at whose
    end no request is under way any more. Errors: those of ``Objects.read_range``, when the bytes that could not be
    read are asked for.
    """

    def __init__(self, objects: Objects, plan: Plan, task: Task, ahead: int = PARTS_AHEAD) -> None:
        self._read: Read = partial(_read, objects, plan)
        self._ahead = ahead
        self._size_bytes = plan.text.source.size_bytes
        self._step = READ_ON_BYTES
        self._end = min(task.end + self._step, self._size_bytes)
        self._start = self.base = chunk.first_byte(task, plan)
        self._head = self.data = b""
        self._threads = _threads(ahead) if ahead else None
        self._parts = _Parts(self._read, self._threads, self._start, ahead)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)

    @property
    def at_end(self) -> bool:
        return self.base + len(self.data) >= self._size_bytes

    def reach(self, start: int, end: int) -> bool:
        at_hand = reached = self.base + len(self.data)
        end = min(end, self._end)
        if not self._ahead and reached < end:
            self.base, self.data = max(start, self.base), b""  # or the old window would be held as long as this is read
            self.data = self._read(self.base, end)
            return True
        parts: list[bytes] = []
        while reached < end:
            parts.append(self._parts.next(end, self._end))
            reached += len(parts[-1])
        if parts:
            if at_hand == self._start:
                self._head = parts[0][:_HEAD_BYTES]
            kept = self.data[max(start - self.base, 0) :]
            self.base = at_hand - len(kept)
            self.data = b"".join([kept, *parts] if kept else parts)  # one part alone is not copied
        return reached > at_hand

    def extend(self) -> None:
        self._step *= 2
        self._end = min(self._end + self._step, self._size_bytes)

    def again(self) -> ObjectTape:
        """For as long as this one is open."""
        tape = copy(self)
        tape.base, tape.data = self._start, self._head
        tape._parts = self._parts.one_by_one(self._start + len(self._head))
        return tape
