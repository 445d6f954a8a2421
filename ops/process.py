"""How a process that imports much, works once and ends spares itself what only a longer life needs.

Python's collector would run again and again over the modules while they are imported (0.09 s), and once more, over all
of them, at the process's end (25 ms): nothing of them is ever garbage.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

from ops import allocator

_TRANSFORMS: Final = "chalicelib.transforms."
_frozen = False
"""Whether ``importing`` was used. The collector's own count does not tell: Python 3.12 begins with objects in it."""


@contextmanager
def importing() -> Iterator[None]:
    """Import pandas and Arrow within. From then on the collector looks at what comes, of which little is in cycles but
    what a transform makes, and writes no longer to the modules' pages, which forked workers share.
    """
    global _frozen  # a process's own matter, as what it tells of is
    gc.disable()
    if allocator.is_glibc():
        # https://arrow.apache.org/docs/cpp/env_vars.html
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        _frozen = True


def leave(status: int) -> NoReturn:
    """End the process. After ``importing`` at once, with all that it holds: Python would take it apart object by
    object, for 10 to 15 ms. As usual where there was a transform: it may have files to be closed, or functions for the
    end.
    """
    if _frozen and not any(name.startswith(_TRANSFORMS) for name in sys.modules):
        with contextlib.suppress(OSError):  # which Python tells in its own way
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    sys.exit(status)
