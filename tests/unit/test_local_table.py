from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from rich.console import Console

from chalicelib.errors import Transient
from chalicelib.model import Chunks, Failure, Job, Reason, Rows, Source, Status
from ops.check import disk
from ops.jobs import outputs, table
from ops.jobs.uploads import Upload

SOURCE = Source("inbox", "incoming/orders/a.csv", "1")
DONE = Job(
    job_id=SOURCE.job_id,
    dataset="orders",
    status=Status.SUCCEEDED,
    source=SOURCE,
    received_at="2026-01-01T00:00:00+00:00",
    finished_at="2026-01-01T00:00:02.500000+00:00",
    rows=Rows(5000, 4877, 121, 2),
    chunks=Chunks(2, 2),
    reasons=tuple(Reason("constraint-error", f"field {n}", 90 - n) for n in range(7)),
    outputs={"report": f"s3://results/jobs/{SOURCE.job_id}/report.html"},
)


def shown(*jobs: Job, contract: Path | None = None) -> str:
    stream = io.StringIO()
    uploads = [Upload(Path("in") / job.source.key.rpartition("/")[2], job.dataset, contract) for job in jobs]
    table.show(jobs, uploads, Console(file=stream, width=120))
    return stream.getvalue()


def test_it_shows_counts_seconds_reasons_and_paths() -> None:
    text = shown(outputs.localised(DONE, "results", Path("out")))
    for part in ("5,000", "4,877", "121", "2.5", "2/2", "SUCCEEDED", f"out/{DONE.job_id}/report.html"):
        assert part in text
    assert "field 4" in text
    assert "field 5" not in text
    assert "and 2 more" in text
    assert "and 32 more" in shown(DONE.with_(reasons_omitted=30))


def test_delivered_rows_are_shown_where_they_are_not_the_valid_ones() -> None:
    other = DONE.with_(source=Source("inbox", "incoming/orders/b.csv", "1"), delivered=9754)
    assert "delivered" not in shown(DONE.with_(delivered=4877), DONE)
    head, _, *lines = shown(DONE.with_(delivered=4877), other, DONE).strip().splitlines()
    assert head.split()[-3:] == ["delivered", "chunks", "seconds"]
    told = [["4,877", "2/2", "2.5"], ["9,754", "2/2", "2.5"], ["2/2", "2.5"]]
    assert [line.split()[6:] for line in lines[:3]] == told


def test_it_says_which_contract_was_used() -> None:
    assert "\ncontract used  contracts/or[d]ers.json\n" in shown(DONE, contract=Path("contracts/or[d]ers.json"))
    none = "none: the types were inferred from the file (give --contract, or --dataset)"
    assert f"\ncontract used  {none}\n" in shown(DONE)


def test_a_failed_job_shows_code_and_message_and_takes_no_markup_from_them() -> None:
    error = Failure("header-mismatch", 'the label "[red]x[/red]" in position 2 is not in the contract')
    text = shown(DONE.with_(status=Status.FAILED, error=error, reasons=(), outputs={}))
    assert "header-mismatch" in text
    assert "[red]x[/red]" in text
    assert "incoming/orders/a.csv failed" in text


def test_reasons_and_paths_stand_below_the_name_of_their_file() -> None:
    other = DONE.with_(source=Source("inbox", "incoming/orders/b[1].csv", "1"), reasons=(), outputs={})
    one, *below = shown(DONE, other).split("\na.csv ─")
    assert below
    assert "field 4" not in one
    assert "field 4" in below[-1].split("\nb[1].csv ─")[0]
    assert "\na.csv ─" not in shown(DONE)


def test_files_of_the_same_name_are_told_apart() -> None:
    stream = io.StringIO()
    uploads = [Upload(Path(folder) / "a.csv", "orders", None) for folder in ("monday", "tuesday")]
    table.show([DONE, DONE], uploads, Console(file=stream, width=120))
    for name in ("monday/a.csv", "tuesday/a.csv"):
        assert stream.getvalue().count(f"{name} ") == 2


def test_seconds_are_none_until_the_job_has_ended() -> None:
    assert table.seconds(DONE) == 2.5
    assert table.seconds(DONE.with_(finished_at=None)) is None


