"""What checkov gets to see of the templates, and what it is told to pass over."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ops.chalice.functions import function_names
from ops.stage.expanded import expand
from tests.infrastructure import documents

TEMPLATES = [documents.FOUNDATION, documents.WORKFLOW]


def kinds(document: dict[str, Any]) -> list[str]:
    return [resource["Type"] for resource in document["Resources"].values()]


def suppressions(document: dict[str, Any]) -> list[dict[str, str]]:
    return [
        skip
        for resource in document["Resources"].values()
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]


@pytest.mark.parametrize("with_key", [False, True], ids=["own keys", "customer's key"])
@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_loop_and_no_choice_is_left(path: Path, with_key: bool) -> None:
    text = json.dumps(expand(path, with_key=with_key))
    assert not re.search(r"Fn::ForEach|Fn::If|&\{|\$\{Name\}|NoValue", text)


def test_every_turn_of_a_loop_is_a_resource() -> None:
    functions = len(function_names(documents.NAMES))
    foundation = expand(documents.FOUNDATION, with_key=False)
    assert kinds(foundation).count("AWS::Logs::LogGroup") == functions
    assert kinds(foundation).count("AWS::SNS::Subscription") == 2  # of an address, to either topic
    alarms = kinds(expand(documents.WORKFLOW, with_key=False)).count("AWS::CloudWatch::Alarm")
    assert alarms > 2 * functions


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_every_suppression_is_justified(path: Path) -> None:
    for skip in suppressions(expand(path, with_key=False)):
        assert re.fullmatch(r"CKV2?_AWS_\d+", skip["id"])
        assert len(skip["comment"]) >= 40


def test_with_a_key_nothing_about_encryption_is_passed_over() -> None:
    left = {skip["id"] for path in TEMPLATES for skip in suppressions(expand(path, with_key=True))}
    assert left == {"CKV_AWS_18"}  # the buckets' access logs
