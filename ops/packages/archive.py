"""Zip archives that depend on names and contents alone: the same files, the same bytes."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip archive can hold; every file in it has this one."""


def pack(paths: Iterable[Path], archive: Path, relative_to: Path) -> None:
    """Zip files in the order given, without times, and readable by everyone as Lambda wants it."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as zipped:
        for path in paths:
            entry = zipfile.ZipInfo(path.relative_to(relative_to).as_posix(), _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, whatever the operator's system: the attributes below are Unix'
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            zipped.writestr(entry, path.read_bytes())


def unpack(body: bytes, folder: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        archive.extractall(folder)


def files(tree: Path) -> list[Path]:
    """Every file below ``tree``, sorted."""
    return sorted(path for path in tree.rglob("*") if path.is_file())
