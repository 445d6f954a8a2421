"""One rejected record's cells and raw text, for those records that cannot be rendered a column at a time."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from typing import Final

from chalicelib.engine.checks.formulas import neutralise, restore
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.records.lenient import cells
from chalicelib.engine.rejects.escape import QUOTED
from chalicelib.engine.text.encodings import Original, readable

_QUOTED: Final = re.compile(f"[{QUOTED}]")


def csv_line(texts: Sequence[str]) -> bytes:
    """One row of CSV, of two cells or more, neutralised, without its line break."""
    return ",".join([_csv_cell(neutralise(text)) for text in texts]).encode()


def _csv_cell(text: str) -> str:
    """As ``csv.writer`` has it, which would take four bytes for each character, twice."""
    if _QUOTED.search(text) is None:
        return text
    return '"' + text.replace('"', '""') + '"'


def csv_tail(raw: bytes, dialect: Dialect, added: int, is_rejects: bool) -> bytes:
    """What stands between ``_errors`` and the line break in the record's row of ``rejects.csv``.

    Of a ``rejects.csv`` that was uploaded again (``is_rejects``), the ``added`` columns before its own are written
    anew, and are not kept beside the new ones.
    """
    texts = cells(readable(raw), dialect)[added:]
    if is_rejects:
        texts = [restore(text) for text in texts]
    return csv_line(["", *texts]) if texts else b""


def json_tail(raw: bytes, original: Original) -> bytes:
    """What stands between the last of ``errors`` and the quote that ends the record's line of ``rejects.jsonl``: its
    exact bytes in the file, as ``raw`` in the file's encoding, or as ``raw_base64`` where they are not that.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return b'], "raw_base64": "' + base64.b64encode(original.of(raw))
    told = b'], "raw": ' + json.dumps(text, ensure_ascii=False).encode()
    if original.writes_as_usual(text):
        return told.removesuffix(b'"')
    return told + b', "raw_base64": "' + base64.b64encode(original.of(raw))
