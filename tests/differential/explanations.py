"""Every way in which Sluice may differ from Frictionless, by the ids of docs/differences.md, each as narrow as it can
be told: a difference that none of them explains fails the tests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any, Final

from tests.differential.reference import Finding

JSON = dict[str, Any]


@dataclass(frozen=True)
class Compared:
    """One file under one schema, and what the two found in it."""

    schema: JSON
    records: list[list[str]]
    """The cells of each record, as Python's csv module reads them; it is what Frictionless reads with."""
    dialect: JSON
    """The contract's; what it leaves out has the standard's default."""
    body: bytes
    ours: frozenset[Finding]
    theirs: frozenset[Finding]

    @cached_property
    def fields(self) -> dict[str, JSON]:
        return {field["name"]: field for field in self.schema["fields"]}

    @cached_property
    def places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.fields)}

    @cached_property
    def primary_key(self) -> list[str]:
        key: str | list[str] = self.schema.get("primaryKey", [])
        return [key] if isinstance(key, str) else key

    @cached_property
    def aborted(self) -> bool:
        """Whether Frictionless gave up at a byte that is not of the encoding."""
        return (0, "", "encoding-error") in self.theirs

    @cached_property
    def first_unclosed(self) -> float:
        return min((record for record, _, code in self.ours if code == "unclosed-quote"), default=float("inf"))

    def text(self, record: int, field: str) -> str | None:
        """The cell's text; None where the record has no such cell, or there is no such record."""
        row = self.records[record - 1] if 0 < record <= len(self.records) else []
        place = self.places.get(field, len(row))
        return row[place] if place < len(row) else None

    def missing(self, field: str) -> list[str]:
        usual: list[str] = self.schema.get("missingValues", [""])
        own: list[str] | None = self.fields[field].get("missingValues")
        return usual if own is None else own

    def is_blank(self, record: int) -> bool:
        """Whether all the record's cells are missing values, in Frictionless' sense."""
        return all((text := self.text(record, name)) is None or text in self.missing(name) for name in self.fields)

    @cached_property
    def read_by_one(self) -> dict[tuple[int, str], str]:
        """The cells that are of their field's type for one of the two alone → the difference that explains it."""
        found = {}
        for record, field, code in self.ours ^ self.theirs:
            text = self.text(record, field)
            if code != "type-error" or text is None or record >= self.first_unclosed:
                continue
            if why := reading(self.fields[field], text):
                found[record, field] = why
        return found


@dataclass(frozen=True)
class Difference:
    id: str
    explains: Callable[[Compared, Finding, bool], bool]
    """Given the finding, and whether it is Sluice's alone (else it is Frictionless' alone)."""


def explain(compared: Compared) -> tuple[dict[Finding, str], set[Finding]]:
    """Each finding that only one of the two has → the id that explains it; and those that none explains."""
    explained, unexplained = {}, set()
    for finding in compared.ours ^ compared.theirs:
        ours = finding in compared.ours
        found = next(_explanations(compared, finding, ours), None)
        if found is None:
            unexplained.add(finding)
        else:
            explained[finding] = found
    return explained, unexplained


def _explanations(compared: Compared, finding: Finding, ours: bool) -> Iterator[str]:
    record, field, code = finding
    if code in ("type-error", "constraint-error") and (record, field) in compared.read_by_one:
        yield compared.read_by_one[record, field]
    yield from (each.id for each in DIFFERENCES if each.explains(compared, finding, ours))
    if code in ("unique-error", "primary-key"):
        # What one of the two cannot read is no key for it: neither here nor in the record that has it first.
        names = [field] if code == "unique-error" else compared.primary_key
        keys = [compared.read_by_one.get((at, name)) for at in range(1, record + 1) for name in names]
        yield from filter(None, keys)


# How a text is read

_NUMBER: Final = ("integer", "number")
_INTEGERS: Final = (*_NUMBER, "year", "yearmonth")
_NUMBERS_INSIDE: Final = (*_INTEGERS, "list", "geopoint")
_JSON: Final = ("object", "array", "geopoint", "geojson")
_TEMPORAL: Final = ("date", "time", "datetime")
_WORD: Final = re.compile(r"[+-]?(nan[0-9]*|inf(inity)?)", re.I)
_DECIMAL: Final = re.compile(r"\s*[+-]?[0-9_.]+([eE][+-]?[0-9_]+)?\s*")


def _exceeds(text: str, limit: float) -> bool:
    return _DECIMAL.fullmatch(text) is not None and abs(float(text)) >= limit


def _grouped(field: JSON, text: str) -> bool:
    return bool(field.get("groupChar")) and field["groupChar"] in text


