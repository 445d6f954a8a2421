"""A chunk's bytes, read from the object that holds the file's text."""

from __future__ import annotations

from typing import Final

from chalicelib.engine.plan import Plan, Task
from chalicelib.engine.records import chunk
from chalicelib.ports import Objects
from chalicelib.settings import KIB

READ_ON_BYTES: Final = 64 * KIB
"""How much is read beyond a chunk at first, to finish its last record; doubled as long as that is not enough."""


class ObjectTape:
    """Satisfies ``chunk.ChunkTape``: begins where the task's chunk needs it to and grows as its last record does."""

    def __init__(self, objects: Objects, plan: Plan, task: Task) -> None:
        self._objects, self._source = objects, plan.text.source
        self._step = READ_ON_BYTES
        self.base = chunk.first_byte(task, plan)
        end = min(task.end + self._step, self._source.size_bytes)
        self.data = objects.read_range(self._source, self.base, end) if end > self.base else b""
        self.at_end = end >= self._source.size_bytes

    def extend(self) -> None:
        start = self.base + len(self.data)
        self._step *= 2
        end = min(start + self._step, self._source.size_bytes)
        self.data += self._objects.read_range(self._source, start, end)
        self.at_end = end >= self._source.size_bytes
