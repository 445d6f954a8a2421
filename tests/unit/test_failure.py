"""What the workflow caught, in the words that a job's reader gets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib import failure

LONG = json.dumps({"errorMessage": "header-mismatch: " + "x" * 40_000, "errorType": "Terminal"})[:32_768]
"""Cut as Step Functions cuts it."""


@pytest.mark.parametrize(
    ("caught", "code", "words"),
    [
        ({"Error": "Lambda.TooManyRequestsException", "Cause": "Rate Exceeded."}, "throttled", "concurrency"),
        (
            {"Error": "States.ExceedToleratedFailureThreshold", "Cause": "The specified tolerated failure threshold"},
            "chunk-failed",
            "process-chunk",
        ),
        ({"Error": "Terminal", "Cause": LONG}, "internal-error", "Terminal: its cause cannot be read"),
        ({"Error": "MemoryError", "Cause": "{"}, "internal-error", "the log of the function"),
        ({"Error": "States.Timeout"}, "timed-out", "longer than it may"),
    ],
)
def test_the_failure_says_what_happened(caught: Any, code: str, words: str) -> None:
    found = failure.failure_of(caught)
    assert found.code == code
    assert words in found.message
    assert len(found.message) < 200
