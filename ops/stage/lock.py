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
from time import monotonic, sleep
from typing import Any, Final

from chalicelib.model import timestamp
from ops.target import OperatorError, Target

FREE_SECONDS: Final = 60.0
"""How long a lock that was given free may seem to be held: after a deletion SSM wants 30 seconds before a parameter of
the same name. https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DeleteParameter.html"""


@contextmanager
def held(target: Target, command: str) -> Iterator[None]:
    """Nobody else changes the stage meanwhile. Whatever ends the block gives it free, but for what kills the process.

    Errors: ``OperatorError`` where somebody else holds it, which says who, since when, and how to go on without them.
    """
    own = {
        "command": command,
        "by": f"{getpass.getuser()} on {platform.node()}, process {os.getpid()}",
        "since": timestamp(datetime.now(UTC)),
        "id": str(uuid.uuid4()),
    }
    try:
        _take(target, own)
        yield
    finally:
        holder = _holder(target)
        if holder is not None and holder.get("id") == own["id"]:
            target.client("ssm").delete_parameter(Name=target.names.lock_parameter)


def _take(target: Target, own: dict[str, Any]) -> None:
    """Errors: ``OperatorError`` where somebody else holds it."""
    ssm, deadline = target.client("ssm"), monotonic() + FREE_SECONDS
    while True:
        try:
            ssm.put_parameter(
                Name=target.names.lock_parameter,
                Description="A change of this stage is under way.",
                Value=json.dumps(own),
                Type="String",
            )
            return
        except ssm.exceptions.ParameterAlreadyExists:
            holder = _holder(target)
            if holder is not None and holder.get("id") == own["id"]:
                return  # it is ours, and the reply was lost
            if holder is not None or monotonic() > deadline:
                raise _refusal(target, holder or {}) from None
        sleep(2)  # it was given free meanwhile


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
