"""The contract as polars expressions, for the streaming and the eager peer."""

from __future__ import annotations

import polars as pl

from benchmarks.peers.task import Field, Task

TYPES = {"integer": pl.Int64, "number": pl.Float64}
MOMENT = "%Y-%m-%dT%H:%M:%SZ"
AMOUNT = (pl.col("quantity") * pl.col("unit_price") * (1 - pl.col("discount").fill_null(0))).alias("amount")


def scan(task: Task) -> pl.LazyFrame:
    """Every cell as text; a column for the record's number. By default ``""`` would be a text, and nothing a null."""
    return pl.scan_csv(
        task.file,
        schema=dict.fromkeys(task.names, pl.String),
        empty_string_is_null=False,
        row_index_name="record",
        row_index_offset=1,
    )


def checked(frame: pl.LazyFrame, task: Task) -> pl.LazyFrame:
    """Typed columns, a flag ``!name`` per field that can be wrong, and ``bad`` where any is."""
    failing = [field for field in task.fields if field.can_fail]
    flags = {f"!{field.name}": _wrong(field) for field in failing}
    return (
        frame.with_columns(typed(field).alias(f"={field.name}") for field in task.fields if field.type != "string")
        .with_columns(**flags)
        .with_columns(bad=pl.any_horizontal(*flags))
    )


def valid(frame: pl.LazyFrame, task: Task) -> pl.LazyFrame:
    columns = [
        pl.col(field.name) if field.type == "string" else pl.col(f"={field.name}").alias(field.name)
        for field in task.fields
    ]
    return frame.filter(~pl.col("bad")).select(columns).with_columns(AMOUNT)


def rejects(frame: pl.LazyFrame, task: Task) -> pl.LazyFrame:
    names = [pl.when(pl.col(f"!{field.name}")).then(pl.lit(field.name)) for field in task.fields if field.can_fail]
    return frame.filter(pl.col("bad")).select("record", fields=pl.concat_str(names, separator=";", ignore_nulls=True))


def groups(frame: pl.LazyFrame, task: Task) -> pl.LazyFrame:
    return frame.group_by(task.keys).agg(pl.len().alias("count"), pl.col("amount").sum().alias("sum"))


def typed(field: Field) -> pl.Expr:
    text = pl.col(field.name)
    if field.type == "datetime":
        return text.str.to_datetime(MOMENT, strict=False)
    return text.cast(TYPES[field.type], strict=False)


def _wrong(field: Field) -> pl.Expr:
    text = pl.col(field.name)
    value = text if field.type == "string" else pl.col(f"={field.name}")
    rules = []
    if field.minimum is not None:
        rules.append(value < field.minimum)
    if field.maximum is not None:
        rules.append(value > field.maximum)
    if field.enum is not None:
        rules.append(~text.is_in(field.enum))
    if field.pattern is not None:
        rules.append(~text.str.contains(f"^(?:{field.pattern})$"))
    if field.max_length is not None:
        rules.append(text.str.len_chars() > field.max_length)
    if field.type == "string":
        return _any([*rules, text == ""] if field.required else [(text != "") & _any(rules)])
    unread = value.is_null() if field.required else value.is_null() & (text != "")
    return _any([unread, *rules]).fill_null(False)


def _any(rules: list[pl.Expr]) -> pl.Expr:
    wrong = rules[0]
    for rule in rules[1:]:
        wrong = wrong | rule
    return wrong
