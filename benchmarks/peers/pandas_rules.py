"""The contract on a pandas frame of texts, for the peers that are pandas at heart."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

from benchmarks.peers.task import Field, Task

TEXT = pd.ArrowDtype(pa.string())
TYPES = {"integer": "int64[pyarrow]", "number": "float64[pyarrow]", "datetime": "timestamp[s, tz=UTC][pyarrow]"}
TEXTS = {
    "integer": r"[+-]?[0-9]{1,18}",
    "number": r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?",
    "datetime": r"[0-9]{4}-(?:0[1-9]|1[0-2])-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z",
}
MOMENT = "%Y-%m-%dT%H:%M:%SZ"


def read_options(task: Task) -> dict[str, object]:
    """Every cell as a text kept by Arrow; an empty one is missing, and nothing else is."""
    return {"dtype": dict.fromkeys(task.names, TEXT), "keep_default_na": False, "na_values": [""]}


def check(frame: pd.DataFrame, task: Task) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Typed columns, and a flag per field that can be wrong."""
    typed, flags = {}, {}
    for field in task.fields:
        typed[field.name] = to_type(frame[field.name], field)
        if field.can_fail:
            flags[field.name] = wrong(frame[field.name], typed[field.name], field)
    return pd.DataFrame(typed), pd.DataFrame(flags)


def to_type(text: pd.Series, field: Field) -> pd.Series:
    """Missing where the text cannot be read. Arrow's cast is fast but takes all or nothing; what is bad goes first."""
    if field.type == "string":
        return text
    try:
        return text.astype(TYPES[field.type])
    except pa.ArrowInvalid:
        readable = text.where(text.str.fullmatch(TEXTS[field.type]))
    try:
        return readable.astype(TYPES[field.type])
    except pa.ArrowInvalid:  # a 31 February; one by one is slow
        return pd.to_datetime(readable, format=MOMENT, errors="coerce", utc=True).astype(TYPES[field.type])


def wrong(text: pd.Series, value: pd.Series, field: Field) -> pd.Series:
    flags = value.isna() if field.required else value.isna() & text.notna()
    if field.minimum is not None:
        flags |= (value < field.minimum).fillna(False).astype(bool)
    if field.maximum is not None:
        flags |= (value > field.maximum).fillna(False).astype(bool)
    if field.enum is not None:
        flags |= text.notna() & ~text.isin(field.enum).astype(bool)
    if field.pattern is not None:
        flags |= ~text.str.fullmatch(field.pattern).fillna(True).astype(bool)
    if field.max_length is not None:
        flags |= (text.str.len() > field.max_length).fillna(False).astype(bool)
    return flags


def reasons(flags: pd.DataFrame) -> pd.Series:
    """Of the rows with a flag, the fields' names, joined."""
    bad = flags[flags.any(axis=1)]
    names = pd.Series("", index=bad.index)
    for name in bad:
        names = names.mask(bad[name], names + name + ";")
    return names.str.rstrip(";")


def with_amount(valid: pd.DataFrame) -> pd.DataFrame:
    return valid.assign(amount=valid["quantity"] * valid["unit_price"] * (1 - valid["discount"].fillna(0)))


def groups(valid: pd.DataFrame, task: Task) -> pd.DataFrame:
    return valid.groupby(task.keys, observed=True)["amount"].agg(["count", "sum"]).reset_index()


def write(frame: pd.DataFrame, task: Task) -> None:
    """Everything from a frame of texts to the three outputs."""
    typed, flags = check(frame, task)
    deliver(typed, flags, task)


def deliver(typed: pd.DataFrame, flags: pd.DataFrame, task: Task) -> None:
    valid = with_amount(typed[~flags.any(axis=1)])
    groups(valid, task).to_csv(task.path("groups.csv"), index=False)
    valid.to_parquet(task.path("data.parquet"), compression="snappy", index=False)
    save_rejects(flags, Path(task.path("rejects.csv")))


def save_rejects(flags: pd.DataFrame, file: Path) -> None:
    """The frame's index is the record's number from 0."""
    fields = reasons(flags)
    pd.DataFrame({"record": fields.index + 1, "fields": fields}).to_csv(file, index=False)
