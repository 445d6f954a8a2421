"""A job's outputs, fetched from the results bucket into a folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path

from chalicelib.model import Job, Source
from chalicelib.ports import Objects
from chalicelib.publication import outputs_prefix
from chalicelib.settings import MIB

_PIECE_BYTES = 8 * MIB
_TICK_NS = 2_000_000_000
"""No file system that is in use keeps a file's time more coarsely: FAT has two seconds."""
_MANIFEST = "manifest.json"
_NOBODYS = (".", "~", "Thumbs.db")
"""How the names of files begin that a system's file manager, or an editor, leaves where somebody has looked."""


def fetch(
    objects: Objects, bucket: str, job: Job, out: Path, export: Callable[[Source, Path], None] | None = None
) -> Job:
    """Put all of ``jobs/<job_id>/`` under ``out/<job_id>/`` and return the job with these paths as its ``outputs``.

    An older folder there makes way. Where a person has changed something in it, which its files' times or its manifest
    tell, it is kept as ``out/<job_id>.1``, and standard error says so.

    ``export`` puts an object to a path, where a port has a better way than to stream it. The folder appears whole, or
    what was there before stays. No call that all systems have puts a folder in another's place: a process that is
    killed between the two that this takes leaves the older one as ``out/.<job_id>.old``, and the next fetch brings it
    back. Errors: what the port raises; ``OSError``.
    """
    prefix = outputs_prefix(job.job_id)
    target = out / job.job_id
    partial, older = (out / f".{job.job_id}.{name}" for name in ("partial", "old"))
    _settle(older, target)
    if os.path.lexists(older):
        shutil.rmtree(older)  # which could not be removed before, and now says why
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
        _stamp(partial)
        if os.path.lexists(target):
            target.rename(older)
        partial.rename(target)
    finally:
        _settle(older, target)
        shutil.rmtree(partial, ignore_errors=True)
    return localised(job, bucket, out)


def _settle(older: Path, target: Path) -> None:
    """Put what was set aside back, mostly a folder; or where there is something in its place, remove or keep it."""
    if not os.path.lexists(older):
        return
    if not os.path.lexists(target):
        older.rename(target)
    elif older.is_symlink() or older.is_file():
        older.unlink()
    elif _is_as_written(older):
        shutil.rmtree(older, ignore_errors=True)
    else:
        names = (target.with_name(f"{target.name}.{number}") for number in count(1))
        kept = next(path for path in names if not os.path.lexists(path))
        older.rename(kept)
        print(f"{target} had been changed since it was written: it is kept as {kept}", file=sys.stderr)


def _stamp(folder: Path) -> None:
    """Give all files one time: it tells later which of them a person has changed, or added."""
    stamp = time.time_ns() // _TICK_NS * _TICK_NS
    for path in _files(folder):
        os.utime(path, ns=(stamp, stamp))


def _is_as_written(folder: Path) -> bool:
    files = [path for path in _files(folder) if not path.name.startswith(_NOBODYS)]
    times = {path.lstat().st_mtime_ns for path in files}
    if not times or (len(times) == 1 and times.pop() % _TICK_NS == 0):
        return True
    # A copy may have lost the times, and earlier versions gave none. A failed job has no manifest: there they decide.
    return _is_as_listed(folder, [path for path in files if path != folder / _MANIFEST])


def _is_as_listed(folder: Path, files: Iterable[Path]) -> bool:
    """Whether each of these is an output as the folder's own manifest has it."""
    try:
        document = json.loads((folder / _MANIFEST).read_bytes())
        listed = {each["key"]: (each["size_bytes"], each["sha256"]) for each in document["outputs"]}
        prefix = outputs_prefix(document["job_id"])
        keys = {path: prefix + path.relative_to(folder).as_posix() for path in files}
        # All sizes come before the first checksum: large outputs are read only where no size has told.
        return all(_size(path) == listed[key][0] for path, key in keys.items()) and all(
            _sha256(path) == listed[key][1] for path, key in keys.items()
        )
    except (OSError, ValueError, LookupError, TypeError):
        return False  # what is not listed, cannot be read, or is no manifest of Sluice's: the folder is kept


def _size(path: Path) -> int | None:
    """In bytes; None of what is no file itself, but a link or the like."""
    found = path.lstat()
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def localised(job: Job, bucket: str, out: Path) -> Job:
    """The job with paths under ``out`` in place of the URIs of its outputs."""
    prefix = f"s3://{bucket}/jobs/"
    outputs = {
        name: str(out / uri.removeprefix(prefix)) if uri.startswith(prefix) else uri
        for name, uri in job.outputs.items()
    }
    return job.with_(outputs=outputs)