def test_outputs_are_fetched_whole_in_place_of_older_ones(tmp_path: Path) -> None:
    objects = disk.DiskObjects(tmp_path / "store")
    prefix = f"jobs/{DONE.job_id}"
    objects.put("results", f"{prefix}/report.html", b"<html>", "text/html")
    objects.put("results", f"{prefix}/data/part-00000.parquet", b"PAR1", "application/octet-stream")
    objects.put("results", "jobs/another/report.html", b"other", "text/html")
    objects.put("results", f"{prefix}/stale.csv", b"old", "text/csv")
    outputs.fetch(objects, "results", DONE, tmp_path / "out")
    objects.delete("results", f"{prefix}/stale.csv")

    job = outputs.fetch(objects, "results", DONE, tmp_path / "out")

    found = {path.relative_to(tmp_path / "out").as_posix(): path.read_bytes() for path in _files(tmp_path / "out")}
    assert found == {
        f"{DONE.job_id}/report.html": b"<html>",
        f"{DONE.job_id}/data/part-00000.parquet": b"PAR1",
    }
    assert job.outputs == {"report": str(tmp_path / "out" / DONE.job_id / "report.html")}


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """An output of an earlier run."""
    path = tmp_path / "out" / DONE.job_id / "report.html"
    path.parent.mkdir(parents=True)
    path.write_text("earlier")
    return path


