"""A stage from nothing to running, and back.

``up``: the foundation (buckets, table, topic, queue, log groups) → the API's token → the dependency layer → the
functions, handlers and API by Chalice → the workflow (state machine, rule, alarms, dashboard). Each part is left alone
when it already is what it should be, so ``up`` twice changes nothing; and each can be tried again after a failure.
``deploy.py`` runs this on AWS, ``local.py`` the same on the emulator.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from ops.chalice import functions, record, removal
from ops.chalice.function_settings import Difference
from ops.checkout import ROOT
from ops.cloudformation import drift, encryption, stacks
from ops.cloudformation.change_sets import Change, Stack
from ops.packages import layer
from ops.stage import data, leftovers, lock, mail, ownership, regions, rollback, workflow
from ops.stage.workflow import Alarms
from ops.target import NOTE, STAGE_TAG, Target, Tell

FOUNDATION: Final = ROOT / "infrastructure" / "foundation.yaml"
DEFAULT_ARCHITECTURE: Final = "x86_64"


@dataclass(frozen=True)
class Options:
    """What an operator may choose. None keeps what the stage has, or takes the template's default."""

    notify: Sequence[str] | None = None
    """E-mail addresses that get every notice and alarm."""
    chunk_size_bytes: int | None = None
    """Range of a file that one Lambda invocation processes."""
    max_concurrency: int | None = None
    """Chunks of one file that are processed at the same time; half of the account's concurrency at the most."""
    architecture: str | None = None
    """Of the functions: ``x86_64`` (at first) or ``arm64``."""
    kms_key: str | None = None
    """ARN, id or alias of the customer's key that everything at rest is encrypted with; at first none."""
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


@dataclass(frozen=True)
class Planned:
    """One thing that ``up`` would do."""

    part: str
    """The stack's name, ``layer``, ``API token`` or ``functions``."""
    change: Change | Difference

    def __str__(self) -> str:
        return f"{self.part}: {self.change}"

    def to_json(self) -> dict[str, Any]:
        return {"part": self.part, **asdict(self.change)}


def up(target: Target, options: Options, tell: Tell) -> Deployed:
    """Create or change a stage.

    Errors: ``OperatorError`` for options that cannot be, or a stage that stands in another region; ``UpFailed``, once
    what stood before was brought back as far as it can be. An ``up`` that is interrupted leaves what was done by then,
    and the next one goes on.
    """
    regions.check(target)  # before the lock, which is a parameter of this region
    chosen = _chosen(target, options)
    with lock.held(target, "up"):
        before = rollback.standing(target)
        try:
            deployed = _up(target, chosen, tell)
        except rollback.AWS_ERRORS as error:
            raise rollback.failed(target, before, error, tell) from error
        record.forget_other_builds(target)
    return deployed


def _up(target: Target, chosen: Options, tell: Tell) -> Deployed:
    names = target.names
    changes: list[str] = []
    tell("foundation")
    mailed = mail.addresses(target)
    changed = stacks.apply(target, foundation(target, chosen), tell)
    changes += [f"{names.foundation_stack}: {change}" for change in changed]
    for difference in drift.of_adopted(target, names.foundation_stack, changed):
        tell(f"{NOTE}{difference}")
    changes += mail.settle(target, mailed)
    for line in mail.not_mailed(target):
        tell(f"{NOTE}{line}")
    if _ensure_token(target, chosen.kms_key):
        changes.append(f"API token: created in {names.token_parameter}")
    layer_arn = None
    if not target.is_emulated:
        tell("dependency layer")
        layer_arn, published = layer.publish(target, chosen.architecture or DEFAULT_ARCHITECTURE, tell)
        if published:
            changes.append(f"layer: published {layer_arn}")
    tell("functions")
    with functions.build_folder(target) as folder:
        build = _render(target, chosen, layer_arn, folder)
        # A change to the inbox bucket may have replaced the notifications that Chalice had merged into it.
        deployed = functions.deploy(target, build, tell, force=bool(changed))
    if deployed.changed:
        changes.append(f"functions: deployed {len(deployed.functions)}")
    tell("workflow")
    workflow.upload_definition(target)
    spec = workflow.stack(target, chosen.max_concurrency, chosen.kms_key, chosen.alarms, tell)
    changed = stacks.apply(target, spec, tell)
    changes += [f"{names.workflow_stack}: {change}" for change in changed]
    return _describe(target, deployed.api_url, tuple(changes))


