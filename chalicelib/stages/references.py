"""Foreign keys across datasets: ValidateData pins what a file may refer to, and every chunk sees the same.

The keys that stand in the referenced dataset's current rows are written once per execution, as Arrow IPC files under
``work/<job_id>/`` that are named by their content; a document lists them, and is created once and never replaced. A
ValidateData that is retried, or that another one has overtaken, therefore plans with the same keys, whatever has become
current in the meantime.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chalicelib import errors, publication
from chalicelib.engine import arrays, ipc, types
from chalicelib.engine.checks import references as engine
from chalicelib.engine.checks.references import KeySet
from chalicelib.engine.contract import Contract, Field, ForeignKey
from chalicelib.engine.contract.schema import SELF_REFERENCE
from chalicelib.engine.delivery.partition import in_folders
from chalicelib.engine.plan import Plan
from chalicelib.engine.types import temporal
from chalicelib.frozen import frozen
from chalicelib.parallel import parallel
from chalicelib.ports import Objects
from chalicelib.settings import REFERENCE_KEYS_LIMIT, REFERENCE_SIZE_BYTES
from chalicelib.stages.workspace import BINARY_TYPE, JSON_TYPE, Workspace

_NO_DATA: Final = (
    "the dataset {dataset}, a foreign key's, has no current data: it has to be uploaded, and to succeed, before this"
    " file (on a laptop with `local.py serve`, which keeps it; `local.py check` looks at each file by itself)"
)
_PARTS_AT_ONCE: Final = 8
"""Parquet files read at a time: their keys are merged, and counted, before the next are read."""


def pin(workspace: Workspace, plan: Plan, execution: str) -> Plan:
    """The plan with the keys that its contract's foreign keys refer to.

    Errors: ``Terminal("reference-missing")`` where a referenced dataset has no current data or lacks a column,
    ``Terminal("reference-type")`` where its values are of another type, ``Terminal("reference-too-large")``.
    """
    contract = plan.contract
    if contract is None or not contract.foreign_keys:
        return plan
    for number, key in enumerate(contract.foreign_keys):
        if key.resource == plan.source.dataset:
            raise errors.InvalidContract(f"schema.foreignKeys[{number}].reference.resource", SELF_REFERENCE)
    asked = f"{execution} {contract.fields} {contract.foreign_keys}"
    name = f"references-{hashlib.sha256(asked.encode()).hexdigest()[:16]}.json"
    found = _pinned(workspace, name)
    if found is None:
        body = json.dumps(_write(workspace, contract)).encode()
        try:
            workspace.objects.put(workspace.bucket, workspace.key(name), body, JSON_TYPE, if_match="")
        except errors.Transient as error:
            if error.code != "precondition-failed":
                raise
        found = _pinned(workspace, name)
    return dataclasses.replace(plan, references=tuple(found or ()))


def _pinned(workspace: Workspace, name: str) -> list[str] | None:
    found = workspace.objects.get_with_etag(workspace.bucket, workspace.key(name))
    return None if found is None else json.loads(found[0])


def load(objects: Objects, bucket: str, plan: Plan) -> Sequence[KeySet]:
    """The key sets of a plan; a warm worker keeps them for the job's next chunk."""
    return _loaded(_Places(objects, bucket, plan.references))


@frozen
class _Places:
    """Objects, known by their keys alone: a key names its content."""

    objects: Objects = dataclasses.field(compare=False)
    bucket: str = dataclasses.field(compare=False)
    keys: tuple[str, ...]


@lru_cache(maxsize=1)
def _loaded(places: _Places) -> Sequence[KeySet]:
    return tuple(KeySet.load(places.objects.get(places.bucket, key)) for key in places.keys)


def _write(workspace: Workspace, contract: Contract) -> list[str]:
    """Write the key set of every foreign key, and return the objects' keys."""
    by_name = {field.name: field for field in contract.fields}
    written = []
    room = _Room(REFERENCE_KEYS_LIMIT, REFERENCE_SIZE_BYTES)
    for number, key in enumerate(contract.foreign_keys):
        keys = _keys_of(workspace, key, [by_name[name] for name in key.fields], room)
        room = room.without(keys)
        body = ipc.dump(keys)
        name = workspace.key(f"references-{number}-{hashlib.sha256(body).hexdigest()[:32]}.arrow")
        workspace.objects.put(workspace.bucket, name, body, BINARY_TYPE)
        written.append(name)
    return written


