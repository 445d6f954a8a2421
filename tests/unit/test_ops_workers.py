"""A round's tasks are done on every core, in processes or threads or neither, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks.data import ROOT
from chalicelib.errors import InvalidContract, SluiceError, Terminal, ToleranceExceeded, Transient
from ops.check import forked, workers
from tests.platforms import linux

WAYS = {"neither": (1, False), "threads": (2, False), "processes": (2, True)}


@pytest.fixture(params=["neither", "threads", pytest.param("processes", marks=linux)])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(workers, "FORKS", WAYS[request.param][1])
    return str(request.param)


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "FORKS", True)


def each(way: str, work: Callable[[Any], None], tasks: Sequence[Any]) -> list[tuple[int, int]]:
    """The process and the thread that each ``finished`` was called in."""
    calls: list[tuple[int, int]] = []
    workers.each(work, tasks, lambda: calls.append((os.getpid(), threading.get_ident())), WAYS[way][0])
    return calls


_OTHERS: set[str] = set()


@pytest.fixture(autouse=True)
def others() -> None:
    """Other tests of this process may have left an emulator running for those that follow."""
    _OTHERS.clear()
    _OTHERS.update(children())


def children() -> list[str]:
    """Of this process, but for those that a test found when it began."""
    if not sys.platform.startswith("linux"):
        return []
    found: list[str] = []
    for task in os.listdir("/proc/self/task"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended since
            found += Path(f"/proc/self/task/{task}/children").read_text().split()
    return [child for child in found if child not in _OTHERS]


def test_every_task_is_done_once_and_told_here(way: str, tmp_path: Path) -> None:
    def work(task: int) -> None:
        with open(tmp_path / str(task), "x") as file:
            print(os.getpid(), threading.get_ident(), file=file)
        while len(os.listdir(tmp_path)) < 2 and WAYS[way][0] > 1:  # so that both workers have their part
            time.sleep(0.001)

    calls = each(way, work, range(20))
    assert calls == [(os.getpid(), threading.get_ident())] * 20
    places = {tuple(map(int, path.read_text().split())) for path in tmp_path.iterdir()}
    assert len(list(tmp_path.iterdir())) == 20
    processes, threads = {process for process, _ in places}, {thread for _, thread in places}
    if way == "neither":
        assert places == {(os.getpid(), threading.get_ident())}
    elif way == "threads":
        assert processes == {os.getpid()}
        assert len(threads) == 2
    else:
        assert len(processes - {os.getpid()}) == 2


def test_one_task_needs_no_worker(way: str) -> None:
    done: list[int] = []
    each(way, done.append, [7])
    assert done == [7]
    each(way, done.append, [])
    assert done == [7]


ERRORS = [
    Terminal("disk-error", "no space"),
    Transient("short-read", "cut"),
    InvalidContract("schema.fields[2]", "no name"),
    ToleranceExceeded("too many", {"action": "store"}),
    ZeroDivisionError("by zero"),
    SystemExit(3),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_the_error_of_a_task_comes_out_as_it_was_raised(way: str, error: BaseException) -> None:
    def work(task: int) -> None:
        if task == 2:
            raise error

    with pytest.raises(type(error)) as caught:
        each(way, work, range(4))
    assert str(caught.value) == str(error)
    assert vars(caught.value) == vars(error)
    if isinstance(error, SluiceError):
        assert isinstance(caught.value, SluiceError)
        assert (caught.value.code, caught.value.message) == (error.code, error.message)
    if way == "processes":
        assert isinstance(caught.value.__cause__, forked.InWorker)
        assert f'{Path(__file__).name}", line' in str(caught.value.__cause__)
        assert "in work" in str(caught.value.__cause__)


@linux
@pytest.mark.usefixtures("forks")
def test_an_error_that_cannot_travel_is_told_by_its_words() -> None:
    class Local(Exception):
        """Of no module: it cannot be found again."""

    def work(task: int) -> None:
        raise Local("these words")

    with pytest.raises(RuntimeError, match="Local: these words"):
        each("processes", work, range(2))


@linux
@pytest.mark.usefixtures("forks")
def test_after_an_error_nobody_works_on(tmp_path: Path) -> None:
    def work(task: int) -> None:
        if task == 1:
            while not (tmp_path / "begun").exists():
                time.sleep(0.001)
            raise Terminal("disk-error", "no space")
        (tmp_path / "begun").touch()
        time.sleep(600)

    started = time.monotonic()
    with pytest.raises(Terminal, match="disk-error"):
        each("processes", work, range(5))
    assert time.monotonic() - started < 60
    assert children() == []


@linux
@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize(
    "ending, told",
    [
        (
            lambda: os.kill(os.getpid(), signal.SIGKILL),
            r"was killed \(SIGKILL\): the system may have run out of memory",
        ),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), "was ended by SIGTERM"),
        (lambda: os._exit(3), "ended itself with exit status 3"),
    ],
    ids=["killed", "terminated", "exited"],
)
def test_a_worker_that_is_gone_is_an_error(ending: Callable[[], None], told: str) -> None:
    parent = os.getpid()

    def work(task: int) -> None:
        assert os.getpid() != parent
        if task == 3:
            ending()

    with pytest.raises(Transient, match=f"chunk-failed: a process that worked on a chunk {told}"):
        each("processes", work, range(6))
    assert children() == []


@linux
@pytest.mark.usefixtures("forks")
def test_what_a_worker_prints_comes_out_here_in_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    def work(task: int) -> None:
        for word in ("ä", str(task)):
            print(word, end=" ")
            time.sleep(0.001)
        print("out")
        print("raw", file=sys.stderr, end="")

    each("processes", work, range(8))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert sorted(printed.err.replace("raw", "").splitlines()) == [f"ä {task} out" for task in range(8)]
    assert printed.err.count("raw") == 8


PARENT = """
import os, sys, time
from pathlib import Path
from ops.check import workers
def work(task):
    os.write(1, f"{os.getpid()}\\n".encode())  # in one piece, however Python's own output is buffered
    time.sleep(600)
