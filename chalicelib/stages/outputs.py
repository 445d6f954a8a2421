"""A job's outputs, as they are written: each is remembered for the manifest. Its data are copied to their place."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from chalicelib import errors, publication
from chalicelib.engine import arrays
from chalicelib.engine.checks.check import Checker
from chalicelib.engine.delivery import parquet
from chalicelib.engine.delivery.schemas import decode_schema
from chalicelib.model import JSON
from chalicelib.parallel import parallel
from chalicelib.ports import Ports, Stored
from chalicelib.pretty import pretty
from chalicelib.stages import workspace
from chalicelib.stages.settling import State

_MANY_PARTS: Final = 1_000
"""So many copies take longer than to ask first which of them stand."""


class Outputs:
    """Writes a job's outputs and remembers them for the manifest."""

    def __init__(self, ports: Ports, bucket: str, job_id: str) -> None:
        self.objects, self.bucket, self._prefix = ports.objects, bucket, publication.outputs_prefix(job_id)
        self.entries: list[JSON] = []
        self.uris: dict[str, str] = {}
        self._etags: dict[str, str] = {}

    def key(self, path: str) -> str:
        return self._prefix + path

    def put_json(self, name: str, path: str, document: Any) -> None:
        body = pretty(document).encode()
        self.add(name, path, self.objects.put(self.bucket, self.key(path), body, workspace.JSON_TYPE))

    def add(self, name: str, path: str, stored: Stored, rows: int | None = None, sha256: str = "") -> None:
        """Remember an output; the data's parts share one name, whose URI is their folder's."""
        folder = f"s3://{self.bucket}/{self._prefix}"
        self.uris[name] = folder + ("data/" if name == "data" else path)
        entry: JSON = {"name": name, "key": stored.key, "size_bytes": stored.size_bytes, "rows": rows}
        self.entries.append(entry | {"sha256": stored.checksum_sha256 or sha256})
        self._etags[stored.key] = stored.etag

    def standing(self, path: str) -> dict[str, Stored]:
        """By their keys, the outputs below ``path`` that stand already."""
        return {stored.key: stored for stored in self.objects.list(self.bucket, self.key(path))}

    def settle(self) -> None:
        """Remove what an earlier attempt left and this one does not write, as parts of another partitioning.

        Errors: ``Transient("output-replaced")`` where an output is not as it was written: a function of an attempt that
        was stopped may have been writing until now. Doing all of it again puts it right.
        """
        for found in self.objects.list(self.bucket, self._prefix):
            if found.key not in self._etags:
                self.objects.delete(self.bucket, found.key)
            elif found.etag != self._etags[found.key]:
                raise errors.Transient("output-replaced", f"{found.key} was written by another attempt of the job")


def copy_data(outputs: Outputs, state: State) -> None:
    """Each chunk's Parquet files to their place, on S3's side; one empty file where no row was delivered. Where there
    are many, those that an earlier try has copied before its time was up are left.

    Errors: ``Transient("output-replaced")`` where one is not as its chunk's report says: a chunk that is done twice at
    the same time writes the same rows twice, which under a key of KMS have two ETags. The later report says which.
    """
    parts = [(each.index, part) for each in state.reports for part in each.outputs["data"]]
    standing = outputs.standing("data/") if len(parts) >= _MANY_PARTS else {}

    def copy(numbered: tuple[int, JSON]) -> tuple[str, Stored]:
        index, part = numbered
        path = f"data/{part['folder']}part-{index:05}.parquet"
        copied = standing.get(outputs.key(path))
        # Equal ETags are equal bytes; under a key of KMS the same bytes have others, and are copied again.
        if copied is not None and copied.etag == part["etag"]:
            return path, copied
        try:
            target, size_bytes = outputs.key(path), part["size_bytes"]
            return path, outputs.objects.copy(outputs.bucket, part["key"], target, part["etag"], size_bytes)
        except errors.Terminal as error:
            if error.code != "object-replaced":
                raise
            raise errors.Transient("output-replaced", f"{part['key']} was written by another run") from error

    copied = parallel(outputs.objects, copy, parts)
    if len({path for path, _ in copied}) < len(copied):
        raise errors.Terminal("ledger-unbalanced", "two of the job's files have one name")
    for (path, stored), (_, part) in zip(copied, parts, strict=True):
        outputs.add("data", path, stored, part["rows"], part["sha256"])
    if not parts:
        path = "data/part-00000.parquet"
        empty = arrays.empty_table(_schema(state))
        # Of rows that there are not, nobody knows the columns that the transform would have made.
        named = [name for name in state.contract.partition_by if name in empty.column_names]
        body = parquet.write(empty.drop_columns(named))
        outputs.add(
            "data", path, outputs.objects.put(outputs.bucket, outputs.key(path), body, workspace.PARQUET_TYPE), 0
        )


def _schema(state: State) -> pa.Schema:
    if state.plan.schema is not None:
        return decode_schema(state.plan.schema)
    return Checker(state.contract, state.plan.binding).schema
