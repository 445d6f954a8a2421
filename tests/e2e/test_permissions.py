"""Each function's policy holds nothing that it could do without: a permission is taken away, and AWS refuses a call.

``make test`` tries a sample, ``make test-permissions`` all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

from tests.e2e import permissions
from tests.e2e.conftest import Pipeline
from tests.e2e.permissions import EVERY, UNASKED, Grain, Stage
from tests.infrastructure import documents

MISSED = [(name, grain) for name, grain in EVERY if (name, *grain[:2]) not in UNASKED]
SAMPLED = 17
"""Every so many-th is tried, where not all are."""
TRIED = EVERY if os.environ.get("EVERY_PERMISSION") else MISSED[::SAMPLED]


@pytest.fixture(scope="module")
def stage(pipeline: Pipeline) -> Iterator[Stage]:
    with permissions.opened(pipeline) as opened:
        yield opened


def _id(value: str | Grain) -> str:
    return value if isinstance(value, str) else "-".join((*value[:2], value[2].rpartition(":")[2]))


@pytest.mark.parametrize(("name", "grain"), TRIED, ids=_id)
def test_without_a_permission_a_call_is_refused(stage: Stage, name: str, grain: Grain) -> None:
    lines = permissions.noticed(stage, name, grain)
    if (name, *grain[:2]) in UNASKED:
        assert lines == [], "the emulator asks for it by now: see docs/deploy.md"
    else:
        assert lines, f"{name} does without {grain}"


def test_what_is_not_missed_is_documented() -> None:
    rows = [f"| `{name}` | `{sid}` | `{action}` | {why} |" for (name, sid, action), why in UNASKED.items()]
    section = re.search(r"\| function \|.*?\n\n", (documents.ROOT / "docs" / "deploy.md").read_text(), re.DOTALL)
    assert section is not None
    assert section[0].strip().splitlines()[2:] == rows
    statements = {(name, grain[0]) for name, grain in EVERY}
    counted = f"{len(statements)} statements hold {len(EVERY)} permissions; {len(MISSED)} of them are missed"
    assert counted in " ".join((documents.ROOT / "docs" / "deploy.md").read_text().split())
