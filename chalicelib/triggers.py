"""What happens outside the workflow: an upload seen, a contract uploaded, an execution that ended badly, the sweep."""

from __future__ import annotations

from typing import Final

from chalicelib.model import JSON

SWEEP_INTERVAL_MINUTES: Final = 5


def execution_ended_badly(state_machine_arn: str) -> JSON:
    """EventBridge's pattern for a run of this state machine that did not succeed.
    https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
    """
    return {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"stateMachineArn": [state_machine_arn], "status": ["FAILED", "TIMED_OUT", "ABORTED"]},
    }
