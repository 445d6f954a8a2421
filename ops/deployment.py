"""A stage from nothing to running, and back.

``up``: the foundation (buckets, table, topic, queue, log groups) → the API's token → the dependency layer → the
functions, handlers and API by Chalice → the workflow (state machine, rule, alarms, dashboard). Each part is left alone
when it already is what it should be, so ``up`` twice changes nothing; and each can be tried again after a failure.
``deploy.py`` runs this on AWS, ``local.py`` the same on the emulator.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from ops import functions, layer, leftovers, stacks, workflow
from ops.stacks import Stack
from ops.target import STAGE_TAG, Target
from ops.workflow import Alarms

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

ROOT: Final = Path(__file__).resolve().parent.parent
FOUNDATION: Final = ROOT / "infrastructure" / "foundation.yaml"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What an operator may choose. None keeps what the stage has, or takes the template's default."""

    notify: Sequence[str] | None = None
    """E-mail addresses that get every notice and alarm."""
    chunk_size_bytes: int | None = None
    """Range of a file that one Lambda invocation processes."""
    max_concurrency: int | None = None
    """Chunks of one file that are processed at the same time; half of the account's concurrency at the most."""
    architecture: str = "x86_64"
    """Of the functions: ``x86_64`` or ``arm64``."""
    alarms: Alarms = field(default_factory=Alarms)


@dataclass(frozen=True)
class Deployed:
    """A stage that stands: what people and programs need to use it."""

    stage: str
    region: str
    account: str
    inbox_bucket: str
    results_bucket: str
    jobs_table: str
    notices_topic_arn: str
    state_machine_arn: str
    api_url: str
    """Of the REST API, without a slash at the end."""
    api_token_parameter: str
    """Name of the SSM SecureString that holds the API's bearer token."""
    changes: tuple[str, ...] = ()
    """What this run changed, a line each; empty: nothing."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def up(target: Target, options: Options, tell: Tell) -> Deployed:
    """Create or change a stage. Errors: ``OperatorError``; what was done by then stands, the next ``up`` goes on."""
    names = target.names
    changes: list[str] = []
    tell("foundation")
    changed = stacks.apply(target, foundation(target, options), tell)
    changes += [f"{names.foundation_stack}: {change}" for change in changed]
    if _ensure_token(target):
        changes.append(f"API token: created in {names.token_parameter}")
    layer_arn = None
    if not target.is_emulated:
        tell("dependency layer")
        layer_arn, published = layer.publish(target, options.architecture, tell)
        if published:
            changes.append(f"layer: published {layer_arn}")
    tell("functions")
    chunk_size_bytes = options.chunk_size_bytes or _current_chunk_size(target)
    with functions.build_folder(target) as folder:
        environment = names.environment(chunk_size_bytes)
        build = functions.render(target, environment, layer_arn, options.architecture, folder)
        # A change to the inbox bucket may have replaced the notifications that Chalice had merged into it.
        deployed = functions.deploy(target, build, tell, force=bool(changed))
    if deployed.changed:
        changes.append(f"functions: deployed {len(deployed.functions)}")
    tell("workflow")
    workflow.upload_definition(target)
    changed = stacks.apply(target, workflow.stack(target, options.max_concurrency, options.alarms, tell), tell)
    changes += [f"{names.workflow_stack}: {change}" for change in changed]
    return _describe(target, deployed.api_url, tuple(changes))


def plan(target: Target, options: Options, tell: Tell) -> list[str]:
    """What ``up`` would change, a line each; nothing is changed. The functions are compared by their fingerprint."""
    names = target.names
    tell("foundation")
    changes = [f"{names.foundation_stack}: {change}" for change in stacks.plan(target, foundation(target, options))]
    tell("dependency layer")
    published = None if target.is_emulated else layer.find(target, options.architecture)
    if not target.is_emulated and published is None:
        changes.append("layer: a new version")
    tell("functions")
    chunk_size_bytes = options.chunk_size_bytes or _current_chunk_size(target)
    with functions.build_folder(target) as folder:
        environment = names.environment(chunk_size_bytes)
        build = functions.render(target, environment, published, options.architecture, folder)
    if functions.load_record(target).get("fingerprint") != build.fingerprint:
        changes.append("functions: code, configuration, environment or policies differ")
    tell("workflow")
    if stacks.describe(target, names.foundation_stack) is None:
        changes.append(f"{names.workflow_stack}: created whole, once the foundation stands")
    else:
        spec = workflow.stack(target, options.max_concurrency, options.alarms, tell)
        changes += [f"{names.workflow_stack}: {change}" for change in stacks.plan(target, spec)]
    return changes


def find(target: Target) -> Deployed | None:
    """The stage as it stands, without changing anything; None where its foundation or workflow is missing."""
    if not stacks.outputs(target, target.names.foundation_stack) or not stacks.outputs(
        target, target.names.workflow_stack
    ):
        return None
    return _describe(target, functions.recorded_api_url(target), ())


def down(target: Target, tell: Tell, *, delete_data: bool = False) -> list[str]:
    """Remove a stage, all but its data (inbox, results, job records), or all of it. Returns what is still found.

    The list is empty but for the kept data when nothing was forgotten: it comes from asking each service, not from
    remembering what was made. Errors: ``OperatorError``; doing it again goes on.
    """
    names = target.names
    tell("workflow")
    workflow.stop(target, tell)
    stacks.delete(target, names.workflow_stack, tell)
    workflow.wait_until_gone(target)
    tell("functions")
    functions.delete(target, tell)
    tell("dependency layer")
    layer.delete(target)
    _delete_token(target)
    tell("foundation")
    _empty(target, names.bucket("artifacts"))
    stacks.delete(target, names.foundation_stack, tell)
    if delete_data:
        tell("data")
        for purpose in ("inbox", "results"):
            _delete_bucket(target, names.bucket(purpose))
        _delete_table(target, names.jobs_table)
    return leftovers.settled(target, () if delete_data else data(target))


def data(target: Target) -> list[str]:
    """What ``down`` keeps, as ``leftovers`` names it."""
    names = target.names
    return [f"bucket: {names.bucket('inbox')}", f"bucket: {names.bucket('results')}", f"table: {names.jobs_table}"]


def foundation(target: Target, options: Options) -> Stack:
    names = target.names
    return Stack(
        names.foundation_stack,
        FOUNDATION,
        {
            "Stage": names.stage,
            "Emails": None if options.notify is None else ",".join(options.notify),
            "FunctionNames": ",".join(functions.function_names(names)),
            "RequireTls": "false" if target.is_emulated else "true",
        },
    )


def api_token(target: Target) -> str:
    """The API's bearer token. Errors: botocore's where there is none or it may not be read."""
    reply = target.client("ssm").get_parameter(Name=target.names.token_parameter, WithDecryption=True)
    token: str = reply["Parameter"]["Value"]
    return token


def _describe(target: Target, api_url: str, changes: tuple[str, ...]) -> Deployed:
    names = target.names
    return Deployed(
        stage=names.stage,
        region=names.region,
        account=names.account,
        inbox_bucket=names.bucket("inbox"),
        results_bucket=names.bucket("results"),
        jobs_table=names.jobs_table,
        notices_topic_arn=names.notices_topic_arn,
        state_machine_arn=names.state_machine_arn,
        api_url=api_url,
        api_token_parameter=names.token_parameter,
        changes=changes,
    )


def _ensure_token(target: Target) -> bool:
    """Make the API's token where there is none; True then. An existing one is never read here, nor replaced."""
    try:
        target.client("ssm").put_parameter(
            Name=target.names.token_parameter,
            Description="Bearer token of the Sluice API. Put another value here to rotate it.",
            Value=secrets.token_urlsafe(32),
            Type="SecureString",
            Overwrite=False,
            Tags=[{"Key": STAGE_TAG, "Value": target.stage}],
        )
    except target.client("ssm").exceptions.ParameterAlreadyExists:
        return False
    return True


