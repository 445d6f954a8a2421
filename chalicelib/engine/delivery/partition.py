"""``sluice.partitionBy``: rows to folders in Hive's style, ``country=US/``, one for each combination of values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.engine import arrays
from chalicelib.engine.measure.canonical import canonical, is_plain
from chalicelib.engine.records.split import Offsets
from chalicelib.errors import Terminal

MAX_PARTITIONS: Final = 1000
"""Most partitions that one chunk may write to: each is a file of its own."""

MAX_FOLDER_BYTES: Final = 800
"""An S3 key has at most 1,024 bytes, those of the job and of the file's name included."""

NULL_PARTITION: Final = "__HIVE_DEFAULT_PARTITION__"
"""Hive's, Athena's and Arrow's name for the partition of rows whose partition column is null."""


def refuse(columns: Sequence[str], partition_by: tuple[str, ...]) -> None:
    """Refuse partition columns that rows of these columns cannot have. Errors: ``Terminal("unknown-column")``,
    ``Terminal("bad-partition")``.
    """
    absent = [name for name in partition_by if name not in columns]
    if absent:
        raise Terminal("unknown-column", f"sluice.partitionBy: the rows have no column {', '.join(absent)}")
    if partition_by and not set(columns) - set(partition_by):
        raise Terminal("bad-partition", "sluice.partitionBy names every column; at least one must remain in the files")


def partitions(table: pa.Table, partition_by: tuple[str, ...]) -> Iterator[tuple[str, pa.Table]]:
    """Each folder with its rows, in their order and without the partition columns; folders in ascending order.

    Errors: as ``refuse``; ``Terminal("too-many-partitions")``; ``Terminal("bad-partition")`` for values that name no
    folder. No message holds a value.
    """
    refuse(table.column_names, partition_by)
    texts = [_texts(table.column(name), name) for name in partition_by]
    rest = table.drop_columns(list(partition_by))
    found = []
    for rows in _groups(texts):
        first = int(rows[0])
        folder = "".join(
            _folder(name, column[first].as_py()) for name, column in zip(partition_by, texts, strict=True)
        )  # fmt: skip
        if len(folder) > MAX_FOLDER_BYTES:
            raise Terminal(
                "bad-partition",
                f"sluice.partitionBy: a folder's name would have {len(folder)} bytes, the limit is {MAX_FOLDER_BYTES}",
            )
        found.append((folder, rows))
    for folder, rows in sorted(found, key=lambda each: each[0]):
        yield folder, rest.take(arrays.from_values(rows, pa.int64()))


def _texts(column: pa.ChunkedArray, name: str) -> pa.StringArray:
    # A transform's texts may be stored in several ways: pandas' own are of 64-bit offsets.
    if not is_plain(canonical(arrays.whole(column)).type):
        raise Terminal("bad-partition", f"sluice.partitionBy: the values of {name} have parts, which name no folder")
    try:
        texts = column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:  # bytes that are no UTF-8, an unknown time zone
        raise Terminal(
            "bad-partition",
            f"sluice.partitionBy: the values of {name}, of type {arrays.shown(column.type)}, have no texts that could"
            " name a folder",
        ) from error
    if pa.types.is_floating(column.type):
        # One zero, as in groups. ``canonical`` would also give floats of 32 bits more digits than they have.
        texts = pc.replace_substring_regex(texts, pattern=r"\A-0\z", replacement="0")
    return texts.combine_chunks()


def _groups(columns: Sequence[pa.StringArray]) -> list[Offsets]:
    """Rows that are alike in every column. Errors: ``Terminal("too-many-partitions")``."""
    codes = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        encoded = column.dictionary_encode()
        places = np.where(arrays.valid(encoded.indices), arrays.values_of(encoded.indices, np.int32), -1)
        # Numbered anew after each column, so that the product of two numbers of rows at most is ever formed.
        _, codes = np.unique(codes * (len(encoded.dictionary) + 1) + places + 1, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    edges = np.flatnonzero(np.diff(codes[order], prepend=-1))
    if len(edges) > MAX_PARTITIONS:
        raise Terminal(
            "too-many-partitions",
            f"sluice.partitionBy gives {len(edges)} partitions in one chunk, the limit is {MAX_PARTITIONS}",
        )
    return np.split(order, edges[1:]) if len(edges) else []


def _folder(name: str, text: str | None) -> str:
    if text == "":
        raise Terminal(
            "bad-partition",
            f"sluice.partitionBy: {name} is an empty text in some row, which Hive cannot tell from null; make it a"
            " missing value",
        )
    if text == NULL_PARTITION:  # the very text, not a null: readers decode it
        return f"{quote(name, safe='')}=%5F{NULL_PARTITION[1:]}/"
    return f"{quote(name, safe='')}={NULL_PARTITION if text is None else quote(text, safe='')}/"


def in_folders(key: str) -> dict[str, str | None]:
    """Column → text, from a file's key, ``…/data/country=US/part-00000.parquet``; None for null."""
    folders = key.rpartition("/data/")[2].split("/")[:-1]
    found = (folder.partition("=") for folder in folders)
    return {unquote(name): None if value == NULL_PARTITION else unquote(value) for name, _, value in found}
