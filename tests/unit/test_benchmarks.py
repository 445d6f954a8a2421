"""What ``make bench`` stands on: files always the same, a truth that Sluice agrees with, a judge that sees faults."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks import answers, data, generate, measure, readme
from benchmarks.__main__ import RESULTS
from benchmarks.shapes import SHAPES, STRAY
from ops.check import inprocess
from ops.jobs.uploads import Upload
from tests import pipeline

ROWS = 600
BAD = 0.1


class Nobody:
    def show(self, sights: object) -> None:
        """Nobody watches."""


@pytest.fixture(scope="module", params=SHAPES)
def raced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, answers.Answer]:
    """A shape's folder, and Sluice's answer to it."""
    place = tmp_path_factory.mktemp(request.param)
    generate.write(SHAPES[request.param], place, ROWS, BAD)
    upload = Upload(place / "data.csv", data.DATASET, place / "contract.json")
    job = inprocess.check(upload, place / "out", None, Nobody())
    return place, answers.of_sluice(place / "out" / job.job_id)


def test_sluice_finds_the_truth(raced: tuple[Path, answers.Answer]):
    place, answer = raced
    assert answers.differences(answer, place) == []


def test_of_stray_quotes_nothing_else_is_wrong(tmp_path: Path):
    generate.write(STRAY, tmp_path, ROWS, 0.5)
    outcome = pipeline.run((tmp_path / "data.csv").read_bytes(), STRAY.contract())
    broken = np.load(tmp_path / "rejects.npz")["note"].tolist()
    assert len(broken) > ROWS / 3
    assert outcome.findings == {(record, "", "text-after-quote") for record in broken}


def test_the_judge_sees_what_is_wrong(raced: tuple[Path, answers.Answer], tmp_path: Path):
    place, answer = raced
    field, records = next(iter(answer.rejects.items()))
    keys, (count, total) = next(iter(answer.groups.items()))
    table = pq.read_table(answer.data)
    wrong = {
        "let through": replace(answer, rejects=answer.rejects | {field: records - {min(records)}}),
        "rejected": replace(answer, rejects=answer.rejects | {field: records | {ROWS + 1}}),
        "groups instead": replace(answer, groups=dict(list(answer.groups.items())[1:])),
        "group": replace(answer, groups=answer.groups | {keys: (count, total + 0.01)}),
        "valid rows instead": replace(answer, data=[_written(table.slice(1), tmp_path / "short.parquet")]),
        "column amount": replace(answer, data=[_written(_with_a_row_twice(table), tmp_path / "twice.parquet")]),
    }
    for words, other in wrong.items():
        assert any(words in difference for difference in answers.differences(other, place)), words


def _with_a_row_twice(table: pq.Table) -> pq.Table:
    """As many rows, but the first one in the second one's place."""
    return table.take([0, 0, *range(2, len(table))])


def _written(table: pq.Table, path: Path) -> Path:
    pq.write_table(table, path)
    return path


def test_a_kept_folder_has_the_contract_of_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(data, "WORK", tmp_path)
    place = data.folder("orders", ROWS, BAD)
    written, current = (place / "data.csv").stat(), (place / "contract.json").read_bytes()
    (place / "contract.json").write_text("{}")
    assert data.folder("orders", ROWS, BAD) == place
    assert (place / "contract.json").read_bytes() == current
    assert (place / "data.csv").stat() == written


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_rows_are_the_same_bytes(shape: str, tmp_path: Path):
    for name in ("one", "two"):
        generate.write(SHAPES[shape], tmp_path / name, 50, BAD)
    assert (tmp_path / "one" / "data.csv").read_bytes() == (tmp_path / "two" / "data.csv").read_bytes()


def test_a_process_is_measured_without_its_launchers_memory(tmp_path: Path):
    ballast = b"x" * 300_000_000
    run = measure.run(["sh", "-c", "echo done"], 1, tmp_path)
    del ballast
    assert run.output == "done\n"
    assert run.peak_mb < 100
    assert 0 < run.wall_seconds < 60


FAMILY = """
import os, time
shared = b"x" * 100_000_000
for _ in range(2):
    if os.fork() == 0:
        own = b"y" * 50_000_000
        time.sleep(1)
        os._exit(0)
os.wait()
"""


def test_of_processes_that_share_memory_each_page_counts_once(tmp_path: Path):
    run = measure.run([sys.executable, "-c", FAMILY], 1, tmp_path, with_memory=True)
    assert run.has_children
    assert 200 < run.peak_mb < 250


def test_children_are_seen_but_not_looked_at_while_the_time_is_taken(tmp_path: Path):
    run = measure.run([sys.executable, "-c", FAMILY], 1, tmp_path)
    assert run.has_children
    assert run.peak_mb < 180, "of one process alone"
    assert not measure.run(["sleep", "0.2"], 1, tmp_path).has_children


def test_a_process_may_keep_what_it_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    run = measure.run(["sh", "-c", "echo ${PYTHONDONTWRITEBYTECODE-unset}"], 1, tmp_path)
    assert run.output == "unset\n"


def test_a_process_that_fails_is_no_measurement(tmp_path: Path):
    with pytest.raises(measure.Failed, match="exit status 3"):
        measure.run(["sh", "-c", "exit 3"], 1, tmp_path)


def test_a_process_that_does_not_end_is_ended(tmp_path: Path):
    with pytest.raises(measure.Failed, match="exit status -9"):
        measure.run(["sleep", "60"], 1, tmp_path, timeout_seconds=0.1)


def test_the_tables_are_those_of_the_results():
    text = readme.README.read_text(encoding="utf-8")
    written = text.partition(readme.BEGIN)[2].partition(readme.END)[0]
    expected = readme.text(json.loads(RESULTS.read_text(encoding="utf-8"))) if RESULTS.exists() else ""
    assert written.strip() == expected.strip()
