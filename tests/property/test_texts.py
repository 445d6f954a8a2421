"""The outputs depend neither on how a file is encoded or packed nor on how its text is cut; damage loses nothing."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib.engine.text import encodings
from chalicelib.engine.text.rewrite import Rewriter
from chalicelib.model import JSON
from tests import pipeline
from tests.pipeline import Outcome, contract

Pack = Callable[[bytes], bytes]


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())


def zipped(data: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        archive.writestr("export/a.csv", data)
    return sink.getvalue()


PACKS: dict[str, Pack] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
    "zip": zipped,
}
SAMPLES = {
    "utf-16-le": "é€日𝄞", "utf-16-be": "é€日𝄞", "utf-32-le": "é€日𝄞", "utf-32-be": "é€日𝄞",
    "cp1252": "é€ß’", "iso8859-1": "éßÿ\x85", "iso8859-15": "é€œ", "cp1251": "Привет", "koi8-r": "Привет",
    "cp932": "日本語ｱ表ソ髙①", "gb18030": "中文é𝄞数", "big5": "中文數功", "cp949": "한국어",
}  # fmt: skip
MARKED = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
BREAKS = st.sampled_from(["\n", "\r\n", "\r"])
CHUNKS = st.integers(1, 64)


def things(**keys: Any) -> JSON:
    return contract(
        {"name": "id", "type": "integer"},
        {"name": "name", "type": "string", "constraints": {"unique": True}},
        {"name": "size", "type": "number", "constraints": {"maximum": 1.5}},
        **keys,
    )


def rows(sample: str) -> st.SearchStrategy[list[str]]:
    cell = st.one_of(
        st.sampled_from(["1", "2", "x", "", "1.5", "7", '"', '"a\nb"', '"a""b"', 'a"', '"a"b', '","']),
        st.text(sample, max_size=4),
        st.text(sample, min_size=1, max_size=3).map(lambda text: f'"{text}\n{text}"'),
    )
    return st.lists(st.lists(cell, min_size=1, max_size=4).map(",".join), max_size=8)


def essence(outcome: Outcome) -> Any:
    """Everything that a user is given, but for byte offsets, the encoding's name and the number of chunks."""
    job = outcome.job
    if job.error is not None:
        return job.status, job.error, job.rows
    summary = outcome.document("summary.json")
    for name in ("chunks", "encoding", "encoding_confidence", "compression", "dialect_detected", "job_id"):
        summary.pop(name)
    rejects = [each | {"byte": None, "raw_base64": None} for each in outcome.rejects]
    return job.status, job.rows, job.reasons, outcome.body("rejects.csv"), rejects, summary, outcome.table.to_pylist()


@pytest.mark.parametrize("encoding", SAMPLES)
def test_a_text_in_any_encoding_gives_what_it_gives_in_utf8(encoding: str) -> None:
    @given(rows(SAMPLES[encoding]), BREAKS, st.booleans(), CHUNKS)
    def holds(rows: list[str], line_break: str, last: bool, chunk_size: int) -> None:
        text = line_break.join(["id,name,size", *rows]) + (line_break if last else "")
        plain = pipeline.run(text.encode(), things(encoding="utf-8"))
        body = text.encode(encoding)
        other = pipeline.run(body, things(encoding=encoding), chunk_size=chunk_size)
        assert essence(other) == essence(plain)
        check_offsets(other, body, encoding)
        if encoding in MARKED:
            marked = pipeline.run(("\ufeff" + text).encode(encoding), things(), chunk_size=chunk_size)
            assert essence(marked) == essence(plain)

    holds()


def check_offsets(outcome: Outcome, body: bytes, encoding: str) -> None:
    """Each rejected record's bytes stand where it is said that they do."""
    if outcome.job.error is None:
        for each in outcome.rejects:
            raw = (
                base64.b64decode(each["raw_base64"]) if "raw_base64" in each
                else each["raw"].encode(encodings.Original(encoding).codec)
            )  # fmt: skip
            assert body[each["byte"] : each["byte"] + len(raw)] == raw


