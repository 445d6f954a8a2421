"""A chunk's rejected records as a table, whole but for the numbers in the file, which a worker, who counts from its
chunk's start, cannot know: those of the records and lines themselves, and of the records that notes name.

In a note's place for such a number, a gap, the byte FF stands, which no UTF-8 has.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chalicelib.engine import arrays
from chalicelib.engine.arrays import ArrowArray
from chalicelib.engine.checks.findings import GAP, Base, digits
from chalicelib.engine.records.split import Offsets
from chalicelib.engine.rejects.escape import Part, constants, joined

_GAP_BYTE: Final = GAP.encode("utf-8", "surrogateescape")[0]
_FIRST: Final = pa.struct([("chunk", pa.int32()), ("record", pa.int64())])
SCHEMA: Final = pa.schema(
    [
        # These three less those of the record before in the same slice, which takes half the bytes, or a sixteenth:
        ("record", pa.int64()),  # from 1, counted from the start of the chunk
        ("line", pa.int64()),  # likewise
        ("byte", pa.int64()),  # in the object
        ("errors_csv", pa.binary()),
        ("errors_json", pa.binary()),
        ("firsts", pa.list_(_FIRST)),  # what belongs into the gaps of either: records, counted from the chunks' start
        ("text", pa.binary()),  # the record itself, where both outputs have it as it stands in the file
        ("tail_csv", pa.binary()),  # elsewhere: what follows the errors, but for what ends every line
        ("tail_json", pa.binary()),
    ]
)


class Draft:
    """A chunk's table, written slice by slice: an Arrow IPC stream."""

    def __init__(self) -> None:
        self._sink = io.BytesIO()
        self._writer: pa.RecordBatchStreamWriter | None = None

    def add(self, numbers: Sequence[Offsets], columns: Sequence[ArrowArray]) -> None:
        """The next records: their ``record``, ``line`` and ``byte``, and the other columns of ``SCHEMA``.

        Errors: ``ValueError`` where the errors have more gaps, or fewer, than ``firsts`` fill.
        """
        steps = [arrays.from_values(np.diff(each, prepend=0), pa.int64()) for each in numbers]
        batch = pa.RecordBatch.from_arrays([*steps, *columns], schema=SCHEMA)
        firsts = len(batch.column("firsts").flatten())
        for name in ("errors_csv", "errors_json"):
            gaps = np.count_nonzero(arrays.text_bytes(batch.column(name)) == _GAP_BYTE)
            if gaps != firsts:
                raise ValueError(f"{name} has {gaps} gaps, and {firsts} numbers are to be put into them")
        if self._writer is None:
            # A quarter of the time that rendering takes (0.2 s for a million records). It spares StoreResults, which
            # reads all chunks' drafts one after the other, four fifths of the bytes.
            options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
            self._writer = pa.ipc.new_stream(self._sink, SCHEMA, options=options)
        self._writer.write_batch(batch)

    def finish(self) -> bytes:
        """The draft; empty where nothing was added."""
        if self._writer is not None:
            self._writer.close()
        return self._sink.getvalue()


def firsts_of(chunks: NDArray[np.int32], records: Offsets, edges: NDArray[np.int32]) -> pa.ListArray:
    """The column ``firsts``; ``edges``: where each record's begin, and at last where the last one's end."""
    values = pa.StructArray.from_arrays(
        [arrays.from_values(chunks, pa.int32()), arrays.from_values(records, pa.int64())], fields=list(_FIRST)
    )
    return pa.ListArray.from_arrays(arrays.from_values(edges, pa.int32()), values)


def read(draft: bytes) -> Iterator[pa.RecordBatch]:
    """A draft's slices."""
    yield from pa.ipc.open_stream(pa.py_buffer(draft), options=pa.ipc.IpcReadOptions(use_threads=False))


