"""What a file is: formats that are not CSV, encodings, delimiters, headers."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from chalicelib.engine import contract as contracts
from chalicelib.engine.contract import Contract, Field
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.text.dialect import sniff
from chalicelib.errors import Terminal
from tests import pipeline

ROOT = Path(__file__).parents[2]

ORDERS = Contract(
    "orders", (Field("id", "integer"), Field("country", "string"), Field("price", "number"), Field("at", "date"))
)
TEXTS = Contract("texts", (Field("first", "string"), Field("second", "string")))


def a_zip(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "x" * 100)
    return buffer.getvalue()


def a_png() -> bytes:
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + header
        + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    )


def a_parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2]}), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data, name",
    [
        pytest.param(a_png(), "a PNG image", id="png"),
        pytest.param(gzip.compress(b"a,b\n1,2\n"), "gzip data", id="gzip"),
        pytest.param(a_zip("a.csv"), "a zip archive", id="zip"),
        pytest.param(a_zip("xl/workbook.xml"), "an Excel workbook", id="xlsx"),
        pytest.param(a_parquet(), "a Parquet file", id="parquet"),
        pytest.param(b"%PDF-1.7\n%\xe2\xe3\n", "a PDF document", id="pdf"),
        pytest.param(b"\n<!DOCTYPE html>\n<html>", "an HTML page", id="html"),
        pytest.param(b"\xef\xbb\xbf<!-- saved --> <HTML lang=en>", "an HTML page", id="html with a BOM"),
        pytest.param(b'<?xml version="1.0"?><a/>', "an XML document", id="xml"),
        pytest.param(b'{"a": 1}\n{"a": 2}\n', "JSON", id="json lines"),
        pytest.param(b'[\n  {"a": 1},\n  {"a": 2}\n]', "JSON", id="json"),
        pytest.param(b'{\n  "a": 1\n}', "JSON", id="json object"),
        pytest.param(bytes(range(1, 256)) * 4 + bytes(64), "NUL bytes", id="binary"),
    ],
)
def test_what_is_not_a_csv_is_named(data: bytes, name: str) -> None:
    for contract in (None, ORDERS):
        with pytest.raises(Terminal) as caught:
            sniff(data, contract, whole=True)
        assert caught.value.code == "not-csv"
        assert name in caught.value.message


@pytest.mark.parametrize("first", ["PAR1,PAR2", "ORC,ELF", "RIFF,x", "{id},x", "[a],b", "<b>,c", '"{""a"":1}",x'])
def test_labels_that_look_like_a_signature_are_labels(first: str) -> None:
    assert sniff(f"{first}\n1,2\n".encode(), None, whole=True).dialect.header


@pytest.mark.parametrize("data, problem", [(b"", "no bytes"), (b"\xef\xbb\xbf", "byte order mark")])
def test_an_empty_file(data: bytes, problem: str) -> None:
    with pytest.raises(Terminal, match=problem) as caught:
        sniff(data, ORDERS, whole=True)
    assert caught.value.code == "empty-file"


def test_a_stray_nul_in_a_large_file_is_a_cells_content() -> None:
    data = b"id,note\n" + b"1,some text\n" * 500 + b"2,\0\n"
    assert sniff(data, None, whole=True).dialect.delimiter == ","


def test_a_byte_order_mark_is_measured() -> None:
    found = sniff(b"\xef\xbb\xbfid,country,price,at\n", ORDERS, whole=True)
    assert (found.bom_bytes, found.dialect) == (3, Dialect())


def test_bytes_that_are_not_utf8_do_not_stop_the_detection() -> None:
    found = sniff(b"id;name\n1;M\xfcller\n2;Meier\n", None, whole=True)
    assert (found.dialect.delimiter, found.dialect.header) == (";", True)


def test_the_contracts_dialect_wins_whatever_the_file_is() -> None:
    contract = contracts.parse(contracts.to_document(ORDERS) | {"encoding": "utf-8", "dialect": {"header": False}})
    found = sniff(b"id;country;price;at\n1;DE;2;2024-01-01\n", contract, whole=True)
    assert (found.dialect, found.confidence, found.chosen) == (Dialect(header=False), 1.0, ())


def test_what_was_detected_is_told() -> None:
    assert sniff(b"a,b\n1,2\n", None, whole=True).chosen == ("encoding", "delimiter", "header")
    with_encoding = contracts.parse(contracts.to_document(ORDERS) | {"encoding": "utf-8"})
    assert sniff(b"id,country\n", with_encoding, whole=True).chosen == ("delimiter", "header")


DELIMITED = [
    pytest.param("a,b,c\n1,2,3\n4,5,6\n", ",", True, id="comma"),
    pytest.param("a;b;c\n1,5;2,5;3,5\n4,5;5,5;6,5\n", ";", True, id="decimal commas"),
    pytest.param("1,5;2,5\n1,5;3,5\n2,5;3,5\n", ";", False, id="decimal commas without a header"),
    pytest.param("a\tb\n1,000\t2\n3,000\t4\n", "\t", True, id="tab with thousands"),
    pytest.param("id|tags\n1|x,y\n2|z\n", "|", True, id="pipe"),
    pytest.param("id,tags\n1,x|y|z\n2,x|y|z\n3,u|v|w\n", ",", True, id="pipes inside cells"),
    pytest.param('id,note\n1,"a;b;c\nd;e;f"\n2,"g;h;i"\n', ",", True, id="quoted semicolons and line breaks"),
    pytest.param("id,when\r\n1,2024-01-01 10:00:00\r\n2,2024-01-02 11:00:00\r\n", ",", True, id="crlf"),
    pytest.param("id,name\r1,x\r2,y\r", ",", True, id="lone carriage returns"),
    pytest.param("name\nanna\nbob\n", ",", True, id="one column"),
    pytest.param("1\n2\n3\n", ",", False, id="one column of numbers"),
    pytest.param("1,DE,2.5\n2,US,3.5\n", ",", False, id="no header"),
    pytest.param("a,b,c\n", ",", True, id="a header alone"),
    pytest.param("1,2,3\n", ",", False, id="a row alone"),
    pytest.param(",a,b\n0,1,2\n1,3,4\n", ",", True, id="a pandas index without a label"),
    pytest.param("country,2019,2020\nDE,1.5,2.5\nFR,3.5,4.5\n", ",", True, id="years as labels"),
    pytest.param("a,b\nx,y\nu,v\n", ",", True, id="texts under a header"),
    pytest.param("x,y\nx,z\nu,y\n", ",", False, id="texts that recur"),
    pytest.param("NA,5\n1,6\n2,7\n", ",", False, id="a missing value in the first row"),
    pytest.param("\n\na,b\n1,2\n", ",", True, id="blank lines first"),
]


@pytest.mark.parametrize("text, delimiter, header", DELIMITED)
def test_delimiter_and_header_are_found_without_a_contract(text: str, delimiter: str, header: bool) -> None:
    found = sniff(text.encode(), None, whole=True)
    assert (found.dialect.delimiter, found.dialect.header) == (delimiter, header)
    assert 0 < found.confidence <= 1


def test_the_record_that_the_heads_end_cuts_does_not_count() -> None:
    cut = b"a;b;c\n1;2;3\n4;5;6\n7;8,1,1,1,1,1,1"
    assert sniff(cut, None, whole=False).dialect.delimiter == ";"
    assert sniff(b"a,b\n1,2\n3,4\n5", None, whole=False).confidence == 1.0
    assert sniff(b"a,b\n1,2\n3,4\n5", None, whole=True).confidence < 1.0


def test_a_quote_that_is_never_closed_does_not_stop_the_detection() -> None:
    data = b"id;note\n1;x\n2;y\n" + b'3;"open\n' + b"4;z\n" * 100_000
    found = sniff(data, None, whole=False)
    assert (found.dialect.delimiter, found.dialect.header) == (";", True)


def test_a_clear_case_is_surer_than_a_doubtful_one() -> None:
    clear = sniff(b"id,n\n1,2\n3,4\n", None, whole=True).confidence
    doubtful = sniff(b"a,b\nx,y\nu,v\n", None, whole=True).confidence
    assert clear == 1.0
    assert doubtful <= 0.6


@pytest.mark.parametrize(
    "text, delimiter, header",
    [
        pytest.param("id,country,price,at\n1,DE,2,2024-01-01\n", ",", True, id="labels match"),
        pytest.param("id;country;price;at\n1;DE;2,5;2024-01-01\n", ";", True, id="semicolons"),
        pytest.param("ID,Country,Price,At\n", ",", True, id="labels in capitals"),
        pytest.param("at,price,x,y\n", ",", True, id="half of the labels"),
        pytest.param("nr,land,preis,am\n1,DE,2,2024-01-01\n", ",", True, id="a header that does not match"),
        pytest.param("1,DE,2,2024-01-01\n2,FR,3,2024-01-02\n", ",", False, id="no header"),
        pytest.param('_record,_line,_errors,id,country,price,at\n1,2,"x",1,DE,2,2024-01-01\n', ",", True, id="rejects"),
    ],
)
def test_with_a_contract_its_names_tell_the_header(text: str, delimiter: str, header: bool) -> None:
    found = sniff(text.encode(), ORDERS, whole=True)
    assert (found.dialect.delimiter, found.dialect.header) == (delimiter, header)


def test_texts_that_do_not_match_are_a_header_to_be_refused_rather_than_data() -> None:
    assert sniff(b"erste,zweite\na,b\n", TEXTS, whole=True).dialect.header


def test_one_column_under_a_contract() -> None:
    contract = Contract("notes", (Field("note", "string"),))
    found = sniff(b"note\nhello; there\nbye; now\n", contract, whole=True)
    assert (found.dialect.delimiter, found.dialect.header) == (",", True)


def test_the_sample_is_detected_without_its_contract() -> None:
    head = (ROOT / "samples" / "orders.csv").read_bytes()[: 1 << 20]
    found = sniff(head, None, whole=False)
    assert found.dialect == Dialect()
    assert found.confidence > 0.9


def test_a_file_of_json_cells_is_a_csv_where_the_contract_says_so() -> None:
    described = {"schema": {"fields": [{"name": "at", "type": "geopoint", "format": "array"}]}, "name": "points"}
    contract = contracts.parse(described | {"dialect": {"header": False}})
    assert not sniff(b"[0]\n", contract, whole=True).dialect.header
    with pytest.raises(Terminal, match="the file is JSON"):
        sniff(b"[0]\n", None, whole=True)


NAMED = {
    "name": "things",
    "schema": {"fields": [{"name": "id", "type": "integer"}, {"name": "name", "type": "string"}]},
}


@pytest.mark.parametrize("first", ["sep={0}", '"sep={0}"', "\ufeffsep={0}", "sep={0} "])
@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|", "^"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("chunk_size", [5, 1 << 20])
def test_excels_first_line_tells_the_delimiter(first: str, delimiter: str, ends: str, chunk_size: int) -> None:
    lines = [first.format(delimiter), delimiter.join(("id", "name")), f"1{delimiter}a,b" if delimiter != "," else "1,a"]
    body = "".join(line + ends for line in [*lines, f"2{delimiter}b"]).encode()
    for described in (NAMED, None):
        outcome = pipeline.run(body, described, chunk_size=chunk_size)
        assert outcome.job.error is None
        assert outcome.table.to_pylist() == [{"id": 1, "name": lines[2][2:]}, {"id": 2, "name": "b"}]


def test_the_draft_of_a_file_with_excels_first_line_reads_it_again() -> None:
    for header in ("id;name\n", ""):
        body = f"sep=;\n{header}1;a\n2;b\n".encode()
        outcome = pipeline.run(body)
        again = pipeline.run(body, outcome.document("contract.json"))
        assert (again.job.rows.read, again.job.error) == (2, None)
        assert again.table.equals(outcome.table)


def test_excels_first_line_does_not_hide_texts_that_look_like_data() -> None:
    """A header of texts above texts is one, as without that line."""
    assert pipeline.run(b"sep=;\nid;name\na;b\nc;d\n").table.to_pylist() == [
        {"id": "a", "name": "b"},
        {"id": "c", "name": "d"},
    ]


@pytest.mark.parametrize(
    "body", [b"sep=;;\n1;2;3\n", b"sep=x\n1\n", b'sep="\n1\n', b"sep=\n1\n", b"separator;x\n1;2\n", b"a;b\nsep=;\n"]
)
def test_only_such_a_line_is_one(body: bytes) -> None:
    assert sniff(body, None, whole=True).dialect.comment_rows == ()


def test_the_advice_on_a_repeated_label_passes_over_that_line_too() -> None:
    outcome = pipeline.run(b"sep=;\nid;id\n1;2\n")
    assert outcome.job.error is not None
    assert '"dialect": {"delimiter": ";", "header": false, "commentRows": [1, 2]}' in outcome.job.error.message
