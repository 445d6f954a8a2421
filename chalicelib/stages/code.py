"""Which code does a job: results that another release wrote are not this one's."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import chalicelib

_LIBRARIES: Final = ("numpy", "pandas", "pyarrow")
"""Their versions count, too: they compute what is written."""


@cache
def code_digest() -> str:
    """SHA-256 over every shipped source, the datasets' transforms included, and the versions of what computes.

    Some 100 small files: a few milliseconds, once in a process.
    """
    root = os.path.dirname(chalicelib.__file__)
    digest = hashlib.sha256()
    for name in _LIBRARIES:
        digest.update(f"{_installed(name)}\n".encode())
    for name in sorted(_sources(root)):
        with open(os.path.join(root, name), "rb", buffering=0) as file:
            content = hashlib.sha256(file.read()).hexdigest()
        digest.update(f"{name} {content}\n".encode())
    return digest.hexdigest()


def _sources(root: str) -> Iterator[str]:
    """The names of all modules below a folder. By ``os``: ``pathlib`` would take 2 ms more of every start."""
    for folder, _, names in os.walk(root):
        inside = os.path.relpath(folder, root)
        yield from (os.path.join(inside, name) for name in names if name.endswith(".py"))


def _installed(name: str) -> list[str]:
    """A library's name and version, from the folder in which its installer noted them, so that neither pandas is
    imported for it nor ``importlib.metadata``, which takes 20 ms.

    https://packaging.python.org/en/latest/specifications/recording-installed-packages/
    """
    found = find_spec(name)
    assert found is not None, f"{name} is a requirement"
    folders = [Path(folder).parent for folder in found.submodule_search_locations or ()]
    noted = sorted(path.name for folder in folders for path in folder.glob(f"{name}-*.dist-info"))
    if noted:
        return noted
    from importlib.metadata import version  # some installers note it elsewhere

    return [version(name)]