class Numbers:
    """Puts the file's numbers into drafts, and so makes the outputs of them."""

    def __init__(self, bases: Mapping[int, Base]) -> None:
        count = max(bases, default=-1) + 1
        self._records, self._lines = np.zeros(count, np.int64), np.zeros(count, np.int64)
        for chunk, base in bases.items():
            self._records[chunk], self._lines[chunk] = base.records, base.lines

    def lines(self, batch: pa.RecordBatch, chunk: int) -> tuple[bytes, bytes]:
        """Those of ``rejects.csv``, and those of ``rejects.jsonl``, of a slice of the chunk's draft."""
        record, line = self._own(batch, chunk)
        errors, tails = self._filled(batch, "errors_csv"), _tails(batch, _COMMA, "tail_csv")
        csv = _whole(record, _COMMA, line, _COMMA, errors, *tails, _CRLF)
        byte = _digits(_summed(batch, "byte"))
        errors, tails = self._filled(batch, "errors_json"), _tails(batch, _RAW, "tail_json")
        return csv, _whole(_RECORD, record, _LINE, line, _BYTE, byte, _ERRORS, errors, *tails, _END)

    def _own(self, batch: pa.RecordBatch, chunk: int) -> tuple[pa.BinaryArray, pa.BinaryArray]:
        """The records' numbers, and those of their lines."""
        records = _summed(batch, "record") + self._records[chunk]
        return _digits(records), _digits(_summed(batch, "line") + self._lines[chunk])

    def _filled(self, batch: pa.RecordBatch, name: str) -> pa.BinaryArray:
        """Errors, with numbers in their gaps."""
        errors, firsts = batch.column(name), batch.column("firsts").flatten()
        if not len(firsts):
            return errors
        chunks, records = firsts.flatten()
        numbers = arrays.values_of(records, np.int64) + self._records[arrays.values_of(chunks, np.int32)]
        return _with_numbers(errors, _digits(numbers))


def _summed(batch: pa.RecordBatch, name: str) -> Offsets:
    """The numbers that ``Draft.add`` was given."""
    return np.cumsum(arrays.values_of(batch.column(name), np.int64))


def _tails(batch: pa.RecordBatch, before: pa.BinaryScalar, name: str) -> list[Part]:
    """What follows the errors: ``before`` and the record's text, or else the tail."""
    text = batch.column("text")
    if not text.null_count:
        return [before, text]
    heads = arrays.binaries([before.as_py()]).take(
        arrays.from_values(np.zeros(len(text), np.int64), pa.int64(), arrays.valid(text))
    )
    return [heads, text, batch.column(name)]


def _with_numbers(errors: pa.BinaryArray, numbers: pa.BinaryArray) -> pa.BinaryArray:
    """The errors, with one number after the other in their gaps."""
    data, edges = arrays.text_bytes(errors), arrays.offsets(errors) - arrays.offsets(errors)[0]
    gaps = np.flatnonzero(data == _GAP_BYTE)
    cuts = np.empty(2 * len(gaps) + 2, np.int32)
    cuts[0], cuts[-1] = 0, len(data)
    cuts[1:-1:2], cuts[2:-1:2] = gaps, gaps + 1
    between = arrays.spans(data, cuts).take(arrays.from_values(np.arange(0, len(cuts), 2), pa.int64()))
    filled = joined(between, pa.concat_arrays([numbers, arrays.binaries([b""])]))
    grown = np.zeros(len(gaps) + 1, np.int32)
    np.cumsum(np.diff(arrays.offsets(numbers)) - 1, out=grown[1:])
    return arrays.spans(arrays.text_bytes(filled), edges + grown[np.searchsorted(gaps, edges)])


def _digits(numbers: Offsets) -> pa.BinaryArray:
    return arrays.retyped(digits(numbers), pa.binary())


def _whole(*parts: Part) -> bytes:
    """The parts of all lines, one line after the other."""
    lines = pc.binary_join_element_wise(*parts, _NOTHING, null_handling="replace", null_replacement="")
    return arrays.text_bytes(lines).tobytes()


_NOTHING, _COMMA, _CRLF = constants("", ",", "\r\n")
_RECORD, _LINE, _BYTE = constants('{"record": ', ', "line": ', ', "byte": ')
_ERRORS, _RAW, _END = constants(', "errors": [', '], "raw": "', '"}\n')
