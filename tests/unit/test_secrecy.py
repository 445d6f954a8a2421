"""No cell's value leaves in a message, in the job's record or in the API's answers; and a bomb is not unpacked."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import local
from chalicelib import api, notify
from chalicelib.engine.contract import Aggregate, Measure
from chalicelib.engine.delivery import transform as transforms
from chalicelib.engine.measure.aggregate import Aggregates
from chalicelib.engine.measure.profile import Profile
from chalicelib.errors import Terminal
from chalicelib.model import Status
from ops.check import inprocess
from tests import pipeline
from tests.pipeline import INBOX, RESULTS, Outcome, contract

CELL = "S3cr3t-Zelle"
LARGE = 1234567890123456789
ID: Any = {"name": "id", "type": "integer", "constraints": {"required": True}}
NAME: Any = {"name": "name", "type": "string", "constraints": {"maxLength": 3}}
STRICT = {"tolerance": {"maxRejectedRows": 0}}
HEADER = b"id,name\n"
ROW = f"{CELL},{CELL}\n".encode()


def said(outcome: Outcome) -> str:
    """All that is told about the job: its record, what the API answers, and the message."""
    message = notify.compose(outcome.job, RESULTS)
    answers = [api.get_job(outcome.ports, outcome.job.job_id, {}), api.list_jobs(outcome.ports, {})]
    return "\n".join(
        [message.subject, message.text, *map(json.dumps, [message.document, message.attributes, *answers])]
    )


CASES: dict[str, tuple[bytes, Any]] = {
    "type and constraint": (HEADER + ROW, contract(ID, NAME, sluice=STRICT)),
    "tolerated": (HEADER + ROW, contract(ID, NAME)),
    "inferred": (HEADER + ROW * 3, None),
    "repeated key": (HEADER + f"1,{CELL}\n1,{CELL}\n".encode(), contract(ID, {"name": "name", "type": "string"},
        schema={"primaryKey": ["name"]}, sluice=STRICT)),
    "stray quotes": (HEADER + f'1,"{CELL}"x\n2,"{CELL}'.encode(), contract(ID, NAME, sluice=STRICT)),
    "cells too many and too few": (HEADER + f"{CELL}\n1,{CELL},{CELL}\n".encode(), contract(ID, NAME, sluice=STRICT)),
    "bytes that are no characters": (HEADER + b"1," + CELL.encode() + b"\xff\n", contract(ID, NAME, sluice=STRICT)),
    "NULs": (HEADER + b"1," + CELL.encode() + b"\0\n", contract(ID, NAME, sluice=STRICT)),
    "another encoding": (HEADER + ROW, contract(ID, NAME, encoding="utf-16")),
    "no header": (f"17,{CELL}\n18,b\n".encode(), contract(ID, NAME)),
    "no header, by date": (f"{CELL},2026-03-01\n".encode(), contract(ID, NAME)),
    "no header, by address": (f"{CELL},a@example.com\n".encode(), contract(ID, NAME)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_no_cell_is_told(case: str) -> None:
    outcome = pipeline.run(*CASES[case])
    assert outcome.job.status.is_final
    assert CELL not in said(outcome)
    assert outcome.job.error is not None or case in ("tolerated", "inferred")


def _raises(frame: Any) -> Any:
    raise ValueError(f"cannot convert {frame['name'].iloc[0]}")


def _types_differ(frame: Any) -> Any:
    return frame.assign(name=[{"x": CELL} if number % 2 else 1.5 for number in range(len(frame))])


def _types_change(frame: Any) -> Any:
    return frame.assign(by=frame["id"] if CELL in frame["name"].tolist() else 1.5)


def _is_keyed(frame: Any) -> Any:
    """The cells become names of a structure's fields, which its type tells."""
    return frame.assign(by=[{name: 1} for name in frame["name"]])


def _is_keyed_at_times(frame: Any) -> Any:
    return _is_keyed(frame) if CELL in frame["name"].tolist() else frame.assign(by=[[1]])


def _is_keyed_emptily(frame: Any) -> Any:
    return frame.assign(by=[[{name: {}}] for name in frame["name"]])


