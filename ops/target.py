"""Where a stage lives and what everything in it is called.

A ``Target`` is an AWS account and region, or the emulator: nothing else in ``ops`` knows which, except for the few
differences that stand here as its fields, in the open.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

APP_NAME: Final = "sluice"
STAGE_TAG: Final = "sluice:stage"
"""Every resource that can carry tags has this one, with the stage's name as its value."""

Tell = Callable[[str], None]
"""Called with one line for the operator whenever something happened."""
NOTE: Final = "note: "
"""Begins a line that an operator has to see in the end, and not only as progress."""

_STAGE: Final = re.compile(r"[a-z][a-z0-9]{0,15}")


class OperatorError(Exception):
    """The operator has to change something: a wrong option, a missing permission, a stack that has to be looked at."""


@dataclass(frozen=True)
class Names:
    """What a stage's resources are called. A stage has no hyphen, so no stage's names begin with another's."""

    stage: str
    account: str
    region: str
    partition: str = "aws"

    def __post_init__(self) -> None:
        if not _STAGE.fullmatch(self.stage):
            raise OperatorError(
                f'stage "{self.stage}": a lower-case letter, then up to 15 lower-case letters or digits, such as "prod"'
            )

    @property
    def prefix(self) -> str:
        return f"{APP_NAME}-{self.stage}"

    def owns(self, name: str) -> bool:
        """Whether a resource of this name is the stage's."""
        return name == self.prefix or name.startswith(f"{self.prefix}-")

    @property
    def foundation_stack(self) -> str:
        return f"{self.prefix}-foundation"

    @property
    def workflow_stack(self) -> str:
        return f"{self.prefix}-workflow"

    def bucket(self, purpose: str) -> str:
        """``purpose``: ``inbox``, ``results`` or ``artifacts``. Account and region make the name unique worldwide."""
        return f"{self.prefix}-{purpose}-{self.account}-{self.region}"

    @property
    def jobs_table(self) -> str:
        return f"{self.prefix}-jobs"

    @property
    def state_machine(self) -> str:
        return self.prefix

    @property
    def layer(self) -> str:
        return f"{self.prefix}-dependencies"

    @property
    def token_parameter(self) -> str:
        return f"/{APP_NAME}/{self.stage}/api-token"

    @property
    def lock_parameter(self) -> str:
        return f"/{APP_NAME}/{self.stage}/lock"

    def arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    @property
    def notices_topic_arn(self) -> str:
        return self.arn("sns", f"{self.prefix}-notices")

    @property
    def alarms_topic_arn(self) -> str:
        return self.arn("sns", f"{self.prefix}-alarms")

    @property
    def dead_letters(self) -> str:
        return f"{self.prefix}-dead-letters"

    @property
    def dead_letters_arn(self) -> str:
        return self.arn("sqs", self.dead_letters)

    @property
    def state_machine_arn(self) -> str:
        return self.arn("states", f"stateMachine:{self.state_machine}")

    def function(self, name: str) -> str:
        """The function's full name. Chalice calls the one that serves the REST API by the application and stage."""
        return self.prefix if name == "api_handler" else f"{self.prefix}-{name}"

    def log_group(self, function: str) -> str:
        """``function``: its full name."""
        return f"/aws/lambda/{function}"

    def rule(self, name: str) -> str:
        """The rule that invokes an event handler. Chalice calls it by the handler."""
        return f"{self.prefix}-{name}-event"

    @property
    def upload_rule(self) -> str:
        return f"{self.prefix}-uploads"

    @property
    def workflow_log_group(self) -> str:
        return f"/aws/vendedlogs/states/{self.prefix}"

    def role(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def variables(self) -> dict[str, str]:
        """What ``.chalice/policies/*.json`` may refer to as ``${Name}``."""
        return {
            "Partition": self.partition,
            "Region": self.region,
            "Account": self.account,
            "InboxBucket": self.bucket("inbox"),
            "ResultsBucket": self.bucket("results"),
            "JobsTable": self.jobs_table,
            "NoticesTopicArn": self.notices_topic_arn,
            "StateMachine": self.state_machine,
            "DeadLetterQueueArn": self.dead_letters_arn,
            "TokenParameter": self.token_parameter,
        }

    def environment(self, chunk_size_bytes: int | None = None) -> dict[str, str]:
        """The ``SLUICE_*`` variables of every function (see ``chalicelib/settings.py``)."""
        variables = {
            "SLUICE_STAGE": self.stage,
            "SLUICE_INBOX_BUCKET": self.bucket("inbox"),
            "SLUICE_RESULTS_BUCKET": self.bucket("results"),
            "SLUICE_JOBS_TABLE": self.jobs_table,
            "SLUICE_NOTICES_TOPIC_ARN": self.notices_topic_arn,
            "SLUICE_STATE_MACHINE_ARN": self.state_machine_arn,
            "SLUICE_API_TOKEN_PARAMETER": self.token_parameter,
        }
        if chunk_size_bytes is not None:
            variables["SLUICE_CHUNK_SIZE_BYTES"] = str(chunk_size_bytes)
        return variables


@dataclass(frozen=True)
class Target:
    """An account and region, or the emulator."""

    stage: str
    region: str
    endpoint_url: str | None = None
    """The emulator's address; None on AWS."""
    credentials: Mapping[str, str] = field(default_factory=dict)
    """``AWS_*`` variables for clients and child processes; empty on AWS, where the operator's own chain serves."""

    @property
    def is_emulated(self) -> bool:
        """Where the emulator differs: functions run in its own virtual environment, so no layer is built and their
        package carries no dependencies; Chalice's client replays the API's document, which the emulator's import
        ignores; and its buckets do not insist on TLS, for it speaks HTTP on 127.0.0.1.
        """
        return self.endpoint_url is not None

    @property
    def poll_seconds(self) -> float:
        """Between two questions whether something is done."""
        return 0.05 if self.is_emulated else 2.0

    @cached_property
    def session(self) -> boto3.Session:
        return boto3.Session(
            region_name=self.region,
            aws_access_key_id=self.credentials.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=self.credentials.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=self.credentials.get("AWS_SESSION_TOKEN"),
        )

    def client(self, service: str) -> Any:
        """A client, made once per service; throttles and lost connections are tried again by botocore itself."""
        if service not in self._clients:
            config = Config(
                retries={"mode": "adaptive" if not self.is_emulated else "standard", "max_attempts": 8},
                s3={"addressing_style": "path"} if self.is_emulated else {},
            )
            self._clients[service] = self.session.client(service, endpoint_url=self.endpoint_url, config=config)  # type: ignore[call-overload]
        return self._clients[service]

    @cached_property
    def _clients(self) -> dict[str, Any]:
        return {}

    @property
    def cloudformation(self) -> CloudFormationClient:
        client: CloudFormationClient = self.client("cloudformation")
        return client

    @property
    def s3(self) -> S3Client:
        client: S3Client = self.client("s3")
        return client

    @property
    def lambda_(self) -> LambdaClient:
        client: LambdaClient = self.client("lambda")
        return client

    @cached_property
    def names(self) -> Names:
        """Errors: ``OperatorError`` for a bad stage name; botocore's own where there are no valid credentials."""
        Names(self.stage, "", self.region)  # a bad stage is told before anything is asked of AWS
        caller = self.client("sts").get_caller_identity()
        return Names(self.stage, caller["Account"], self.region, caller["Arn"].split(":")[1])

    def process_environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """The environment of a child process that has to reach the same target."""
        environment = dict(inherited)
        if self.credentials:  # nothing of the operator's own account goes where they are used
            environment = {name: value for name, value in inherited.items() if not name.startswith("AWS_")}
        environment |= self.credentials
        environment["AWS_DEFAULT_REGION"] = environment["AWS_REGION"] = self.region
        if self.endpoint_url is not None:
            environment["AWS_ENDPOINT_URL"] = self.endpoint_url
        return environment
