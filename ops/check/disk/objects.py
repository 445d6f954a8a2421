"""``ports.Objects`` on a folder: an object is the file ``<root>/<bucket>/<key>``.

* ETags are made of size, modification time, inode and device: a file of any size is pinned without being hashed.
  As in a bucket without versioning, the ETag stands in for the version id.
* An outside file becomes an object by ``link`` (a symbolic link), without being copied; writing the key again replaces
  the link, never the outside file.
* Where a file system has no links (FAT, some network drives), there are copies in their place.
* Keys that no file name can stand for (``..``, empty parts, a key that is another key's folder) are refused with
  ``Terminal("invalid-key")``; S3 itself would take them.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from chalicelib.errors import Terminal, Transient
from chalicelib.model import Source
from chalicelib.ports import Body, Stored
from ops.check.disk.files import disk_errors, fill, locked, temporary

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_KEY_LIMIT_BYTES: Final = 1024
"""S3's own: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""
_NAME_LIMIT_BYTES: Final = 255
"""Of one part between slashes: the limit of the usual file systems."""


class DiskObjects:
    """Objects under ``root``, which is made at the first write. Safe among threads and processes; picklable."""

    requests_at_once: Final = 1
    """A folder answers at once; threads would wait for each other."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).absolute()

    def link(self, bucket: str, key: str, path: Path | str) -> Stored:
        """Make an outside file an object without copying it, if the file system has symbolic links.

        Errors: ``Terminal("object-not-found")`` where ``path`` is no file.
        """
        outside = Path(path).absolute()
        if not outside.is_file():
            raise Terminal("object-not-found", f"{outside} is not a file")
        target = self.path(bucket, key)
        with temporary(self.root) as link:
            _link_or_copy(os.symlink, outside, link)
            self._place(link, target, bucket, key)
        return self.head(bucket, key)

    def head(self, bucket: str, key: str, version_id: str = "") -> Stored:
        path = self.path(bucket, key)
        with disk_errors(_uri(bucket, key)):
            stored = _stored(bucket, key, path.stat())
            if path.is_dir():
                raise IsADirectoryError
        if version_id and version_id != stored.etag:
            raise Terminal("object-not-found", f"{stored.uri} has no version {version_id}")
        return stored

    def read_range(self, source: Source, start: int, end: int) -> bytes:
        if not 0 <= start <= end:
            raise ValueError(f"not a range: [{start}, {end})")
        if start == end:
            return b""
        with self._opened(source) as descriptor:
            return _read(descriptor, source, start, end)

    def stream(self, source: Source, piece_bytes: int) -> Iterator[bytes]:
        if piece_bytes < 1:
            raise ValueError(f"a piece has at least one byte, not {piece_bytes}")
        with self._opened(source) as descriptor:
            size_bytes = os.fstat(descriptor).st_size
            _pinned(descriptor, source)
            for start in range(0, size_bytes, piece_bytes):
                yield _read(descriptor, source, start, min(start + piece_bytes, size_bytes))

    def get(self, bucket: str, key: str) -> bytes:
        with disk_errors(_uri(bucket, key)):
            return self.path(bucket, key).read_bytes()

    def get_with_etag(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        path = self.path(bucket, key)
        try:
            with disk_errors(_uri(bucket, key)), open(path, "rb") as file:
                return file.read(), _etag(os.fstat(file.fileno()))
        except Terminal as error:
            if error.code == "object-not-found":
                return None
            raise

    def put(self, bucket: str, key: str, body: Body, content_type: str, if_match: str | None = None) -> Stored:
        # A folder keeps no content types; whoever serves the files goes by the key's suffix.
        del content_type
        pieces = [body] if isinstance(body, bytes) else body
        written = self._write(bucket, key, pieces, if_match)
        if written is not None:
            return written
        # The same rule as for a reply that was lost on the network: what stands is what we meant to write.
        body, found = b"".join(pieces), self.get_with_etag(bucket, key)
        if found is None or found[0] != body:
            raise Transient("precondition-failed", f"{_uri(bucket, key)} was written by another")
        checksum = hashlib.sha256(body).hexdigest()
        return Stored(bucket, key, len(body), found[1], found[1], checksum_sha256=checksum)

    def put_stream(self, bucket: str, key: str, pieces: Iterable[bytes], content_type: str) -> Stored:
        del content_type
        written = self._write(bucket, key, pieces)
        assert written is not None, "nothing was to match"
        return written

    def _write(self, bucket: str, key: str, pieces: Iterable[bytes], if_match: str | None = None) -> Stored | None:
        """None, and nothing written, where ``if_match`` does not hold."""
        target = self.path(bucket, key)
        digest = hashlib.sha256()

        def hashed() -> Iterator[bytes]:
            for piece in pieces:
                digest.update(piece)
                yield piece

        with temporary(self.root) as path, disk_errors(_uri(bucket, key)):
            status = fill(path, hashed())
            if not self._place(path, target, bucket, key, if_match):
                return None
        return _stored(bucket, key, status, digest.hexdigest())

    def copy(self, bucket: str, key: str, target_key: str, etag: str, size_bytes: int) -> Stored:
        original, target = self.path(bucket, key), self.path(bucket, target_key)
        with temporary(self.root) as path, disk_errors(_uri(bucket, key)):
            if original.is_symlink():
                _copy(original, path)  # a hard link would follow later edits of the outside file
            else:
                _link_or_copy(os.link, original, path)
            if _etag(original.stat()) != etag:
                raise Terminal("object-replaced", f"{_uri(bucket, key)} was replaced by another version")
            status = path.stat()
            self._place(path, target, bucket, target_key)
        return _stored(bucket, target_key, status)

    def export(self, source: Source, path: Path) -> None:
        """Give an object another path: on the same file system mostly without copying a byte. What is put over the
        object later does not change what stands there. Errors: those of ``read_range``.
        """
        uri, original = _uri(source.bucket, source.key), self.path(source.bucket, source.key)
        with disk_errors(uri):
            _link_or_copy(os.link, original, path)
            if _etag(original.stat()) != source.etag:
                path.unlink()
                raise Terminal("object-replaced", f"{uri} was replaced by another version")

    def list(self, bucket: str, prefix: str) -> Iterator[Stored]:
        base = self._bucket(bucket)
        folder = base.joinpath(*_safe_parts(prefix.rpartition("/")[0]))
        found = [
            path.relative_to(base).as_posix()
            for parent, _, names in os.walk(folder)
            for path in (Path(parent, name) for name in names)
        ]
        for key in sorted((key for key in found if key.startswith(prefix)), key=str.encode):
            try:
                yield self.head(bucket, key)
            except Terminal as error:
                if error.code != "object-not-found":  # it went away since the folder was read
                    raise

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object (a linked file itself stays); where there is none, nothing happens."""
        with disk_errors(_uri(bucket, key)):
            self.path(bucket, key).unlink(missing_ok=True)

    def _place(self, path: Path, target: Path, bucket: str, key: str, if_match: str | None = None) -> bool:
        """Rename ``path`` to ``target`` in one step; False where ``if_match`` does not hold."""
        with locked(self.root):
            if if_match is not None and self._current_etag(target) != if_match:
                return False
            try:
                try:
                    path.replace(target)
                except FileNotFoundError:  # the folder's first file
                    target.parent.mkdir(parents=True, exist_ok=True)
                    path.replace(target)
            except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
                raise Terminal("invalid-key", f"{_uri(bucket, key)}: a key is the folder of another") from error
        return True

    def _current_etag(self, path: Path) -> str:
        """The ETag, or "" where there is no object: what ``if_match`` is compared with."""
        try:
            return _etag(path.stat())
        except (FileNotFoundError, NotADirectoryError):
            return ""

    @contextmanager
    def _opened(self, source: Source) -> Iterator[int]:
        with disk_errors(_uri(source.bucket, source.key)):
            descriptor = os.open(self.path(source.bucket, source.key), os.O_RDONLY | os.O_CLOEXEC)
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    def _bucket(self, bucket: str) -> Path:
        if not _BUCKET.fullmatch(bucket):
            raise Terminal("invalid-key", f"{bucket!r} is not a bucket's name")
        return self.root / bucket

    def path(self, bucket: str, key: str) -> Path:
        """Where the object's bytes lie, or would lie. Errors: ``Terminal("invalid-key")``."""
        if not key or len(key.encode()) > _KEY_LIMIT_BYTES:
            raise Terminal("invalid-key", f"a key has 1 to {_KEY_LIMIT_BYTES} bytes")
        return self._bucket(bucket).joinpath(*_safe_parts(key))