def _short(field: JSON, text: str) -> bool:
    if field["type"] == "yearmonth":
        return re.fullmatch("[0-9]+-[0-9]+", text) is not None
    return field["type"] in ("date", "datetime") and any(len(part) == 1 for part in re.findall("[0-9]+", text))


def _repeats_a_name(text: str) -> bool:
    repeated = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        repeated.append(len({name for name, _ in pairs}) < len(pairs))

    try:
        json.loads(text, object_pairs_hook=note)
    except ValueError:
        return False
    return any(repeated)


def _spaced(field: JSON, text: str) -> bool:
    if field["type"] in _INTEGERS:
        return text != text.strip() or "- " in text
    if field["type"] in ("list", "geopoint") and field.get("format", "default") == "default":
        return re.search(r"\s", text) is not None
    return field["type"] in _TEMPORAL and "%" in field.get("format", "") and re.search(r"\s", text) is not None


READINGS: Final[dict[str, Callable[[JSON, str], bool]]] = {
    "digits-of-any-script": lambda field, text: (
        field["type"] in _NUMBERS_INSIDE and any(each.isdecimal() and not each.isascii() for each in text)
    ),
    "underscores": lambda field, text: field["type"] in _NUMBERS_INSIDE and "_" in text,
    "spaces": _spaced,
    "no-numbers": lambda field, text: field["type"] == "number" and _WORD.fullmatch(text) is not None,
    "float64": lambda field, text: field["type"] == "number" and _exceeds(text, float("inf")),
    "groups-of-digits": _grouped,
    "int64": lambda field, text: (
        field["type"] in ("integer", "list") and any(_exceeds(part, 2.0**63) for part in text.split(";"))
    ),
    "signs-around": lambda field, text: (
        field.get("bareNumber") is False and re.search(r"-\Z|[−–()]|\b(CR|DR)\b", text) is not None
    ),
    "guessed-dates": lambda field, text: field["type"] in _TEMPORAL and field.get("format") == "any",
    "signed-years": lambda field, text: field["type"] in ("year", "yearmonth") and text.startswith("+"),
    "long-years": lambda field, text: field["type"] == "year" and re.fullmatch("-?[0-9]{4,9}", text) is not None,
    "midnight": lambda field, text: field["type"] in ("time", "datetime") and "24:00:00" in text,
    "zones-on-times": lambda field, text: (
        field["type"] == "time" and re.search(r"([zZ]|[+-][0-9:]+)\Z", text) is not None
    ),
    "fractions-of-seconds": lambda field, text: (
        field["type"] in ("time", "datetime") and re.search(r":[0-9]{2}(,|\.[0-9]{7})", text) is not None
    ),
    "offsets": lambda field, text: (
        field["type"] == "datetime" and re.search(r":[0-9.]+(z|[+-][0-9]{2}(:?[0-9]{2})?)\Z", text) is not None
    ),
    "iso-8601": lambda field, text: (
        field["type"] == "datetime" and re.match("[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]", text) is None and len(text) >= 19
    ),
    "short-dates": _short,
    "durations": lambda field, text: field["type"] == "duration" and text.lstrip("+-").startswith("P"),
    "json-to-the-letter": lambda field, text: (
        field["type"] in _JSON and (re.search("NaN|Infinity", text) is not None or _repeats_a_name(text))
    ),
    "points-are-two-numbers": lambda field, text: (
        field["type"] == "geopoint" and field.get("format") in ("array", "object") and text[:1] in ("[", "{")
    ),
    "geojson": lambda field, text: field["type"] == "geojson" and '"type"' in text,
    "email": lambda field, text: field.get("format") == "email" and "@" in text,
    "uri": lambda field, text: field.get("format") == "uri" and ":" in text,
    "uuid": lambda field, text: field.get("format") == "uuid" and len(re.sub("urn:uuid:|[{}-]", "", text)) == 32,
    "base64": lambda field, text: field.get("format") == "binary" and text != "",
}  # fmt: skip
"""Difference → whether it may be why one of the two alone reads a text as the field's type."""


def reading(field: JSON, text: str) -> str | None:
    return next((name for name, may in READINGS.items() if may(field, text)), None)


# How records and files are read, and how values are compared


def _blank_row(compared: Compared, finding: Finding, ours: bool) -> bool:
    record, _, code = finding
    if not compared.is_blank(record):
        return False
    if ours:
        return code in ("constraint-error", "missing-cell", "extra-cell")
    return code == "blank-row" or (code == "primary-key" and compared.records[record - 1] == [])


