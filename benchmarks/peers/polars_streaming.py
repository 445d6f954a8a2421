"""polars, streaming: one scan feeds the three outputs."""

from __future__ import annotations

import polars as pl

from benchmarks.peers import polars_rules as rules
from benchmarks.peers.task import task


def main() -> None:
    given = task()
    checked = rules.checked(rules.scan(given), given)
    valid = rules.valid(checked, given)
    pl.collect_all(
        [
            rules.rejects(checked, given).sink_csv(given.path("rejects.csv"), lazy=True),
            rules.groups(valid, given).sink_csv(given.path("groups.csv"), lazy=True),
            valid.sink_parquet(given.path("data.parquet"), compression="snappy", lazy=True),
        ],
        engine="streaming",
    )


if __name__ == "__main__":
    main()
