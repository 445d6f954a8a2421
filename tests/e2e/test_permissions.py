"""Each function's policy holds nothing that it could do without: a permission is taken away, and AWS refuses a call.

``make test`` tries a sample, ``make test-permissions`` all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.e2e import permissions
from tests.e2e.conftest import Pipeline
from tests.e2e.permissions import EVERY, Grain, Stage

SAMPLED = 11
"""Every so many-th permission is tried, where not all are."""
TRIED = EVERY if os.environ.get("EVERY_PERMISSION") else EVERY[::SAMPLED]


@pytest.fixture(scope="module")
def stage(pipeline: Pipeline) -> Iterator[Stage]:
    with permissions.opened(pipeline) as opened:
        yield opened


def _id(value: str | Grain) -> str:
    return value if isinstance(value, str) else "-".join((*value[:2], value[2].rpartition(":")[2]))


@pytest.mark.parametrize(("name", "grain"), TRIED, ids=_id)
def test_without_a_permission_a_call_is_refused(stage: Stage, name: str, grain: Grain) -> None:
    lines = permissions.noticed(stage, name, grain)
    assert lines, f"{name} does without {grain}"
