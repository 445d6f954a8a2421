"""Worker processes that are forked from this one: each does one task after the other, as it is told.

None of them outlives this process, however it ends.
"""

from __future__ import annotations

import codecs
import ctypes
import io
import os
import pickle
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from threading import Lock
from typing import Any, Final, NoReturn

from chalicelib.errors import Transient
from ops.check.channel import Channel

_ENDING: Final = {signal.SIGINT, signal.SIGTERM}
_LOOK_SECONDS: Final = 1.0
"""So often it is seen whether a worker is dead whose end of the channel a process that it forked keeps open."""
_PR_SET_PDEATHSIG: Final = 1
"""https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html"""


class InWorker(Exception):
    """The cause of an error that a worker's task raised: its text is the traceback there."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class Worker:
    """A process, seen from the one that forked it."""

    def __init__(self, process: BaseProcess, channel: Channel) -> None:
        self._process, self.channel = process, channel
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    @property
    def is_dead(self) -> bool:
        return not self._process.is_alive()

    def begin(self, task: Any) -> None:
        with self._alive():
            self.channel.send(task)

    def has_finished(self) -> bool:
        """Take what the worker said. False: it only printed something, which is now on standard error.

        Errors: that of its task; ``Transient`` where the process has ended.
        """
        with self._alive():
            is_dead = self.is_dead  # asked before: then nothing more can come
            if not self.channel.take() and is_dead:
                raise EOFError
        finished = False
        for said in self.channel.messages():
            if isinstance(said, bytes):
                sys.stderr.write(self._decoder.decode(said))
            elif said is None:
                finished = True
            else:
                error, trace = said
                raise error from InWorker(trace)
        return finished

    def kill(self) -> None:
        if self._process.pid is not None:  # else it was not started yet
            self._process.kill()

    def end(self) -> None:
        self.kill()
        if self._process.pid is not None:
            self._process.join()
        self._process.close()
        self.channel.close()

    @contextmanager
    def _alive(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError):
            self._process.join()
            raise Transient("chunk-failed", f"a process that worked on a chunk {_ended(self._process)}") from None


def _ended(process: BaseProcess) -> str:
    status = process.exitcode or 0
    if status == -signal.SIGKILL:
        return "was killed (SIGKILL): the system may have run out of memory"
    if status < 0:
        known = -status in set(signal.Signals)
        return f"was ended by {signal.Signals(-status).name if known else f'signal {-status}'}"
    return f"ended itself with exit status {status}"


@contextmanager
def workers(work: Callable[[Any], None], count: int) -> Iterator[list[Worker]]:
    """``count`` processes that wait for a task; at the end of the block they are killed, whatever they do."""
    fork = get_context("fork")
    started: list[Worker] = []
    try:
        with _held_back(_ENDING), warnings.catch_warnings():
            # From Python 3.12 on, of any thread that is alive: see ``ops.check.workers.FORKS``.
            warnings.filterwarnings("ignore", r"This process .* is multi-threaded", DeprecationWarning)
            for _ in range(count):
                ours, theirs = Channel.pair()
                process = fork.Process(target=_serve, args=(work, theirs, os.getpid()))
                started.append(Worker(process, ours))
                process.start()
                theirs.close()  # or its end would not be seen when the worker dies
        yield started
    finally:
        for worker in started:  # first, and all: a second Ctrl-C may come while one is waited for
            worker.kill()
        for worker in started:
            worker.end()


def heard(workers: Sequence[Worker]) -> list[Worker]:
    """Those that have said something, or have ended; waits until there is one."""
    while True:
        ready = wait([worker.channel.end for worker in workers], _LOOK_SECONDS)
        found = [worker for worker in workers if worker.channel.end in ready or worker.is_dead]
        if found:
            return found


@contextmanager
def _held_back(signals: set[signal.Signals]) -> Iterator[None]:
    """They come at the end of the block: else one could end this process before it knows what it has forked, or a
    worker before it ignores them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(work: Callable[[Any], None], channel: Channel, parent: int) -> NoReturn:
    """A worker's life, which its parent ends: by a kill, or by its own death."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it had died before
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of a terminal's processes; one of them acts
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    voice, pid = Voice(channel), os.getpid()
    sys.stdout = sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(voice), "utf-8", "backslashreplace", line_buffering=True
    )
    while True:
        task = channel.receive()
        said = None
        try:
            work(task)
        except BaseException as error:  # noqa: BLE001 - told to the parent, which raises it
            said = _portable(error), traceback.format_exc()
        if os.getpid() != pid:  # a process that the task forked has no say here
            os._exit(0 if said is None else 1)
        sys.stderr.flush()
        voice.say(said)


def _portable(error: BaseException) -> BaseException:
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - whatever the error's own class does
        copy = None
    return error if type(copy) is type(error) else RuntimeError(f"{type(error).__name__}: {error}")


class Voice(io.RawIOBase):
    """A worker's way to its parent, and its standard output and error: the parent prints what comes, around a progress
    bar where there is one.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel, self._lock = channel, Lock()

    def say(self, said: Any) -> None:
        with self._lock:  # a transform may have threads that print
            self._channel.send(said)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.say(bytes(data))
        return len(data)
