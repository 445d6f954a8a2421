"""The rejects written record by record with the standard library: what the outputs have to equal to the byte."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator, Sequence

from chalicelib import errors
from chalicelib.engine.checks.formulas import is_rejects, neutralise, restore
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.contract.schema import reserved
from chalicelib.engine.records.lenient import cells
from chalicelib.engine.text.encodings import readable
from chalicelib.model import JSON


def rejects_jsonl(records: Sequence[JSON]) -> bytes:
    return b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in records)


def rejects_csv(labels: Sequence[str], dialect: Dialect, records: Sequence[JSON]) -> bytes:
    """Of a file in UTF-8."""
    first = reserved(labels)
    sink = io.StringIO(newline="")
    writer = csv.writer(sink)
    writer.writerow(["_record", "_line", "_errors", *map(neutralise, labels[first:])])
    for each in records:
        said = "; ".join(f"{of['field']}: {of['note']}" if of["field"] else of["note"] for of in each["errors"])
        texts = cells(_text(each), dialect)[first:]
        if is_rejects(labels):
            texts = [restore(text) for text in texts]
        writer.writerow([each["record"], each["line"], neutralise(said), *map(neutralise, texts)])
    return sink.getvalue().encode()


def notes_on_cell(text: str, field: JSON) -> Iterator[str]:
    """Every note that a check of the field can make on this cell."""
    cell = text if len(text) <= 100 else text[:100] + "…"
    form = field.get("format", "default")
    unreadable = errors.FINDINGS["type-error"].format(type=field["type"], format=form, cell=cell)
    yield unreadable
    if field["type"] in ("integer", "number"):
        yield unreadable + errors.UNREADABLE["too-large"].format(type=field["type"])
        yield unreadable + errors.UNREADABLE["sign"]
    for name, value in field.get("constraints", {}).items():
        expected = json.dumps(value) if isinstance(value, bool) else str(value)
        yield errors.FINDINGS["constraint-error"].format(constraint=name, expected=expected, cell=cell)


def _text(record: JSON) -> str:
    return record["raw"] if "raw" in record else readable(base64.b64decode(record["raw_base64"]))
