"""Wheels for the functions' platform, whatever the operator's machine is: pinned, hashed, never built from source."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from ops.checkout import ROOT
from ops.target import OperatorError

RUNTIME: Final = "python3.13"
"""The functions' runtime, whichever Python the operator has: the wheels of numpy 2.4 and pyarrow 26 want glibc 2.28,
which python3.11's Amazon Linux 2 (2.26) lacks and that of python3.12 and later (Amazon Linux 2023, 2.34) has."""
PYTHON: Final = RUNTIME.removeprefix("python")
ARCHITECTURES: Final = {"x86_64": "x86_64", "arm64": "aarch64"}
"""Lambda's name of the architecture → the wheels' name."""
LOCKED_PYTHONS: Final = ("3.11", "3.12", "3.13")
"""The runtime's, and those on which a test may try the layer's tree."""
_GLIBC: Final = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
"""What the runtime (Amazon Linux 2023, glibc 2.34) can load, and what today's wheels are tagged with."""
_PIP: Final = (sys.executable, "-m", "pip")
_PIP_OPTIONS: Final = (
    "--quiet",
    "--disable-pip-version-check",
    "--no-input",
    "--no-deps",  # the lock file names everything
    "--only-binary=:all:",
    "--implementation=cp",
)


def install(lock: Path, folder: Path, architecture: str, python: str = PYTHON) -> None:
    """Unpack what ``lock`` names into ``folder``. Errors: ``OperatorError`` with pip's words (a hash differs, …)."""
    folder.mkdir(parents=True, exist_ok=True)
    _pip("install", lock, architecture, python, "--no-compile", "--target", str(folder))
    shutil.rmtree(folder / "bin", ignore_errors=True)  # command lines, with the operator's paths in them


def download(lock: Path, folder: Path, architecture: str, python: str = PYTHON) -> None:
    """Fetch the wheels that ``lock`` names into ``folder``, unopened."""
    _pip("download", lock, architecture, python, "--dest", str(folder))


def _pip(command: str, lock: Path, architecture: str, python: str, *options: str) -> None:
    platforms = [f"--platform={glibc}_{ARCHITECTURES[architecture]}" for glibc in _GLIBC]
    done = subprocess.run(
        [*_PIP, command, *_PIP_OPTIONS, f"--python-version={python}", *platforms, "--requirement", str(lock), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise OperatorError(f"pip could not {command} what {lock.name} names:\n{done.stderr.strip()[-2_000:]}")


def lock(requirements: Path, written: Path, scratch: Path) -> None:
    """Write ``written``: every requirement with the SHA-256 of its wheel for each Python and architecture in use."""
    pins = [line for line in requirements.read_text().splitlines() if line and not line.startswith("#")]
    hashes: dict[str, set[str]] = {pin: set() for pin in pins}
    for pin in pins:
        single = scratch / "requirement.txt"
        single.write_text(pin)
        for architecture in ARCHITECTURES:
            for python in LOCKED_PYTHONS:
                folder = scratch / pin / architecture / python
                download(single, folder, architecture, python)
                hashes[pin] |= {hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in folder.glob("*.whl")}
    lines = [f"# Made from {requirements.name}: make lock"]
    for pin in pins:
        lines.append(" \\\n".join([pin, *(f"    --hash=sha256:{digest}" for digest in sorted(hashes[pin]))]))
    written.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch_folder:
        for stem in ("requirements", "requirements-layer"):
            lock(ROOT / f"{stem}.txt", ROOT / f"{stem}.lock", Path(scratch_folder))
