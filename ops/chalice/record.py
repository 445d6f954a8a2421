"""What Chalice made of a stage, and from what: kept in the artifacts bucket, so that another machine can go on.

The record says what stands and how each function was set up. Beside it lies the build folder of a deployment that
succeeded, to which a later one that fails goes back.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from ops.chalice import function_settings, notifications
from ops.chalice.function_settings import CODE, Difference, Settings
from ops.packages import archive
from ops.target import Target

RECORD_KEY: Final = "functions/record.json"
BUILDS_PREFIX: Final = "functions/builds/"

Record = dict[str, Any]
"""``fingerprint`` of the build (None: deployed in part), ``content`` hash of its code, ``functions`` (name →
``Settings`` as deployed), ``chalice`` (Chalice's own record). ``{}``: nothing was deployed."""


def load(target: Target) -> Record:
    body = _get(target, RECORD_KEY)
    return {} if body is None else dict(json.loads(body))


def save(
    target: Target, chalice: Mapping[str, Any], wanted: Mapping[str, Settings], *, fingerprint: str | None, content: str
) -> None:
    """Record what stands now. ``fingerprint`` None: it is not whole, so the next deployment goes on from it.

    The settings are those that were asked for, with the code that Lambda has: IAM may answer with a policy that was
    replaced a moment ago.
    """
    settings = {}
    for name, arn in functions(chalice).items() if fingerprint is not None else ():
        code = target.lambda_.get_function_configuration(FunctionName=arn)["CodeSha256"]
        settings[name] = {CODE: code, **wanted[name]}
    record = {"fingerprint": fingerprint, "content": content, "functions": settings, "chalice": chalice}
    body = json.dumps(record, indent=2).encode()
    target.s3.put_object(Bucket=target.names.bucket("artifacts"), Key=RECORD_KEY, Body=body)


def forget(target: Target) -> None:
    """Nothing of Chalice's stands any more."""
    try:
        target.s3.delete_object(Bucket=target.names.bucket("artifacts"), Key=RECORD_KEY)
    except target.s3.exceptions.NoSuchBucket:
        return


def save_build(target: Target, folder: Path, fingerprint: str) -> None:
    """Keep the build folder of a deployment that succeeded, but for what Chalice wrote into it."""
    chalice_own = [folder / ".chalice" / name for name in ("deployed", "deployments")]
    files = [path for path in archive.files(folder) if not any(path.is_relative_to(own) for own in chalice_own)]
    with tempfile.TemporaryDirectory(prefix="sluice-build-") as scratch:
        packed = Path(scratch) / "build.zip"
        archive.pack(files, packed, relative_to=folder)
        target.s3.upload_file(str(packed), target.names.bucket("artifacts"), _build_key(fingerprint))


def load_build(target: Target, folder: Path, fingerprint: str) -> bool:
    """Unpack a build that was deployed whole into an empty folder. False where it was not kept."""
    body = _get(target, _build_key(fingerprint))
    if body is not None:
        archive.unpack(body, folder)
    return body is not None


def forget_other_builds(target: Target) -> None:
    """Keep the build that stands alone: nothing goes back past it."""
    bucket, kept = target.names.bucket("artifacts"), _build_key(load(target)["fingerprint"])
    listed = target.s3.list_objects_v2(Bucket=bucket, Prefix=BUILDS_PREFIX).get("Contents", [])
    for each in listed:
        if each["Key"] != kept:
            target.s3.delete_object(Bucket=bucket, Key=each["Key"])


def _build_key(fingerprint: str) -> str:
    return f"{BUILDS_PREFIX}{fingerprint}.zip"


def functions(chalice: Mapping[str, Any]) -> dict[str, str]:
    """Chalice's name → ARN of every function in Chalice's record."""
    found = [each for each in chalice.get("resources", []) if each["resource_type"] == "lambda_function"]
    return {each["name"]: each["lambda_arn"] for each in found}


def resource(chalice: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    return next((each for each in chalice.get("resources", []) if each["resource_type"] == kind), None)


def drift(target: Target, record: Record) -> list[Difference]:
    """How what stands differs from what was deployed: another operator, or another tool, has changed it."""
    if not record:
        return []
    deployed: dict[str, Settings | None] = record.get("functions", {})
    if not deployed:
        return [Difference("functions", "deployment", "whole", "in part, or by a version that did not record it")]
    live = {name: function_settings.live(target, name) for name in functions(record["chalice"])}
    found = function_settings.compare(deployed, live)
    if not _api_stands(target, record):
        found.append(Difference("REST API", "API", "exists", ""))
    if not notifications.stand(target, record["chalice"]):
        found.append(Difference("inbox", "notifications", "EventBridge and the handlers", "others"))
    return found


def plan(
    target: Target, record: Record, wanted: Mapping[str, Settings], *, fingerprint: str, content: str
) -> list[Difference]:
    """What a deployment of ``wanted`` would change, setting by setting.

    The code is compared by what it was made from, since an archive's hash depends on who packed it.
    """
    deployed = record.get("functions", {})
    standing: dict[str, Settings | None] = {}
    for name in {*wanted, *functions(record.get("chalice", {}))}:
        live = function_settings.live(target, name)
        if live is not None:
            as_deployed = live[CODE] == (deployed.get(name) or {}).get(CODE)
            made_from = str(record.get("content"))[:12] if as_deployed else f"(not recorded: {live[CODE][:12]})"
            live |= {CODE: made_from}
        standing[name] = live
    found = function_settings.compare(standing, {name: {CODE: content[:12], **own} for name, own in wanted.items()})
    found += [each for each in drift(target, record) if each.function not in wanted]
    if not found and record.get("fingerprint") != fingerprint:
        found.append(
            Difference("API and events", "configuration", str(record.get("fingerprint"))[:12], fingerprint[:12])
        )
    return found


def _api_stands(target: Target, record: Record) -> bool:
    api = resource(record["chalice"], "rest_api")
    if api is None:
        return True
    gateway = target.client("apigateway")
    try:
        gateway.get_rest_api(restApiId=api["rest_api_id"])
    except gateway.exceptions.NotFoundException:
        return False
    return True


def _get(target: Target, key: str) -> bytes | None:
    try:
        return target.s3.get_object(Bucket=target.names.bucket("artifacts"), Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchBucket"):
            return None
        raise
