"""Compressed uploads, unpacked piece by piece, and proven whole.

Every format is read to its end and by its own checks (gzip's and zip's CRC-32 and size, bzip2's and xz's block checks,
zstd's checksum where the file has one). A stream that is cut short or damaged is an error, never a shorter file. No
piece that comes out is larger than ``PIECE_BYTES``, however well it was packed.
"""

from __future__ import annotations

import bz2
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import pyarrow as pa

from chalicelib.errors import Terminal

PIECE_BYTES: Final = 1 << 20
"""Largest piece that is unpacked at a time."""

WINDOW_LIMIT_BYTES: Final = 192 << 20
"""Most memory that xz's dictionary may take: `xz -9` needs 65 MiB. zstd's window is limited by its library, to 128 MiB
(`zstd --ultra -22`); the other formats need less than 10 MiB."""

_ZIP_MEMBER_BYTES: Final = 4096
"""Compressed bytes of a member that are unpacked at a time: zipfile does not bound what bzip2 and LZMA make of them."""

_OFFICE: Final = ("[Content_Types].xml", "xl/", "mimetype")


class Seekable(Protocol):
    """An object that is read by ranges: zip has its directory at the end."""

    @property
    def size_bytes(self) -> int: ...

    def read(self, start: int, end: int) -> bytes: ...


def unpack(name: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The content of a stream that was compressed by gzip, zstd, bzip2 or xz.

    Errors: ``Terminal("corrupt-compression")``; ``Terminal("unsupported-compression")``.
    """
    with _told(name):
        if name == "zstd":
            yield from _zstd(pieces)
        else:
            yield from _members(name, pieces)


class _Decompressor(Protocol):
    """What bzip2's and xz's decompressors have in common."""

    eof: bool
    unused_data: bytes
    needs_input: bool

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """One member of a gzip file, with the others' interface."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _xz() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=WINDOW_LIMIT_BYTES)


_STARTS: Final[dict[str, Callable[[], _Decompressor]]] = {
    "gzip": _Gzip,  # type: ignore[dict-item]  # its properties are read-only
    "bzip2": bz2.BZ2Decompressor,  # type: ignore[dict-item]
    "xz": _xz,  # type: ignore[dict-item]
}


def _members(name: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """One member after the other. After the last one there may be padding (tapes; xz's own): nothing but zeros."""
    current: _Decompressor | None = None
    begun = padded = False
    for piece in pieces:
        data = piece
        while data:
            if current is None:
                if begun:
                    stripped = data.lstrip(b"\0")
                    padded = padded or len(stripped) < len(data)
                    data = stripped
                    if not data:
                        break
                    if padded and name != "xz":
                        raise _corrupt(name, "something else follows its end")
                current, begun = _STARTS[name](), True
            member = current
            yield from _drain(member, data)
            data = b""
            if member.eof:
                current, data = None, member.unused_data
    if current is not None or not begun:
        raise _corrupt(name, "it is cut short")


def _drain(current: _Decompressor, data: bytes) -> Iterator[bytes]:
    """All that the decompressor can make of its input so far."""
    while True:
        out = current.decompress(data, PIECE_BYTES)
        data = b""
        if out:
            yield out
        if current.eof or (current.needs_input and len(out) < PIECE_BYTES):
            return


def _zstd(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Arrow's reader: frame after frame, skippable ones skipped; it knows a frame that is cut short."""
    with pa.CompressedInputStream(pa.PythonFile(_Reader(pieces), "r"), "zstd") as stream:
        while piece := stream.read(PIECE_BYTES):
            yield piece


class _Reader(io.RawIOBase):
    """An iterator of pieces as a file."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = piece
        size = len(self._rest) if size < 0 else size
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def unpack_zip(source: Seekable) -> Iterator[bytes]:
    """The content of the one file in a zip archive; folders, and what macOS adds, are passed over.

    Errors: ``Terminal("corrupt-compression")``; ``Terminal("unsupported-compression")``: several files, a password, a
    method that Python does not know; ``Terminal("not-csv")`` for an Office document, which is a zip archive too.
    """
    with _told("zip"), zipfile.ZipFile(io.BufferedReader(_Ranges(source), PIECE_BYTES)) as archive:
        member = _the_member(archive)
        size_bytes, read = member.file_size, 0
        with archive.open(member) as file:
            while piece := file.read(PIECE_BYTES if member.compress_type in _BOUNDED else _ZIP_MEMBER_BYTES):
                read += len(piece)
                yield piece
        if read != size_bytes:
            raise _corrupt("zip", f"its file has {read} bytes, its directory says {size_bytes}")


_BOUNDED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def _the_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    every = archive.infolist()
    names = [each.filename for each in every]
    if len(names) > 1 and any(name.startswith(_OFFICE) for name in names):
        raise Terminal("not-csv", "the file is an Excel workbook or another Office document")
    files = [each for each in every if not each.is_dir() and not each.filename.startswith("__MACOSX/")]
    if len(files) != 1:
        raise Terminal(
            "unsupported-compression",
            f"the zip archive holds {len(files)} files; exactly one is expected: upload each file by itself",
        )
    if files[0].flag_bits & 1:
        raise Terminal("unsupported-compression", "the file in the zip archive is encrypted")
    return files[0]


class _Ranges(io.RawIOBase):
    """Ranged reads as a file that can seek."""

    def __init__(self, source: Seekable) -> None:
        self._source = source
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size_bytes}[whence]
        if base + offset < 0:
            raise OSError("before the start of the file")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        end = min(self._position + len(buffer), self._source.size_bytes)
        if end <= self._position:
            return 0
        data = self._source.read(self._position, end)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


@contextmanager
def _told(name: str) -> Iterator[None]:
    """What the libraries raise, as our errors."""
    try:
        yield
    except NotImplementedError as error:
        raise Terminal("unsupported-compression", f"the {name} data uses what is not supported: {error}") from error
    except lzma.LZMAError as error:
        if "memory" in str(error).lower():
            limit = WINDOW_LIMIT_BYTES >> 20
            raise Terminal(
                "unsupported-compression", f"the {name} data needs more than {limit} MiB of memory to be unpacked"
            ) from error
        raise _corrupt(name, str(error)) from error
    except (zlib.error, zipfile.BadZipFile, EOFError, OSError, struct.error, UnicodeDecodeError) as error:
        if "too much memory" in str(error):
            raise Terminal("unsupported-compression", f"the {name} data has a window above 128 MiB") from error
        raise _corrupt(name, str(error) or "it is cut short") from error


def _corrupt(name: str, problem: str) -> Terminal:
    return Terminal("corrupt-compression", f"the {name} data is damaged: {problem}")
