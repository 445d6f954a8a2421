"""Polluted files and what Sluice does with each: the cases of docs/polluted-input.md.

    python -m tests.polluted        # writes the page anew

The kinds of pollution are oriented by the Pollock benchmark (Vitagliano, Hameed, Jiang, Reisener, Wu, Naumann:
"Pollock: A Data Loading Benchmark", PVLDB 16(8), 2023).
"""

from __future__ import annotations

import bz2
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from chalicelib.model import JSON
from tests import pipeline
from tests.pipeline import Outcome

PAGE: Final = Path(__file__).parents[1] / "docs" / "polluted-input.md"
_SHOWN_CHARACTERS: Final = 72

FIELDS: Final[tuple[JSON, ...]] = (
    {"name": "id", "type": "integer", "constraints": {"required": True}},
    {"name": "name", "type": "string"},
    {"name": "price", "type": "number", "constraints": {"minimum": 0}},
)
CONTRACT: Final[JSON] = {
    "name": "things",
    "schema": {"fields": list(FIELDS), "primaryKey": ["id"]},
    "sluice": {"tolerance": {"maxRejectedRatio": 1}},
}
CLEAN: Final = "id,name,price\n1,ink,1.5\n2,pen,2.5\n3,nib,3.5\n"


def _gzip(body: bytes) -> bytes:
    """The same bytes from every Python: since 3.13 ``gzip.compress`` writes another operating system."""
    return zlib.compress(body, 9, wbits=31)


@dataclass(frozen=True)
class Case:
    pollution: str
    body: bytes


def _with(row: str, *, header: str = "id,name,price", last: str = "3,nib,3.5\n", line_break: str = "\n") -> bytes:
    """The clean file with another second row."""
    return line_break.join((header, "1,ink,1.5", row, last)).encode()


def _zipped(*names: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), CLEAN)
    return sink.getvalue()


_LONG_TEXT: Final = "i" * 100_000
_LATIN: Final = "id,name,price\n1,Käse,1.5\n2,Würste,2.5\n3,Öl und Brötchen,3.5\n4,crème brûlée,4.5\n"

