"""Rows as JSON to Lambda: what a worker does behind Distributed Map's own CSV reader, here without the network.

Step Functions hands each invocation a batch of at most 256 KiB: an array of objects, one a row, every cell a string
(https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html). The worker reads the JSON, checks
with pandas and writes its part. Making the batches is the service's work and not counted: what is printed, as JSON, is
the number of invocations and the CPU seconds of the handler alone.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.peers import pandas_rules as rules
from benchmarks.peers.task import Task, task

BATCH_BYTES = 256 * 1024
ENVELOPE = '{{"BatchInput":{{"first":{}}},"Items":[{}]}}'


def batches(file: str) -> Iterator[str]:
    """The events, as JSON texts."""
    with open(file, newline="", encoding="utf-8") as text:
        first, items, size = 0, list[str](), 64
        for row in csv.DictReader(text):
            item = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
            item_bytes = len(item.encode()) + 1
            if size + item_bytes > BATCH_BYTES:
                yield ENVELOPE.format(first, ",".join(items))
                first, items, size = first + len(items), [], 64
            items.append(item)
            size += item_bytes
        if items:
            yield ENVELOPE.format(first, ",".join(items))


def handler(text: str, given: Task) -> tuple[pd.Series, pd.DataFrame]:
    event: dict[str, Any] = json.loads(text)
    first = event["BatchInput"]["first"]
    frame = pd.DataFrame(event["Items"]).astype(rules.TEXT)
    typed, flags = rules.check(frame.where(frame != ""), given)
    flags.index += first
    valid = rules.with_amount(typed[~flags.any(axis=1).to_numpy()])
    valid.to_parquet(given.path(f"data/part-{first:010}.parquet"), compression="snappy", index=False)
    return rules.reasons(flags), rules.groups(valid, given)


def main() -> None:
    given = task()
    Path(given.path("data")).mkdir()
    rejects, groups, spent = [], [], 0.0
    for batch in batches(given.file):
        start = time.process_time()
        fields, found = handler(batch, given)
        spent += time.process_time() - start
        rejects.append(pd.DataFrame({"record": fields.index + 1, "fields": fields}))
        groups.append(found)
    pd.concat(rejects).to_csv(given.path("rejects.csv"), index=False)
    pd.concat(groups).groupby(given.keys).sum().reset_index().to_csv(given.path("groups.csv"), index=False)
    print(json.dumps({"invocations": len(groups), "cpu_seconds": spent}))


if __name__ == "__main__":
    main()
