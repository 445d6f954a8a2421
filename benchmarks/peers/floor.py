"""No peer but the floor: the file parsed to texts, and what a peer delivered written once more. Nothing is checked.

    python -m benchmarks.peers.floor FILE CONTRACT FOLDER PARQUET

One thread. PARQUET holds the valid rows. Prints, as JSON, the CPU seconds of each half and of the imports.
"""

from __future__ import annotations

import json
import sys
import time

BEFORE = time.process_time()

import pyarrow as pa  # noqa: E402
import pyarrow.csv as pacsv  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from benchmarks.peers.task import task  # noqa: E402

BLOCK_BYTES = 1 << 20
ROW_GROUP = 160_000
FEW = 256
"""A column with fewer different values gains from a dictionary; statistics are kept of columns that are no texts."""


def parse(file: str, names: list[str]) -> float:
    """CPU seconds of reading every cell as text."""
    start = time.process_time()
    texts = dict.fromkeys(names, pa.string())
    for _ in pacsv.open_csv(
        file,
        pacsv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
        pacsv.ParseOptions(newlines_in_values=True),
        pacsv.ConvertOptions(column_types=texts, strings_can_be_null=False, check_utf8=False),
    ):
        pass
    return time.process_time() - start


def write(source: str, target: str) -> float:
    """CPU seconds of writing the rows of one Parquet file to another: reading them is not counted."""
    rows = pq.ParquetFile(source)
    first = next(rows.iter_batches(batch_size=4096))
    few = [name for name in first.schema.names if len(first.column(name).unique()) < FEW]
    seconds = 0.0
    numbers = [field.name for field in first.schema if not pa.types.is_string(field.type)]
    with pq.ParquetWriter(target, rows.schema_arrow, use_dictionary=few, write_statistics=numbers) as writer:
        for batch in rows.iter_batches(batch_size=ROW_GROUP, use_threads=False):
            start = time.process_time()
            writer.write_batch(batch)
            seconds += time.process_time() - start
    return seconds


def main() -> None:
    given = task()
    pa.set_cpu_count(1)
    imported = time.process_time() - BEFORE
    took = {
        "import": imported,
        "parse": parse(given.file, given.names),
        "write": write(sys.argv[4], given.path("data.parquet")),
    }
    print(json.dumps(took))


if __name__ == "__main__":
    main()
