"""Memory as ``local.py check`` wants it: it reads chunk after chunk, each into the last one's memory, and then ends.

By default glibc gives every large block back to the system when it is freed, and each page of the next one costs a page
fault: on a virtual machine 1 to 2 µs, for a file of 186 MB 0.3 s of 4. Arrow's own allocator does so too. And both keep
a store for each thread, of which none can use what another has freed. Elsewhere than on glibc nothing is changed.
Python's collector would run again and again over the modules while they are imported (0.09 s), and once more, over all
of them, at the process's end (25 ms): nothing of them is ever garbage.

Workers keep what they have freed, too: to give it back after every fourth chunk costs them up to 7 % of their time. But
small blocks that live on come to lie between the large ones that are freed, and ever fewer of the holes have the size
that is wanted: from six chunks to thirty the heap grows by 6 %. So it is given back now and then.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from typing import Final, NoReturn

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_CHUNKS_KEPT: Final = 32
_TRANSFORMS: Final = "chalicelib.transforms."
_KEPT_BYTES: Final = 1 << 30
"""https://man7.org/linux/man-pages/man3/mallopt.3.html: blocks below it come from the heap, which keeps so much."""


def keep() -> None:
    """To be called before pandas and Arrow are imported."""
    gc.disable()
    if _has_glibc():
        libc = ctypes.CDLL(None)
        for parameter in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            libc.mallopt(parameter, _KEPT_BYTES)
        libc.mallopt(_M_ARENA_MAX, 1)
        # https://arrow.apache.org/docs/cpp/env_vars.html
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def settle() -> None:
    """To be called once all is imported. From here on the collector looks at what comes, of which little is in cycles
    but what a transform makes, and writes no longer to the modules' pages, which forked workers share.
    """
    gc.freeze()
    gc.enable()


def leave(status: int) -> NoReturn:
    """End the process. After ``settle`` at once, with all that it holds: Python would take it apart object by object,
    for 10 to 15 ms. As usual where there was a transform: it may have files to be closed, or functions for the end.
    """
    if gc.get_freeze_count() and not any(name.startswith(_TRANSFORMS) for name in sys.modules):
        with contextlib.suppress(OSError):  # which Python tells in its own way
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    sys.exit(status)


class Kept:
    """What a process has freed and kept, given back to the system after every few chunks."""

    def __init__(self) -> None:
        self._chunks = 0

    def chunk_done(self) -> None:
        self._chunks += 1
        if self._chunks % _CHUNKS_KEPT == 0 and _has_glibc():
            ctypes.CDLL(None).malloc_trim(0)


def _has_glibc() -> bool:
    # As ``platform.libc_ver`` asks first, whose module takes 2 ms to import; other libraries do not know the name.
    return "CS_GNU_LIBC_VERSION" in os.confstr_names and bool(os.confstr("CS_GNU_LIBC_VERSION"))
