"""pandas, with Arrow's CSV reader and Arrow-backed columns."""

from __future__ import annotations

import os

import pandas as pd
import pyarrow as pa

from benchmarks.peers import pandas_rules as rules
from benchmarks.peers.task import task


def main() -> None:
    given = task()
    pa.set_cpu_count(len(os.sched_getaffinity(0)))
    rules.write(pd.read_csv(given.file, engine="pyarrow", dtype_backend="pyarrow", **rules.read_options(given)), given)


if __name__ == "__main__":
    main()