def _key_field(compared: Compared, finding: Finding, ours: bool) -> bool:
    record, field, code = finding
    key = compared.primary_key
    if code != "primary-key" or len(key) != 1:
        return False
    if ours:
        return field == key[0] and (record, "", code) in compared.theirs
    return field == "" and (record, key[0], code) in compared.ours


def _missing_and_required(compared: Compared, finding: Finding, ours: bool) -> bool:
    record, field, code = finding
    both = (record, field, "missing-cell") in compared.ours & compared.theirs
    return not ours and code == "constraint-error" and both


def _unclosed(compared: Compared, finding: Finding, ours: bool) -> bool:
    return finding[0] >= compared.first_unclosed


def _key(compared: Compared, finding: Finding) -> tuple[list[str], range]:
    """The fields whose values the finding is about, and the records whose values it may depend on."""
    record, field, code = finding
    if code == "primary-key":
        return compared.primary_key, range(1, record + 1)
    names = [field] if field in compared.fields else []
    return names, range(1 if code == "unique-error" else record, record + 1)


def _is_rounded(text: str | None) -> bool:
    """Whether the 64-bit float nearest to a number is another number than the text says."""
    try:
        number = Decimal(text or "")
    except InvalidOperation:
        return False
    return number.is_finite() and Decimal(repr(float(number))) != number


def _nearest_float(compared: Compared, finding: Finding, ours: bool) -> bool:
    names, records = _key(compared, finding)
    numbers = [name for name in names if compared.fields[name]["type"] == "number"]
    return any(_is_rounded(compared.text(at, name)) for at in records for name in numbers)


def _zones(compared: Compared, finding: Finding, ours: bool) -> bool:
    names, records = _key(compared, finding)
    if finding[2] == "constraint-error":
        return False
    for name in names:
        texts = [compared.text(at, name) or "" for at in records if compared.fields[name]["type"] == "datetime"]
        zoned = {re.search(r"([Zz]|:..[+-][0-9:]+)\Z", text) is not None for text in texts if "T" in text}
        if zoned == {True, False}:
            return True
    return False


def _point_before(compared: Compared, finding: Finding, ours: bool) -> bool:
    names, records = _key(compared, finding)
    marked = [name for name in names if compared.fields[name].get("bareNumber") is False]
    texts = [compared.text(at, name) or "" for at in records for name in marked]
    return any(re.match(r"\D*\.[0-9]", text) is not None for text in texts)


def _pattern(compared: Compared, finding: Finding) -> str | None:
    """The pattern of a field whose cell breaks it for one of the two."""
    _, field, code = finding
    if code != "constraint-error":
        return None
    pattern: str | None = compared.fields[field].get("constraints", {}).get("pattern")
    return pattern


def _whole_text(compared: Compared, finding: Finding, ours: bool) -> bool:
    pattern = _pattern(compared, finding)
    text = compared.text(finding[0], finding[1]) or ""
    return ours and pattern is not None and ("|" in pattern or text.endswith("\n"))


def _ascii_classes(compared: Compared, finding: Finding, ours: bool) -> bool:
    pattern = _pattern(compared, finding)
    text = compared.text(finding[0], finding[1]) or ""
    return pattern is not None and re.search(r"\\[dwsb]", pattern, re.I) is not None and not text.isascii()


DIFFERENCES: Final = (
    Difference("header-refused", lambda compared, finding, ours: (0, "", "header-mismatch") in compared.ours),
    Difference("columns-without-a-label", lambda compared, finding, ours: not ours and finding[2] == "blank-label"),
    Difference("bad-bytes", lambda compared, finding, ours: compared.aborted and (ours or finding[0] == 0)),
    Difference(
        "lines-before-the-header",
        lambda compared, finding, ours: compared.dialect.get("header", True) and compared.body[:1] in (b"\r", b"\n"),
    ),
    Difference("quotes-not-doubled", lambda compared, finding, ours: not compared.dialect.get("doubleQuote", True)),
    Difference("blank-rows", _blank_row),
    Difference("primary-key-field", _key_field),
    Difference("missing-and-required", _missing_and_required),
    Difference("text-after-quote", lambda compared, finding, ours: ours and finding[2] == "text-after-quote"),
    Difference("unclosed-quote", _unclosed),
    Difference("record-too-long", lambda compared, finding, ours: (finding[0], "", "record-too-long") in compared.ours),
    Difference("nearest-float", _nearest_float),
    Difference("point-before-a-number", _point_before),
    Difference("no-zone-is-utc", _zones),
    Difference("patterns-match-whole-texts", _whole_text),
    Difference("patterns-mean-ascii", _ascii_classes),
)
IDS: Final = (*READINGS, *(each.id for each in DIFFERENCES))
"""The ids of docs/differences.md."""
