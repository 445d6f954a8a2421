"""Botocore's exceptions become ours in one place, and clients are made once and lately."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import boto3
import pytest
from botocore import exceptions
from botocore.config import Config
from botocore.parsers import ResponseParserError
from urllib3.exceptions import ProtocolError

from chalicelib.aws import clients
from chalicelib.errors import SluiceError, Terminal, Transient
from tests.adapters.support import client_error

URL = {"endpoint_url": "http://aws"}


@pytest.mark.parametrize(
    "error,kind,code",
    [
        *[
            (client_error(code), Transient, "aws-unavailable")
            for code in ("ThrottlingException", "SlowDown", "TooManyRequestsException", "KMSThrottlingException")
        ],
        (client_error("Whatever", 500), Transient, "aws-unavailable"),
        (client_error("503", 503), Transient, "aws-unavailable"),
        (client_error("Whatever", 429), Transient, "aws-unavailable"),
        (client_error("RequestTimeout", 400), Transient, "aws-unavailable"),
        (client_error("ExpiredToken", 400), Transient, "aws-unavailable"),
        (client_error("AccessDenied", 403), Terminal, "access-denied"),
        (client_error("AccessDeniedException", 400), Terminal, "access-denied"),
        (client_error("AuthorizationError", 403), Terminal, "access-denied"),
        (client_error("403", 403), Terminal, "access-denied"),
        (client_error("ValidationException", 400), Terminal, "aws-refused"),
        (client_error("InvalidObjectState", 403), Terminal, "aws-refused"),
        (exceptions.ClientError({}, "GetObject"), Terminal, "aws-refused"),
        (exceptions.EndpointConnectionError(**URL), Transient, "aws-unavailable"),
        (exceptions.ConnectTimeoutError(**URL), Transient, "aws-unavailable"),
        (exceptions.ReadTimeoutError(**URL), Transient, "aws-unavailable"),
        (exceptions.ConnectionClosedError(**URL), Transient, "aws-unavailable"),
        (exceptions.SSLError(**URL, error=OSError()), Transient, "aws-unavailable"),
        (exceptions.HTTPClientError(error="x"), Transient, "aws-unavailable"),
        (exceptions.CredentialRetrievalError(provider="x", error_msg="x"), Transient, "aws-unavailable"),
        (exceptions.MetadataRetrievalError(error_msg="x"), Transient, "aws-unavailable"),
        (ResponseParserError("not XML"), Transient, "aws-unavailable"),
        (ProtocolError("reset"), Transient, "aws-unavailable"),
        (exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), Transient, "short-read"),
        (exceptions.ResponseStreamingError(error="x"), Transient, "short-read"),
        (exceptions.FlexibleChecksumError(error_msg="x"), Transient, "short-read"),
        (exceptions.ParamValidationError(report="x"), Terminal, "aws-refused"),
        (exceptions.NoCredentialsError(), Terminal, "aws-refused"),
    ],
    ids=lambda value: f"{type(value).__name__}-{value}" if isinstance(value, Exception) else None,
)
def test_every_exception_is_terminal_or_transient(error: Exception, kind: type[SluiceError], code: str) -> None:
    with pytest.raises(kind) as caught, clients.aws_errors("s3:GetObject"):
        raise error
    assert caught.value.code == code
    assert caught.value.__cause__ is error
    assert "s3:GetObject" in caught.value.message
    assert "secret" not in caught.value.message


def test_codes_that_the_caller_knows_come_first() -> None:
    known = Terminal("object-not-found", "gone")
    with pytest.raises(Terminal) as caught, clients.aws_errors("s3:GetObject", {"AccessDenied": known}):
        raise client_error("AccessDenied", 403)
    assert caught.value is known


def test_the_request_can_be_found_in_aws_logs() -> None:
    with pytest.raises(Terminal, match="request R1"), clients.aws_errors("s3:GetObject"):
        raise client_error("AccessDenied", 403)


def test_a_mistake_of_ours_stays_what_it_is() -> None:
    with pytest.raises(KeyError), clients.aws_errors("s3:GetObject"):
        raise KeyError("x")


def test_threads_share_one_client_made_at_the_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    def make(service: str, config: Any) -> object:
        made.append(service)
        return object()

    monkeypatch.setattr(boto3, "client", make)
    monkeypatch.setattr(clients, "_clients", {})
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(clients.client("s3"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["s3"]
    assert len(set(map(id, found))) == 1


def test_a_lost_endpoint_is_transient() -> None:
    """The real client, with the project's configuration but for the waiting: nothing listens on port 1."""
    config = clients.config("sns").merge(Config(retries={"total_max_attempts": 1}))
    client = boto3.client("sns", endpoint_url="http://127.0.0.1:1", config=config)
    with pytest.raises(Transient, match="aws-unavailable: sns:Publish"), clients.aws_errors("sns:Publish"):
        client.publish(TopicArn="arn:aws:sns:us-east-1:000000000000:x", Message="x")


def test_s3_alone_may_be_silent_for_long() -> None:
    """It copies gigabytes; whoever asks the API waits 29 s at the most, whatever service that asks."""
    services = ("s3", "dynamodb", "stepfunctions", "ssm")
    patience = {service: vars(clients.config(service))["read_timeout"] for service in services}
    assert patience.pop("s3") >= 60
    assert max(patience.values()) < 29


def test_importing_and_constructing_the_adapters_makes_no_client() -> None:
    script = """
import boto3
boto3.client = None
from chalicelib.aws.executions import StepFunctionsExecutions
from chalicelib.aws.jobs import DynamoJobs
from chalicelib.aws.notices import SnsNotices
from chalicelib.aws.objects import S3Objects
from chalicelib.aws.secrets import ApiToken
S3Objects(), DynamoJobs("t"), StepFunctionsExecutions("a"), SnsNotices("a"), ApiToken("p")
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