workers.each(work, range(4), lambda: None, 2)
"""


@linux
def test_no_worker_outlives_a_parent_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        try:
            pids = [int(parent.stdout.readline()) for _ in range(2)]
        finally:
            parent.kill()
        assert parent.stdout.read() == ""  # its end: nobody holds it any more
    deadline = time.monotonic() + 20
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@linux
@pytest.mark.parametrize("said", [b"", b"\0\0\1\0x"], ids=["nothing", "half of a message"])
def test_a_dead_worker_is_seen_though_a_process_that_it_forked_keeps_its_pipe(
    said: bytes, forks: None, tmp_path: Path
) -> None:
    def work(task: int) -> None:
        if task == 1:
            if child := os.fork():
                (tmp_path / "child").write_text(str(child))
                os.write(cast("Any", sys.stderr).buffer.raw._channel.end.fileno(), said)
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(20)
            os._exit(0)

    begun = time.monotonic()
    try:
        with pytest.raises(Transient, match="SIGKILL"):
            workers.each(work, range(4), lambda: None, 2)
        assert time.monotonic() - begun < 10
    finally:
        os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)
    assert children() == []


@linux
def test_a_process_that_a_task_forks_has_no_say_in_what_it_came_to(forks: None) -> None:
    def work(task: int) -> None:
        if task == 1 and os.fork() == 0:
            raise ValueError("in the child of a worker")

    finished: list[None] = []
    workers.each(work, range(6), lambda: finished.append(None), 2)
    assert len(finished) == 6


@linux
def test_characters_may_be_cut_between_two_messages(forks: None, capsys: pytest.CaptureFixture[str]) -> None:
    text = "x" + "é" * 6000
    workers.each(lambda task: print(text, end=""), range(2), lambda: None, 2)
    assert capsys.readouterr().err == text * 2
