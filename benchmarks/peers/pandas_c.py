"""pandas, with its own CSV reader."""

from __future__ import annotations

import pandas as pd

from benchmarks.peers import pandas_rules as rules
from benchmarks.peers.task import task


def main() -> None:
    given = task()
    rules.write(pd.read_csv(given.file, engine="c", **rules.read_options(given)), given)


if __name__ == "__main__":
    main()
