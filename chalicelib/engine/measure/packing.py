"""Partial results as bytes: named arrays and a JSON document in one Arrow IPC stream.

Each array is one list cell of a single-row record batch, so arrays of different lengths and every Arrow type travel
together, and the bytes mean the same to every version of Python.
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
import pyarrow as pa

from chalicelib.engine.measure.columns import combined, from_numpy

_META: Final = b"sluice"
VERSION: Final = 1


def pack(meta: Any, arrays: dict[str, Any]) -> bytes:
    """``meta``: JSON; ``arrays``: Arrow arrays, or numpy arrays of int64, uint64, float64."""
    cells = [_cell(array) for array in arrays.values()]
    fields = [pa.field(name, cell.type) for name, cell in zip(arrays, cells, strict=True)]
    document = json.dumps({"version": VERSION, "meta": meta}).encode()
    batch = pa.record_batch(cells, schema=pa.schema(fields, metadata={_META: document}))
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def unpack(data: bytes) -> tuple[Any, dict[str, Any]]:
    """What ``pack`` was given, all arrays as Arrow arrays. Errors: ``ValueError`` where the bytes are no such pack."""
    try:
        table = pa.ipc.open_stream(data).read_all()
        document = json.loads(table.schema.metadata[_META])
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a partial result: {error}") from error
    if document["version"] != VERSION:
        raise ValueError(f"partial result of version {document['version']}, expected {VERSION}")
    arrays = {name: combined(table.column(name)).flatten() for name in table.column_names}
    return document["meta"], arrays


def _cell(array: Any) -> Any:
    values = from_numpy(array) if isinstance(array, np.ndarray) else array
    return pa.ListArray.from_arrays(from_numpy(np.array([0, len(values)], np.int32)), values)
