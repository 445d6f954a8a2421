"""Records whose bytes are not all characters, together and one by one."""

from __future__ import annotations

import base64

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine import arrays
from chalicelib.engine.rejects import exact
from chalicelib.engine.text import encodings
from chalicelib.engine.text.encodings import Original, to_text

BYTES = (0x80, 0x81, 0xA0, 0xBF, 0xC0, 0xC3, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xFF)
PIECES = st.sampled_from([b"a", b"\n", b"\0", b'"', *map(str.encode, "é品🙂"), *(bytes([byte]) for byte in BYTES)])
RECORDS = st.lists(st.lists(PIECES, max_size=8).map(b"".join), min_size=1, max_size=20)


def of(records: list[bytes], skipped: int = 0) -> pa.BinaryArray:
    """Behind others that are not asked for."""
    return arrays.binaries([b"x\xff\n"] * skipped + records)[skipped:]


@given(RECORDS, st.integers(0, 3))
def test_together_people_see_what_they_see_one_by_one(records: list[bytes], skipped: int) -> None:
    shown = exact.readable(of(records, skipped)).to_pylist()
    assert shown == [encodings.readable(record).encode() for record in records]


@given(RECORDS, st.integers(0, 3))
def test_base64_is_that_of_the_standard_library(records: list[bytes], skipped: int) -> None:
    assert exact.base64(of(records, skipped)).to_pylist() == list(map(base64.b64encode, records))


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii", "koi8-r", "utf-16-le", "cp932", "gb18030"])
@given(records=RECORDS, skipped=st.integers(0, 3))
def test_together_they_come_back_to_the_bytes_of_the_file(encoding: str, records: list[bytes], skipped: int) -> None:
    texts = records if encoding == "utf-8" else [to_text(record, encoding) for record in records]
    assert exact.originals(of(texts, skipped), Original(encoding)).to_pylist() == records
