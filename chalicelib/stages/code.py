"""Which code does a job: results that another release wrote are not this one's."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

import chalicelib

_LIBRARIES: Final = ("numpy", "pandas", "pyarrow")
"""Their versions count, too: they compute what is written. pandas is not imported for that, which takes a second."""


@cache
def code_digest() -> str:
    """SHA-256 over every shipped source, the datasets' transforms included, and the versions of what computes.

    Some 100 small files: a few milliseconds, once in a process.
    """
    root = Path(chalicelib.__file__).parent
    digest = hashlib.sha256()
    for name in _LIBRARIES:
        digest.update(f"{name} {[found.version for found in distributions(name=name)]}\n".encode())
    for path in sorted(root.rglob("*.py")):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return digest.hexdigest()
