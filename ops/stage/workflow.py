"""The workflow's stack: what goes into it, how wide the Map may run, and how it comes to rest before it is removed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from botocore.exceptions import ClientError

from ops import ports
from ops.chalice import functions
from ops.checkout import ROOT
from ops.cloudformation import stacks
from ops.cloudformation.change_sets import Stack
from ops.target import NOTE, Target, Tell

TEMPLATE: Final = ROOT / "infrastructure" / "workflow.yaml"
DEFINITION: Final = ROOT / "statemachine.json"
DEFAULT_CONCURRENCY: Final = 100
"""The template's own default of MaxConcurrency."""
STOPPED_SECONDS: Final = 60.0
"""How long the jobs of stopped executions may take to be marked; EventBridge tells of them in seconds."""
GONE_SECONDS: Final = 300.0
"""How long a state machine may take to be deleted, with its executions at rest."""


@dataclass(frozen=True)
class Alarms:
    """When those alarms go off that an operator may tune. None keeps what stands, or takes the template's default."""

    rejected_percent: int | None = None
    """More of a job's rows rejected than this."""
    job_age_minutes: int | None = None
    """A job unfinished for longer."""
    no_upload_hours: int | None = None
    """No upload for so long; 0: no alarm, 168 at the most."""

    def parameters(self) -> dict[str, str | None]:
        age = self.job_age_minutes
        chosen = {
            "RejectedPercentAlarm": self.rejected_percent,
            "JobAgeAlarmSeconds": None if age is None else 60 * age,
            "NoUploadAlarmHours": self.no_upload_hours,
        }
        return {name: None if value is None else str(value) for name, value in chosen.items()}


def stack(target: Target, max_concurrency: int | None, kms_key: str | None, alarms: Alarms, tell: Tell) -> Stack:
    """The stack as it should be. Its definition is put where it reads it by ``upload_definition``."""
    names = target.names
    return Stack(
        names.workflow_stack,
        TEMPLATE,
        {
            "Stage": names.stage,
            "DefinitionBucket": names.bucket("artifacts"),
            "DefinitionKey": _definition_key(),
            "InboxBucket": names.bucket("inbox"),
            "ResultsBucket": names.bucket("results"),
            "AlarmsTopic": names.alarms_topic_arn,
            "DeadLetterQueue": names.dead_letters_arn,
            "FunctionNames": ",".join(functions.function_names(names)),
            "KmsKey": kms_key,
            "MaxConcurrency": _concurrency(target, max_concurrency, tell),
            **alarms.parameters(),
        },
    )


def upload_definition(target: Target) -> None:
    """Put the definition where the stack reads it. Its name is its content: what is there already is the same."""
    bucket, key = target.names.bucket("artifacts"), _definition_key()
    try:
        target.s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchKey"):
            raise
        target.s3.put_object(Bucket=bucket, Key=key, Body=DEFINITION.read_bytes())


def stop(target: Target, tell: Tell) -> None:
    """No upload starts an execution any more, and those that run are stopped, while the function that marks their jobs
    as aborted still stands: a stage is never removed under a job that would stay PROCESSING for ever.
    """
    _disable_starters(target)
    stopped = set(_stop_executions(target))
    if stopped:
        tell(f"stopped {len(stopped)} running executions")
        _wait_for_jobs(target, stopped, tell)


def wait_until_gone(target: Target) -> None:
    """A deleted state machine lives on until its executions have ended, and its name cannot be used before."""
    client = target.client("stepfunctions")
    deadline = time.monotonic() + GONE_SECONDS
    while time.monotonic() < deadline:
        try:
            client.describe_state_machine(stateMachineArn=target.names.state_machine_arn)
        except client.exceptions.StateMachineDoesNotExist:
            return
        time.sleep(target.poll_seconds)


def _definition_key() -> str:
    return f"workflow/{hashlib.sha256(DEFINITION.read_bytes()).hexdigest()}.json"


def _concurrency(target: Target, wanted: int | None, tell: Tell) -> str | None:
    """MaxConcurrency: what is wanted, or stands, but at most half of what the account lets run at once, so that beside
    one file's chunks the other functions find room. The chunks of several files take turns (the state Postponed).
    None: as it is.
    """
    limit = target.lambda_.get_account_settings()["AccountLimit"]
    most = max(1, limit["UnreservedConcurrentExecutions"] // 2)
    standing = stacks.parameter(target, target.names.workflow_stack, "MaxConcurrency")
    chunks = wanted or int(standing or DEFAULT_CONCURRENCY)
    if chunks <= most:
        return None if wanted is None else str(wanted)
    tell(
        f"{NOTE}{most} chunks of a file at the same time, not {chunks}: this account runs"
        f" {limit['UnreservedConcurrentExecutions']} functions at once"
    )
    return str(most)


def _disable_starters(target: Target) -> None:
    """The rule of the uploads and the sweeper's schedule; not the rule that tells of an execution's end."""
    events = target.client("events")
    for rule in (target.names.upload_rule, target.names.rule("sweep")):
        try:
            events.disable_rule(Name=rule)
        except events.exceptions.ResourceNotFoundException:
            continue


def _stop_executions(target: Target) -> Iterator[str]:
    """ARNs of the executions that were stopped; asked again until none runs, for one may just have been started."""
    client = target.client("stepfunctions")
    while running := _running(target):
        for execution in running:
            try:
                client.stop_execution(
                    executionArn=execution, error="StageRemoved", cause="deploy.py down removes the stage"
                )
            except ClientError as error:
                # It has ended meanwhile.
                if error.response["Error"]["Code"] not in ("ExecutionDoesNotExist", "ValidationException"):
                    raise
                continue
            yield execution
        time.sleep(target.poll_seconds)


def _running(target: Target) -> list[str]:
    client = target.client("stepfunctions")
    pages = client.get_paginator("list_executions").paginate(
        stateMachineArn=target.names.state_machine_arn, statusFilter="RUNNING"
    )
    try:
        return [each["executionArn"] for page in pages for each in page["executions"]]
    except client.exceptions.StateMachineDoesNotExist:
        return []


def _wait_for_jobs(target: Target, stopped: set[str], tell: Tell) -> None:
    jobs = ports.jobs(target)
    deadline = time.monotonic() + STOPPED_SECONDS
    while time.monotonic() < deadline:
        after_all = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        open_: list[Any] = [job.job_id for job in jobs.unfinished(after_all) if job.execution in stopped]
        if not open_:
            return
        time.sleep(target.poll_seconds)
    tell(f"{NOTE}still not marked as aborted: {', '.join(open_)}")
