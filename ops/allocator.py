"""An allocator as ``local.py check`` wants it: it reads chunk after chunk, each into the last one's memory, and ends.

By default glibc gives every large block back to the system when it is freed, and each page of the next one costs a page
fault: on a virtual machine 1 to 3 µs, for a file of 186 MB 0.3 s of 4. Arrow's own allocator does so too. And each
thread has a store of its own, which no other can use. Of what is kept instead a page is as large as the system has it:
a fault for 2 MiB, and not for 4 KiB, spares another 3 to 8 % of the time.

Worst are the seven freed blocks of each small size that a thread keeps at hand: strewn between the large ones, they
leave holes of which ever fewer have the size that is wanted. With them a file of 933 MB took a fifth more memory than
one of 186 MB, and 200 columns half as much again. Elsewhere than on glibc nothing is changed.

Nothing is imported here that Python has not imported as it began: the process is about to start anew, and ``typing``
and ``contextlib`` alone would take 7 ms of it, twice.
"""

from __future__ import annotations

import os
import sys

_LARGE_BYTES = 32 << 20
"""The most that glibc lets a block have and still come from the heap."""
_TUNABLES = {
    "glibc.malloc.mmap_threshold": _LARGE_BYTES,
    "glibc.malloc.trim_threshold": 1 << 30,
    "glibc.malloc.arena_max": 1,
    "glibc.malloc.tcache_count": 0,
    "glibc.malloc.hugetlb": 1,
}
"""https://www.gnu.org/software/libc/manual/html_node/Memory-Allocation-Tunables.html. A glibc passes over those that it
does not know: before 2.35 the last.
"""
_VARIABLE = "GLIBC_TUNABLES"
_GIVEN = "SLUICE_GIVEN_TUNABLES"
"""Tells a process that it has been started anew, and what the variable was before: nothing, or "=" and its text."""


def tune() -> None:
    """Start this program anew, with an allocator that keeps what is freed: glibc asks for the tunables as a process
    starts, and never again. To be called before anything else is done or imported; it takes 10 ms.
    """
    mark = os.environ.pop(_GIVEN, None)
    if mark is not None:
        os.environ.pop(_VARIABLE, None)
        if mark:
            os.environ[_VARIABLE] = mark[1:]  # for the processes that this one starts
    elif is_glibc() and _is_a_script_by_itself():
        given = os.environ.get(_VARIABLE)
        wanted = ":".join(f"{name}={value}" for name, value in _TUNABLES.items())
        # At the end stand those that the user has set: they prevail.
        variables = {_GIVEN: "" if given is None else f"={given}", _VARIABLE: f"{wanted}:{given or ''}".rstrip(":")}
        try:
            os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | variables)
        except (OSError, ValueError):
            return  # Without a Python where it was, or with a variable that cannot be handed on, it goes on as it is.


def is_glibc() -> bool:
    """Whether this is the C library."""
    # As ``platform.libc_ver`` asks first, whose module takes 2 ms to import; other libraries do not know the name.
    return "CS_GNU_LIBC_VERSION" in os.confstr_names and bool(os.confstr("CS_GNU_LIBC_VERSION"))


def _is_a_script_by_itself() -> bool:
    """Whether Python was started for this program alone, and can be once more: the program is a file, which can be read
    again, unlike a pipe, and no debugger, profiler or shell runs it.
    """
    options, program = sys.orig_argv[1 : -len(sys.argv)], sys.orig_argv[-len(sys.argv) :]
    is_hosted = any(_runs_another(option) for option in options) or sys.gettrace() is not None
    return bool(sys.executable) and program == sys.argv and os.path.isfile(program[0]) and not is_hosted


def _runs_another(option: str) -> bool:
    """Whether one of Python's options is, or ends with, ``-m`` or ``-c``: ``-Bm pdb local.py``."""
    return option[:1] == "-" and option[1:2] not in ("-", "X", "W") and not {"c", "m"}.isdisjoint(option)
