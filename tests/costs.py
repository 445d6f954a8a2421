"""What a file costs in proportion to another, in one process: never seconds, which differ from machine to machine."""

from __future__ import annotations

import time
from typing import Any, Final

import pytest

from tests import pipeline

_TRIES: Final = 5


def assert_ratio_below(most: float, dear: bytes, cheap: bytes, described: dict[str, Any]) -> None:
    """The first file takes less than so many times as long as the second; the best of a few tries counts, for other
    processes take their share of the caches.
    """
    ratios: list[float] = []
    for _ in range(_TRIES):
        ratios.append(_seconds(dear, described) / _seconds(cheap, described))
        if ratios[-1] < most:
            return
    pytest.fail(f"it took {ratios} times as long")


def _seconds(body: bytes, described: dict[str, Any]) -> float:
    before = time.process_time()
    pipeline.run(body, described)
    return time.process_time() - before
