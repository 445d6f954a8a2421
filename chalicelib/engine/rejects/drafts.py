"""Texts with gaps, where numbers of the file belong that a worker, who counts from its chunk's start, cannot know.

In a text under way a gap is the byte FF, which no UTF-8 has. A finished draft is an Arrow IPC stream with a row for
each gap: the text before it, and what the gap is for; the last row of a slice is the text after its last gap.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chalicelib.engine import arrays
from chalicelib.engine.arrays import Mask
from chalicelib.engine.checks.findings import GAP, Base

_GAP_BYTE: Final = GAP.encode("utf-8", "surrogateescape")[0]
_SCHEMA: Final = pa.schema(
    [("text", pa.binary()), ("chunk", pa.int32()), ("number", pa.int64()), ("is_line", pa.bool_())]
)
_NOTHING: Final = arrays.binaries([b""])[0]


@dataclass(frozen=True, slots=True)
class Gaps:
    """What belongs into the gaps of a text, in their order."""

    chunks: NDArray[np.int32]
    numbers: NDArray[np.int64]
    """Numbers of records (from 1) or of lines (from 1), counted from the start of the chunk."""
    is_line: Mask


class Draft:
    """One output's part of a chunk, written slice by slice."""

    def __init__(self) -> None:
        self._sink = io.BytesIO()
        self._writer: pa.RecordBatchStreamWriter | None = None

    def add(self, text: pa.BinaryArray, gaps: Gaps) -> None:
        """The next texts; ``gaps``: those of all of them.

        Errors: ``ValueError`` where the texts have more gaps, or fewer.
        """
        if self._writer is None:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writer = pa.ipc.new_stream(self._sink, _SCHEMA, options=options)
        data = arrays.text_bytes(text)
        places = np.flatnonzero(data == _GAP_BYTE)
        if len(places) != len(gaps.numbers):
            raise ValueError(f"a text has {len(places)} gaps, and {len(gaps.numbers)} numbers are to be put into them")
        edges = np.empty(2 * len(places) + 2, np.int32)
        edges[0], edges[-1] = 0, len(data)
        edges[1:-1:2], edges[2:-1:2] = places, places + 1
        columns = [
            arrays.spans(data, edges).take(arrays.from_values(np.arange(0, len(edges), 2), pa.int64())),
            arrays.from_values(np.append(gaps.chunks, np.int32(0)), pa.int32()),
            arrays.from_values(np.append(gaps.numbers, 0), pa.int64(), np.arange(len(places) + 1) < len(places)),
            arrays.booleans(np.append(gaps.is_line, False)),
        ]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=_SCHEMA))

    def finish(self) -> bytes:
        """The draft; empty where nothing was added."""
        if self._writer is not None:
            self._writer.close()
        return self._sink.getvalue()


class Numbers:
    """Puts the file's numbers into drafts."""

    def __init__(self, bases: Mapping[int, Base]) -> None:
        count = max(bases, default=-1) + 1
        self._records, self._lines = np.zeros(count, np.int64), np.zeros(count, np.int64)
        for chunk, base in bases.items():
            self._records[chunk], self._lines[chunk] = base.records, base.lines

    def filled(self, draft: bytes) -> Iterator[bytes]:
        """The text of a draft, slice by slice."""
        for batch in pa.ipc.open_stream(pa.py_buffer(draft)):
            chunks = arrays.values_of(batch.column("chunk"), np.int32)
            numbers = arrays.values_of(batch.column("number"), np.int64)
            base = np.where(arrays.trues(batch.column("is_line")), self._lines[chunks], self._records[chunks])
            told = arrays.from_values(numbers + base, pa.int64(), arrays.valid(batch.column("number")))
            texts = told.cast(pa.string()).cast(pa.binary())
            whole = pc.binary_join_element_wise(
                batch.column("text"), texts, _NOTHING, null_handling="replace", null_replacement=""
            )
            yield arrays.text_bytes(whole).tobytes()
