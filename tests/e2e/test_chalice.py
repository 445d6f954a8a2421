"""Chalice's own commands against the pipeline, as ``local.py serve`` prints them."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from ops.emulation import laptop
from tests.e2e.conftest import Pipeline

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60


def printed(pipeline: Pipeline, command: str) -> str:
    """The line for a shell in which ``command``, an expression, is found."""
    lines = laptop.instructions(pipeline.stack).splitlines()
    (line,) = [line.strip() for line in lines if re.search(command, line)]
    return line


def environment(pipeline: Pipeline) -> dict[str, str]:
    """Of a shell into which the printed exports were put."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SLUICE_"))}
    return own | pipeline.stack.emulator.environment


def test_a_handler_is_invoked(pipeline: Pipeline) -> None:
    done = subprocess.run(
        printed(pipeline, "chalice .* invoke "),
        shell=True,
        cwd=ROOT,
        env=environment(pipeline),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"started": 0, "ended": 0, "stuck": 0, "found": 0}


def test_the_api_of_the_checkout_serves_the_pipelines_jobs(pipeline: Pipeline) -> None:
    job = pipeline.process("incoming/chalice-local/a.csv", b"id,name\n1,a\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = f"exec env {printed(pipeline, 'chalice local$')} --port {port} --no-autoreload"
    with subprocess.Popen(
        command, shell=True, cwd=ROOT, env=environment(pipeline), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as serving:
        try:
            _wait_until_it_listens(port)
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/jobs/{job.job_id}",
                headers={"Authorization": f"Bearer {pipeline.stack.api_token}"},
            )
            with urllib.request.urlopen(request) as answer:
                assert json.load(answer) == json.loads(json.dumps(job.to_json()))
        finally:
            serving.kill()


def _wait_until_it_listens(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
