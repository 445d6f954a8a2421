"""ValidateData's first half: what a file is, and its text as UTF-8 where the upload itself is not that.

A file that is compressed or in another encoding cannot be cut by bytes. It is rewritten once, in bounded memory, as
``work/<job_id>/text.csv``, and chunks are ranges of that. Doing it again writes the same object again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from chalicelib.engine.contract import Contract
from chalicelib.engine.plan import Text
from chalicelib.engine.text import charset, signatures
from chalicelib.engine.text.charset import Charset
from chalicelib.engine.text.dialect import Sniffed, is_rejects, sniff
from chalicelib.engine.text.encodings import UTF8
from chalicelib.engine.text.rewrite import Limits, Rewriter, limited
from chalicelib.errors import Terminal
from chalicelib.frozen import frozen
from chalicelib.model import Source
from chalicelib.ports import Objects
from chalicelib.settings import (
    EXPANSION_FREE_BYTES,
    EXPANSION_LIMIT_RATIO,
    HEAD_SIZE_BYTES,
    MAX_CHUNKS,
    REWRITE_PIECE_BYTES,
    TEXT_LIMIT_BYTES,
    Settings,
)
from chalicelib.stages.workspace import Workspace

LIMITS: Final = Limits(TEXT_LIMIT_BYTES, EXPANSION_LIMIT_RATIO, EXPANSION_FREE_BYTES)
_TEXT_TYPE: Final = "text/csv; charset=utf-8"


@frozen
class Prepared:
    """A file that is ready to be cut."""

    text: Text
    head: bytes
    """The text's first bytes."""
    sniffed: Sniffed
    chunk_size_bytes: int
    """As configured, or a multiple of it where there would be too many chunks."""


def prepare(
    objects: Objects, settings: Settings, source: Source, contract: Contract | None, limits: Limits = LIMITS
) -> Prepared:
    """Find out compression, encoding and dialect; write the text unless the upload is it already.

    Errors: ``Terminal`` with the codes of ``compression``, ``charset``, ``dialect.sniff``, and ``nested-compression``,
    ``expansion-limit``. Whatever fails, no text is left behind.
    """
    head = objects.read_range(source, 0, min(source.size_bytes, HEAD_SIZE_BYTES))
    packed = signatures.compression(head)
    if packed is None:
        signatures.refuse_foreign(head)
        found = charset.find(head, _stated(contract, head), whole=len(head) == source.size_bytes)
        if found.encoding == UTF8:
            sniffed = sniff(head, contract, whole=len(head) == source.size_bytes)
            text = Text(source, UTF8, found.confidence, None, source.size_bytes, resembles=found.resembles)
            return Prepared(text, head, sniffed, settings.chunk_size_bytes)
        pieces = objects.stream(source, REWRITE_PIECE_BYTES)
    else:
        pieces = limited(_unpacked(objects, source, packed), limits, source.size_bytes)
        head, pieces = _peek(pieces)
        _refuse_nested(head, packed)
        found = charset.find(head, _stated(contract, head), whole=len(head) < HEAD_SIZE_BYTES)
    return _rewritten(objects, settings, source, contract, packed, found, pieces)


def _rewritten(
    objects: Objects,
    settings: Settings,
    source: Source,
    contract: Contract | None,
    packed: str | None,
    found: Charset,
    pieces: Iterator[bytes],
) -> Prepared:
    rewriter = Rewriter(found.encoding, settings.chunk_size_bytes)
    head, written = _peek(rewriter.text(pieces))
    # Before the rest is read: what is no CSV is refused at the cost of its head.
    sniffed = sniff(head, contract, whole=len(head) < HEAD_SIZE_BYTES)
    workspace = Workspace.of_job(objects, settings.results_bucket, source.job_id)
    stored = objects.put_stream(workspace.bucket, workspace.key("text.csv"), written, _TEXT_TYPE)
    if stored.size_bytes != rewriter.size_bytes:
        raise Terminal(
            "internal-error", f"{rewriter.size_bytes} bytes of text were made, {stored.size_bytes} were written"
        )
    # Pinned by ETag alone: the work area needs no right to read versions.
    place = Source(stored.bucket, stored.key, stored.etag, stored.size_bytes, stored.etag)
    merged = -(-stored.size_bytes // (settings.chunk_size_bytes * MAX_CHUNKS)) or 1
    text = Text(
        place,
        found.encoding,
        found.confidence,
        packed,
        rewriter.original_bytes,
        tuple(rewriter.origins[::merged]),
        rewriter.variants,
        found.resembles,
    )
    return Prepared(text, head[:HEAD_SIZE_BYTES], sniffed, settings.chunk_size_bytes * merged)


def _stated(contract: Contract | None, head: bytes) -> str | None:
    """The encoding that a contract gives its files; but a rejects.csv is written in UTF-8, whatever theirs is, and has
    theirs only where a spreadsheet saved it so.
    """
    if contract is None:
        return None
    return UTF8 if is_rejects(head) and charset.is_utf8(head) else contract.encoding


def _peek(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """At least ``HEAD_SIZE_BYTES``, or all there is; and all pieces, from the first one on."""
    taken: list[bytes] = []
    size = 0
    for piece in pieces:
        taken.append(piece)
        size += len(piece)
        if size >= HEAD_SIZE_BYTES:
            break
    return b"".join(taken), chain(taken, pieces)


@frozen
class _Object:
    """Satisfies ``compression.Seekable``."""

    objects: Objects
    source: Source

    @property
    def size_bytes(self) -> int:
        return self.source.size_bytes

    def read(self, start: int, end: int) -> bytes:
        return self.objects.read_range(self.source, start, end)


def _unpacked(objects: Objects, source: Source, packed: str) -> Iterator[bytes]:
    from chalicelib.engine.text import compression  # with the libraries 3 ms that few files need

    if packed == "zip":
        return compression.unpack_zip(_Object(objects, source))
    pieces: Iterable[bytes] = objects.stream(source, REWRITE_PIECE_BYTES)
    return compression.unpack(packed, pieces)


def _refuse_nested(head: bytes, packed: str) -> None:
    inner = signatures.compression(head)
    if inner is not None:
        raise Terminal("nested-compression", f"the file is {inner} data within {packed} data: pack it once")
    signatures.refuse_foreign(head)
