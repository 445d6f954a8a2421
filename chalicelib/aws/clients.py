"""One client per AWS service and process, and the one place where botocore's exceptions become ours.

``AWS_ENDPOINT_URL`` is honoured by botocore itself, so the same adapters talk to AWS and to an emulator.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, overload

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ChecksumError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
    ResponseStreamingError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from chalicelib.errors import SluiceError, Terminal, Transient

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_stepfunctions import SFNClient

    Service = Literal["s3", "dynamodb", "stepfunctions", "sns", "ssm"]

_ATTEMPTS: Final = 4
_CONNECT_TIMEOUT_SECONDS: Final = 5
_READ_TIMEOUT_SECONDS: Final = 10
"""The services but S3 answer within milliseconds; the API's own limit is 29 s for everything."""
_S3_READ_TIMEOUT_SECONDS: Final = 60
"""Time between two bytes, not for the whole body. A copy of some gigabytes is silent for a while."""
REQUESTS_AT_ONCE: Final = 32
"""Of small objects: each waits for S3 (0.1 s or so), and takes 2 ms of the processor. So many connections are kept:
to make one anew takes longer than the request."""

TRANSIENT_CODES: Final = frozenset(
    {
        # throttling: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "ExecutionLimitExceeded",
        "KMSThrottling",
        "KMSThrottlingException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttled",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        # the service's own trouble, where it comes with a status below 500
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "OperationAborted",
        "ReplicatedWriteConflictException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "TransactionConflictException",
        "TransactionInProgressException",
        # an execution environment that slept past its credentials: the next one has new ones
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        # the body that arrived is not the body that was sent
        "BadDigest",
        "IncompleteBody",
        "XAmzContentChecksumMismatch",
        "XAmzContentSHA256Mismatch",
    }
)

_DENIED_CODES: Final = frozenset(
    {
        "403",  # HEAD has no body to hold a code
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "KMSAccessDenied",
        "KMSAccessDeniedException",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    }
)

_clients: dict[str, Any] = {}
_making = threading.Lock()


@overload
def client(service: Literal["s3"]) -> S3Client: ...
@overload
def client(service: Literal["dynamodb"]) -> DynamoDBClient: ...
@overload
def client(service: Literal["stepfunctions"]) -> SFNClient: ...
@overload
def client(service: Literal["sns"]) -> SNSClient: ...
@overload
def client(service: Literal["ssm"]) -> SSMClient: ...
def client(service: Service) -> Any:
    """The process's client for ``service``, made at the first call: a client takes some 50 ms of a cold start."""
    made = _clients.get(service)
    if made is None:
        with _making:  # boto3's default session may not make clients in two threads at once
            made = _clients.get(service)
            if made is None:
                made = _clients[service] = boto3.client(service, config=config(service))
    return made


def config(service: str) -> Config:
    """How ``service`` is called: time-outs, and ``standard`` retries (exponential backoff with jitter)."""
    return Config(
        connect_timeout=_CONNECT_TIMEOUT_SECONDS,
        read_timeout=_S3_READ_TIMEOUT_SECONDS if service == "s3" else _READ_TIMEOUT_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        max_pool_connections=REQUESTS_AT_ONCE,
        tcp_keepalive=True,
        user_agent_extra="sluice",
    )


@contextmanager
def aws_errors(action: str, known: Mapping[str, SluiceError] | None = None) -> Iterator[None]:
    """Turn botocore's exceptions into ``Terminal`` or ``Transient``.

    ``action`` is the IAM action that is tried (``s3:GetObject``), for the message. ``known`` gives AWS error codes that
    mean something to the caller, with the exception to raise. Otherwise: throttling, 5xx, time-outs and lost
    connections → ``Transient("aws-unavailable")``; a response cut short or damaged → ``Transient("short-read")``;
    a missing permission → ``Terminal("access-denied")``; whatever else → ``Terminal("aws-refused")``.
    AWS's own words stay in the exception's cause: they may quote what was sent.
    """
    try:
        yield
    except ClientError as error:
        raise _from_response(action, error, known or {}) from error
    except (ChecksumError, FlexibleChecksumError, IncompleteReadError, ResponseStreamingError) as error:
        raise Transient("short-read", f"{action}: the response was cut short or damaged on its way") from error
    except (
        ConnectionError,
        CredentialRetrievalError,
        HTTPClientError,
        HTTPError,
        MetadataRetrievalError,
        ResponseParserError,
    ) as error:
        raise Transient("aws-unavailable", f"{action} got no answer ({type(error).__name__})") from error
    except BotoCoreError as error:
        raise Terminal("aws-refused", f"{action} could not be sent ({type(error).__name__})") from error


def _from_response(action: str, error: ClientError, known: Mapping[str, SluiceError]) -> SluiceError:
    code = error.response.get("Error", {}).get("Code", "")
    if code in known:
        return known[code]
    metadata = error.response.get("ResponseMetadata", {})
    request = f", request {metadata['RequestId']}" if metadata.get("RequestId") else ""
    status = metadata.get("HTTPStatusCode", 0)
    if code in TRANSIENT_CODES or status == 429 or status >= 500:
        return Transient("aws-unavailable", f"{action} was not answered ({code}{request})")
    if code in _DENIED_CODES:
        return Terminal("access-denied", f"{action} is not allowed ({code}{request})")
    return Terminal("aws-refused", f"{action} was refused ({code}{request})")
