"""The ports on AWS, made when first used and kept for the life of the process.

A Lambda function pays for a client's creation at its cold start, so each function makes only those that it uses: the
authorizer never makes an S3 client, a chunk's worker never one for SNS. Tests replace ``ports`` and ``api_token``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import Protocol

from chalicelib.ports import Executions, Jobs, Notices, Objects, Ports
from chalicelib.settings import Settings, from_environment


class Token(Protocol):
    """A secret that may be rotated while the process lives."""

    def value(self) -> str: ...


class AwsPorts:
    """Satisfies ``ports.Ports``. Errors: none at construction; each port's own on use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def objects(self) -> Objects:
        from chalicelib.aws.objects import S3Objects

        return S3Objects()

    @cached_property
    def jobs(self) -> Jobs:
        from chalicelib.aws.jobs import DynamoJobs

        return DynamoJobs(self._settings.jobs_table)

    @cached_property
    def executions(self) -> Executions:
        from chalicelib.aws.executions import StepFunctionsExecutions

        return StepFunctionsExecutions(self._settings.state_machine_arn)

    @cached_property
    def notices(self) -> Notices:
        from chalicelib.aws.notices import SnsNotices

        return SnsNotices(self._settings.notices_topic_arn)

    @property
    def clock(self) -> Callable[[], datetime]:
        return _now


def _now() -> datetime:
    return datetime.now(UTC)


@cache
def settings() -> Settings:
    return from_environment()


@cache
def ports() -> Ports:
    return AwsPorts(settings())


@cache
def api_token() -> Token:
    from chalicelib.aws.secrets import ApiToken

    return ApiToken(settings().api_token_parameter)
