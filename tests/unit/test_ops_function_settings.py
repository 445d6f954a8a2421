"""How two functions differ, as ``plan`` and ``status`` tell it."""

from __future__ import annotations

from typing import Any

import pytest

from ops.chalice.function_settings import Settings, built, compare

READ = {"Sid": "Read", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["a"]}
SETTINGS: Settings = {
    "code": "0a",
    "memory": 512,
    "timeout": 60,
    "layers": ["arn:layer:1"],
    "environment": {"STAGE": "prod"},
    "policy": {"Read": READ},
}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, []),
        ({"code": "0b"}, ["f: code 0a → 0b"]),
        ({"memory": 1024, "timeout": 30}, ["f: memory 512 → 1024", "f: timeout 60 → 30"]),
        ({"layers": []}, ['f: layers ["arn:layer:1"] → (none)']),
        (
            {"environment": {"STAGE": "test", "NEW": "1"}},
            ["f: environment NEW (none) → 1", "f: environment STAGE prod → test"],
        ),
        (
            {"policy": {"Read": READ, "Write": {"Sid": "Write"}}},
            ['f: policy Write (none) → {"Sid": "Write"}'],
        ),
    ],
)
def test_each_setting_is_compared(changed: dict[str, Any], told: list[str]) -> None:
    assert [str(each) for each in compare({"f": SETTINGS}, {"f": SETTINGS | changed})] == told


def test_a_function_that_comes_or_goes_is_told_once() -> None:
    assert [str(each) for each in compare({"new": None}, {"new": SETTINGS})] == ["new: function (none) → created"]
    assert [str(each) for each in compare({"old": SETTINGS}, {})] == ["old: function exists → (none)"]


def test_what_a_build_does_not_say_is_not_compared() -> None:
    """The code is known once it is packed."""
    wanted = {name: value for name, value in SETTINGS.items() if name != "code"}
    assert compare({"f": SETTINGS}, {"f": wanted}) == []


def test_a_build_says_what_chalice_will_set() -> None:
    configuration = {
        "lambda_architecture": "arm64",
        "xray": True,
        "stages": {"prod": {"environment_variables": {"A": "1"}}},
        "lambda_functions": {"f": {"lambda_memory_size": 256, "lambda_timeout": 10, "layers": ["arn"]}},
    }
    assert built(configuration, {"f": {"Statement": [READ]}}, "python3.13") == {
        "f": {
            "memory": 256,
            "timeout": 10,
            "runtime": "python3.13",
            "architecture": "arm64",
            "tracing": "Active",
            "layers": ["arn"],
            "environment": {"A": "1"},
            "policy": {"Read": READ},
        }
    }
