"""duckdb, two scans of the file: one for the valid rows, one for the rejected ones; nothing is held in memory."""

from __future__ import annotations

from benchmarks.peers import duckdb_rules as rules
from benchmarks.peers.task import task


def main() -> None:
    given = task()
    database = rules.connect()
    bad = " OR ".join(rules.wrong(field) for field in rules.failing(given))
    parquet = rules.literal(given.path("data.parquet"))
    keys = ", ".join(given.keys)
    valid = f"SELECT {rules.typed(given)} FROM {rules.scan(given)} WHERE ({bad}) IS NOT TRUE"
    numbered = f"SELECT row_number() OVER () AS record, * FROM {rules.scan(given)}"
    for query, file, options in [
        (f"SELECT *, {rules.AMOUNT} FROM ({valid})", "data.parquet", "FORMAT parquet, COMPRESSION snappy"),
        (f"SELECT {keys}, count(*), sum(amount) FROM {parquet} GROUP BY {keys}", "groups.csv", "HEADER"),
        (f"SELECT record, {rules.reasons(given)} AS fields FROM ({numbered}) WHERE {bad}", "rejects.csv", "HEADER"),
    ]:
        database.execute(f"COPY ({query}) TO {rules.literal(given.path(file))} ({options})")


if __name__ == "__main__":
    main()
