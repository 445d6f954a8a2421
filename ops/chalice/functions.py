"""The Lambda functions, the event handlers and the REST API of a stage, deployed by Chalice.

``.chalice/`` in the checkout is the template: what does not depend on the stage. From it a build folder
``.build/<stage>/`` is rendered (the shipped code, the configuration with the stage's environment and layer, one policy
per function with exact ARNs), and Chalice deploys that folder. What Chalice records lies in the artifacts bucket, so
that another machine can go on, together with a fingerprint of the folder: while both still hold, nothing is done.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import string
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import chalice

from ops.chalice import chalice_process, dead_letters, function_settings, notifications, record, removal
from ops.chalice.function_settings import Difference, Settings
from ops.checkout import ROOT
from ops.cloudformation import encryption
from ops.packages import archive, wheels
from ops.target import STAGE_TAG, Names, OperatorError, Target, Tell

_FILE_TIME: Final = 1_577_836_800
"""The time of every file in the folder (2020-01-01): Chalice's archive holds it, and so depends on content alone."""
_NOT_SHIPPED: Final = shutil.ignore_patterns("__pycache__", "*.pyc", ".DS_Store")


@dataclass(frozen=True)
class Build:
    """A rendered build folder."""

    folder: Path
    fingerprint: str
    """SHA-256 over every file's path and content, and Chalice's version."""
    content: str = ""
    """The same over the code alone: what Lambda unpacks."""
    functions: Mapping[str, Settings] = field(default_factory=dict)
    """Chalice's name → the settings that the build asks for, but for the code."""


@dataclass(frozen=True)
class Deployed:
    api_url: str
    functions: Mapping[str, str]
    """Chalice's name → ARN."""
    changed: bool


def function_names(names: Names) -> list[str]:
    """The full names of all functions, from ``.chalice/config.json``."""
    return sorted(names.function(name) for name in template()["lambda_functions"])


def template() -> dict[str, Any]:
    """``.chalice/config.json`` as it is tracked."""
    document: dict[str, Any] = json.loads((ROOT / ".chalice" / "config.json").read_text())
    return document


@contextmanager
def build_folder(target: Target, *, stays: bool = True) -> Iterator[Path]:
    """Where to render: under ``.build/``, where it stays to be looked at and ``chalice invoke`` works in it. What does
    not stay, as for an emulator, which goes away itself, is rendered into a temporary folder.
    """
    if target.is_emulated or not stays:
        with tempfile.TemporaryDirectory(prefix="sluice-build-") as folder:
            yield Path(folder) / "build"
    else:
        yield ROOT / ".build" / f"{target.names.account}-{target.region}-{target.stage}"


