"""One command as a whole process: wall time, CPU time, peak memory, on the cores it is given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.data import ROOT

THREAD_VARIABLES: Final = (
    *("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_IO_THREADS", "NUMEXPR_NUM_THREADS"),
)
"""What tells each library how many threads to start; duckdb, dask and Spark are told by their peers' files."""


class Failed(Exception):
    """The command did not end well; the message has what it said."""


@dataclass(frozen=True, slots=True)
class Run:
    wall_seconds: float
    cpu_seconds: float
    """User and system, of the process and all it started and waited for."""
    peak_mb: float
    """Resident, in MB of 1,000,000 bytes: what the kernel noted of the largest process; with ``with_memory`` no less
    than the largest sum of all of them that a look every 50 ms or so saw, in which a page that they share counts once.
    """
    has_children: bool
    output: str


def allowed() -> set[int]:
    return os.sched_getaffinity(0)


def run(
    command: Sequence[str],
    cores: int,
    folder: Path,
    timeout_seconds: float = 600,
    with_memory: bool = False,
) -> Run:
    """Run the command in the project's folder, on the last ``cores`` cores of those this process may use.

    What it prints goes to files in ``folder``; its standard output comes back. ``with_memory``: of its children, too,
    which takes them time. Errors: ``Failed``.
    """
    if cores > len(allowed()):
        raise ValueError(f"{cores} cores asked for, {len(allowed())} at hand")
    folder.mkdir(parents=True, exist_ok=True)
    variables = os.environ | dict.fromkeys(THREAD_VARIABLES, str(cores))
    # A server's or a container's environment may set it. Then everybody would compile their modules at every start
    # (Sluice 0.13 s), which no user waits for.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    launcher = [sys.executable, "-I", "-S", str(ROOT / "benchmarks" / "launch.py")]
    launched = subprocess.run(
        [*launcher, str(folder), str(cores), str(timeout_seconds), str(int(with_memory)), *command],
        env=variables,
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    took = json.loads(launched.stdout)
    output = (folder / "stdout").read_text()
    if status := took.pop("exit_status"):
        errors = (folder / "stderr").read_text()
        raise Failed(f"{' '.join(command)}: exit status {status}\n{output[-500:]}\n{errors[-2_000:]}")
    return Run(**took, output=output)
