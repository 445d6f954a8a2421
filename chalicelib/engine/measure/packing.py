"""Partial results as bytes: named arrays and a JSON document in one Arrow IPC stream.

Arrays of one type lie end to end in one list cell of a single-row record batch, so arrays of different lengths and
every Arrow type travel together, a thousand of them cost little more than one, and the bytes mean the same to every
version of Python. So few bytes are compressed in less time than it takes to hand them to Arrow's threads.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any, Final

import numpy as np
import pyarrow as pa

from chalicelib.engine import hashing
from chalicelib.engine.arrays import whole
from chalicelib.engine.measure.canonical import from_numpy

_META: Final = b"sluice"
VERSION: Final = f"4, hashes {hashing.VERSION}"

Packed = tuple[Any, dict[str, Any]]
"""What a part of a partial result is made of: JSON, and named arrays. ``pack`` takes it of the whole."""


def pack(meta: Any, arrays: dict[str, Any]) -> bytes:
    """``meta``: JSON; ``arrays``: Arrow arrays, or numpy arrays of int64, uint64, float64."""
    by_type: dict[Any, dict[str, Any]] = defaultdict(dict)
    for name, array in arrays.items():
        values = from_numpy(array) if isinstance(array, np.ndarray) else array
        by_type[values.type][name] = values
    cells = [_cell(pa.concat_arrays(list(held.values()))) for held in by_type.values()]
    # By place and not by type: a type's own text does not tell all of it.
    where = [[[name, len(values)] for name, values in held.items()] for held in by_type.values()]
    fields = [pa.field(str(place), cell.type) for place, cell in enumerate(cells)]
    document = json.dumps({"version": VERSION, "meta": meta, "arrays": where}).encode()
    batch = pa.record_batch(cells, schema=pa.schema(fields, metadata={_META: document}))
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def unpack(data: bytes) -> tuple[Any, dict[str, Any]]:
    """What ``pack`` was given, all arrays as Arrow arrays. Errors: ``ValueError`` where the bytes are no such pack."""
    try:
        table = pa.ipc.open_stream(data, options=pa.ipc.IpcReadOptions(use_threads=False)).read_all()
        document = json.loads(table.schema.metadata[_META])
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a partial result: {error}") from error
    if document["version"] != VERSION:
        raise ValueError(f"partial result of version {document['version']}, expected {VERSION}")
    arrays: dict[str, Any] = {}
    for place, held in enumerate(document["arrays"]):
        together = whole(table.column(place)).flatten()
        start = 0
        for name, length in held:
            arrays[name] = together.slice(start, length)
            start += length
    return document["meta"], arrays


def _cell(values: Any) -> Any:
    return pa.ListArray.from_arrays(from_numpy(np.array([0, len(values)], np.int32)), values)
