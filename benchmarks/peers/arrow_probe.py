"""The limit as far as it is known: the task written by hand in pyarrow and numpy, one worker thread per core.

It does what the task asks and nothing that Sluice adds to it (raw text, line and byte of a reject, ledger, profiles,
report). Text-first parse in blocks of 4 MB cut at record boundaries; a column is cast whole, and only where that fails
are the bad cells looked for, by a regular expression; ``index_in`` on an enum gives validity, dictionary codes and
group key at once; masks in numpy; aggregates by ``bincount``; Parquet dictionaries and statistics only where they gain.
"""

from __future__ import annotations

import csv
import os
import queue
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from benchmarks.peers.task import Field, Task, task

BLOCK_BYTES = 4 << 20
SLICE_ROWS = 256
TYPES = {"integer": pa.int64(), "number": pa.float64(), "datetime": pa.timestamp("s", "UTC"), "string": pa.string()}
TEXTS = {
    "integer": r"^[+-]?[0-9]{1,18}$",
    "number": r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$",
    "datetime": r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$",
}


class NoPandas:
    """``pa.array`` and ``pa.scalar`` import pandas wherever it is installed, which takes 0.2 s or more."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ImportError(name)


@dataclass
class Column:
    values: Any
    wrong: Any
    """Flags in numpy, or None where no cell is."""


@dataclass
class Block:
    rows: int
    valid: pa.RecordBatch
    rejects: list[tuple[int, str]]
    groups: dict[tuple[Any, Any], tuple[int, float]]


def blocks(file: str) -> Iterator[bytes]:
    """The file after its header, cut where a line ends outside quotes."""
    with open(file, "rb") as source:
        source.readline()
        rest = b""
        while data := source.read(BLOCK_BYTES):
            data = rest + data
            end = _last_record_end(data)
            rest = data[end:]
            yield data[:end]
        if rest:
            yield rest


def _last_record_end(data: bytes) -> int:
    """A line feed with an even number of quotes before it (the quotes of this task are well formed)."""
    end, quotes = len(data), data.count(b'"')
    while True:
        at = data.rfind(b"\n", 0, end)
        quotes -= data.count(b'"', at, end)
        if quotes % 2 == 0:
            return at + 1
        end = at


def read(data: bytes, given: Task) -> pa.Table:
    quoted = b'"' in data  # where there are no quotes, Arrow need not look for line feeds between them
    return pacsv.read_csv(
        pa.BufferReader(data),
        pacsv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=given.names),
        pacsv.ParseOptions(quote_char='"' if quoted else False, newlines_in_values=quoted),
        pacsv.ConvertOptions(
            column_types=dict.fromkeys(given.names, pa.string()), strings_can_be_null=False, check_utf8=False
        ),
    ).combine_chunks()


def check(field: Field, text: pa.Array) -> Column:
    if field.enum is not None:
        codes = pc.index_in(text, pa.array(field.enum))
        wrong = _flags(pc.is_null(codes)) if codes.null_count else None
        if wrong is not None and not field.required:
            wrong &= ~_flags(pc.equal(text, ""))
        return Column(pa.DictionaryArray.from_arrays(codes, pa.array(field.enum)), _some(wrong))
    if field.type == "string":
        return Column(text, _some(_wrong_text(field, text)))
    return _checked_value(field, text)


def _wrong_text(field: Field, text: pa.Array) -> Any:
    wrong = None
    if field.pattern is not None:
        wrong = ~_flags(pc.match_substring_regex(text, f"^(?:{field.pattern})$"))
    if field.max_length is not None:
        long = _flags(pc.greater(pc.utf8_length(text), field.max_length))
        wrong = long if wrong is None else wrong | long
    empty = _flags(pc.equal(text, "")) if field.required or wrong is not None else None
    if field.required:
        return empty if wrong is None else wrong | empty
    return None if wrong is None else wrong & ~empty


def _checked_value(field: Field, text: pa.Array) -> Column:
    wrong = None
    if not field.required or not _all_filled(text):
        empty = pc.equal(text, "")
        wrong = _flags(empty) if field.required else None
        text = pc.if_else(empty, pa.scalar(None, pa.string()), text)
    values = _cast(field, text)
    if values is None:
        unread = _unread(field, text)
        text = pc.if_else(pa.array(unread), pa.scalar(None, pa.string()), text)
        values, wrong = _cast(field, text), unread if wrong is None else wrong | unread
    bounds = [pc.less(values, field.minimum)] if field.minimum is not None else []
    bounds += [pc.greater(values, field.maximum)] if field.maximum is not None else []
    for outside in bounds:
        if pc.any(outside).as_py():
            wrong = _flags(outside) if wrong is None else wrong | _flags(outside)
    return Column(values, _some(wrong))


def _cast(field: Field, text: pa.Array) -> pa.Array | None:
    try:
        return text.cast(TYPES[field.type])
    except pa.ArrowInvalid:
        return None


def _unread(field: Field, text: pa.Array) -> Any:
    """Flags of the texts that are not of the field's type. The regular expression sees only slices that hold one."""
    flags = np.zeros(len(text), np.bool_)
    for start in range(0, len(text), SLICE_ROWS):
        some = text.slice(start, SLICE_ROWS)
        if _cast(field, some) is None:
            flags[start : start + SLICE_ROWS] = ~_flags(
                pc.fill_null(pc.match_substring_regex(some, TEXTS[field.type]), True)
            )
    return flags


