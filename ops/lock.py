"""One ``up`` or ``down`` of a stage at a time.

Two at once would each make what the other is making: a second REST API that nobody recorded, a rollback under the
other's feet. CloudFormation refuses that for its stacks; for all between them there is a parameter in SSM, which is
created only where it does not exist.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from chalicelib.model import timestamp
from ops.target import OperatorError, Target


@contextmanager
def held(target: Target, command: str) -> Iterator[None]:
    """Nobody else changes the stage meanwhile. Whatever ends the block gives it free, but for what kills the process.

    Errors: ``OperatorError`` where somebody else holds it, which says who, since when, and how to go on without them.
    """
    ssm, name = target.client("ssm"), target.names.lock_parameter
    own = {
        "command": command,
        "by": f"{getpass.getuser()} on {platform.node()}, process {os.getpid()}",
        "since": timestamp(datetime.now(UTC)),
        "id": str(uuid.uuid4()),
    }
    try:
        try:
            ssm.put_parameter(
                Name=name, Description="A change of this stage is under way.", Value=json.dumps(own), Type="String"
            )
        except ssm.exceptions.ParameterAlreadyExists:
            other = _holder(target)
            if other is not None and other.get("id") != own["id"]:  # else it is ours, and the reply was lost
                raise _refusal(target, other) from None
        yield
    finally:
        other = _holder(target)
        if other is not None and other.get("id") == own["id"]:
            ssm.delete_parameter(Name=name)


def _holder(target: Target) -> dict[str, Any] | None:
    ssm = target.client("ssm")
    try:
        found: dict[str, Any] = json.loads(ssm.get_parameter(Name=target.names.lock_parameter)["Parameter"]["Value"])
    except ssm.exceptions.ParameterNotFound:
        return None
    return found


def _refusal(target: Target, other: dict[str, Any]) -> OperatorError:
    who, since = other.get("by", "somebody"), other.get("since", "?")
    return OperatorError(
        f"{other.get('command', 'a change')} of this stage is under way, by {who}, since {since}. Should it have been "
        f"killed, and only then: aws ssm delete-parameter --name {target.names.lock_parameter}"
    )