@pytest.mark.parametrize(
    ("transform", "group_by", "chunk_size", "code"),
    [
        (_raises, [], 1000, "transform-failed"),
        (_types_differ, [], 1000, "transform-failed"),
        (_types_change, ["by"], 20, "transform-schema"),
        (_is_keyed, ["by"], 1000, "bad-measure"),
        (_is_keyed_at_times, [], 20, "transform-schema"),
        (_is_keyed_emptily, [], 1000, "transform-schema"),
    ],
)
def test_no_cell_is_told_by_a_transform(
    transform: Callable[[Any], Any],
    group_by: list[str],
    chunk_size: int,
    code: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(transforms, "find", lambda _: transform)
    described = contract(
        {"name": "id", "type": "integer"},
        {"name": "name", "type": "string"},
        sluice={"aggregates": [{"name": "all", "groupBy": group_by, "measures": {"rows": {"count": "*"}}}]},
    )
    outcome = pipeline.run(HEADER + f"{LARGE},{CELL}\n2,b\n".encode(), described, chunk_size=chunk_size)
    assert outcome.job.error is not None
    assert outcome.job.error.code == code
    for cell in (CELL, str(LARGE)):
        assert cell not in said(outcome)
        assert cell not in caplog.text


def test_no_cell_is_told_by_a_measure() -> None:
    """Arrow's own message quotes the value that the other rows' type cannot hold."""
    aggregates = Aggregates((Aggregate("by", ("x",), (Measure("n", "count", "*"),)),))
    profile = Profile()
    for column in (pa.array([LARGE]), pa.array([1.5])):
        aggregates.add(pa.table({"x": column}))
        profile.add(pa.table({"x": column}))
    for result in (aggregates.result, profile.result):
        with pytest.raises(Terminal, match=r"bad-measure: .* changes its type") as refused:
            result()
        assert str(LARGE) not in refused.value.message


def test_no_cell_is_told_by_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transforms, "find", lambda dataset: _is_keyed if dataset == "keyed" else None)
    name = {"name": "name", "type": "string"}
    ports = pipeline.run(f"name\n{CELL}\n".encode(), contract(name), key="incoming/keyed/a.csv").ports
    schema = {"foreignKeys": [{"fields": ["name"], "reference": {"resource": "keyed", "fields": ["by"]}}]}
    outcome = pipeline.run(b"name\na\n", contract(name, schema=schema), ports=ports)
    assert outcome.job.error is not None
    assert outcome.job.error.code == "reference-type"
    assert CELL not in said(outcome)


@pytest.mark.parametrize("cores", [1, 2])
def test_check_shows_what_a_transform_raised_and_tells_it_nowhere_else(
    cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error alone, where the file's owner is writing the transform."""
    monkeypatch.setattr(transforms, "find", lambda _: _raises)
    monkeypatch.setattr(inprocess, "_cores", lambda: cores)
    file, terms, out = tmp_path / "things.csv", tmp_path / "things.json", tmp_path / "out"
    file.write_bytes(HEADER + f"1,{CELL}\n2,{CELL}\n".encode())
    terms.write_text(json.dumps(contract(ID, {"name": "name", "type": "string"})))
    arguments = ["check", str(file), "--contract", str(terms), "--out", str(out), "--chunk-size", "10"]
    assert local.main(arguments) == 1
    shown = capsys.readouterr()
    assert "transform-failed: " in shown.err
    assert "Traceback (most recent call last):\n" in shown.err
    assert "in _raises\n    raise ValueError(f\"cannot convert {frame['name'].iloc[0]}\")\n" in shown.err
    assert f"ValueError: cannot convert {CELL}\n" in shown.err
    assert local.main([*arguments, "--json"]) == 1
    for told in (shown.out, capsys.readouterr().out):
        assert "ValueError in the transform" in told.replace("\n", " ")
        assert CELL not in told
    assert not [path for path in out.rglob("*") if path.is_file() and CELL.encode() in path.read_bytes()]


def test_check_shows_why_a_transform_cannot_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = types.ModuleType("own_transforms")
    monkeypatch.setattr(package, "__path__", [str(tmp_path)], raising=False)
    monkeypatch.setitem(sys.modules, "own_transforms", package)
    monkeypatch.setattr(transforms, "PACKAGE", "own_transforms")
    (tmp_path / "things.py").write_text("import no_such_package\n")
    file = tmp_path / "things.csv"
    file.write_bytes(HEADER)
    assert local.main(["check", str(file), "--out", str(tmp_path / "out")]) == 1
    shown = capsys.readouterr()
    assert "bad-transform: the transform of dataset things cannot be loaded (ModuleNotFoundError)\n" in shown.err
    assert "ModuleNotFoundError: No module named 'no_such_package'\n" in shown.err


def test_a_header_that_is_one_is_told_by_its_labels() -> None:
    """Labels are no cells: whoever has to rename them must read them."""
    outcome = pipeline.run(b"number,title\n1,a\n", contract(ID, NAME))
    assert outcome.job.error is not None
    assert '"number"' in outcome.job.error.message
    assert '"title"' in outcome.job.error.message


# Bombs.

ZEROS = b"0,0\n" * (20 * 1024 * 1024)
"""80 MiB of records: more than is unpacked whatever the ratio."""


def _zip(body: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", body)
    return sink.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda body: gzip.compress(body, 6),
    "zip": _zip,
    "bzip2": lambda body: bz2.compress(body[: 2**20], 1) * (len(body) // 2**20),
    "xz": lambda body: lzma.compress(body, preset=0),
    "zstd": lambda body: pa.compress(body, codec="zstd", asbytes=True),
}


@pytest.mark.parametrize("packed", PACKERS)
def test_a_bomb_ends_its_job_and_leaves_nothing(packed: str) -> None:
    outcome = pipeline.run(PACKERS[packed](b"id,name\n" + ZEROS), contract(ID, NAME))
    assert outcome.job.status is Status.FAILED
    assert outcome.job.error is not None
    assert outcome.job.error.code == "expansion-limit"
    assert list(outcome.ports.objects.list(RESULTS, "")) == []
    assert [stored.key for stored in outcome.ports.objects.list(INBOX, "incoming/")] == [outcome.job.source.key]