def _all_filled(text: pa.Array) -> bool:
    return bool(pc.min(pc.binary_length(text)).as_py())


def _flags(array: pa.Array) -> Any:
    return pc.fill_null(array, False).to_numpy(zero_copy_only=False)


def _some(flags: Any) -> Any:
    return flags if flags is not None and flags.any() else None


def process(data: bytes, given: Task) -> Block:
    """Rejects have the row's number in the block, from 0."""
    table = read(data, given)
    columns = {field.name: check(field, table.column(field.name).chunk(0)) for field in given.fields}
    wrong = {name: column.wrong for name, column in columns.items() if column.wrong is not None}
    batch = pa.record_batch({name: column.values for name, column in columns.items()})
    rejects: list[tuple[int, str]] = []
    if wrong:
        bad = np.logical_or.reduce(list(wrong.values()))
        rejects = [
            (int(row), ";".join(name for name, flags in wrong.items() if flags[row])) for row in np.flatnonzero(bad)
        ]
        batch = batch.filter(pa.array(~bad))
    quantity, price, discount = (_doubles(batch.column(name)) for name in ("quantity", "unit_price", "discount"))
    amount = quantity * price * (1 - discount)
    batch = batch.append_column("amount", pa.array(amount))
    return Block(table.num_rows, batch, rejects, group([batch.column(key) for key in given.keys], amount))


def _doubles(values: pa.Array) -> Any:
    if values.null_count:
        values = values.fill_null(0)
    return values.to_numpy(zero_copy_only=False).astype(np.float64)


def group(keys: list[pa.Array], amount: Any) -> dict[tuple[Any, Any], tuple[int, float]]:
    first, second = (key if pa.types.is_dictionary(key.type) else key.dictionary_encode() for key in keys)
    width = len(second.dictionary)
    codes = first.indices.to_numpy() * width + second.indices.to_numpy()
    counts, sums = np.bincount(codes), np.bincount(codes, amount)
    one, two = first.dictionary.to_pylist(), second.dictionary.to_pylist()
    return {
        (one[code // width], two[code % width]): (int(counts[code]), float(sums[code]))
        for code in np.flatnonzero(counts).tolist()
    }


class Output:
    """Writes the blocks in the file's order, whoever of the threads has the next one."""

    def __init__(self, given: Task) -> None:
        self._given = given
        self._writer: pq.ParquetWriter | None = None
        self._rejects = open(given.path("rejects.csv"), "w", newline="")  # noqa: SIM115
        self._csv = csv.writer(self._rejects)
        self._csv.writerow(["record", "fields"])
        self._groups: dict[tuple[Any, Any], tuple[int, float]] = {}
        self._read = 0

    def add(self, block: Block) -> None:
        if self._writer is None:
            few = [each.name for each in block.valid.schema if self._has_few_values(block.valid, each)]
            self._writer = pq.ParquetWriter(
                self._given.path("data.parquet"),
                block.valid.schema,
                compression="snappy",
                use_dictionary=few,
                write_statistics=[each.name for each in block.valid.schema if not pa.types.is_string(each.type)],
            )
        self._writer.write_batch(block.valid)
        self._csv.writerows((self._read + 1 + row, fields) for row, fields in block.rejects)
        self._read += block.rows
        for keys, (count, total) in block.groups.items():
            before = self._groups.get(keys, (0, 0.0))
            self._groups[keys] = before[0] + count, before[1] + total

    def _has_few_values(self, batch: pa.RecordBatch, each: pa.Field) -> bool:
        values = batch.column(each.name)
        return pa.types.is_dictionary(each.type) or len(values.slice(0, 4096).unique()) < 256

    def close(self) -> None:
        assert self._writer is not None
        self._writer.close()
        self._rejects.close()
        with open(self._given.path("groups.csv"), "w", newline="") as text:
            csv.writer(text).writerows([[*self._given.keys, "count", "sum"]])
            csv.writer(text).writerows([*keys, *found] for keys, found in self._groups.items())


def main() -> None:
    sys.meta_path.insert(0, NoPandas())
    given = task()
    cores = len(os.sched_getaffinity(0))
    pa.set_cpu_count(1)
    output = Output(given)
    waiting: queue.Queue[Future[Block] | None] = queue.Queue(maxsize=2 * cores)

    def write() -> None:
        while (block := waiting.get()) is not None:
            output.add(block.result())

    if cores == 1:
        for data in blocks(given.file):
            output.add(process(data, given))
    else:
        writer = threading.Thread(target=write)
        writer.start()
        with ThreadPoolExecutor(cores) as workers:
            for data in blocks(given.file):
                waiting.put(workers.submit(process, data, given))
        waiting.put(None)
        writer.join()
    output.close()


if __name__ == "__main__":
    main()
