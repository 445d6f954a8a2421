"""``local.py check`` has its memory from one store, which keeps what is freed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.data import ROOT
from tests.platforms import glibc

SET = """
import sys
from ops import allocator
allocator.tune()
from ops import process
"""

ONE_STORE = """
import ctypes, threading
with process.importing():
    import pyarrow as pa
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.sbrk.restype = ctypes.c_void_p
blocks = []
for _ in range(4):
    thread = threading.Thread(target=lambda: blocks.append(libc.malloc(1 << 20)))
    thread.start()
    thread.join()
print(pa.default_memory_pool().backend_name, all(block < libc.sbrk(0) for block in blocks))
"""

ALL_GONE = """
import ctypes
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
large, small = 1 << 20, 1000
started_with = [libc.malloc(small) for _ in range(7)]
def strewn():
    blocks = []
    for _ in range(7):
        for size in (large, small):
            blocks.append(libc.malloc(size))
            libc.memset(blocks[-1], 1, size)
    for block in blocks:
        libc.free(block)
strewn()
held = resident()
whole = libc.malloc(7 * large)
libc.memset(whole, 1, 7 * large)
print(resident() - held < large)
"""

ENVIRONMENT = """
import os
print(os.environ.get("GLIBC_TUNABLES"), *(name for name in os.environ if "TUNABLES" in name and "SLUICE" in name))
print(sys.argv[1:], sys.flags.utf8_mode)
"""

MOVED = """
import os, sys
sys.executable = "/no/python"
from ops import allocator
allocator.tune()
print("goes on", os.environ.get("GLIBC_TUNABLES"))
"""

STARTS = """
import os
from ops import allocator
execve, started = os.execve, []
os.execve = lambda *given: started.append(given)
allocator.tune()
print(len(started))
"""

LOCAL = """
import os, sys
def anew(path, arguments, variables):
    early = {"chalicelib", "typing"}.isdisjoint(sys.modules)
    print("tcache_count=0" in variables["GLIBC_TUNABLES"], early, flush=True)
    os._exit(0)
os.execve = anew
exec(compile(open("local.py").read(), "local.py", "exec"), {"__name__": "__main__"})
"""

HOST = "import runpy, sys; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"

CYCLES = """
import gc
from ops import process
with process.importing():
    from ops.check import inprocess
class Table:
    alive = 0
    def __init__(self):
        Table.alive += 1
        self.own = self
    def __del__(self):
        Table.alive -= 1
for _ in range(20_000):
    Table()
print(gc.get_freeze_count() > 20_000, Table.alive < 5_000)
"""


Tell = Callable[..., list[str]]


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    """What a program says that is started as ``local.py`` is, by its path."""

    def told(
        program: str,
        *arguments: str,
        options: tuple[str, ...] = (),
        source: str | None = None,
        variables: dict[str, str] | None = None,
    ) -> list[str]:
        """``source``: what stands for the program's path where it is read from standard input."""
        script = tmp_path / "program.py"
        script.write_text(program)
        environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
        environment |= {"PYTHONPATH": str(ROOT)} | (variables or {})
        path = [str(script)] if source is None else source.split()
        done = subprocess.run(
            [sys.executable, *options, *path, *arguments],
            input=None if source is None else program,
            cwd=ROOT,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.splitlines()

    return told


@glibc
def test_threads_and_arrow_allocate_from_the_heap(tell: Tell) -> None:
    assert tell(SET + ONE_STORE) == ["system True"]


@glibc
def test_small_blocks_that_were_freed_do_not_lie_between_large_ones(tell: Tell) -> None:
    assert tell(SET + ALL_GONE) == ["True"]


@glibc
def test_without_the_allocator_they_do(tell: Tell) -> None:
    """What the test above sees is the allocator's doing."""
    kept = "glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=1073741824"
    assert tell(ALL_GONE, variables={"GLIBC_TUNABLES": kept}) == ["False"]


@glibc
def test_what_the_user_has_tuned_prevails(tell: Tell) -> None:
    assert tell(SET + ALL_GONE, variables={"GLIBC_TUNABLES": "glibc.malloc.tcache_count=7"}) == ["False"]


@pytest.mark.parametrize("given", [None, "", "glibc.malloc.perturb=1"])
def test_the_program_is_told_what_it_was_and_its_children_what_they_would_have_been(
    tell: Tell, given: str | None
) -> None:
    variables = {} if given is None else {"GLIBC_TUNABLES": given}
    variable, arguments = tell(SET + ENVIRONMENT, "a b", "--c", options=("-X", "utf8=1"), variables=variables)
    assert variable == str(given)
    assert arguments == "['a b', '--c'] 1"


@glibc
def test_local_py_starts_anew_before_it_imports_anything(tell: Tell) -> None:
    assert tell(LOCAL, "check", "--help") == ["True True"]


@glibc
@pytest.mark.parametrize(
    ("started", "count"),
    [
        ({}, 1),
        ({"options": ("-B", "-u")}, 1),
        ({"source": "-"}, 0),
        ({"source": ""}, 0),
        ({"source": "/dev/stdin"}, 0),
        ({"options": ("-m", "trace", "--listfuncs")}, 0),
        ({"options": ("-m", "cProfile", "-s", "time")}, 0),
        ({"options": ("-Bm", "cProfile", "-s", "time")}, 0),
        ({"options": ("-c", HOST)}, 0),
    ],
    ids=[
        *(
            "by its path",
            "with options",
            "from standard input",
            "from standard input, untold",
            "from a pipe by its path",
        ),
        *("traced", "profiled", "profiled, with an option", "run by another"),
    ],
)
def test_only_what_python_was_started_for_is_started_anew(tell: Tell, started: dict[str, Any], count: int) -> None:
    assert tell(STARTS, **started)[0] == str(count)


def test_a_host_that_runs_the_program_goes_on(tell: Tell, tmp_path: Path) -> None:
    hosted = tmp_path / "hosted.py"
    hosted.write_text(STARTS)
    host = f"import runpy, sys\nsys.argv = ['hosted.py']\nrunpy.run_path({str(hosted)!r}, run_name='__main__')"
    assert tell(host) == ["0"]


def test_what_cannot_be_started_anew_goes_on_as_it_is(tell: Tell) -> None:
    assert tell(MOVED) == ["goes on None"]


@glibc
def test_a_variable_that_python_cannot_hand_on_hinders_nothing(tell: Tell) -> None:
    refused = "import os\ndef execve(*given):\n    raise ValueError\nos.execve = execve\n"
    assert tell(refused + SET + "print('goes on')") == ["goes on"]


def test_the_collector_passes_over_what_was_imported_and_frees_the_cycles_of_a_transform(tell: Tell) -> None:
    assert tell(CYCLES) == ["True True"]
