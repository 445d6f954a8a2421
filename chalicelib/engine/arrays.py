"""Arrow arrays as numpy sees them: views, masks and arrays made from buffers, without copies where none are needed.

``pa.array``, ``pa.scalar``, ``Array.to_numpy``, ``Schema.empty_table`` and a Python number among a kernel's arguments
import pandas wherever it is installed (0.16 s at start); everything here goes through ``Array.buffers`` and
``from_buffers`` instead. All functions take sliced arrays (offset != 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chalicelib.engine import bits

ArrowArray: TypeAlias = "pa.Array[Any]"  # a text, because pa.Array is generic for type checkers only
Mask = NDArray[np.bool_]
Number = TypeVar("Number", bound=np.number[Any])


def holding(texts: pa.BinaryArray, letters: bytes) -> Mask:
    """Which texts, strings or binary, hold one of these bytes."""
    sought = np.zeros(256, np.bool_)
    sought[list(letters)] = True
    return with_flag(texts, classes(text_bytes(texts), sought).view(np.bool_))


def classes(data: NDArray[np.uint8], table: NDArray[Any]) -> NDArray[np.uint8]:
    """For each byte what stands in a table of 256 bytes; ``table[data]`` takes four times as long."""
    return np.frombuffer(data.tobytes().translate(table.tobytes()), np.uint8)


def with_flag(texts: pa.BinaryArray, flags: Mask) -> Mask:
    """Which texts hold a byte that has a flag; ``flags``: one for each of ``text_bytes``."""
    found = np.zeros(len(texts), np.bool_)
    if flags.any():
        edges = offsets(texts)
        found[np.searchsorted(edges[1:] - edges[0], np.flatnonzero(flags), "right")] = True
    return found


def matches(texts: pa.StringArray, pattern: str) -> Mask:
    """Which texts an RE2 pattern matches (anchor it with ``\\A`` and ``\\z``); False for a null."""
    return trues(pc.match_substring_regex(texts, pattern))


def trues(flags: pa.BooleanArray) -> Mask:
    """Which entries of a boolean array are true; False for a null."""
    found = _bits(flags.buffers()[1], flags.offset, len(flags))
    return found if flags.null_count == 0 else found & valid(flags)


def valid(array: ArrowArray) -> Mask:
    """Which entries are not null."""
    if array.null_count == 0:
        return np.ones(len(array), np.bool_)
    buffer = array.buffers()[0]
    if buffer is None:  # the null type has no bitmap
        return np.zeros(len(array), np.bool_)
    return _bits(buffer, array.offset, len(array))


def _view(buffer: pa.Buffer, dtype: Any, count: int = -1, offset: int = 0) -> NDArray[Any]:
    """A numpy array over an Arrow buffer. Arrow's stubs do not say that it has the buffer protocol."""
    return np.frombuffer(cast("Any", buffer), dtype, count=count, offset=offset)


def _buffer(values: NDArray[Any] | bytes) -> pa.Buffer:
    """An Arrow buffer over a contiguous numpy array, likewise."""
    return pa.py_buffer(cast("Any", values))


def _bits(buffer: pa.Buffer | None, offset: int, length: int) -> Mask:
    if buffer is None or length == 0:
        return np.zeros(length, np.bool_)
    first, last = offset // 8, (offset + length + 7) // 8
    packed = _view(buffer, np.uint8, count=last - first, offset=first)
    unpacked = np.unpackbits(packed, bitorder="little", count=offset % 8 + length)
    return unpacked[offset % 8 :].view(np.bool_)


def bitmap(flags: Mask) -> pa.Buffer:
    """A validity bitmap from a numpy mask."""
    return _buffer(np.packbits(flags, bitorder="little"))


def _offset_buffer(texts: pa.StringArray) -> pa.Buffer:
    buffer = texts.buffers()[1]
    assert buffer is not None, "only an empty array can lack offsets"
    return buffer


def booleans(flags: Mask) -> pa.BooleanArray:
    """A boolean array without nulls from a numpy mask."""
    return cast("pa.BooleanArray", pa.Array.from_buffers(pa.bool_(), len(flags), [None, bitmap(flags)]))


def offsets(texts: pa.StringArray) -> NDArray[np.int32]:
    """Where each text starts in ``data(texts)``, and at the end where the last one stops: length + 1 entries."""
    if len(texts) == 0:  # such an array may have no offsets buffer at all
        return np.zeros(1, np.int32)
    return _view(_offset_buffer(texts), np.int32, count=len(texts) + 1, offset=4 * texts.offset)