@pytest.mark.parametrize("encoding", SAMPLES)
def test_any_bytes_in_any_encoding_give_the_same_for_any_cut(encoding: str) -> None:
    @given(st.binary(max_size=40), st.sampled_from(["", "1,a,1\n"]), CHUNKS)
    @example(b"\xff", "1,a,1\n", 3)
    @example(b"\x00\xd8,\x00\n\x00\x00", "", 1)
    def holds(tail: bytes, more: str, chunk_size: int) -> None:
        body = "id,name,size\n1,b,1\n".encode(encoding) + tail + more.encode(encoding)
        whole = pipeline.run(body, things(encoding=encoding))
        cut = pipeline.run(body, things(encoding=encoding), chunk_size=chunk_size)
        assert whole.job.rows.balances
        if whole.job.error is None:
            assert cut.body("rejects.jsonl") == whole.body("rejects.jsonl")
            check_offsets(whole, body, encoding)
            assert whole.document("manifest.json")["text"]["original_bytes"] == len(body)
        assert essence(cut) == essence(whole)

    holds()


ENCODINGS = st.sampled_from(sorted(set(encodings.SUPPORTED) - {"utf-8", "utf-16", "utf-32"}))


@settings(max_examples=200)
@given(ENCODINGS, st.binary(max_size=60), st.integers(1, 9), st.integers(1, 9))
def test_every_byte_survives_the_way_to_text_and_back(encoding: str, data: bytes, piece: int, step: int) -> None:
    rewriter = Rewriter(encoding, step)
    text = b"".join(rewriter.text(data[at : at + piece] for at in range(0, len(data), piece)))
    assert text == encodings.to_text(data, encoding)
    original = encodings.Original(encoding, rewriter.variants)
    assert len(original.of(text)) == len(data) == rewriter.original_bytes
    if encoding not in ("cp932", "big5"):  # there a file may write one character in two ways
        assert original.of(text) == data
    assert rewriter.size_bytes == len(text)
    starts = [encodings.characters_from(text, at) for at in range(0, len(text), step)]
    assert rewriter.origins == [len(original.of(text[:start])) for start in starts]


@given(st.sampled_from(sorted(PACKS)), rows("é日"), BREAKS, CHUNKS, st.sampled_from(["utf-8", "utf-16-le", "cp932"]))
def test_a_packed_file_gives_what_it_gives_unpacked(
    pack: str, rows: list[str], line_break: str, chunk_size: int, encoding: str
) -> None:
    text = line_break.join(["id,name,size", *rows]).replace("é", "e")
    body = text.encode(encoding)
    plain = pipeline.run(body, things(encoding=encoding), chunk_size=chunk_size)
    packed = pipeline.run(PACKS[pack](body), things(encoding=encoding), chunk_size=chunk_size)
    assert essence(packed) == essence(plain)
    if plain.job.error is None:
        assert packed.body("rejects.jsonl") == plain.body("rejects.jsonl")
        assert packed.document("summary.json")["compression"] == pack


BODY = b"id,name,size\n" + b"".join(b"%d,name%d,1\n" % (number, number) for number in range(12))
REFUSALS = {
    "corrupt-compression", "unsupported-compression", "nested-compression", "not-csv", "header-mismatch", "empty-file",
    "header-too-long", "unsupported-encoding", "encoding-mismatch",
}  # fmt: skip


@pytest.mark.parametrize("pack", PACKS)
def test_damage_anywhere_is_refused_or_changes_nothing(pack: str) -> None:
    if pack == "zstd":
        body = zstandard.ZstdCompressor(write_checksum=True).compress(BODY)
    else:
        body = PACKS[pack](BODY)
    right = pipeline.run(body, things()).table
    assert right.num_rows == 12
    damaged = [body[:at] + bytes((body[at] ^ flip,)) + body[at + 1 :] for at in range(len(body)) for flip in (1, 0x90)]
    for each in (*damaged, *(body[:size] for size in range(len(body)))):
        outcome = pipeline.run(each, things())
        if outcome.job.error is None:
            assert outcome.table.equals(right)
        else:
            assert outcome.job.error.code in REFUSALS
