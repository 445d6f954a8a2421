"""A stage's ports (``chalicelib.ports``), reached with the operator's credentials instead of a function's."""

from __future__ import annotations

from chalicelib.aws.executions import StepFunctionsExecutions
from chalicelib.aws.jobs import DynamoJobs
from chalicelib.aws.objects import S3Objects
from chalicelib.ports import Executions, Jobs, Objects
from ops.target import Target


def objects(target: Target) -> Objects:
    return S3Objects(target.s3)


def jobs(target: Target) -> Jobs:
    return DynamoJobs(target.names.jobs_table, target.client("dynamodb"))


def executions(target: Target) -> Executions:
    return StepFunctionsExecutions(target.names.state_machine_arn, target.client("stepfunctions"))