CASES: Final[dict[str, tuple[Case, ...]]] = {
    "The file as a whole": (
        Case("none", CLEAN.encode()),
        Case("no bytes at all", b""),
        Case("nothing but a byte order mark", b"\xef\xbb\xbf"),
        Case("nothing but blank lines", b"\n\r\n\n"),
        Case("a header and nothing below", b"id,name,price\n"),
        Case("a header without a line break", b"id,name,price"),
        Case("no line break after the last row", CLEAN.rstrip("\n").encode()),
        Case("blank lines at the end", (CLEAN + "\n\n\n").encode()),
        Case("a blank line between rows", _with("\n2,pen,2.5")),
        Case("Ctrl-Z at the end", (CLEAN + "\x1a").encode()),
        Case("a row of totals at the end", (CLEAN + "Total,,7.5\n").encode()),
        Case("a PNG image", b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
        Case("an HTML page", b"<!DOCTYPE html>\n<html><body>Not found</body></html>\n"),
        Case("JSON", b'[{"id": 1, "name": "ink"}]\n'),
        Case("random bytes", bytes(at * at * 31 % 251 for at in range(2000))),
        Case("gzip", _gzip(CLEAN.encode())),
        Case("bzip2", bz2.compress(CLEAN.encode())),
        Case("xz", lzma.compress(CLEAN.encode())),
        Case("gzip, cut short", _gzip(CLEAN.encode())[:-12]),
        Case("a zip archive of one file", _zipped("a.csv")),
        Case("a zip archive of two files", _zipped("a.csv", "b.csv")),
    ),
    "Lines and line breaks": (
        Case("CR LF", CLEAN.replace("\n", "\r\n").encode()),
        Case("CR alone", CLEAN.replace("\n", "\r").encode()),
        Case("LF and CR LF mixed", _with("2,pen,2.5\r")),
        Case("CR CR LF", CLEAN.replace("\n", "\r\r\n").encode()),
        Case("a line break in a quoted cell", _with('2,"pen\nblue",2.5')),
        Case("a line break in a cell without quotes", _with("2,pen\nblue,2.5")),
        Case("U+2028 in a cell", _with("2,pen\u2028blue,2.5")),
        Case("U+0085 in a cell", _with("2,pen\u0085blue,2.5")),
        Case("vertical tab and form feed in a cell", _with("2,pen\x0bblue\x0c,2.5")),
    ),
    "Headers": (
        Case("no header", CLEAN.partition("\n")[2].encode()),
        Case("a header of two rows", CLEAN.replace("\n", "\n,,EUR\n", 1).encode()),
        Case("the header once more between rows", _with("id,name,price")),
        Case("a preamble of one line", ("Things for sale\n" + CLEAN).encode()),
        Case("Excel's line on the delimiter", ("sep=;\n" + CLEAN.replace(",", ";")).encode()),
        Case("a preamble as wide as the rows", ("Things,for,sale\n" + CLEAN).encode()),
        Case("blank lines before the header", ("\n\n" + CLEAN).encode()),
        Case("two columns with one label", CLEAN.replace("name", "id", 1).encode()),
        Case("a blank label", CLEAN.replace("name", "", 1).encode()),
        Case("white space around the labels", CLEAN.replace("id,name,price", " id , name , price").encode()),
        Case("labels in capitals", CLEAN.replace("id,name,price", "ID,NAME,PRICE").encode()),
        Case("labels in another order", CLEAN.replace("id,name,price", "id,price,name").encode()),
        Case("a label too many", CLEAN.replace("price", "price,size", 1).encode()),
        Case("a label too few", CLEAN.replace(",price", "", 1).encode()),
        Case("a label that spans lines", CLEAN.replace("name", '"na\nme"', 1).encode()),
        Case("a quoted label that is not closed", CLEAN.replace("name", '"name', 1).encode()),
    ),
    "Cells and delimiters": (
        Case("semicolons throughout", CLEAN.replace(",", ";").encode()),
        Case("tabs throughout", CLEAN.replace(",", "\t").encode()),
        Case("bars throughout", CLEAN.replace(",", "|").encode()),
        Case("a row with another delimiter", _with("2;pen;2.5")),
        Case("a cell too few", _with("2,pen")),
        Case("a cell too many", _with("2,pen,2.5,blue")),
        Case("a delimiter at the end of a row", _with("2,pen,2.5,")),
        Case("a delimiter at the end of every row", CLEAN.replace("\n", ",\n").encode()),
        Case("a row of delimiters", _with(",,")),
        Case("a row of spaces", _with("   ")),
        Case("spaces around the cells", _with(" 2 , pen , 2.5 ")),
        Case("a decimal comma", _with("2,pen,2,5")),
        Case("a decimal comma, quoted", _with('2,pen,"2,5"')),
        Case("a currency sign", _with("2,pen,€2.5")),
        Case("a word for no value", _with("2,NULL,NULL")),
        Case("a number that is none", _with("2,pen,NaN")),
        Case("a value out of bounds", _with("2,pen,-2.5")),
        Case("a key that was there before", _with("1,pen,2.5")),
        Case("a row that was there before", _with("1,ink,1.5")),
        Case("a formula", _with("2,=cmd|' /C calc'!A0,2.5")),
        Case("a formula in a rejected row", _with("2,=cmd|' /C calc'!A0,x")),
        Case("a very long cell", _with(f"2,{_LONG_TEXT},2.5")),
        Case("a record beyond the limit of 1 MiB", _with(f"2,{_LONG_TEXT * 11},2.5")),
    ),
    "Quotes": (
        Case("every cell quoted", _with('"2","pen","2.5"')),
        Case("doubled quotes in a quoted cell", _with('2,"the ""best"" pen",2.5')),
        Case("quotes in the middle of a cell", _with('2,5" pen,2.5')),
        Case("text after a closing quote", _with('2,"pen" blue,2.5')),
        Case("a quote in a quoted cell, not doubled", _with('2,"the "best" pen",2.5')),
        Case("a quote that is not closed", _with('2,"pen,2.5')),
        Case("a quote that is not closed, in the last row", (CLEAN + '4,"cap,4.5\n').encode()),
        Case("a space before a quoted cell", _with('2, "pen, blue",2.5')),
        Case("apostrophes for quotes", _with("2,'pen, blue',2.5")),
        Case("typographic quotes", _with("2,“pen, blue”,2.5")),
        Case("backslashes before quotes", _with(r'2,"the \"best\" pen",2.5')),
    ),
    "Bytes and characters": (
        Case("UTF-8 with a byte order mark", b"\xef\xbb\xbf" + CLEAN.encode()),
        Case("a byte order mark between rows", _with("\ufeff2,pen,2.5")),
        Case("UTF-16 with a byte order mark", CLEAN.encode("utf-16")),
        Case("UTF-16 without one", CLEAN.encode("utf-16-le")),
        Case("UTF-32 with a byte order mark", CLEAN.encode("utf-32")),
        Case("Windows-1252", _LATIN.encode("cp1252")),
        Case("UTF-8 with one row in Windows-1252", _with("2,Käse,2.5").replace("ä".encode(), b"\xe4")),
        Case("a character that is cut", _with("2,pén,2.5").replace("é".encode(), b"\xc3")),
        Case("an encoded surrogate", _with("2,p\x01n,2.5").replace(b"\x01", b"\xed\xa0\x80")),
        Case("a NUL in a cell", _with("2,p\0n,2.5") + b"".join(b"%d,ink,1.5\n" % at for at in range(4, 200))),
        Case("NULs in a small file", _with("2,p\0n,2.5")),
        Case("control characters", _with("2,p\x01\x1b[1mn,2.5")),
        Case("digits of another script", _with("٢,pen,٢.٥")),
        Case("a character beyond the Basic Multilingual Plane", _with("2,🖋,2.5")),
        Case("a character in its decomposed form", _with("2,pe\u0301n,2.5")),
    ),
}  # fmt: skip

_NOTES: Final[dict[str, str]] = {
    "Headers": """\
Excel's first line, `sep=;`, tells the delimiter. Another line before the header, a title, is passed over where the
contract says so:
`"dialect": {"delimiter": ";", "commentRows": [1], "headerRows": [2]}` ([dialect](contract.md#dialect)). Without a
contract the message of `tolerance-exceeded` says what to write where one cell of the first line has text; with more it
may be the header, and the rows end in a delimiter or lack a cell.
""",
    "Bytes and characters": """\
The file in Windows-1252 is too small to tell of its encoding (in [larger ones](encodings.md) it is detected): the
contract states it, `"encoding": "cp1252"`. The message of `tolerance-exceeded` says so where nearly every rejected row
has an `encoding-error`, and how to tell such a file from one in UTF-8 with damaged rows, which that encoding would
read wrongly wherever it is good. After a byte order mark it says nothing of the kind.
""",
}
"""Title → what there is to say of its cases."""

_PREFACE: Final = """# Polluted input

What Sluice does with a file that is not as it should be. The rows of a file are *delivered*, or *quarantined*: rejected
one by one, into rejects.csv and rejects.jsonl, with the code of each finding and its field; or the file as a whole is
*refused*, with a code and a message. Nothing else happens to a row, and blank lines are counted.

The clean file is

```csv
id,name,price
1,ink,1.5
2,pen,2.5
3,nib,3.5
```

and its contract says that `id` is an integer, required and the primary key, `name` a string, and `price` a number of
0 or more. It leaves dialect and encoding to be detected, and tolerates any number of rejected rows. Without a contract
all types are inferred too, so that there is less to be wrong, and one row in twenty may be rejected, which is none of
these. Cut into small chunks, every file gives the same. This page is written by `python -m tests.polluted`, and a test
holds Sluice to it.
"""


def page() -> str:
    return "\n".join([_PREFACE, *_tables()])


def _tables() -> Iterator[str]:
    for title, cases in CASES.items():
        yield f"## {title}\n"
        yield "| pollution | in the file | with a contract | without a contract |"
        yield "|---|---|---|---|"
        for case in cases:
            cells = (case.pollution, _excerpt(case.body), _told(run(case, True)), _told(run(case, False)))
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        yield ""
        if title in _NOTES:
            yield _NOTES[title]


@cache
def run(case: Case, has_contract: bool, chunk_size: int = 1 << 22) -> Outcome:
    return pipeline.run(case.body, CONTRACT if has_contract else None, chunk_size=chunk_size)


def _excerpt(body: bytes) -> str:
    """What is not as in the clean file, escaped as in Python."""
    clean = CLEAN.encode()
    if body == clean or not body:
        return ""
    if clean.startswith(body):
        return f"`{body.decode().encode('unicode_escape').decode()}`"
    same = next((at for at, (one, other) in enumerate(zip(body, clean, strict=False)) if one != other), len(clean))
    start = body.rfind(b"\n", 0, same) + 1 if body.startswith(b"id,") else 0
    try:
        text = body[start:].decode().replace("\\", "\\\\")
        shown = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
    except UnicodeDecodeError:
        shown = str(body[start:])[2:-1]
    if len(shown) > _SHOWN_CHARACTERS:
        shown = shown[:_SHOWN_CHARACTERS] + "…"
    return f"`` {shown} ``" if "`" in shown else f"`{shown}`"


def _told(outcome: Outcome) -> str:
    job = outcome.job
    if job.error is not None and "rejects.jsonl" in outcome.published:
        return f"refused: `{job.error.code}`, {job.rows.rejected} of {job.rows.read} rows: {_reasons(outcome)}"
    if job.error is not None:
        return f"refused: `{job.error.code}`, {job.error.message}"
    rows = job.rows
    parts = [f"{rows.valid} delivered"]
    if rows.rejected:
        parts.append(f"{rows.rejected} quarantined: {_reasons(outcome)}")
    if rows.blank:
        parts.append(f"{rows.blank} blank")
    return "; ".join(parts)


def _reasons(outcome: Outcome) -> str:
    """The codes in the order of their first record, each with its field."""
    found = [
        f"`{each['code']}`" + (f" ({each['field']})" if each["field"] else "")
        for record in outcome.rejects
        for each in record["errors"]
    ]
    return ", ".join(dict.fromkeys(found))


if __name__ == "__main__":
    PAGE.write_text(page())