def plan(target: Target, options: Options, tell: Tell) -> list[Planned]:
    """What ``up`` would change, by CloudFormation's change sets and by the settings of each function. Afterwards
    everything is as it was. Errors: ``OperatorError``, as ``up``.
    """
    regions.check(target)
    names = target.names
    chosen = _chosen(target, options)
    tell("foundation")
    found = [Planned(names.foundation_stack, change) for change in stacks.plan(target, foundation(target, chosen))]
    if not _has_token(target):
        found.append(Planned("API token", Change("Add", names.token_parameter, "AWS::SSM::Parameter")))
    tell("dependency layer")
    layer_arn = None
    if not target.is_emulated:
        layer_arn = layer.find(target, chosen.architecture or DEFAULT_ARCHITECTURE)
        if layer_arn is None:
            layer_arn = "(a new version)"
            found.append(Planned("layer", Change("Add", names.layer, "AWS::Lambda::LayerVersion")))
    tell("functions")
    with functions.build_folder(target, stays=False) as folder:
        build = _render(target, chosen, layer_arn, folder)
    found += [Planned("functions", difference) for difference in functions.plan(target, build)]
    tell("workflow")
    spec = workflow.stack(target, chosen.max_concurrency, chosen.kms_key, chosen.alarms, tell)
    return found + [Planned(names.workflow_stack, change) for change in stacks.plan(target, spec)]


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
    remembering what was made. Errors: ``OperatorError``, also where all that stands of the stage stands in another
    region; doing it again goes on.
    """
    regions.check(target, removing=True)
    with lock.held(target, "down"):
        _down(target, tell, delete_data=delete_data)
    tell("looking for what is left")
    return leftovers.settled(target, () if delete_data else data.kept(target))


def _down(target: Target, tell: Tell, *, delete_data: bool) -> None:
    names = target.names
    tell("workflow")
    workflow.stop(target, tell)
    removal.free_roles(target, regions.roles(target), tell)
    stacks.delete(target, names.workflow_stack, tell)
    workflow.wait_until_gone(target)
    tell("functions")
    functions.delete(target, ownership.find(target), tell)
    tell("dependency layer")
    layer.delete(target)
    _delete_token(target)
    tell("foundation")
    data.empty(target, names.bucket("artifacts"), tell)
    stacks.delete(target, names.foundation_stack, tell)
    if delete_data:
        tell("data")
        data.delete(target, tell)
    data.delete_late_logs(target)


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
            "KmsKey": options.kms_key,
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


def _ensure_token(target: Target, kms_key: str | None) -> bool:
    """Make the API's token where there is none; True then. An existing one is never read here, nor replaced."""
    encrypted_with = {} if kms_key is None else {"KeyId": kms_key}
    try:
        target.client("ssm").put_parameter(
            **encrypted_with,
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


def _has_token(target: Target) -> bool:
    wanted: Any = [{"Key": "Name", "Values": [target.names.token_parameter]}]
    return bool(target.client("ssm").describe_parameters(ParameterFilters=wanted)["Parameters"])


def _render(target: Target, chosen: Options, layer_arn: str | None, folder: Path) -> functions.Build:
    architecture = chosen.architecture or DEFAULT_ARCHITECTURE
    environment = target.names.environment(chosen.chunk_size_bytes)
    return functions.render(target, environment, layer_arn, architecture, folder, kms_key=chosen.kms_key)


def _chosen(target: Target, options: Options) -> Options:
    """The options, with what the stage was deployed with where they say nothing, and the key by its ARN.

    Errors: ``OperatorError``, as ``encryption.chosen``.
    """
    key = encryption.chosen(target, options.kms_key)
    try:
        function = target.names.function("validate-data")
        found = target.lambda_.get_function_configuration(FunctionName=function)
    except target.lambda_.exceptions.ResourceNotFoundException:
        return replace(options, kms_key=key)
    chunk_size = found.get("Environment", {}).get("Variables", {}).get("SLUICE_CHUNK_SIZE_BYTES")
    return replace(
        options,
        kms_key=key,
        architecture=options.architecture or found.get("Architectures", [DEFAULT_ARCHITECTURE])[0],
        chunk_size_bytes=options.chunk_size_bytes or (None if chunk_size is None else int(chunk_size)),
    )
