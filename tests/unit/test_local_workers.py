"""``local.py check`` on several cores: the same outputs, and an end without remains."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import local
from benchmarks.data import ROOT
from ops.check import inprocess, workers
from tests.platforms import linux


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments of a check in several rounds of many chunks: a key repeats, and chunks begin within quotes."""
    monkeypatch.setattr(inprocess, "_cores", lambda: 2)
    file = tmp_path / "things.csv"
    rows = [f'{number % 190},"a\nb,{number}"\n' if number % 3 else f"{number % 190},x\n" for number in range(200)]
    file.write_text("id,text\n" + "".join(rows))
    fields = [{"name": "id", "type": "integer", "constraints": {"maximum": 180}}, {"name": "text", "type": "string"}]
    contract = tmp_path / "things.json"
    sluice = {"tolerance": {"maxRejectedRatio": 0.5}}
    contract.write_text(
        json.dumps({"name": "things", "schema": {"fields": fields, "primaryKey": ["id"]}, "sluice": sluice})
    )
    return ["check", str(file), "--contract", str(contract), "--out", str(tmp_path / "out"), "--chunk-size", "128"]


def outputs(folder: Path) -> dict[str, bytes]:
    """Those that hold no time."""
    (job,) = folder.iterdir()
    names = ("rejects.csv", "rejects.jsonl", "contract.json", "summary.json")
    files = [path for path in job.rglob("*") if path.name in names or path.suffix == ".parquet"]
    assert len(files) >= len(names) + 1
    return {str(path.relative_to(job)): path.read_bytes() for path in files}


def test_outputs_do_not_depend_on_the_workers(
    things: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for count, forks in [(1, False), (2, False), (3, workers.FORKS)]:
        monkeypatch.setattr(inprocess, "_cores", lambda count=count: count)
        monkeypatch.setattr(workers, "FORKS", forks)
        out = tmp_path / f"out-{count}"
        assert local.main([*things, "--out", str(out), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)[0]["rows"]["rejected"] > 0
        found.append(outputs(out))
    assert found[0] == found[1] == found[2]


def test_a_file_system_needs_no_links(things: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    assert local.main(things) == 0
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "symlink", refuse)
    assert local.main([*things, "--out", str(tmp_path / "copied")]) == 0
    linked, copied = outputs(tmp_path / "out"), outputs(tmp_path / "copied")
    assert linked.pop("summary.json") != copied.pop("summary.json")  # a copy is another version of the file
    assert copied == linked


@linux
def test_a_worker_that_is_killed_fails_the_job(
    things: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = os.getpid()

    def transform(frame: Any) -> Any:
        assert os.getpid() != parent
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr("chalicelib.engine.delivery.transform.find", lambda _: transform)
    assert local.main([*things, "--json"]) == 1
    printed = capsys.readouterr()
    (job,) = json.loads(printed.out)
    assert (job["status"], job["error"]["code"]) == ("FAILED", "chunk-failed")
    assert "out of memory" in job["error"]["message"]
    assert "Traceback" not in printed.err
    assert remains(tmp_path / "out") == []


SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it starts in the background
import local
from ops.check import inprocess
from chalicelib.engine.delivery import transform
inprocess._cores = lambda: 2
def slow(frame):
    print("here")
    time.sleep(600)
transform.find = lambda _: slow
sys.exit(local.main(sys.argv[1:]))
"""


@linux
@pytest.mark.parametrize("ending", ["Ctrl-C", "SIGTERM"])
def test_an_interrupted_check_ends_at_once_and_leaves_nothing(things: list[str], tmp_path: Path, ending: str) -> None:
    command = [sys.executable, "-c", SLOW, *things]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as check:
        assert check.stderr is not None
        lines = [check.stderr.readline()]
        while lines.count("here\n") < 2:
            lines.append(check.stderr.readline())
            assert lines[-1], lines
        started = time.monotonic()
        if ending == "Ctrl-C":
            os.killpg(check.pid, signal.SIGINT)  # a terminal's reaches every process
        else:
            check.terminate()
        out, err = check.communicate(timeout=60)
    assert time.monotonic() - started < 30
    assert (check.returncode, out, err) == (130, "", "")
    assert remains(tmp_path / "out") == []
    with pytest.raises(ProcessLookupError):
        os.killpg(check.pid, 0)


def remains(out: Path) -> list[str]:
    return [path.name for path in out.glob(".*")]
