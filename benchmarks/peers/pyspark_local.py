"""PySpark on one machine, in SQL functions only: no row passes through Python."""

from __future__ import annotations

import csv
import os
from functools import reduce
from itertools import accumulate
from operator import or_
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.peers.task import Field, Task, task

MOMENT = "yyyy-MM-dd'T'HH:mm:ssX"
TYPES = {"integer": "bigint", "number": "double"}
PARTITION_BITS = 33
"""``monotonically_increasing_id`` is the partition's number above these bits, the row's number in it below."""


def session() -> SparkSession:
    cores = len(os.sched_getaffinity(0))
    return (
        SparkSession.builder.master(f"local[{cores}]")
        .config("spark.ui.enabled", False)
        .config("spark.driver.memory", "4g")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        .config("spark.sql.shuffle.partitions", cores)
        .config("spark.sql.ansi.enabled", False)
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )


def read(spark: SparkSession, given: Task) -> DataFrame:
    """Every cell as text. Line feeds in quotes cost Spark its partitions: it hears of them where there are quotes."""
    schema = ", ".join(f"`{name}` string" for name in given.names)
    options = {"header": True, "quote": '"', "escape": '"', "multiLine": given.has_quotes, "mode": "PERMISSIVE"}
    return spark.read.csv(given.file, schema=schema, **options)


def typed(field: Field) -> Column:
    text = F.col(field.name)
    if field.type == "datetime":
        return F.try_to_timestamp(text, F.lit(MOMENT))
    return text if field.type == "string" else text.try_cast(TYPES[field.type])


def wrong(field: Field) -> Column:
    text, value = F.col(field.name), typed(field)
    rules = [value.isNull() if field.required else value.isNull() & text.isNotNull()]
    if field.type == "integer":  # a cast would round
        rules.append(~text.rlike("^[+-]?[0-9]+$"))
    if field.minimum is not None:
        rules.append(value < field.minimum)
    if field.maximum is not None:
        rules.append(value > field.maximum)
    if field.enum is not None:
        rules.append(~text.isin(field.enum))
    if field.pattern is not None:
        rules.append(~text.rlike(f"^(?:{field.pattern})$"))
    if field.max_length is not None:
        rules.append(F.length(text) > field.max_length)
    return F.coalesce(reduce(or_, (F.coalesce(rule, F.lit(False)) for rule in rules)), F.lit(False))


def main() -> None:
    given = task()
    spark = session()
    texts = read(spark, given)
    failing = [field for field in given.fields if field.can_fail]
    names = F.concat_ws(";", *(F.when(wrong(field), F.lit(field.name)) for field in failing))
    checked = texts.withColumn("record", F.monotonically_increasing_id()).withColumn("fields", names)
    amount = F.col("quantity") * F.col("unit_price") * (1 - F.coalesce(F.col("discount"), F.lit(0.0)))
    valid = (
        checked.where("fields = ''")
        .select(*(typed(field).alias(field.name) for field in given.fields))
        .withColumn("amount", amount)
    )
    valid.write.parquet(given.path("data"), compression="snappy")
    groups = spark.read.parquet(given.path("data")).groupBy(given.keys).agg(F.count("*"), F.sum("amount")).collect()
    _save(Path(given.path("groups.csv")), [*given.keys, "count", "sum"], groups)
    rejects = checked.where("fields <> ''").select("record", "fields").collect()
    before = _rows_before(texts)
    numbered = [
        (before[number >> PARTITION_BITS] + (number & (1 << PARTITION_BITS) - 1) + 1, names)
        for number, names in rejects
    ]
    _save(Path(given.path("rejects.csv")), ["record", "fields"], numbered)
    spark.stop()


def _rows_before(texts: DataFrame) -> list[int]:
    """Of each partition, the rows in those before it."""
    counts = dict(texts.groupBy(F.spark_partition_id()).count().collect())
    return [0, *accumulate(counts.get(number, 0) for number in range(max(counts) + 1))]


def _save(file: Path, header: list[str], rows: list[tuple[object, ...]]) -> None:
    with open(file, "w", newline="") as text:
        csv.writer(text).writerows([header, *rows])


if __name__ == "__main__":
    main()
