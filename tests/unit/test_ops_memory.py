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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="elsewhere nothing is changed")
def test_threads_and_arrow_allocate_from_the_heap() -> None:
    told = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, check=True, capture_output=True, text=True)
    assert told.stdout.split() == ["system", "True"]
