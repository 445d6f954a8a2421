"""docs/differences.md is the list of differences: each section's example holds, each explanation has its section."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chalicelib.settings import RECORD_LIMIT_BYTES
from tests.differential.compare import compare
from tests.differential.explanations import IDS, explain
from tests.differential.reference import Finding
from tests.differential.tables import Table

PAGE = Path(__file__).parents[2] / "docs" / "differences.md"
SECTION = re.compile(r"^### (\S+)$", re.M)
EXAMPLE = re.compile(r"```json\n(.*?)\n```\n```csv(?P<escaped> escaped)?\n(.*?)\n```\n\n(\|.*?)(?:\n\n|\Z)", re.S)


class Example(NamedTuple):
    table: Table
    theirs: set[Finding]
    """What Frictionless alone finds."""
    ours: set[Finding]


def sections() -> dict[str, str]:
    parts = SECTION.split(PAGE.read_text())
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def examples(section: str) -> list[Example]:
    return [_example(found) for found in EXAMPLE.finditer(section + "\n")]


def _example(found: re.Match[str]) -> Example:
    described: dict[str, Any] = json.loads(found[1])
    text = found[3].replace("…", "a" * RECORD_LIMIT_BYTES) + "\n"
    body = text.encode("ascii").decode("unicode_escape").encode("latin-1") if found["escaped"] else text.encode()
    theirs: set[Finding] = set()
    ours: set[Finding] = set()
    for line in found[4].strip().splitlines()[2:]:
        record, field, their_codes, our_codes = (cell.strip() for cell in line.strip("|").split("|"))
        number = int(record or 0)
        theirs |= {(number, field, code) for code in their_codes.split(", ") if code}
        ours |= {(number, field, code) for code in our_codes.split(", ") if code}
    return Example(Table(body, described["schema"], described.get("dialect", {"delimiter": ","})), theirs, ours)


def test_the_page_lists_every_difference() -> None:
    assert list(sections()) == list(IDS)


@pytest.mark.parametrize("name", IDS)
def test_a_difference_is_as_its_section_says(name: str) -> None:
    found = examples(sections()[name])
    assert found
    for example in found:
        compared = compare(example.table)
        explained, unexplained = explain(compared)
        assert compared.theirs - compared.ours == example.theirs
        assert compared.ours - compared.theirs == example.ours
        assert not unexplained
        assert name in explained.values()
