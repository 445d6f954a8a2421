"""What objects and job records share on disk: a lock, atomic writes, and OSError turned into our errors."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chalicelib.errors import Terminal

PRIVATE = ".sluice"
"""Folder under a root for temporary files and the lock; no bucket and no job can have this name."""


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the root's lock against every other thread and process.

    ``flock`` belongs to the open file, and each call opens its own, so that threads exclude each other too.
    """
    with open(_private(root) / "lock", "ab", buffering=0) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def temporary(root: Path) -> Iterator[Path]:
    """A path on the root's file system where nothing is yet; what is there at the end is removed."""
    path = _private(root) / os.urandom(8).hex()
    try:
        yield path
    finally:
        # Also needed after a successful rename onto another link of the same file: POSIX then leaves both names.
        path.unlink(missing_ok=True)


def fill(path: Path, pieces: Iterable[bytes]) -> os.stat_result:
    """Write ``pieces`` into a new file and stamp it with the time in nanoseconds.

    The kernel's own stamps move in ticks of some milliseconds: too coarse to tell two versions apart.
    """
    with open(path, "xb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        stamp = time.time_ns()
        os.utime(file.fileno(), ns=(stamp, stamp))
        return os.fstat(file.fileno())


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """``OSError`` becomes ``Terminal``: ``object-not-found``, ``access-denied`` or ``disk-error`` (a full disk, …)."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise Terminal("object-not-found", f"{what} does not exist") from error
    except PermissionError as error:
        raise Terminal("access-denied", f"{what} may not be accessed") from error
    except OSError as error:
        raise Terminal("disk-error", f"{what}: {error.strerror}") from error


def _private(root: Path) -> Path:
    path = root / PRIVATE
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
    return path
