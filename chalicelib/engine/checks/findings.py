"""Findings as records: counted by reason, with a few examples, and written out in the two forms of the rejects.

A worker numbers records and lines from its own chunk's start. Whoever knows all chunks adds ``Base`` and so gets the
numbers in the file.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chalicelib.engine.checks.formulas import is_rejects, neutralise, own_labels, restore
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.records.parse import Note, cells
from chalicelib.engine.text.encodings import Original, readable
from chalicelib.model import JSON

EXAMPLES: Final = 5
"""Examples kept of each reason: those with the lowest record numbers."""


@dataclass(frozen=True, slots=True)
class Base:
    """What stands in the file before a chunk's first record."""

    records: int
    lines: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """One rejected record. ``record`` (from 1) and ``line`` (from 0) count from the chunk's first record."""

    record: int
    line: int
    byte: int
    """Offset in the object."""
    notes: tuple[Note, ...]
    raw: bytes
    """The record's bytes in the text, without its line break."""

    def to_line(self) -> bytes:
        """As one line of JSON, for the chunk's partial result."""
        notes = [[note.code, note.field, note.note, note.first] for note in self.notes]
        return json.dumps([self.record, self.line, self.byte, notes, _packed(self.raw)]).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Rejected:
        record, at, byte, notes, raw = json.loads(line)
        found = tuple(Note(code, field, note, tuple(first) if first else None) for code, field, note, first in notes)
        return cls(record, at, byte, found, _unpacked(raw))


def _packed(raw: bytes) -> Any:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return [base64.b64encode(raw).decode()]


def _unpacked(raw: Any) -> bytes:
    return raw.encode() if isinstance(raw, str) else base64.b64decode(raw[0])


class Reasons:
    """How often each (code, field) was found, with the first examples; merging is order-independent."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self._examples: dict[tuple[str, str], list[tuple[int, int, str]]] = {}

    def add(self, note: Note, record: int, line: int, text: str) -> None:
        reason = (note.code, note.field)
        self._counts[reason] = self._counts.get(reason, 0) + 1
        self._keep(reason, [(record, line, text)])

    def _keep(self, reason: tuple[str, str], examples: Sequence[tuple[int, int, str]]) -> None:
        kept = self._examples.setdefault(reason, [])
        if len(kept) < EXAMPLES or examples[0] < kept[-1]:
            kept.extend(examples)
            kept.sort()
            del kept[EXAMPLES:]

    @property
    def total(self) -> int:
        return sum(self._counts.values())

    def ranked(self) -> list[dict[str, Any]]:
        """The reasons, most frequent first, as they stand in summary.json."""
        ranked = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        return [
            {
                "code": code,
                "field": field,
                "count": count,
                "examples": [
                    {"record": record, "line": line, "note": text}
                    for record, line, text in self._examples[(code, field)]
                ],
            }
            for (code, field), count in ranked
        ]


def text_of(note: Note, bases: Mapping[int, Base]) -> str:
    """The note with the file's numbers in it."""
    if note.first is None:
        return note.note
    chunk, record = note.first
    return note.note.format(first=bases[chunk].records + record)


class Writer:
    """Renders a chunk's rejected records with the file's numbers, as rejects.csv and rejects.jsonl.

    Only in rejects.csv are formulas neutralised. Of a rejects.csv that was uploaded again, the three columns before its
    own are written anew, and are not kept beside the new ones.
    """

    def __init__(self, labels: Sequence[str], dialect: Dialect, bases: Mapping[int, Base], original: Original) -> None:
        self._labels = own_labels(labels)
        self._added = len(labels) - len(self._labels)
        self._is_rejects = is_rejects(labels)
        self._dialect = dialect
        self._bases = bases
        self._original = original
        self.reasons = Reasons()

    def csv_header(self) -> bytes:
        return self._csv([["_record", "_line", "_errors", *map(neutralise, self._labels)]])

    def render(self, chunk: int, lines: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """For each rejected record of a chunk its line(s) of CSV and of JSON; counts the reasons on the way."""
        base = self._bases[chunk]
        for line in lines:
            rejected = Rejected.from_line(line)
            record, at = base.records + rejected.record, base.lines + rejected.line + 1
            found = []
            for note in rejected.notes:
                text = text_of(note, self._bases)
                self.reasons.add(note, record, at, text)
                found.append({"field": note.field, "code": note.code, "note": text})
            yield self._as_csv(record, at, found, rejected.raw), self._as_json(record, at, rejected, found)

    def _as_csv(self, record: int, line: int, found: Sequence[Mapping[str, str]], raw: bytes) -> bytes:
        said = "; ".join(f"{each['field']}: {each['note']}" if each["field"] else each["note"] for each in found)
        texts = cells(readable(raw), self._dialect)[self._added :]
        if self._is_rejects:
            texts = [restore(text) for text in texts]
        return self._csv([[str(record), str(line), neutralise(said), *map(neutralise, texts)]])

    @staticmethod
    def _csv(rows: Sequence[Sequence[str]]) -> bytes:
        sink = io.StringIO(newline="")
        csv.writer(sink).writerows(rows)
        return sink.getvalue().encode()

    def _as_json(self, record: int, line: int, rejected: Rejected, found: Sequence[Mapping[str, str]]) -> bytes:
        document = {"record": record, "line": line, "byte": rejected.byte, "errors": found}
        document |= self._raw(rejected.raw)
        return json.dumps(document, ensure_ascii=False).encode() + b"\n"

    def _raw(self, text: bytes) -> JSON:
        """The record's exact bytes in the file: ``raw`` in its encoding, or ``raw_base64`` where they are not that."""
        packed = _packed(text)
        if not isinstance(packed, str):
            return {"raw_base64": base64.b64encode(self._original.of(text)).decode()}
        return (
            {"raw": packed}
            if self._original.writes_as_usual(packed)
            else {"raw": packed, "raw_base64": base64.b64encode(self._original.of(text)).decode()}
        )
