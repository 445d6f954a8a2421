"""Starts one command and prints, as JSON, what it took.

    python -I -S benchmarks/launch.py FOLDER CORES TIMEOUT_SECONDS MEMORY COMMAND…

MEMORY, 1 or 0: whether the memory of its children is looked at. A process waits while it is: of Sluice on two cores
that takes 4 to 6 % of the time, and of a peer without children nothing.

A process of its own, and a small one: Linux carries the memory of whoever forks over into the child's peak, also across
``exec``, so a launcher that had Arrow loaded would be what is measured.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

SAMPLE_SECONDS = 0.05
SAMPLE_SHARE = 0.1
"""Most of the time that looking may take: 5 ms for each process of 250 MB."""


class Watch:
    """A thread that sees whether a process has children, adds up their memory, and ends what takes too long."""

    def __init__(self, pid: int, timeout_seconds: float, with_memory: bool) -> None:
        self._pid, self._deadline = pid, time.monotonic() + timeout_seconds
        self._with_memory = with_memory
        self.has_children = False
        self.peak_kb = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def end(self) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        pause = SAMPLE_SECONDS
        while not self._done.wait(pause):
            looked = time.monotonic()
            tree = list(_tree(self._pid))
            if len(tree) > 1:
                self.has_children = True
                if self._with_memory:
                    self.peak_kb = max(self.peak_kb, sum(map(_share_kb, tree)))
            pause = max(SAMPLE_SECONDS, (time.monotonic() - looked) / SAMPLE_SHARE)
            if time.monotonic() > self._deadline:
                for pid in reversed(tree):
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        continue
                return


def _tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        children = [int(child) for task in tasks for child in _read(f"/proc/{pid}/task/{task}/children").split()]
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return
    for child in children:
        yield from _tree(child)


def _share_kb(pid: int) -> int:
    """Its proportional set size: of a page that n processes share, as after a fork, each has the nth part.

    https://www.kernel.org/doc/Documentation/ABI/testing/procfs-smaps_rollup
    """
    try:
        rollup = _read(f"/proc/{pid}/smaps_rollup")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()


def main() -> None:
    folder, cores, timeout_seconds, memory, *command = sys.argv[1:]
    mine = os.sched_getaffinity(0)
    # Set before the start and inherited, so that not even the child's first instruction runs elsewhere.
    os.sched_setaffinity(0, sorted(mine)[-int(cores) :])
    started = time.perf_counter()
    with open(f"{folder}/stdout", "w") as out, open(f"{folder}/stderr", "w") as err:
        child = subprocess.Popen(command, stdout=out, stderr=err)
    os.sched_setaffinity(0, mine)
    watch = Watch(child.pid, float(timeout_seconds), with_memory=memory == "1")
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - started
    watch.end()
    child.returncode = os.waitstatus_to_exitcode(status)
    took = {
        "exit_status": child.returncode,
        "wall_seconds": wall,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": max(usage.ru_maxrss, watch.peak_kb) * 1024 / 1e6,
        "has_children": watch.has_children,
    }
    print(json.dumps(took))


if __name__ == "__main__":
    main()