def _link_or_copy(link: Callable[[Path, Path], None], original: Path, path: Path) -> None:
    """Give a file a second path; where links to it cannot be made, a copy. What hinders that as well is the error."""
    try:
        link(original, path)
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError:
        _copy(original, path)


def _copy(original: Path, path: Path) -> None:
    """Copy a file with its age."""
    shutil.copyfile(original, path)
    modified = original.stat().st_mtime_ns
    os.utime(path, ns=(modified, modified))


def _safe_parts(key: str) -> list[str]:
    """The folders and the file of ``key``; none of them may lead elsewhere. Errors: ``Terminal("invalid-key")``."""
    parts = key.split("/") if key else []
    for part in parts:
        if part in ("", ".", "..") or "\0" in part or len(part.encode()) > _NAME_LIMIT_BYTES:
            raise Terminal("invalid-key", f"{key!r} cannot be the name of a file")
    return parts


def _uri(bucket: str, key: str) -> str:
    return f"s3://{bucket}/{key}"


def _etag(status: os.stat_result) -> str:
    facts = (status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev)
    return hashlib.md5(repr(facts).encode(), usedforsecurity=False).hexdigest()


def _stored(bucket: str, key: str, status: os.stat_result, checksum_sha256: str = "") -> Stored:
    etag = _etag(status)
    modified = datetime.fromtimestamp(status.st_mtime, UTC)
    return Stored(bucket, key, status.st_size, etag, etag, modified, checksum_sha256)


def _pinned(descriptor: int, source: Source) -> None:
    wanted = source.etag or source.version_id
    if wanted and _etag(os.fstat(descriptor)) != wanted:
        raise Terminal("object-replaced", f"{_uri(source.bucket, source.key)} was replaced by another version")


def _read(descriptor: int, source: Source, start: int, end: int) -> bytes:
    """Bytes ``[start, end)``. The version is checked after the read, so that a change during it is seen too."""
    pieces = []
    position = start
    while position < end and (piece := os.pread(descriptor, end - position, position)):
        pieces.append(piece)
        position += len(piece)
    _pinned(descriptor, source)
    if not pieces:
        raise Terminal("invalid-range", f"{_uri(source.bucket, source.key)} ends before byte {start}")
    if position != end:
        got = position - start
        raise Transient("short-read", f"{_uri(source.bucket, source.key)}: {got} of {end - start} bytes came")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
