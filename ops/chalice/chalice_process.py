"""Runs ``chalice_runner.py`` in a process of its own, and has it write down what it made whatever ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from ops.checkout import ROOT
from ops.target import Target, Tell

_ERROR_CHARS: Final = 4_000
_ENDS_ITSELF_SECONDS: Final = 3
_END_SECONDS: Final = 30


def run(target: Target, folder: Path, tell: Tell) -> str:
    """Run Chalice in a process of its own. Returns what it said when it failed, or ``""``."""
    environment = target.process_environment(os.environ) | target.names.environment()
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}  # Chalice packs every file it finds
    with subprocess.Popen(
        [sys.executable, "-m", "ops.chalice.chalice_runner", str(folder), target.stage],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as runner:
        assert runner.stdout is not None
        assert runner.stderr is not None
        said: list[str] = []
        reader = threading.Thread(target=said.extend, args=(runner.stderr,), daemon=True)
        reader.start()
        try:
            for line in runner.stdout:
                tell(line.strip())
        except BaseException:
            _interrupt(runner)
            raise
        reader.join()
    return "" if runner.returncode == 0 else "".join(said)[-_ERROR_CHARS:] or f"status {runner.returncode}"


def _interrupt(runner: subprocess.Popen[str]) -> None:
    """Have Chalice stop, and wait until it has written down what it made. A Ctrl-C at a terminal has reached it:
    a second one could hit it while it writes.
    """
    for seconds, end in ((_ENDS_ITSELF_SECONDS, runner.send_signal), (_END_SECONDS, None)):
        try:
            runner.wait(seconds)
            return
        except subprocess.TimeoutExpired:
            if end is not None:
                end(signal.SIGINT)
    runner.kill()
