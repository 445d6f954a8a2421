"""``ports.Executions`` on Step Functions."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING

from chalicelib.aws.clients import aws_errors, client
from chalicelib.errors import Terminal
from chalicelib.model import Source, event_from_source, execution_name
from chalicelib.ports import MapProgress

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import MapRunListItemTypeDef


class _NoExecution(Terminal):
    """Step Functions knows no such execution (or Map run): it never started, or ended more than 90 days ago."""

    def __init__(self) -> None:
        super().__init__("no-execution", "there is no such execution")


class StepFunctionsExecutions:
    """Executions of one state machine, each named by the job that it works on and the attempt."""

    def __init__(self, state_machine_arn: str, client: SFNClient | None = None) -> None:
        self._state_machine_arn = state_machine_arn
        self._given = client

    @cached_property
    def _states(self) -> SFNClient:
        return self._given or client("stepfunctions")

    def start(self, source: Source, attempt: int = 1) -> str:
        name = execution_name(source.job_id, attempt)
        exists = Terminal("execution-exists", name)
        try:
            with aws_errors("states:StartExecution", {"ExecutionAlreadyExists": exists}):
                response = self._states.start_execution(
                    stateMachineArn=self._state_machine_arn,
                    name=name,
                    input=json.dumps(event_from_source(source)),
                )
        except Terminal as error:
            if error is not exists:
                raise
            return self.arn(source.job_id, attempt)
        return response["executionArn"]

    def arn(self, job_id: str, attempt: int) -> str:
        partition, service, region, account, _, machine = self._state_machine_arn.split(":")[1:7]
        return f"arn:{partition}:{service}:{region}:{account}:execution:{machine}:{execution_name(job_id, attempt)}"

    def status(self, execution: str) -> str | None:
        try:
            with aws_errors("states:DescribeExecution", {"ExecutionDoesNotExist": _NoExecution()}):
                status = self._states.describe_execution(executionArn=execution)["status"]
        except _NoExecution:
            return None
        return "RUNNING" if status == "PENDING_REDRIVE" else status

    def progress(self, execution: str) -> MapProgress | None:
        try:
            newest = self._newest_map_run(execution)
            if newest is None:
                return None
            with aws_errors("states:DescribeMapRun", {"ResourceNotFound": _NoExecution()}):
                counts = self._states.describe_map_run(mapRunArn=newest["mapRunArn"])["itemCounts"]
        except _NoExecution:
            return None
        return MapProgress(
            total=counts["total"],
            succeeded=counts["succeeded"],
            running=counts["running"],
            failed=counts["failed"] + counts["timedOut"] + counts["aborted"],
        )

    def _newest_map_run(self, execution: str) -> MapRunListItemTypeDef | None:
        known = {"ExecutionDoesNotExist": _NoExecution(), "ResourceNotFound": _NoExecution()}
        with aws_errors("states:ListMapRuns", known):
            pages = self._states.get_paginator("list_map_runs").paginate(executionArn=execution)
            runs = [run for page in pages for run in page["mapRuns"]]
        return max(runs, key=lambda run: run["startDate"], default=None)
