"""duckdb, one scan: everything checked into a table, each output from there."""

from __future__ import annotations

from benchmarks.peers import duckdb_rules as rules
from benchmarks.peers.task import task


def main() -> None:
    given = task()
    database = rules.connect()
    database.execute(
        f"CREATE TEMP TABLE checked AS "
        f"SELECT row_number() OVER () AS record, {rules.reasons(given)} AS fields, {rules.typed(given)} "
        f"FROM {rules.scan(given)}"
    )
    valid = f"SELECT * EXCLUDE (record, fields), {rules.AMOUNT} FROM checked WHERE fields = ''"
    keys = ", ".join(given.keys)
    for query, file, options in [
        ("SELECT record, fields FROM checked WHERE fields <> ''", "rejects.csv", "HEADER"),
        (f"SELECT {keys}, count(*), sum(amount) FROM ({valid}) GROUP BY {keys}", "groups.csv", "HEADER"),
        (valid, "data.parquet", "FORMAT parquet, COMPRESSION snappy"),
    ]:
        database.execute(f"COPY ({query}) TO {rules.literal(given.path(file))} ({options})")


if __name__ == "__main__":
    main()