def _delete_token(target: Target) -> None:
    try:
        target.client("ssm").delete_parameter(Name=target.names.token_parameter)
    except target.client("ssm").exceptions.ParameterNotFound:
        return


def _current_chunk_size(target: Target) -> int | None:
    """The chunk size that the stage was deployed with, so that ``up`` without the option keeps it."""
    function = target.names.function("validate-data")
    try:
        configuration = target.lambda_.get_function_configuration(FunctionName=function)
    except target.lambda_.exceptions.ResourceNotFoundException:
        return None
    value = configuration.get("Environment", {}).get("Variables", {}).get("SLUICE_CHUNK_SIZE_BYTES")
    return None if value is None else int(value)


def _empty(target: Target, bucket: str) -> bool:
    """Delete every version of every object. False where there is no such bucket."""
    try:
        for page in target.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            if found:
                doomed: list[ObjectIdentifierTypeDef] = [
                    {"Key": each["Key"], "VersionId": each["VersionId"]} for each in found
                ]
                target.s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed, "Quiet": True})
        for listing in target.s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
            for upload in listing.get("Uploads", []):
                target.s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchBucket":
            return False
        raise
    return True


def _delete_bucket(target: Target, bucket: str) -> None:
    if _empty(target, bucket):
        target.s3.delete_bucket(Bucket=bucket)


def _delete_table(target: Target, table: str) -> None:
    database = target.client("dynamodb")
    try:
        database.delete_table(TableName=table)
    except database.exceptions.ResourceNotFoundException:
        return
    database.get_waiter("table_not_exists").wait(TableName=table, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