def data(texts: pa.StringArray) -> NDArray[np.uint8]:
    """The bytes that ``offsets`` points into."""
    buffer = texts.buffers()[2]
    return np.zeros(0, np.uint8) if buffer is None else _view(buffer, np.uint8)


def text_bytes(texts: pa.StringArray) -> NDArray[np.uint8]:
    """The bytes of all the texts, one after the other (with whatever lies under nulls)."""
    edges = offsets(texts)
    return data(texts)[edges[0] : edges[-1]]


def is_ascii(text: NDArray[np.uint8]) -> bool:
    # Mostly the first few bytes tell that there is more, and then the others need not be looked at twice.
    return bool(text[:4096].max(initial=0) < 128 and text.max(initial=0) < 128)


def characters(texts: pa.StringArray) -> NDArray[np.int64]:
    """How many characters each text has: as many as bytes that do not go on with one. Anything for a null."""
    edges = offsets(texts).astype(np.int64)
    edges -= edges[0]
    text = text_bytes(texts)
    if is_ascii(text):
        return np.diff(edges)
    goes_on = bits.where(text, lambda some: some.view(np.int8) < -64)  # 10xxxxxx, whose sign is the first bit
    return np.diff(edges - bits.before(goes_on, edges))


def of_width(texts: pa.StringArray, width: int) -> tuple[Mask, NDArray[np.uint8]]:
    """Which texts have this width in bytes, and those as a matrix of bytes, a row each; without a copy where all do."""
    sizes = np.diff(offsets(texts))
    hit: Mask = sizes == width
    if texts.null_count:
        hit &= valid(texts)
    chosen = texts if hit.all() else cast("pa.StringArray", texts.filter(booleans(hit)))
    return hit, text_bytes(chosen).reshape(len(chosen), width)


def strings(texts: Sequence[str | None]) -> pa.StringArray:
    """A string array of Python texts; None is null."""
    encoded = [b"" if text is None else text.encode() for text in texts]
    edges = np.zeros(len(texts) + 1, np.int32)
    np.cumsum([len(piece) for piece in encoded], out=edges[1:])
    present = np.array([text is not None for text in texts], np.bool_)
    validity = None if present.all() else bitmap(present)
    return pa.StringArray.from_buffers(len(texts), _buffer(edges), _buffer(b"".join(encoded)), validity)


def binaries(texts: Sequence[bytes]) -> pa.BinaryArray:
    """A binary array of these texts."""
    edges = np.zeros(len(texts) + 1, np.int32)
    np.cumsum([len(text) for text in texts], out=edges[1:])
    return spans(np.frombuffer(b"".join(texts), np.uint8), edges)


def spans(data: NDArray[np.uint8], edges: NDArray[np.int32]) -> pa.BinaryArray:
    """A binary array over this memory: what lies between each edge and the next."""
    return pa.BinaryArray.from_buffers(pa.binary(), len(edges) - 1, [None, _buffer(edges), _buffer(data)])


def windows(data: bytes | NDArray[np.uint8], width: int, first: int = 0) -> NDArray[np.void]:
    """The ``width`` bytes from each place on, ``first`` and all behind it, as one item each: numpy gathers wide items
    at any offset as fast as a single byte, and eight times as fast as words that are numbers.
    """
    return np.ndarray((max(len(data) - first - width + 1, 0),), f"V{width}", data, first, (1,))


class Spans:
    """Texts that lie in the same bytes, in the order of their places."""

    def __init__(self, data: bytes, first: int) -> None:
        """``first``: where the first of them may start; the last ends less than 2 GiB behind."""
        self.data, self.first = data, first
        self._buffer = pa.py_buffer(data).slice(first)
        self._every_second = from_values(np.empty(0, np.int32), pa.int32())

    def edges(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int32]:
        """Of each text a row for ``gathered``."""
        edges = np.empty((len(starts), 2), np.int32)
        np.subtract(starts, self.first, out=edges[:, 0], casting="same_kind")
        np.subtract(ends, self.first, out=edges[:, 1], casting="same_kind")
        return edges

    def gathered(self, edges: NDArray[np.int32]) -> pa.StringArray:
        """A copy of the texts. It is made by numpy where all have one size, in half the time; else by Arrow, for which
        what lies between two texts is a text too.
        """
        if not len(edges):
            return pa.nulls(0, pa.string())
        sizes = edges[:, 1] - edges[:, 0]
        size = int(sizes[0])
        if size and (sizes == size).all():
            every = windows(self.data, size, self.first)
            ends = np.arange(0, len(edges) * size + 1, size, dtype=np.int32)
            return pa.StringArray.from_buffers(len(edges), _buffer(ends), _buffer(every[edges[:, 0]].view(np.uint8)))
        if len(self._every_second) != len(edges):
            self._every_second = from_values(np.arange(0, edges.size, 2, dtype=np.int32), pa.int32())
        lying = pa.Array.from_buffers(pa.string(), edges.size - 1, [None, _buffer(edges), self._buffer])
        return cast("pa.StringArray", pc.take(lying, self._every_second, boundscheck=False))


