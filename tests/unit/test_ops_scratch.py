"""What a killed run of ``local.py check`` left behind goes with the next one, but nothing of a run that is alive."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from ops.check.scratch import scratch


@pytest.fixture
def left(tmp_path: Path) -> Path:
    folder = tmp_path / ".check-killed"
    folder.mkdir()
    (folder / "part").write_bytes(b"x")
    return folder


def test_what_a_killed_run_left_is_removed(tmp_path: Path, left: Path) -> None:
    (tmp_path / "outputs").mkdir()
    with scratch(tmp_path) as folder:
        assert sorted(tmp_path.iterdir()) == sorted([folder, tmp_path / "outputs"])
    assert list(tmp_path.iterdir()) == [tmp_path / "outputs"]


def test_the_folder_of_a_run_that_is_alive_stays(tmp_path: Path, left: Path) -> None:
    left.rename(tmp_path / "elsewhere")
    with scratch(tmp_path) as first, scratch(tmp_path) as second, scratch(tmp_path) as third:
        assert all(folder.is_dir() for folder in (first, second, third))


def test_where_no_lock_can_be_had_nothing_is_removed(
    tmp_path: Path, left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(handle: int, kind: int) -> None:
        raise OSError("no locks")

    monkeypatch.setattr(fcntl, "flock", refused)
    with scratch(tmp_path) as folder:
        assert folder.is_dir()
    assert left.is_dir()
