"""The folder that a run of ``local.py check`` works in, beside its outputs so that those need not be copied."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_PREFIX: Final = ".check-"


@contextmanager
def scratch(out: Path) -> Iterator[Path]:
    """A new folder in ``out``, until the end of the block. What killed runs left there is removed, unless another run
    works in ``out`` meanwhile. Errors: ``OSError`` where ``out`` cannot be written.
    """
    handle = os.open(out, os.O_RDONLY)
    try:
        if _locked(handle, fcntl.LOCK_EX | fcntl.LOCK_NB):
            for left in out.glob(f"{_PREFIX}*"):
                shutil.rmtree(left, ignore_errors=True)
        _locked(handle, fcntl.LOCK_SH)
        with tempfile.TemporaryDirectory(dir=out, prefix=_PREFIX) as folder:
            yield Path(folder)
    finally:
        os.close(handle)


def _locked(handle: int, kind: int) -> bool:
    """Whether this process has the lock now; never where the file system has none (some network drives)."""
    try:
        fcntl.flock(handle, kind)
    except OSError:
        return False
    return True
