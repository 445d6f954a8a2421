"""Compressed uploads: what is recognised, what is refused, and that neither memory nor storage run away."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pytest

from chalicelib.engine.contract import Contract
from chalicelib.engine.text import compression, signatures
from chalicelib.engine.text.rewrite import Limits, Rewriter, limited
from chalicelib.errors import Terminal, Transient
from chalicelib.settings import MIB
from chalicelib.stages import texts
from tests import pipeline
from tests.fakes import MemoryPorts
from tests.pipeline import contract

BODY = b"id,name\n" + b"".join(b"%d,name%d\n" % (number, number) for number in range(200))


@dataclass(frozen=True)
class Held:
    body: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.body)

    def read(self, start: int, end: int) -> bytes:
        assert start < end  # S3 has no empty range
        return self.body[start:end]


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())


PACKS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
}


def a_zip(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return sink.getvalue()


def unpacked(data: bytes, piece: int = 1000) -> bytes:
    name = signatures.compression(data)
    assert name is not None
    if name == "zip":
        return b"".join(compression.unpack_zip(Held(data)))
    return b"".join(compression.unpack(name, (data[at : at + piece] for at in range(0, len(data), piece))))


@pytest.mark.parametrize("name", PACKS)
@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_members_follow_each_other(name: str, piece: int) -> None:
    pack = PACKS[name]
    assert signatures.compression(pack(BODY)) == name
    assert unpacked(pack(BODY) + pack(b"") + pack(b"1,a\n"), piece) == BODY + b"1,a\n"


def test_padding_of_zeros_is_no_data() -> None:
    assert unpacked(gzip.compress(BODY) + bytes(512)) == BODY
    assert unpacked(lzma.compress(BODY) + bytes(8) + lzma.compress(BODY)) == BODY * 2


def test_zstds_skippable_frames_are_skipped() -> None:
    skippable = b"\x53\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    assert unpacked(skippable + zstd(BODY) + skippable) == BODY


@pytest.mark.parametrize("name", PACKS)
@pytest.mark.parametrize("after", [b"x", b"\0\0x", b"id,name\n9,z\n"])
def test_what_follows_the_end_is_refused(name: str, after: bytes) -> None:
    with pytest.raises(Terminal) as caught:
        unpacked(PACKS[name](BODY) + after)
    assert caught.value.code == "corrupt-compression"


@pytest.mark.parametrize("data", [b"BZh,name\n1,a\n", b"BZh91,name\n", b"PK,name\n1,a\n", b"\x1f\x8bx", b"", b"id\n"])
def test_labels_that_look_like_a_signature_are_labels(data: bytes) -> None:
    assert signatures.compression(data) is None


METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@pytest.mark.parametrize("method", METHODS)
def test_a_zip_with_one_file(method: int) -> None:
    assert unpacked(a_zip({"a.csv": BODY}, method)) == BODY
    assert unpacked(a_zip({"export/": b"", "export/a.csv": BODY, "__MACOSX/export/._a.csv": b"\0"}, method)) == BODY
    assert unpacked(a_zip({"mimetypes.csv": BODY}, method)) == BODY  # named as a part of an Office document


def test_a_zip_that_was_streamed_or_is_in_the_large_format() -> None:
    class Unseekable(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *where: int) -> int:
            raise io.UnsupportedOperation

    streamed = Unseekable()
    with (
        zipfile.ZipFile(streamed, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.csv", "w", force_zip64=True) as member,
    ):
        member.write(BODY)
    assert unpacked(streamed.getvalue()) == BODY


@pytest.mark.parametrize(
    "data, code, said",
    [
        pytest.param(a_zip({"a.csv": BODY, "b.csv": BODY}), "unsupported-compression", "2 files", id="two files"),
        pytest.param(a_zip({}), "unsupported-compression", "0 files", id="no file"),
        pytest.param(a_zip({"a/": b""}), "unsupported-compression", "0 files", id="a folder"),
        pytest.param(
            a_zip({"[Content_Types].xml": b"<a/>", "xl/workbook.xml": b"<a/>"}), "not-csv", "Excel", id="workbook"
        ),
        pytest.param(a_zip({"a.csv": BODY})[:-30], "corrupt-compression", "damaged", id="cut"),
        pytest.param(
            a_zip({"a.csv": BODY}).replace(b"\x14\x00\x00\x00\x08\x00", b"\x14\x00\x01\x00\x08\x00"),
            "unsupported-compression",
            "encrypted",
            id="encrypted",
        ),
        pytest.param(
            a_zip({"a.csv": BODY}).replace(b"\x14\x00\x00\x00\x08\x00", b"\x14\x00\x00\x00\x09\x00"),
            "unsupported-compression",
            "not supported",
            id="an unknown method",
        ),
    ],
)
def test_a_zip_that_is_refused(data: bytes, code: str, said: str) -> None:
    with pytest.raises(Terminal) as caught:
        unpacked(data)
    assert caught.value.code == code
    assert said in caught.value.message


@pytest.mark.parametrize("name", PACKS)
def test_a_read_that_fails_is_not_the_files_fault(name: str) -> None:
    def failing() -> Iterator[bytes]:
        yield PACKS[name](BODY)[:30]
        raise Transient("short-read", "the connection broke")

    with pytest.raises(Transient, match="short-read"):
        list(compression.unpack(name, failing()))


def test_a_dictionary_that_needs_too_much_memory_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 20}]
    packed = bytearray(lzma.compress(BODY, filters=filters))
    # The block header: its size, flags, filter id, properties' size, the dictionary's size; its CRC-32 at its end.
    header_size = (packed[12] + 1) * 4
    assert packed[14:16] == b"\x21\x01"
    packed[16] = 38  # 2 GiB
    packed[12 + header_size - 4 : 12 + header_size] = zlib.crc32(packed[12 : 12 + header_size - 4]).to_bytes(
        4, "little"
    )
    with pytest.raises(Terminal, match="MiB of memory") as caught:
        unpacked(bytes(packed))
    assert caught.value.code == "unsupported-compression"


@pytest.mark.parametrize(
    "body, code, said",
    [
        pytest.param(gzip.compress(gzip.compress(BODY)), "nested-compression", "gzip data within gzip", id="nested"),
        pytest.param(gzip.compress(bz2.compress(BODY)), "nested-compression", "bzip2 data within gzip", id="mixed"),
        pytest.param(gzip.compress(b"\x89PNG\r\n\x1a\n\0\0\0"), "not-csv", "PNG", id="an image"),
        pytest.param(gzip.compress(b""), "empty-file", "no bytes", id="empty"),
        pytest.param(a_zip({"a.csv": b"\xef\xbb\xbf"}), "empty-file", "byte order mark", id="a mark alone"),
        pytest.param(gzip.compress(BODY)[:-4], "corrupt-compression", "cut short", id="cut"),
    ],
)
def test_what_is_refused_leaves_no_text(body: bytes, code: str, said: str) -> None:
    outcome = pipeline.run(body, contract({"name": "id", "type": "integer"}, {"name": "name", "type": "string"}))
    assert outcome.job.error is not None
    assert outcome.job.error.code == code
    assert said in outcome.job.error.message
    assert list(outcome.ports.objects.list(pipeline.RESULTS, "work/")) == []


@pytest.mark.parametrize("name", ["gzip", "zstd", "bzip2", "xz", "zip"])
def test_a_bomb_costs_no_more_than_its_limit(name: str) -> None:
    content = b"id\n" + b"1\n" * (4 * MIB)
    body = a_zip({"a.csv": content}) if name == "zip" else PACKS[name](content)
    ports = MemoryPorts()
    seen: list[int] = []
    source = pipeline.upload(ports, body, "incoming/things/a.csv.gz")
    put = ports.objects.put_stream

    def counted(pieces):
        for piece in pieces:
            seen.append(len(piece))
            yield piece

    def counting(bucket, key, pieces, kind):
        return put(bucket, key, counted(pieces), kind)

    ports.objects.put_stream = counting  # type: ignore[method-assign]
    limits = Limits(size_bytes=1 << 40, ratio=2, ratio_above_bytes=3 * MIB)
    with pytest.raises(Terminal) as caught:
        texts.prepare(ports.objects, pipeline.settings(MIB), source, None, limits)
    assert caught.value.code == "expansion-limit"
    assert sum(seen) <= 3 * MIB
    assert list(ports.objects.list(pipeline.RESULTS, "work/")) == []
    with pytest.raises(Terminal, match="which is the limit"):
        texts.prepare(ports.objects, pipeline.settings(MIB), source, None, Limits(MIB, 1e9, MIB))


@pytest.mark.parametrize("name", PACKS)
def test_no_piece_is_large_however_well_it_was_packed(name: str) -> None:
    """200 MiB through decompressor and decoder: nothing that is held at a time is larger than a piece, decoded."""
    members = 2 if name == "bzip2" else 10  # it is slow
    block = PACKS[name](b"1,\xe9\xe9\xe9\xe9\xe9\n" * (20 * MIB // 8))
    pieces = compression.unpack(name, (block for _ in range(members)))
    rewriter = Rewriter("cp1252", 8 * MIB)
    sizes = [len(piece) for piece in rewriter.text(limited(pieces, Limits(1 << 40, 1e9, 0), 1))]
    assert rewriter.original_bytes == members * (20 * MIB // 8) * 8
    assert max(sizes) <= 2 * compression.PIECE_BYTES
    assert len(rewriter.origins) == -(-rewriter.size_bytes // (8 * MIB))


def test_what_was_done_is_told() -> None:
    text = "id,name\n1,Grün\n2,x,y\n"
    described = contract({"name": "id", "type": "integer"}, {"name": "name", "type": "string"}, encoding="cp1252")
    outcome = pipeline.run(gzip.compress(text.encode("cp1252")), described, key="incoming/things/a.csv")
    assert outcome.job.error is None
    summary, manifest = outcome.document("summary.json"), outcome.document("manifest.json")
    assert (summary["encoding"], summary["compression"], summary["encoding_confidence"]) == ("cp1252", "gzip", 1.0)
    assert (outcome.job.encoding, outcome.job.compression) == ("cp1252", "gzip")
    assert manifest["text"] == {
        "size_bytes": len(text.encode()),
        "original_bytes": len(text.encode("cp1252")),
        "encoding": "cp1252",
        "compression": "gzip",
        "rewritten": True,
    }
    assert manifest["ledger"]["size_bytes"] == len(text.encode())
    assert outcome.rejects[0]["byte"] == len("id,name\n1,Grün\n")
    assert isinstance(outcome.document("contract.json"), dict)
    assert b"gzip" in outcome.body("report.html")


def test_a_retry_writes_the_same_text_again() -> None:
    ports = MemoryPorts()
    source = pipeline.upload(ports, gzip.compress(BODY), "incoming/things/a.csv")
    given: Contract | None = None
    first, second = (texts.prepare(ports.objects, pipeline.settings(64), source, given) for _ in range(2))
    assert first == second
    assert first.text.source.key.endswith("/text.csv")


def test_many_chunks_are_merged_with_their_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "MAX_CHUNKS", 10)
    ports = MemoryPorts()
    body = BODY.decode().encode("utf-16")
    source = pipeline.upload(ports, body, "incoming/things/a.csv")
    found = texts.prepare(ports.objects, pipeline.settings(64), source, None)
    size = found.text.source.size_bytes
    assert found.chunk_size_bytes % 64 == 0
    assert len(found.text.origins) == -(-size // found.chunk_size_bytes) <= 10
    assert found.text.origins[1] == (found.chunk_size_bytes - 3 + 1) * 2
