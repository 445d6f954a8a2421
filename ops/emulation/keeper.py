"""Runs a command for as long as its parent holds the other end of standard input, and never longer.

``python keeper.py SCRATCH COMMAND…``: when standard input ends (the parent closed it, was interrupted, or was killed
outright), the keeper ends the command and whatever it started (an emulator's Lambda workers included), removes the
folder SCRATCH and exits. When the command ends by itself, the keeper exits with its status. Standard library only: it
starts in a few hundredths of a second and imports nothing of the project.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 2.0


def main(scratch: str, command: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Only the end of standard input ends the keeper. A handler, unlike SIG_IGN, is not inherited by the command.
        signal.signal(number, lambda *_: None)
    # Its own session, thus its own process group: one signal reaches the command and all that it started.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    ended = threading.Event()
    threading.Thread(target=_until_the_parent_is_gone, args=(ended,), daemon=True).start()
    threading.Thread(target=_until_the_command_is_gone, args=(child, ended), daemon=True).start()
    ended.wait()
    _end_group(child)
    shutil.rmtree(scratch, ignore_errors=True)
    return child.returncode


def _until_the_parent_is_gone(ended: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    ended.set()


def _until_the_command_is_gone(child: subprocess.Popen[bytes], ended: threading.Event) -> None:
    child.wait()
    ended.set()


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """Ask the command politely, then kill what is left of its group."""
    child.terminate()
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # nothing of the group was left
    child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