def laid_out(data: bytes, starts: NDArray[np.int64], kept: Mask | None) -> pa.Buffer:
    """The bytes of those pieces of ``data`` that are ``kept`` (None: of all, and then without a copy), one after the
    other; ``starts``: where each starts, and at last where they end.
    """
    first, last = int(starts[0]), int(starts[-1])
    whole = pa.py_buffer(data).slice(first, last - first)
    if kept is None:
        return whole
    pieces = spans(_view(whole, np.uint8), (starts - first).astype(np.int32))
    edges, taken = offsets(chosen := pieces.filter(booleans(kept))), chosen.buffers()[2]
    return pa.py_buffer(b"") if taken is None else taken.slice(int(edges[0]), int(edges[-1] - edges[0]))


def with_only(texts: pa.StringArray, kept: Mask) -> pa.StringArray:
    """The same texts, null wherever ``kept`` is False: a new bitmap over the old bytes."""
    if len(texts) == 0:
        return texts
    kept = kept if texts.null_count == 0 else kept & valid(texts)
    edges = _offset_buffer(texts).slice(4 * texts.offset, 4 * (len(texts) + 1))
    return pa.StringArray.from_buffers(len(texts), edges, texts.buffers()[2] or _buffer(b""), bitmap(kept))


def values_of(array: ArrowArray, dtype: Any) -> NDArray[Any]:
    """The values of a fixed-width array as a numpy view of ``dtype``; anything may stand under a null."""
    buffer = array.buffers()[1]
    if buffer is None or len(array) == 0:
        return np.zeros(len(array), dtype)
    return _view(buffer, dtype, count=len(array), offset=array.offset * np.dtype(dtype).itemsize)


def from_values(values: NDArray[Any], arrow_type: pa.DataType, kept: Mask | None = None) -> ArrowArray:
    """A fixed-width array over a numpy array's memory, null wherever ``kept`` is False."""
    validity = None if kept is None or kept.all() else bitmap(kept)
    return pa.Array.from_buffers(arrow_type, len(values), [validity, _buffer(np.ascontiguousarray(values))])


def scalar(value: float) -> pa.Scalar[Any]:
    """A float64, as kernels take it."""
    return from_values(np.array([value], np.float64), pa.float64())[0]


def shown(kind: pa.DataType) -> str:
    """A type as messages show it: a structure without its fields, whose names may be cells (a dictionary's keys)."""
    types = pa.types
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return f"list<{shown(kind.value_type)}>"
    return str(kind).partition("<")[0] if types.is_nested(kind) else str(kind)


def empty_table(schema: pa.Schema) -> pa.Table:
    """A table of this schema without rows."""
    return pa.Table.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)


def in_order(keys: Sequence[NDArray[np.int64]]) -> ArrowArray:
    """What ``take`` wants to bring arrays that were laid end to end into the order of their entries' keys."""
    return from_values(np.argsort(np.concatenate(keys), kind="stable"), pa.int64())


def whole(column: ArrowArray | pa.ChunkedArray) -> ArrowArray:
    """The column as one array; the very chunk where there is one, of which ``combine_chunks`` makes a copy."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def distinct(values: NDArray[Number]) -> NDArray[Number]:
    """Each value once, ascending; ``np.unique`` imports ``numpy.ma`` for that, which takes 7 ms."""
    ordered = np.sort(values)
    return np.concatenate((ordered[:1], ordered[1:][ordered[1:] != ordered[:-1]]))


def retyped(array: ArrowArray, arrow_type: pa.DataType) -> ArrowArray:
    """The same memory under another type of the same width."""
    return pa.Array.from_buffers(arrow_type, len(array), array.buffers(), array.null_count, array.offset)
