"""The API's bearer token, from an SSM SecureString."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Final

from chalicelib.aws.clients import aws_errors, client
from chalicelib.errors import Terminal

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

CACHED_SECONDS: Final = 60.0
"""How long a rotated token goes on being accepted: SSM's standard throughput is 40 reads a second per account."""


class ApiToken:
    """The decrypted value of one parameter, read anew when the last reading is ``CACHED_SECONDS`` old."""

    def __init__(
        self, parameter: str, client: SSMClient | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._parameter = parameter
        self._given = client
        self._monotonic = monotonic
        self._cached: tuple[float, str] | None = None

    @cached_property
    def _ssm(self) -> SSMClient:
        return self._given or client("ssm")

    def value(self) -> str:
        """Errors: ``Terminal("secret-not-found")`` where the parameter does not exist or is empty; nothing is cached
        then, and an old value is never served past its time: without a readable secret nobody gets in.
        """
        now = self._monotonic()
        if self._cached is not None and now - self._cached[0] < CACHED_SECONDS:
            return self._cached[1]
        self._cached = None
        missing = Terminal("secret-not-found", f"the parameter {self._parameter} does not exist")
        with aws_errors("ssm:GetParameter", {"ParameterNotFound": missing}):
            response = self._ssm.get_parameter(Name=self._parameter, WithDecryption=True)
        value = response["Parameter"].get("Value", "").strip()
        if not value:
            raise missing
        self._cached = (now, value)
        return value
