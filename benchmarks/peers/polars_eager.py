"""polars, eager: the whole file in memory, each output from there."""

from __future__ import annotations

from benchmarks.peers import polars_rules as rules
from benchmarks.peers.task import task


def main() -> None:
    given = task()
    checked = rules.checked(rules.scan(given), given).collect(engine="in-memory").lazy()
    rules.rejects(checked, given).collect().write_csv(given.path("rejects.csv"))
    valid = rules.valid(checked, given).collect()
    rules.groups(valid.lazy(), given).collect().write_csv(given.path("groups.csv"))
    valid.write_parquet(given.path("data.parquet"), compression="snappy")


if __name__ == "__main__":
    main()
