"""The emulator as services that outlive a crash. ``CRASH_AT``, a file, holds the end of an object's key: once such an
object is stored, and before anyone is told, the emulator and its Lambda workers die by SIGKILL.

What AWS's services acknowledged is durable; ministack writes objects to disk at once (``S3_PERSIST``), but all else
only at an orderly end (``PERSIST_STATE``). So a copy of the process, forked at the moment of the crash, does that: what
the services held then, they hold when they are started again. What ran, runs no more.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2]))

from ops.emulation import emulator_server


def crashing(persist: Callable[..., None], crash_at: Path) -> Callable[..., None]:
    def persist_object(bucket: str, key: str, *args: Any) -> None:
        persist(bucket, key, *args)
        if crash_at.exists() and key.endswith(crash_at.read_text()):
            crash_at.unlink()
            crash(crash_at.with_suffix(".done"))

    return persist_object


def crash(done: Path) -> None:
    """``done`` is there once all is written."""
    group = os.getpgid(0)
    if os.fork() != 0:
        signal.pause()  # for the copy's signal
    os.setsid()
    os.killpg(group, signal.SIGKILL)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # the connections, and the port
    from ministack import app
    from ministack.core.persistence import save_all

    save_all(app._build_persistence_save_dict())
    done.touch()
    os._exit(0)


if __name__ == "__main__":
    emulator_server.mend()
    from ministack import app
    from ministack.services import s3

    s3._persist_object = crashing(s3._persist_object, Path(os.environ["CRASH_AT"]))
    app.main()
