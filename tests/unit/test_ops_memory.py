"""``local.py check`` has its memory from one store, which keeps what is freed."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from benchmarks.data import ROOT

on_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="elsewhere nothing is changed")

SET = """
import sys
from ops import memory
memory.set_allocator()
"""

ONE_STORE = """
import ctypes, threading
with memory.importing():
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
from ops import memory
memory.set_allocator()
print("goes on", os.environ.get("GLIBC_TUNABLES"))
"""

LOCAL = """
import os, runpy, sys
def anew(path, arguments, variables):
    print("tcache_count=0" in variables["GLIBC_TUNABLES"], "chalicelib" in sys.modules, flush=True)
    os._exit(0)
os.execve = anew
sys.argv = ["local.py", "check", "--help"]
runpy.run_path("local.py", run_name="__main__")
"""

CYCLES = """
import gc
from ops import memory
with memory.importing():
    from ops import inprocess
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


def told(program: str, *arguments: str, options: tuple[str, ...] = (), tunables: str | None = None) -> list[str]:
    variables = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    if tunables is not None:
        variables["GLIBC_TUNABLES"] = tunables
    command = [sys.executable, *options, "-c", program, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=variables, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


@on_glibc
def test_threads_and_arrow_allocate_from_the_heap() -> None:
    assert told(SET + ONE_STORE) == ["system True"]


@on_glibc
def test_small_blocks_that_were_freed_do_not_lie_between_large_ones() -> None:
    assert told(SET + ALL_GONE) == ["True"]


@on_glibc
def test_without_the_allocator_they_do() -> None:
    """What the test above sees is the allocator's doing."""
    kept = "glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=1073741824"
    assert told(ALL_GONE, tunables=kept) == ["False"]


@pytest.mark.parametrize("given", [None, "glibc.malloc.perturb=1"])
def test_the_program_is_told_what_it_was_and_its_children_what_they_would_have_been(given: str | None) -> None:
    variable, arguments = told(SET + ENVIRONMENT, "a b", "--c", options=("-X", "utf8=1"), tunables=given)
    assert variable == str(given)
    assert arguments == "['a b', '--c'] 1"


@on_glibc
def test_local_py_starts_anew_before_it_imports_anything() -> None:
    assert told(LOCAL) == ["True False"]


@on_glibc
def test_what_the_user_has_tuned_prevails() -> None:
    kept = "glibc.malloc.tcache_count=7"
    assert told(SET + ALL_GONE, tunables=kept) == ["False"]


def test_a_python_that_is_no_longer_where_it_was_goes_on_as_it_is() -> None:
    assert told(MOVED) == ["goes on None"]


def test_the_collector_passes_over_what_was_imported_and_frees_the_cycles_of_a_transform() -> None:
    assert told(CYCLES) == ["True True"]
