"""pandera on polars: a lenient cast, then a schema validated lazily; its failure cases are the rejects."""

from __future__ import annotations

import pandera.polars as pa
import polars as pl

from benchmarks.peers import polars_rules as rules
from benchmarks.peers.pandera_rules import checks
from benchmarks.peers.task import Task, task


def failures(typed: pl.DataFrame, given: Task) -> pl.DataFrame:
    """Columns record and field: one row per cell that a check refused."""
    schema = pa.DataFrameSchema(
        {field.name: pa.Column(None, checks(field, pa), nullable=not field.required) for field in given.fields}
    )
    try:
        schema.validate(typed, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        return cases.select(record=pl.col("index").cast(pl.UInt32) + 1, field="column")
    return pl.DataFrame(schema={"record": pl.UInt32, "field": pl.String})


def main() -> None:
    given = task()
    frame = rules.scan(given).with_columns(pl.col(given.names).replace("", None)).collect()
    cast = [rules.typed(field).alias(field.name) for field in given.fields if field.type != "string"]
    typed = frame.with_columns(cast)
    unread = [
        frame.filter(pl.col(field.name).is_not_null() & typed[field.name].is_null()).select(
            "record", field=pl.lit(field.name)
        )
        for field in given.fields
        if field.type != "string" and not field.required
    ]
    found = pl.concat([failures(typed.select(given.names), given), *unread]).unique()
    rejects = found.group_by("record").agg(pl.col("field").str.join(";").alias("fields")).sort("record")
    rejects.write_csv(given.path("rejects.csv"))
    valid = typed.join(rejects, on="record", how="anti").select(given.names).with_columns(rules.AMOUNT)
    rules.groups(valid.lazy(), given).collect().write_csv(given.path("groups.csv"))
    valid.write_parquet(given.path("data.parquet"), compression="snappy")


if __name__ == "__main__":
    main()