def render(
    target: Target,
    environment: Mapping[str, str],
    layer_arn: str | None,
    architecture: str,
    folder: Path,
    *,
    kms_key: str | None = None,
) -> Build:
    """Write the build folder anew. ``layer_arn`` None: the functions have no layer. The emulator's functions run in its
    own virtual environment and therefore get neither layer nor packaged dependencies. ``kms_key``: the ARN of the key
    that the stage's data is encrypted with, where that is the customer's own.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy2(ROOT / "app.py", folder)
    shutil.copytree(ROOT / "chalicelib", folder / "chalicelib", ignore=_NOT_SHIPPED)
    if not target.is_emulated:
        wheels.install(ROOT / "requirements.lock", folder / "vendor", architecture)
    (folder / "requirements.txt").write_text("")  # what requirements.txt names is in vendor/, from hashed wheels
    policies = folder / ".chalice" / "policies"
    policies.mkdir(parents=True)
    configuration = template()
    for name, settings in configuration["lambda_functions"].items():
        (policies / f"{name}.json").write_text(json.dumps(policy(name, target.names, kms_key), indent=2))
        if "layers" in settings:
            settings["layers"] = [layer_arn] if layer_arn is not None else []
    configuration["lambda_architecture"] = architecture
    configuration["tags"] = {STAGE_TAG: target.stage}
    configuration["stages"] = {target.stage: {"environment_variables": dict(environment)}}
    (folder / ".chalice" / "config.json").write_text(json.dumps(configuration, indent=2))
    for path in folder.rglob("*"):
        os.utime(path, (_FILE_TIME, _FILE_TIME))
    return _build(folder)


def policy(function: str, names: Names, kms_key: str | None = None) -> dict[str, Any]:
    """One function's IAM policy: its template with exact ARNs, what every function does (write its log, trace), and the
    use of the customer's key for what it reads and writes.
    """
    text = (ROOT / ".chalice" / "policies" / f"{function}.json").read_text()
    document: dict[str, Any] = json.loads(string.Template(text).substitute(names.variables()))
    if kms_key is not None:
        document["Statement"] += encryption.function_statements(document, names, kms_key)
    log_group = names.arn("logs", f"log-group:{names.log_group(names.function(function))}")
    document["Statement"] += [
        {
            "Sid": "WriteLog",
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": [f"{log_group}:*"],
        },
        {
            # X-Ray knows no resource-level permissions for these:
            # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
            "Sid": "Trace",
            "Effect": "Allow",
            "Action": ["xray:PutTraceSegments", "xray:PutTelemetryRecords"],
            "Resource": ["*"],
        },
    ]
    return document


def deploy(target: Target, build: Build, tell: Tell, *, force: bool = False) -> Deployed:
    """Deploy the build folder, unless what it was made from is what stands.

    ``force``: deploy in any case, because something that Chalice merges into (the inbox's notifications) was changed.
    Errors: ``OperatorError`` with Chalice's words; what it had made by then is recorded, so a new attempt goes on.
    """
    before = record.load(target)
    deployed = build.folder / ".chalice" / "deployed" / f"{target.stage}.json"
    if before.get("chalice", {}).get("resources"):  # also where nothing is done: `chalice invoke` looks there
        deployed.parent.mkdir(parents=True, exist_ok=True)
        deployed.write_text(json.dumps(before["chalice"]))
    if not force and before.get("fingerprint") == build.fingerprint and not record.drift(target, before):
        return _deployed(target, before["chalice"], changed=False)
    error, chalice_record = "interrupted", before.get("chalice", {"resources": []})
    standing = record.resource(chalice_record, "rest_api")
    # One that was made and not recorded, because the process was killed in between: nobody knows its address.
    removal.delete_apis(target, but=None if standing is None else standing["rest_api_id"])
    try:
        error = chalice_process.run(target, build.folder, tell)
    finally:  # whatever ended it: what was made and not recorded would be made a second time
        if deployed.exists():
            chalice_record = json.loads(deployed.read_text())
        record.save(target, chalice_record, build.functions, fingerprint=None, content=build.content)
    notifications.tell_eventbridge(target)
    if error:
        raise OperatorError(f"the functions are deployed in part:\n{error}")
    dead_letters.catch(target)
    record.save_build(target, build.folder, build.fingerprint)
    # Last: a deployment that was interrupted before is one that the next has to go on with.
    record.save(target, chalice_record, build.functions, fingerprint=build.fingerprint, content=build.content)
    return _deployed(target, chalice_record, changed=True)


def plan(target: Target, build: Build) -> list[Difference]:
    """What ``deploy`` would change; nothing is changed."""
    return record.plan(
        target, record.load(target), build.functions, fingerprint=build.fingerprint, content=build.content
    )


def roll_back(target: Target, fingerprint: str, tell: Tell) -> bool:
    """Deploy a build that was deployed whole once more. False where it was not kept.

    Errors: ``OperatorError``, as ``deploy``.
    """
    with tempfile.TemporaryDirectory(prefix="sluice-build-") as scratch:
        folder = Path(scratch) / "build"
        if not record.load_build(target, folder, fingerprint):
            return False
        for path in folder.rglob("*"):
            os.utime(path, (_FILE_TIME, _FILE_TIME))
        deploy(target, _build(folder), tell, force=True)
    return True


def delete(target: Target, own: removal.Own, tell: Tell) -> None:
    """Delete all that Chalice made, recorded or not, and then the record. Doing it again goes on."""
    removal.delete(target, own, tell)
    record.forget(target)


def recorded_api_url(target: Target) -> str:
    """The address of the REST API as last deployed; ``""`` where it never was."""
    return _deployed(target, record.load(target).get("chalice", {}), changed=False).api_url


def _deployed(target: Target, chalice_record: Mapping[str, Any], *, changed: bool) -> Deployed:
    api = record.resource(chalice_record, "rest_api")
    url = ""
    if api is not None:
        url = api["rest_api_url"].rstrip("/")
        if target.endpoint_url is not None:
            url = f"{target.endpoint_url}/_aws/execute-api/{api['rest_api_id']}/{template()['api_gateway_stage']}"
    return Deployed(url, record.functions(chalice_record), changed)


def _build(folder: Path) -> Build:
    """What a rendered folder holds."""
    configuration = json.loads((folder / ".chalice" / "config.json").read_text())
    policies = {path.stem: json.loads(path.read_text()) for path in (folder / ".chalice" / "policies").glob("*.json")}
    settings = function_settings.built(configuration, policies, wheels.RUNTIME)
    every = archive.files(folder)
    code = [path for path in every if ".chalice" not in path.relative_to(folder).parts]
    return Build(folder, _digest(folder, every, chalice.__version__), _digest(folder, code), settings)


def _digest(folder: Path, paths: Iterable[Path], salt: str = "") -> str:
    digest = hashlib.sha256(salt.encode())
    for path in paths:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"\n{path.relative_to(folder).as_posix()} {content}".encode())
    return digest.hexdigest()
