"""A round's tasks on every core that this process may use.

In forked processes: threads wait for the interpreter's lock (a file of 200 columns takes longer in two threads than in
one), and a process that imports everything anew takes 0.6 s to begin. Where a fork is not safe, in threads. One core,
or one task, takes neither.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

FORKS: Final = sys.platform == "linux"
"""Whether a fork without ``exec`` is safe. On macOS it is not: the system's libraries may start threads
(https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods).

Threads are alive at the fork on Linux, too, but none that holds what a worker needs: OpenBLAS ends its own before
(https://github.com/OpenMathLib/OpenBLAS/pull/343), Arrow has a new pool after
(https://github.com/apache/arrow/pull/2363), jemalloc and glibc look after their locks, and all that the thread of a
progress bar may hold is the way to standard output and error: a worker has its own (``forked.Voice``).
"""


def each(work: Callable[[Any], None], tasks: Sequence[Any], finished: Callable[[], None], workers: int) -> None:
    """Do ``work`` on every task, as many as ``workers`` at a time, and call ``finished`` here after each of them.

    What ``work`` changes in memory may be another process's memory: it tells by what it writes. Errors: the first one
    of ``work``, once no other is under way any more; ``Transient`` where a worker's process was ended by others.
    """
    count = min(len(tasks), workers)
    if count > 1:
        (_in_processes if FORKS else _in_threads)(work, tasks, finished, count)
        return
    for task in tasks:
        work(task)
        finished()


def _in_threads(work: Callable[[Any], None], tasks: Sequence[Any], finished: Callable[[], None], count: int) -> None:
    from concurrent.futures import ThreadPoolExecutor, as_completed

    with ThreadPoolExecutor(count) as threads:
        futures = [threads.submit(work, task) for task in tasks]
        try:
            for future in as_completed(futures):
                future.result()
                finished()
        finally:
            # Waited for: a worker that still wrote would outlive the folder that is removed next.
            threads.shutdown(wait=True, cancel_futures=True)


def _in_processes(work: Callable[[Any], None], tasks: Sequence[Any], finished: Callable[[], None], count: int) -> None:
    from ops.check import forked

    waiting = deque(tasks)
    with forked.workers(work, count) as idle:
        for worker in idle:
            worker.begin(waiting.popleft())
        busy = list(idle)
        while busy:
            for worker in forked.heard(busy):
                if not worker.has_finished():
                    continue
                finished()
                if waiting:
                    worker.begin(waiting.popleft())
                else:
                    busy.remove(worker)