@frozen
class _Room:
    """What a worker can still hold."""

    keys: int
    size_bytes: int

    def without(self, keys: pa.Table) -> _Room:
        return _Room(self.keys - keys.num_rows, self.size_bytes - keys.nbytes)

    @property
    def is_overdrawn(self) -> bool:
        return self.keys < 0 or self.size_bytes < 0


def _keys_of(workspace: Workspace, key: ForeignKey, fields: Sequence[Field], room: _Room) -> pa.Table:
    known = engine.merged(fields, [])
    parts = _parts(workspace, key.resource)
    for start in range(0, len(parts), _PARTS_AT_ONCE):
        some = parts[start : start + _PARTS_AT_ONCE]
        read = parallel(workspace.objects, lambda part: _part_keys(workspace, key, fields, part), some)
        known = engine.merged(fields, [known, *read])
        if room.without(known).is_overdrawn:
            raise errors.Terminal(
                "reference-too-large",
                f"{', '.join(key.reference_fields)} of the dataset {key.resource}: the contract's foreign keys refer to"
                f" more than {REFERENCE_KEYS_LIMIT:,} different keys, or to more than {REFERENCE_SIZE_BYTES:,} bytes",
            )
    return known


def _parts(workspace: Workspace, dataset: str) -> list[str]:
    """The keys of a dataset's current Parquet files."""
    objects, bucket = workspace.objects, workspace.bucket
    jobs = publication.current_jobs(objects, bucket, dataset)
    if not jobs:
        raise errors.Terminal("reference-missing", _NO_DATA.format(dataset=dataset))
    manifests: list[Any] = parallel(objects, lambda job: json.loads(objects.get(bucket, job["manifest"])), jobs)
    return [output["key"] for each in manifests for output in each["outputs"] if output["name"] == "data"]


def _part_keys(workspace: Workspace, key: ForeignKey, fields: Sequence[Field], part: str) -> pa.Table:
    """The distinct keys of one Parquet file; columns that Hive's style leaves out of it stand in its folder's name."""
    folders = in_folders(part)
    file = pq.ParquetFile(pa.BufferReader(workspace.objects.get(workspace.bucket, part)))
    if not file.metadata.num_rows:  # nothing to refer to; and of a partitioned dataset no folder would tell the columns
        return engine.merged(fields, [])
    schema = file.schema_arrow
    for name in key.reference_fields:
        if name not in folders and schema.get_field_index(name) < 0:
            raise errors.Terminal("reference-missing", f"the current rows of the dataset {key.resource} have no {name}")
    stored = [name for name in key.reference_fields if name not in folders]
    rows = file.read(columns=stored, use_threads=False) if stored else None
    count = 1 if rows is None else rows.num_rows
    columns = []
    for field, name in zip(fields, key.reference_fields, strict=True):
        if rows is None or name in folders:
            column = _folder_column(key, field, name, folders[name], count)
        else:
            column = rows.column(name).combine_chunks()
        if not engine.agrees(field, column.type):
            raise _mismatch(key, field, name, arrays.shown(column.type))
        columns.append(column)
    return engine.normalised(fields, columns)


def _folder_column(key: ForeignKey, field: Field, name: str, text: str | None, count: int) -> Any:
    """So many rows of the value that a folder's name tells (``delivery.partition``)."""
    one, kind = arrays.strings([text]), types.arrow_type(field)
    try:
        # Arrow casts no text to a time.
        value, bad = temporal.read_times(one) if kind == temporal.TIME else (pc.cast(one, kind), np.zeros(1, np.bool_))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise _mismatch(key, field, name, "partition") from None
    if bad.any():
        raise _mismatch(key, field, name, "partition")
    return value.take(arrays.from_values(np.zeros(count, np.int64), pa.int64()))


def _mismatch(key: ForeignKey, field: Field, name: str, found: str) -> errors.Terminal:
    return errors.Terminal(
        "reference-type",
        f"the field {field.name} is of type {types.arrow_type(field)}, but {name} of the dataset {key.resource}, which"
        f" it refers to, is of type {found}",
    )
