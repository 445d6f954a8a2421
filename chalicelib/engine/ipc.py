"""Tables as bytes for other workers and later steps: Arrow IPC files, compressed."""

from __future__ import annotations

import io

import pyarrow as pa


def dump(table: pa.Table) -> bytes:
    """The same bytes for the same table: they may be named by their content."""
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return sink.getvalue()


def load(body: bytes) -> pa.Table:
    """What ``dump`` was given."""
    return pa.ipc.open_file(pa.py_buffer(body)).read_all()
