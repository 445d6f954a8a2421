"""``local.py check`` has its memory from one store."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from benchmarks.data import ROOT

PROGRAM = """
from ops import memory
memory.keep()
import ctypes, threading
import pyarrow as pa
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
blocks = []
for _ in range(4):
    thread = threading.Thread(target=lambda: blocks.append(libc.malloc(1 << 20)))
    thread.start()
    thread.join()
top = libc.sbrk
top.restype = ctypes.c_void_p
print(pa.default_memory_pool().backend_name, all(block < top(0) for block in blocks))
"""


GIVEN_BACK = """
from ops import memory
memory.keep()
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
blocks = [bytes(range(256)) * 4096 for _ in range(64)]
above = bytes(range(256)) * 4096
blocks.clear()
kept = memory.Kept()
held = resident()
seen = []
for _ in range(memory._CHUNKS_KEPT):
    kept.chunk_done()
    seen.append(held - resident() > 60 << 20)
print(*seen)
"""

CYCLES = """
import gc
from ops import memory
memory.keep()
from ops import inprocess
memory.settle()
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="elsewhere nothing is changed")
def test_threads_and_arrow_allocate_from_the_heap() -> None:
    told = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, check=True, capture_output=True, text=True)
    assert told.stdout.split() == ["system", "True"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="elsewhere nothing is changed")
def test_what_lies_between_blocks_in_use_is_given_back_after_some_chunks() -> None:
    told = subprocess.run([sys.executable, "-c", GIVEN_BACK], cwd=ROOT, check=True, capture_output=True, text=True)
    *before, after = told.stdout.split()
    assert set(before) == {"False"}
    assert after == "True"


def test_the_collector_passes_over_what_was_imported_and_frees_the_cycles_of_a_transform() -> None:
    told = subprocess.run([sys.executable, "-c", CYCLES], cwd=ROOT, check=True, capture_output=True, text=True)
    assert told.stdout.split() == ["True", "True"]
