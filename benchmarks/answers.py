"""What a competitor left in its folder, compared with the truth: every rejected record, every group, every column."""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

TOLERANCE: Final = 1e-9
"""Sums of doubles depend on the order of the rows; relative."""

Keys = tuple[str, str]


@dataclass(frozen=True)
class Answer:
    rejects: dict[str, set[int]]
    """Of each field, the records in which it is wrong."""
    groups: dict[Keys, tuple[int, float]]
    """Count and sum of ``amount``, of each pair of keys."""
    data: list[Path]


def of_peer(folder: Path) -> Answer:
    rejects: dict[str, set[int]] = defaultdict(set)
    for file in _files(folder, "rejects", "csv"):
        types = pacsv.ConvertOptions(column_types={"record": pa.int64(), "fields": pa.string()})
        table = pacsv.read_csv(file, convert_options=types)
        records, fields = table["record"].to_numpy(), table["fields"].combine_chunks().dictionary_encode()
        codes = np.asarray(fields.indices)
        for code, names in enumerate(fields.dictionary.to_pylist()):
            for name in names.split(";"):
                rejects[name].update(records[codes == code].tolist())
    groups = {}
    for file in _files(folder, "groups", "csv"):
        with open(file, newline="") as text:
            for first, second, count, total in list(csv.reader(text))[1:]:
                groups[_key(first), _key(second)] = int(count), float(total)
    return Answer(dict(rejects), groups, _files(folder, "data", "parquet"))


def of_sluice(folder: Path) -> Answer:
    """``folder`` is ``out/<job_id>`` of ``local.py check``."""
    rejects: dict[str, set[int]] = defaultdict(set)
    with open(folder / "rejects.jsonl", encoding="utf-8") as lines:
        for line in lines:
            reject = json.loads(line)
            for error in reject["errors"]:
                rejects[error["field"]].add(reject["record"])
    summary = json.loads((folder / "summary.json").read_bytes())
    groups = {}
    for row in summary["aggregates"]["by_keys"]:
        first, second = (row[name] for name in row if name not in ("orders", "revenue"))
        groups[_key(first), _key(second)] = row["orders"], row["revenue"]
    return Answer(dict(rejects), groups, _files(folder, "data", "parquet"))


def differences(answer: Answer, truth_folder: Path) -> list[str]:
    """Every way in which the answer is not the truth; empty where it is right."""
    truth = json.loads((truth_folder / "truth.json").read_bytes())
    with np.load(truth_folder / "rejects.npz") as stored:
        rejects = {name: set(stored[name].tolist()) for name in stored.files if len(stored[name])}
    return [
        *_reject_differences(answer.rejects, rejects),
        *_group_differences(
            answer.groups, {(_key(a), _key(b)): (count, total) for a, b, count, total in truth["groups"]}
        ),
        *_data_differences(answer.data, truth),
    ]


def _reject_differences(found: dict[str, set[int]], true: dict[str, set[int]]) -> Iterator[str]:
    for name in sorted({*found, *true}):
        missed, invented = (
            true.get(name, set()) - found.get(name, set()),
            found.get(name, set()) - true.get(name, set()),
        )
        if missed:
            yield f"{name}: {len(missed)} bad cells let through, the first in record {min(missed)}"
        if invented:
            yield f"{name}: {len(invented)} good cells rejected, the first in record {min(invented)}"


def _group_differences(found: dict[Keys, tuple[int, float]], true: dict[Keys, tuple[int, float]]) -> Iterator[str]:
    if found.keys() != true.keys():
        yield f"{len(found)} groups instead of {len(true)}, or other keys"
        return
    for keys, (count, total) in true.items():
        if found[keys][0] != count or not math.isclose(found[keys][1], total, rel_tol=TOLERANCE):
            yield f"group {', '.join(keys)}: {found[keys]} instead of {(count, total)}"


def _data_differences(files: list[Path], truth: dict[str, Any]) -> Iterator[str]:
    rows = sum(pq.ParquetFile(file).metadata.num_rows for file in files)
    if rows != truth["rows"]["valid"]:
        yield f"{rows} valid rows instead of {truth['rows']['valid']}"
        return
    for name, column in truth["columns"].items():
        empty, total = _measured(files, name)
        if empty != column["empty"] or not math.isclose(total, column["sum"], rel_tol=TOLERANCE):
            yield f"column {name}: {(empty, total)} instead of {(column['empty'], column['sum'])}"


def _measured(files: list[Path], name: str) -> tuple[int, float]:
    """A column's empty cells, and its sum as ``shapes.Cells`` counts it."""
    empty, total = 0, 0
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(columns=[name]):
            column = batch.column(0)
            if pa.types.is_dictionary(column.type):
                column = column.cast(column.type.value_type)
            if pa.types.is_timestamp(column.type):
                column = column.cast(pa.timestamp("s")).cast(pa.int64())
            if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
                column = pc.binary_length(column)
                empty += pc.sum(pc.equal(column, 0)).as_py() or 0
            empty += column.null_count
            total += pc.sum(column).as_py() or 0
    return empty, total


def _files(folder: Path, name: str, suffix: str) -> list[Path]:
    """``name.suffix``, or all parts in the folder ``name``."""
    return (
        [folder / f"{name}.{suffix}"]
        if (folder / f"{name}.{suffix}").exists()
        else sorted((folder / name).rglob(f"*.{suffix}"))
    )


def _key(value: Any) -> str:
    """A number and its text are the same key, however many zeros it has."""
    try:
        return str(float(value))
    except ValueError:
        return str(value)
