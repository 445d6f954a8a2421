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
"""A column with fewer different values gains from a dictionary."""


def main() -> None:
    given = task()
    pa.set_cpu_count(1)
    imported = time.process_time()
    with open(given.file, "rb") as head:
        quoted = b'"' in head.read(BLOCK_BYTES)
    reader = pacsv.open_csv(
        given.file,
        pacsv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
        pacsv.ParseOptions(newlines_in_values=quoted),
        pacsv.ConvertOptions(
            column_types=dict.fromkeys(given.names, pa.string()), strings_can_be_null=False, check_utf8=False
        ),
    )
    for _ in reader:
        pass
    parsed = time.process_time()
    writing = 0.0
    source = pq.ParquetFile(sys.argv[4])
    first = next(source.iter_batches(batch_size=4096))
    few = [each for each in first.schema.names if len(first.column(each).unique()) < FEW]
    with pq.ParquetWriter(given.path("data.parquet"), source.schema_arrow, use_dictionary=few) as writer:
        for batch in source.iter_batches(batch_size=ROW_GROUP, use_threads=False):
            start = time.process_time()
            writer.write_batch(batch)
            writing += time.process_time() - start
    print(json.dumps({"import": imported - BEFORE, "parse": parsed - imported, "write": writing}))


if __name__ == "__main__":
    main()
