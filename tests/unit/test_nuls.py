"""A NUL costs its own record, with a code, a line and a byte, whatever stands around it; binary data is refused."""

from __future__ import annotations

import random
import struct

import pytest

from chalicelib.engine.text.signatures import is_binary
from tests import pipeline
from tests.pipeline import contract

TWO = contract({"name": "a", "type": "string"}, {"name": "b", "type": "string"})


@pytest.mark.parametrize("others", [0, 1, 20_000])
@pytest.mark.parametrize("chunk_size", [1 << 10, 1 << 20])
def test_a_nul_costs_its_own_record(others: int, chunk_size: int) -> None:
    outcome = pipeline.run(b"a,b\n1,\0\n" + b"2,3\n" * others, TWO, chunk_size=chunk_size)
    assert outcome.job.error is None
    assert outcome.findings == {(1, "", "nul-byte")}
    assert outcome.rejects[0]["line"] == 2
    assert outcome.rejects[0]["errors"][0]["note"] == "byte 6 is NUL"
    assert outcome.job.rows.valid == others


def test_a_record_with_several_is_told_once_and_the_other_cells_are_checked() -> None:
    described = contract({"name": "a", "type": "integer"}, {"name": "b", "type": "string"})
    outcome = pipeline.run(b"a,b\nx,\0p\0\0\n1,2\n3,4\n", described)
    assert outcome.rejects[0]["errors"][0]["note"] == "byte 6 (and 2 more) is NUL"
    assert outcome.findings == {(1, "", "nul-byte"), (1, "a", "type-error")}


def test_rejected_for_a_nul_and_uploaded_again_it_is_rejected_again() -> None:
    first = pipeline.run(b"a,b\n1,\0\n2,3\n", TWO)
    again = pipeline.run(first.body("rejects.csv"), TWO)
    assert again.findings == {(1, "", "nul-byte")}
    assert pipeline.run(first.body("rejects.csv").replace(b"\0", b"x"), TWO).table.to_pylist() == [{"a": "1", "b": "x"}]


def test_a_nul_in_a_file_of_another_encoding_is_told_by_its_byte_there() -> None:
    outcome = pipeline.run("\ufeffa,b\n1,\0\n2,3\n".encode("utf-16-le"), TWO)
    assert outcome.findings == {(1, "", "nul-byte")}
    assert outcome.rejects[0]["errors"][0]["note"] == "byte 14 is NUL"


def test_a_nul_in_the_header_is_refused() -> None:
    for described in (None, TWO):
        refused = pipeline.run(b"a\0,b\n1,2\n3,4\n", described)
        assert refused.job.error is not None
        assert refused.job.error.code == "header-mismatch"
        assert refused.job.error.message == "byte 1 of the header is NUL"


@pytest.mark.parametrize("body", [b"\0\0\0\n", b"\0\0\0\n\0\0\0\n", b"\0"])
@pytest.mark.parametrize("described", [None, TWO], ids=["draft", "contract"])
def test_nuls_and_line_breaks_are_no_csv(body: bytes, described: dict | None) -> None:
    refused = pipeline.run(body, described)
    assert refused.job.error is not None
    assert refused.job.error.code == "not-csv"


BINARY = {
    "random": random.Random(1).randbytes(1 << 14),
    "a little random": random.Random(1).randbytes(200) + b"\0",
    "doubles": struct.pack("<2000d", *(at / 7 for at in range(2000))),
    "small integers": struct.pack("<4000i", *range(4000)),
    "UTF-16 in Cyrillic": "имя,цена\nчернила,1\nперо,2\n".encode("utf-16-le"),
    "a NUL in every record": b"name\0\0,1\n" * 20,
}


@pytest.mark.parametrize("body", BINARY.values(), ids=BINARY)
def test_binary_data(body: bytes) -> None:
    assert is_binary(body)


@pytest.mark.parametrize(
    "body", [b"", b"a,b\n", b"a\x01\x02\x03\n", b"1,\0\n", b"a,b\n1,\0\n", b"a,b\n" + b"1,2\n" * 99 + b"\0" * 300]
)
def test_text(body: bytes) -> None:
    assert not is_binary(body)
