"""A job's outputs, fetched from the results bucket into a folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from chalicelib.model import Job, Source
from chalicelib.ports import Objects
from chalicelib.settings import MIB

_PIECE_BYTES = 8 * MIB


def fetch(
    objects: Objects, bucket: str, job: Job, out: Path, export: Callable[[Source, Path], None] | None = None
) -> Job:
    """Put all of ``jobs/<job_id>/`` under ``out/<job_id>/`` and return the job with these paths as its ``outputs``.

    ``export`` puts an object to a path, where a port has a better way than to stream it. The folder appears whole, in
    place of an older one, or not at all. Errors: what the port raises; ``OSError``.
    """
    prefix = f"jobs/{job.job_id}/"
    target = out / job.job_id
    partial = out / f".{job.job_id}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for stored in objects.list(bucket, prefix):
            path = partial / stored.key.removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            found = objects.head(bucket, stored.key)
            source = Source(bucket, stored.key, found.version_id, found.size_bytes, found.etag)
            if export is not None:
                export(source, path)
                continue
            with path.open("wb") as file:
                for piece in objects.stream(source, _PIECE_BYTES):
                    file.write(piece)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return localised(job, bucket, out)


def localised(job: Job, bucket: str, out: Path) -> Job:
    """The job with paths under ``out`` in place of the URIs of its outputs."""
    prefix = f"s3://{bucket}/jobs/"
    outputs = {
        name: str(out / uri.removeprefix(prefix)) if uri.startswith(prefix) else uri
        for name, uri in job.outputs.items()
    }
    return job.with_(outputs=outputs)
