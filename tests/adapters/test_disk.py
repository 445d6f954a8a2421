"""What only the folder has: links to outside files, file names that keys may not become, other writers of one disk."""

from __future__ import annotations

import errno
import os
import pickle
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import Terminal, Transient
from ops.check.disk import DiskObjects, NoExecutions, RecordedNotice, RecordedNotices
from ops.check.disk.files import locked
from tests.adapters.support import source, source_of


@pytest.fixture
def objects(tmp_path: Path) -> DiskObjects:
    return DiskObjects(tmp_path / "root")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_bytes(b"a,b\n1,2\n")
    return path


@pytest.fixture(params=["links", "no links"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    if request.param == "no links":
        monkeypatch.setattr(os, "link", refuse)
        monkeypatch.setattr(os, "symlink", refuse)


@pytest.mark.usefixtures("file_system")
def test_an_outside_file_is_read(objects: DiskObjects, outside: Path) -> None:
    source = source_of(objects.link("inbox", "incoming/orders/orders.csv", outside))
    assert source.version_id == source.etag
    assert source.size_bytes == 8
    in_another_process = pickle.loads(pickle.dumps(objects))
    assert in_another_process.read_range(source, 4, 8) == b"1,2\n"


def test_a_file_linked_again_is_the_same_version(objects: DiskObjects, outside: Path) -> None:
    assert objects.link("inbox", "k", outside) == objects.link("inbox", "k", outside)


@pytest.mark.parametrize("how", ["in place", "by another file", "same size and time"])
def test_a_linked_file_that_changes_during_the_job_is_noticed(objects: DiskObjects, outside: Path, how: str) -> None:
    source = source_of(objects.link("inbox", "k", outside))
    stream = objects.stream(source, 2)
    assert next(stream) == b"a,"
    before = outside.stat()
    if how == "in place":
        with open(outside, "ab") as file:
            file.write(b"3,4\n")
    else:
        other = outside.with_suffix(".new")
        other.write_bytes(b"A,B\n3,4\n")
        if how == "same size and time":
            os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.replace(outside)
    with pytest.raises(Terminal, match="object-replaced"):
        objects.read_range(source, 0, 2)
    if how == "in place":
        with pytest.raises(Terminal, match="object-replaced"):
            next(stream)
    else:
        assert b"".join(stream) == b"b\n1,2\n"  # the version that the stream opened


def test_writing_a_linked_key_leaves_the_outside_file(objects: DiskObjects, outside: Path) -> None:
    linked = objects.link("inbox", "k", outside)
    objects.copy("inbox", "k", "copy", linked.etag, linked.size_bytes)
    objects.put("inbox", "k", b"new", "text/csv")
    objects.delete("inbox", "k")
    objects.delete("inbox", "k")
    assert outside.read_bytes() == b"a,b\n1,2\n"
    outside.write_bytes(b"edited")
    assert objects.get("inbox", "copy") == b"a,b\n1,2\n"
    with pytest.raises(Terminal, match="object-not-found"):
        objects.link("inbox", "k", outside.parent)


UNSAFE = [
    "",
    "/a",
    "a/",
    "a//b",
    "..",
    "../a",
    "a/../../b",
    "a/..",
    ".",
    "a/./b",
    "a\0b",
    "x" * 256,
    "d/" * 511 + "abc",
]


@pytest.mark.parametrize("key", UNSAFE)
def test_a_key_that_no_file_can_stand_for_is_refused(objects: DiskObjects, tmp_path: Path, key: str) -> None:
    for use in (
        lambda: objects.put("inbox", key, b"x", "text/csv"),
        lambda: objects.put_stream("inbox", key, [b"x"], "text/csv"),
        lambda: objects.get("inbox", key),
        lambda: objects.head("inbox", key),
        lambda: objects.delete("inbox", key),
    ):
        with pytest.raises(Terminal, match="invalid-key"):
            use()
    assert not list(tmp_path.rglob("*"))


@given(st.text(max_size=12))
def test_no_key_and_no_bucket_leaves_the_root(name: str) -> None:
    objects = DiskObjects("/root-of-objects")
    for bucket, key in (("inbox", name), (name, "k")):
        try:
            path = objects.path(bucket, key)
        except Terminal:
            continue
        assert Path(os.path.normpath(path)).parts[:2] == ("/", "root-of-objects")
        assert len(path.parts) >= 4


def test_a_key_that_is_anothers_folder_is_refused(objects: DiskObjects) -> None:
    objects.put("inbox", "a/b", b"1", "text/csv")
    objects.put("inbox", "c", b"2", "text/csv")
    for key in ("a", "c/d"):
        with pytest.raises(Terminal, match="invalid-key"):
            objects.put("inbox", key, b"3", "text/csv")
        with pytest.raises(Terminal, match="object-not-found"):
            objects.get("inbox", key)
        assert objects.get_with_etag("inbox", key) is None
    assert [found.key for found in objects.list("inbox", "")] == ["a/b", "c"]


def test_of_many_conditional_writers_one_wins(objects: DiskObjects) -> None:
    first = objects.put("results", "current.json", b"first", "application/json")
    won: list[bytes] = []

    def write(body: bytes) -> None:
        try:
            DiskObjects(objects.root).put("results", "current.json", body, "application/json", if_match=first.etag)
        except Transient:
            return
        won.append(body)

    threads = [threading.Thread(target=write, args=(b"writer %d" % number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [objects.get("results", "current.json")]


def test_the_lock_lets_one_in_at_a_time(tmp_path: Path) -> None:
    inside: list[int] = []
    most = 0

    def enter() -> None:
        nonlocal most
        with locked(tmp_path):
            inside.append(1)
            most = max(most, len(inside))
            time.sleep(0.005)
            inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_files_are_stamped_finer_than_the_kernels_clock_ticks(
    objects: DiskObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    etags = set()
    for stamp in (10**18, 10**18 + 1):
        monkeypatch.setattr(time, "time_ns", lambda stamp=stamp: stamp)
        etags.add(objects.put("results", "k", b"same size", "text/plain").etag)
        assert objects.path("results", "k").stat().st_mtime_ns == stamp
    assert len(etags) == 2


def test_two_versions_of_one_size_never_share_an_etag(objects: DiskObjects) -> None:
    etags = [objects.put("results", "k", b"%04d" % number, "text/plain").etag for number in range(500)]
    assert len(set(etags)) == 500


def test_nothing_temporary_stays(objects: DiskObjects, outside: Path) -> None:
    linked = objects.link("inbox", "k", outside)
    objects.put("inbox", "a", b"", "text/plain")
    for _ in range(2):
        objects.copy("inbox", "a", "b", objects.head("inbox", "a").etag, 0)
        objects.copy("inbox", "k", "c", linked.etag, linked.size_bytes)
    files = {path.name for path in objects.root.rglob("*") if path.is_file()}
    assert files == {"k", "a", "b", "c", "lock"}


@pytest.mark.usefixtures("file_system")
def test_a_copy_stays_what_it_was(objects: DiskObjects) -> None:
    first = objects.put("results", "a.bin", b"first", "text/plain")
    copied = objects.copy("results", "a.bin", "b.bin", first.etag, 5)
    objects.put("results", "a.bin", b"second", "text/plain")
    assert objects.read_range(source_of(copied), 0, 5) == b"first"
    with pytest.raises(Terminal, match="object-replaced"):
        objects.copy("results", "a.bin", "c.bin", first.etag, 5)
    with pytest.raises(Terminal, match="object-not-found"):
        objects.copy("results", "nothing", "c.bin", first.etag, 5)
    assert [found.key for found in objects.list("results", "")] == ["a.bin", "b.bin"]


@pytest.mark.usefixtures("file_system")
def test_an_exported_object_stays_what_it_was(objects: DiskObjects, tmp_path: Path) -> None:
    first = source_of(objects.put("results", "a.bin", b"first", "text/plain"))
    objects.export(first, tmp_path / "exported")
    objects.put("results", "a.bin", b"second", "text/plain")
    assert (tmp_path / "exported").read_bytes() == b"first"
    with pytest.raises(Terminal, match="object-replaced"):
        objects.export(first, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    objects.delete("results", "a.bin")
    with pytest.raises(Terminal, match="object-not-found"):
        objects.export(first, tmp_path / "again")


def test_a_folder_is_made_by_the_first_write_alone(objects: DiskObjects) -> None:
    assert list(objects.list("inbox", "")) == []
    assert objects.get_with_etag("inbox", "k") is None
    assert not objects.root.exists()


def test_notices_are_kept_and_there_is_no_workflow() -> None:
    notices = RecordedNotices()
    notices.publish("subject", "text", {"a": 1}, {"status": "FAILED"})
    assert notices.messages == [RecordedNotice("subject", "text", {"a": 1}, {"status": "FAILED"})]
    assert NoExecutions().status("e") is None
    assert NoExecutions().progress("e") is None
    with pytest.raises(Terminal, match="no-workflow"):
        NoExecutions().start(source())
    assert NoExecutions().arn("things-1", 2) == "things-1-2"