def test_outputs_that_cannot_be_put_there_leave_older_ones(
    tmp_path: Path, earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.name.endswith(".partial"):
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(KeyboardInterrupt):
        outputs.fetch(disk.DiskObjects(tmp_path / "store"), "results", DONE, tmp_path / "out")
    assert _files(tmp_path / "out") == [earlier]


def test_older_outputs_come_back_where_the_process_was_killed_between(tmp_path: Path, earlier: Path) -> None:
    earlier.parent.rename(tmp_path / "out" / f".{DONE.job_id}.old")
    broken = mock.Mock(**{"list.side_effect": Transient("lost", "the connection is lost")})
    with pytest.raises(Transient):
        outputs.fetch(broken, "results", DONE, tmp_path / "out")
    assert _files(tmp_path / "out") == [earlier]


@pytest.mark.parametrize("name", ["rejects.csv", "notes.txt", "data/notes.txt"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_folder_that_a_person_has_changed_is_kept(
    tmp_path: Path, name: str, streamed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    folder = out / DONE.job_id

    def fetch(run: str) -> str:
        """As ``check`` does, whose store ends with it. What was said."""
        objects = disk.DiskObjects(tmp_path / run)
        for each in ("rejects.csv", "report.html", "data/part-00000.parquet"):
            objects.put("results", f"jobs/{DONE.job_id}/{each}", b"written", "text/csv")
        outputs.fetch(objects, "results", DONE, out, None if streamed else objects.export)
        return capsys.readouterr().err

    assert fetch("0") == ""
    for run in ("1", "2"):
        (folder / name).write_text(f"work {run}")
        kept = out / f"{DONE.job_id}.{run}"
        assert fetch(run) == f"{folder} had been changed since it was written: it is kept as {kept}\n"
        assert (kept / name).read_text() == f"work {run}"
        assert {path.read_text() for path in _files(folder)} == {"written"}
        assert fetch(f"{run} again") == ""
    assert len(list(out.iterdir())) == 3


@pytest.fixture
def listed(tmp_path: Path) -> Callable[[], str]:
    """Fetches the outputs of a job that has a manifest, and gives what was said."""

    def fetch() -> str:
        objects, prefix = disk.DiskObjects(tmp_path / "store"), f"jobs/{DONE.job_id}"
        stored = [
            objects.put("results", f"{prefix}/{name}", body, "text/csv")
            for name, body in (("rejects.csv", b"written"), ("data/a=1/part-00000.parquet", b"PAR1"))
        ]
        entries = [{"key": each.key, "size_bytes": 7, "sha256": each.checksum_sha256} for each in stored[:1]]
        entries += [{"key": each.key, "size_bytes": 4, "sha256": each.checksum_sha256} for each in stored[1:]]
        document = json.dumps({"job_id": DONE.job_id, "outputs": entries}).encode()
        objects.put("results", f"{prefix}/manifest.json", document, "application/json")
        with contextlib.redirect_stderr(io.StringIO()) as said:
            outputs.fetch(objects, "results", DONE, tmp_path / "out")
        return said.getvalue()

    return fetch


def _copied(folder: Path) -> None:
    """As a copy does that keeps no times."""
    for number, path in enumerate(_files(folder)):
        os.utime(path, ns=(0, number))


def test_a_folder_whose_times_are_lost_is_held_to_its_manifest(tmp_path: Path, listed: Callable[[], str]) -> None:
    listed()
    _copied(tmp_path / "out")
    assert listed() == ""
    assert [path.name for path in (tmp_path / "out").iterdir()] == [DONE.job_id]


@pytest.mark.parametrize("name", [".DS_Store", "data/.DS_Store", "~$rejects.csv", ".~lock.rejects.csv#", "Thumbs.db"])
@pytest.mark.parametrize("has_times", [True, False])
def test_what_a_system_or_an_editor_leaves_in_a_folder_is_no_change(
    tmp_path: Path, listed: Callable[[], str], name: str, has_times: bool
) -> None:
    listed()
    (tmp_path / "out" / DONE.job_id / name).write_text("left")
    if not has_times:
        _copied(tmp_path / "out")
    assert listed() == ""
    assert [path.name for path in (tmp_path / "out").iterdir()] == [DONE.job_id]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("rejects.csv", "changed"),
        ("rejects.csv", "longer than before"),
        ("data/a=1/part-00000.parquet", "PAR2"),
        ("data/manifest.json", "{}"),
        ("notes.txt", ""),
        ("manifest.json", "no JSON"),
        ("manifest.json", "[]"),
        ("manifest.json", '{"job_id": "", "outputs": [{"key": 1}]}'),
    ],
)
def test_what_its_manifest_does_not_list_as_it_is_is_a_change(
    tmp_path: Path, listed: Callable[[], str], name: str, body: str
) -> None:
    listed()
    (tmp_path / "out" / DONE.job_id / name).write_text(body)
    _copied(tmp_path / "out")
    assert listed().endswith(f"it is kept as {tmp_path / 'out' / DONE.job_id}.1\n")
    assert (tmp_path / "out" / f"{DONE.job_id}.1" / name).read_text() == body


def test_a_link_in_the_place_of_an_output_is_a_change(tmp_path: Path, listed: Callable[[], str]) -> None:
    listed()
    output = tmp_path / "out" / DONE.job_id / "rejects.csv"
    output.rename(tmp_path / "elsewhere.csv")
    output.symlink_to(tmp_path / "elsewhere.csv")
    _copied(tmp_path / "out")
    assert listed() != ""


def test_a_folder_of_which_a_file_cannot_be_read_is_kept(
    tmp_path: Path, listed: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed()
    _copied(tmp_path / "out")
    monkeypatch.setattr(outputs, "_sha256", mock.Mock(side_effect=PermissionError))
    assert listed() != ""


def test_a_folder_without_a_manifest_whose_times_are_lost_is_kept(tmp_path: Path, earlier: Path) -> None:
    outputs.fetch(disk.DiskObjects(tmp_path / "store"), "results", DONE, tmp_path / "out")
    assert _files(tmp_path / "out") == [tmp_path / "out" / f"{DONE.job_id}.1" / "report.html"]


def test_what_a_person_put_where_a_job_had_no_outputs_is_kept(tmp_path: Path) -> None:
    objects, out = disk.DiskObjects(tmp_path / "store"), tmp_path / "out"
    outputs.fetch(objects, "results", DONE, out)
    (out / DONE.job_id / "notes.txt").write_text("work")
    outputs.fetch(objects, "results", DONE, out)
    assert [path.read_text() for path in _files(out)] == ["work"]


def test_a_changed_folder_is_kept_where_the_process_was_killed_before_it_could(tmp_path: Path, earlier: Path) -> None:
    earlier.parent.rename(tmp_path / "out" / f".{DONE.job_id}.old")
    earlier.parent.mkdir()
    outputs.fetch(disk.DiskObjects(tmp_path / "store"), "results", DONE, tmp_path / "out")
    assert _files(tmp_path / "out") == [tmp_path / "out" / f"{DONE.job_id}.1" / "report.html"]


@pytest.mark.parametrize("kind", ["file", "link", "link to nothing"])
def test_what_is_no_folder_makes_way_for_the_outputs_each_time(tmp_path: Path, kind: str) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    if kind == "file":
        (out / DONE.job_id).write_text("earlier")
    else:
        (out / DONE.job_id).symlink_to(elsewhere)
    if kind == "link":
        elsewhere.mkdir()
        (elsewhere / "kept.txt").write_text("kept")
    for _ in range(2):
        outputs.fetch(disk.DiskObjects(tmp_path / "store"), "results", DONE, out)
        assert [path.name for path in out.iterdir()] == [DONE.job_id]
        assert (out / DONE.job_id).is_dir()
        assert not (out / DONE.job_id).is_symlink()
    assert len(_files(elsewhere)) == (kind == "link")


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
