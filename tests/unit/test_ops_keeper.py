"""The keeper ends what it started, whatever became of its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ops.emulation import keeper

KEEPER = keeper.__file__

# Starts a grandchild as the emulator starts its workers, tells both ids, and ignores a polite request to end.
COMMAND = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""

# A parent that starts the keeper, passes on what it says, and then sleeps.
# A shell that starts the tests in the background has them, and all that they start, ignore SIGINT.
PARENT = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
keeper = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)
time.sleep(600)
"""


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(*pids: int) -> None:
    deadline = time.monotonic() + 20
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still alive: {[pid for pid in pids if is_alive(pid)]}"
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def linux() -> None:
    assert Path("/proc/self/stat").exists(), "these tests look for processes in /proc"


def test_the_whole_group_ends_with_standard_input(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [sys.executable, KEEPER, str(scratch), sys.executable, "-c", COMMAND]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert all(is_alive(pid) for pid in pids)
        process.send_signal(signal.SIGTERM)  # the keeper itself heeds only its standard input
        time.sleep(0.1)
        assert process.poll() is None
        process.stdin.close()
        wait_until_gone(*pids)
        process.wait(20)
    assert not scratch.exists()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_whole_group_ends_with_the_parent(tmp_path: Path, end: signal.Signals) -> None:
    keeping = [sys.executable, KEEPER, str(tmp_path / "scratch"), sys.executable, "-c", COMMAND]
    with subprocess.Popen([sys.executable, "-c", PARENT, *keeping], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        os.kill(parent.pid, end)
        try:
            wait_until_gone(parent.pid, *pids)
        finally:
            parent.kill()


def test_the_command_s_own_end_is_passed_on(tmp_path: Path) -> None:
    command = [sys.executable, KEEPER, str(tmp_path / "scratch"), sys.executable, "-c", "raise SystemExit(3)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.wait(20) == 3
