"""The contract as SQL, for both duckdb peers."""

from __future__ import annotations

import os

import duckdb

from benchmarks.peers.task import Field, Task

TYPES = {"integer": "BIGINT", "number": "DOUBLE", "datetime": "TIMESTAMP"}
AMOUNT = "quantity * unit_price * (1 - coalesce(discount, 0)) AS amount"


def connect() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": len(os.sched_getaffinity(0))})


def scan(task: Task) -> str:
    """Every cell as text, null where it is empty."""
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in task.names)
    return (
        f"read_csv({literal(task.file)}, header = true, auto_detect = false, delim = ',', quote = '\"', escape = '\"', "
        f"new_line = '\\n', max_line_size = 1048576, columns = {{{columns}}})"
    )


def typed(task: Task) -> str:
    """The columns, in their types: null where a cell cannot be read."""
    return ", ".join(
        name(field) if field.type == "string" else f"try_cast({name(field)} AS {TYPES[field.type]}) AS {name(field)}"
        for field in task.fields
    )


def wrong(field: Field) -> str:
    """Whether a cell breaks its field's rules: true, false or null (which is false)."""
    text, value = name(field), name(field)
    if field.type != "string":
        value = f"try_cast({text} AS {TYPES[field.type]})"
    rules = []
    if field.required:
        rules.append(f"{value} IS NULL")
    elif field.type != "string":
        rules.append(f"({value} IS NULL AND {text} IS NOT NULL)")
    if field.type == "integer":  # which try_cast would round; quicker than a regular expression
        rules.append(f"contains({text}, '.')")
    if field.minimum is not None:
        rules.append(f"{value} < {field.minimum}")
    if field.maximum is not None:
        rules.append(f"{value} > {field.maximum}")
    if field.enum is not None:
        rules.append(f"{text} NOT IN ({', '.join(map(literal, field.enum))})")
    if field.pattern is not None:
        rules.append(f"NOT regexp_full_match({text}, {literal(field.pattern)})")
    if field.max_length is not None:
        rules.append(f"length({text}) > {field.max_length}")
    return f"({' OR '.join(rules)})"


def failing(task: Task) -> list[Field]:
    return [field for field in task.fields if field.can_fail]


def reasons(task: Task) -> str:
    """The names of the fields that are wrong, joined; empty where none is."""
    names = ", ".join(f"CASE WHEN {wrong(field)} THEN {literal(field.name)} END" for field in failing(task))
    return f"concat_ws(';', {names})"


def name(field: Field) -> str:
    return '"' + field.name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
