"""The AWS emulator ``ministack`` as a child process on 127.0.0.1, for as long as a ``with`` block lasts.

It checks credentials and the Lambda roles' policies (``AUTH=true``). Whatever ends the block, or this very process
(Ctrl-C, SIGTERM, SIGKILL), ends the emulator and its Lambda workers and removes its folder: see ``keeper.py``.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ops.target import OperatorError, Target

REGION: Final = "us-east-1"
ACCOUNT: Final = "000000000000"
START_SECONDS: Final = 60.0
"""How long to wait for the emulator; two seconds are usual, a busy machine may need more."""

_KEEPER: Final = Path(__file__).with_name("keeper.py")
_SERVER: Final = Path(__file__).with_name("emulator_server.py")


class Emulator:
    """``with Emulator() as emulator: up(emulator.target("local"), …)``

    Errors: ``OperatorError`` where the emulator does not start, with the end of its log.
    """

    server: Path = _SERVER
    """The script that is the emulator."""

    def __init__(self, log: Path | None = None) -> None:
        """``log``: where the emulator's output goes (by default a file that is removed with the rest)."""
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._scratch = Path()
        self.port = 0
        # Root's credentials in the emulator. The secret is new each time: no other user of this machine knows it.
        self.credentials = {"AWS_ACCESS_KEY_ID": "sluice", "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16)}

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def folder(self) -> Path:
        """Of this emulator; removed with it."""
        return self._scratch

    @property
    def log(self) -> Path:
        return self._log or self._scratch / "emulator.log"

    @property
    def environment(self) -> dict[str, str]:
        """What the AWS command line and SDKs need to talk to the emulator."""
        return {
            **self.credentials,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint_url,
        }

    def target(self, stage: str = "local") -> Target:
        return Target(stage, REGION, self.endpoint_url, self.credentials)

    def __enter__(self) -> Self:
        self._scratch = Path(tempfile.mkdtemp(prefix="sluice-emulator-"))
        try:
            self._start()
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the emulator and everything it started. Doing it twice changes nothing."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()  # the keeper ends the group, then itself
            process.wait()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _start(self) -> None:
        self.port = self.port or _free_port()  # started again, it is where it was
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(_KEEPER), str(self._scratch), sys.executable, str(self.server)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the others in order
                env=self._process_environment(),
            )

    def _process_environment(self) -> dict[str, str]:
        """The operator's environment without anything of AWS in it, so that nothing can reach a real account."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SLUICE_"))}
        return {
            **inherited,
            **self.credentials,
            "AUTH": "true",
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "LOG_LEVEL": "WARNING",
            # It would listen on every interface, and nothing here uses it.
            "IOT_MTLS_ENABLED": "0",
            "TMPDIR": str(self._scratch),
            "STATE_DIR": str(self._scratch / "state"),
            "S3_DATA_DIR": str(self._scratch / "s3"),
        }

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise OperatorError(f"the AWS emulator ended at once:\n{self._end_of_log()}")
            if self._is_ready():
                return
            time.sleep(0.05)
        raise OperatorError(f"the AWS emulator was not ready after {START_SECONDS:.0f} s:\n{self._end_of_log()}")

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint_url}/_ministack/health", timeout=5) as reply:
                return bool(json.load(reply).get("services"))
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def _end_of_log(self) -> str:
        return self.log.read_text(errors="replace")[-2_000:] if self.log.exists() else "(it wrote nothing)"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
