"""What stood before ``up``, and the way back to it when ``up`` fails.

CloudFormation rolls back the stack that failed. What ``up`` had changed before it is brought back here: the foundation
by its former template and parameters, then the functions by the build that was deployed last, so that neither runs with
what was made for the other. A first deployment has nothing to go back to: what it made stands, and ``up`` goes on.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from ops.chalice import functions, record
from ops.cloudformation import stacks
from ops.cloudformation.change_sets import Stack
from ops.target import OperatorError, Target, Tell

AWS_ERRORS: Final = (OperatorError, ClientError, BotoCoreError)


class UpFailed(OperatorError):
    """``up`` failed. What it could bring back is as it was before."""

    def __init__(self, reason: str, rolled_back: list[str], stands: list[str]) -> None:
        self.reason = reason
        self.rolled_back = rolled_back
        """What was brought back, and what could not be, a line each."""
        self.stands = stands
        """What there is now, a line for each part."""
        lines = [
            *(f"rolled back: {line}" for line in rolled_back),
            "what stands now:",
            *(f"  {line}" for line in stands),
        ]
        super().__init__("\n".join([reason, *lines]))


@dataclass(frozen=True)
class Standing:
    """What stands before a change."""

    template: str | None
    """The foundation's; None where it does not stand."""
    parameters: dict[str, str]
    fingerprint: str | None
    """Of the functions' build; None where they were not deployed whole."""


def standing(target: Target) -> Standing:
    name = target.names.foundation_stack
    stack = stacks.describe(target, name)
    if stack is None or not stack["StackStatus"].endswith("_COMPLETE") or stack["StackStatus"] == "ROLLBACK_COMPLETE":
        return Standing(None, {}, None)
    template = target.cloudformation.get_template(StackName=name, TemplateStage="Original")["TemplateBody"]
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in stack.get("Parameters", [])}
    # botocore parses a template that is JSON; Sluice's are YAML, and come back as they were sent.
    return Standing(str(template), parameters, record.load(target).get("fingerprint"))


def failed(target: Target, before: Standing, error: Exception, tell: Tell) -> UpFailed:
    """Go back to what stood before, and the error that tells of all of it."""
    reason = str(error) if isinstance(error, OperatorError) else f"AWS refused: {error}"
    rolled_back = []
    try:
        tell("rolling back")
        for line in _roll_back(target, before, tell):
            tell(f"rolled back: {line}")
            rolled_back.append(line)
    except AWS_ERRORS as again:
        rolled_back.append(f"no further, because: {again}")
    return UpFailed(reason, rolled_back, describe(target))


def describe(target: Target) -> list[str]:
    """What there is of a stage, a line for each part."""
    names = target.names
    lines = []
    for name in (names.foundation_stack, names.workflow_stack):
        stack = stacks.find(target, name)
        lines.append(f"{name}: {'none' if stack is None else stack['StackStatus']}")
    recorded = record.load(target)
    there, all_ = len(record.functions(recorded.get("chalice", {}))), len(functions.function_names(names))
    whole = "as last deployed" if recorded.get("fingerprint") else "deployed in part"
    lines.insert(1, f"functions: {there} of {all_}, {whole}" if there else "functions: none")
    return lines


def _roll_back(target: Target, before: Standing, tell: Tell) -> list[str]:
    done = []
    if before.template is not None:
        with tempfile.TemporaryDirectory(prefix="sluice-rollback-") as scratch:
            template = Path(scratch) / "foundation.yaml"
            template.write_text(before.template)
            changed = stacks.apply(target, Stack(target.names.foundation_stack, template, before.parameters), tell)
        done += ["foundation"] if changed else []
    touched = bool(done) or record.load(target).get("fingerprint") != before.fingerprint
    if before.fingerprint is not None and touched:
        is_there = functions.roll_back(target, before.fingerprint, tell)
        done.append("functions" if is_there else "not the functions: the deployment before kept no build")
    return done
