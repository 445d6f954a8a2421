"""What the workflow caught, in the words that a job's reader gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chalicelib import failure, notify

LONG = json.dumps({"errorMessage": "header-mismatch: " + "x" * 40_000, "errorType": "Terminal"})[:32_768]
"""Cut as Step Functions cuts it."""

TIMED_OUT = "2026-03-01T12:15:05.123Z 8f507cfc-xmpl-4697-b07a-ac58fc914c95 Task timed out after 900.10 seconds"
KILLED = "RequestId: 8f507cfc-xmpl-4697-b07a-ac58fc914c95 Error: Runtime exited with error: signal: killed"
EXITED = "RequestId: 8f507cfc-xmpl-4697-b07a-ac58fc914c95 Error: Runtime exited with error: exit status 1"
UNTYPED = (
    "The cause could not be determined because Lambda did not return an error type. Returned payload: "
    + json.dumps({"errorMessage": TIMED_OUT})
)
"""As Lambda and Step Functions word them, of old and of new."""


def lambdas(error: str, message: str) -> dict[str, str]:
    return {"Error": error, "Cause": json.dumps({"errorType": error, "errorMessage": message})}


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
        (lambdas("Sandbox.Timedout", TIMED_OUT), "timed-out", "longer than it may"),
        (lambdas("Lambda.Unknown", TIMED_OUT), "timed-out", "longer than it may"),
        ({"Error": "Lambda.Unknown", "Cause": UNTYPED}, "timed-out", "longer than it may"),
        (lambdas("Runtime.ExitError", KILLED), "out-of-memory", "more memory than it has"),
        (lambdas("Lambda.Unknown", KILLED), "out-of-memory", "more memory than it has"),
        (lambdas("Runtime.OutOfMemory", "RequestId: 8f507cfc Process exited"), "out-of-memory", "more memory"),
        (lambdas("Runtime.ExitError", EXITED), "internal-error", "exit status 1"),
        ({"Error": "Lambda.Unknown"}, "internal-error", "Lambda.Unknown"),
        (lambdas("Terminal", f"transform-failed: {TIMED_OUT}"), "transform-failed", "Task timed out"),
        (lambdas("Transient", f"aws-unavailable: {KILLED}"), "aws-unavailable", "signal: killed"),
    ],
)
def test_the_failure_says_what_happened(caught: Any, code: str, words: str) -> None:
    found = failure.failure_of(caught)
    assert found.code == code
    assert words in found.message
    assert len(found.message) < 200


@pytest.mark.parametrize("code", sorted({known.code for known in failure._BY_NAME.values()}))
def test_what_befell_a_function_has_advice(code: str) -> None:
    assert code in notify._ADVICE
    operations = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
    assert f"| `{code}`" in operations.read_text()
