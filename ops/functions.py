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
import signal
import string
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import chalice
from botocore.exceptions import ClientError

from ops import dead_letters, notifications, wheels
from ops.stacks import Tell
from ops.target import STAGE_TAG, Names, OperatorError, Target

ROOT: Final = Path(__file__).resolve().parent.parent
RECORD_KEY: Final = "functions/record.json"
_RUNNER_ERROR_CHARS: Final = 4_000
_RUNNER_ENDS_ITSELF_SECONDS: Final = 3
_RUNNER_END_SECONDS: Final = 30
_FILE_TIME: Final = 1_577_836_800
"""The time of every file in the folder (2020-01-01): Chalice's archive holds it, and so depends on content alone."""
_NOT_SHIPPED: Final = shutil.ignore_patterns("__pycache__", "*.pyc", ".DS_Store")


@dataclass(frozen=True)
class Build:
    """A rendered build folder."""

    folder: Path
    fingerprint: str
    """SHA-256 over every file's path and content, and Chalice's version."""


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
def build_folder(target: Target) -> Iterator[Path]:
    """Where to render: under ``.build/``, where it stays to be looked at; for an emulator, which goes away itself, a
    temporary folder.
    """
    if target.is_emulated:
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
    with_dependencies: bool = True,
) -> Build:
    """Write the build folder anew. ``layer_arn`` None: the functions have no layer. The emulator's functions run in its
    own virtual environment and therefore get neither layer nor packaged dependencies.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy2(ROOT / "app.py", folder)
    shutil.copytree(ROOT / "chalicelib", folder / "chalicelib", ignore=_NOT_SHIPPED)
    if with_dependencies and not target.is_emulated:
        wheels.install(ROOT / "requirements.lock", folder / "vendor", architecture)
    (folder / "requirements.txt").write_text("")  # what requirements.txt names is in vendor/, from hashed wheels
    policies = folder / ".chalice" / "policies"
    policies.mkdir(parents=True)
    configuration = template()
    for name, settings in configuration["lambda_functions"].items():
        (policies / f"{name}.json").write_text(json.dumps(policy(name, target.names), indent=2))
        if "layers" in settings:
            settings["layers"] = [layer_arn] if layer_arn is not None else []
    configuration["lambda_architecture"] = architecture
    configuration["tags"] = {STAGE_TAG: target.stage}
    configuration["stages"] = {target.stage: {"environment_variables": dict(environment)}}
    (folder / ".chalice" / "config.json").write_text(json.dumps(configuration, indent=2))
    for path in folder.rglob("*"):
        os.utime(path, (_FILE_TIME, _FILE_TIME))
    return Build(folder, _fingerprint(folder))


def policy(function: str, names: Names) -> dict[str, Any]:
    """One function's IAM policy: its template with exact ARNs, and what every function does (write its log, trace)."""
    text = (ROOT / ".chalice" / "policies" / f"{function}.json").read_text()
    document: dict[str, Any] = json.loads(string.Template(text).substitute(names.variables()))
    log_group = names.arn("logs", f"log-group:/aws/lambda/{names.function(function)}")
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
    record = load_record(target)
    deployed = build.folder / ".chalice" / "deployed" / f"{target.stage}.json"
    if record:  # also where nothing is done: `chalice invoke` looks there
        deployed.parent.mkdir(parents=True, exist_ok=True)
        deployed.write_text(json.dumps(record["chalice"]))
    if not force and record.get("fingerprint") == build.fingerprint and _stands(target, record):
        return _deployed(target, record["chalice"], changed=False)
    error = "interrupted"
    try:
        error = _run(target, "deploy", build.folder, tell)
    finally:  # whatever ended it: what was made and not recorded would be made a second time
        chalice_record = _record(target, build, deployed, error)
    notifications.tell_eventbridge(target)
    if error:
        raise OperatorError(f"the functions are deployed in part:\n{error}")
    dead_letters.catch(target)
    return _deployed(target, chalice_record, changed=True)


def _record(target: Target, build: Build, deployed: Path, error: str) -> dict[str, Any]:
    """Put what Chalice says that stands into the artifacts bucket; with an error, so that the next ``deploy`` goes on
    from it. Returns Chalice's part.
    """
    chalice_record: dict[str, Any] = json.loads(deployed.read_text()) if deployed.exists() else {"resources": []}
    new = {
        "fingerprint": None if error else build.fingerprint,
        "chalice": chalice_record,
        "code": {} if error else _code(target, chalice_record),
    }
    body = json.dumps(new, indent=2).encode()
    target.s3.put_object(Bucket=target.names.bucket("artifacts"), Key=RECORD_KEY, Body=body)
    return chalice_record


def delete(target: Target, tell: Tell) -> bool:
    """Delete everything that Chalice recorded. False where nothing was recorded."""
    record = load_record(target)
    if not record.get("chalice", {}).get("resources"):
        return False
    with build_folder(target) as folder:
        # Chalice reads the application to delete it, too; nothing of the folder is uploaded.
        render(target, target.names.environment(), None, "x86_64", folder, with_dependencies=False)
        deployed = folder / ".chalice" / "deployed" / f"{target.stage}.json"
        deployed.parent.mkdir(exist_ok=True)
        deployed.write_text(json.dumps(record["chalice"]))
        error = _run(target, "delete", folder, tell)
    if error:
        raise OperatorError(f"the functions are deleted in part:\n{error}")
    target.s3.delete_object(Bucket=target.names.bucket("artifacts"), Key=RECORD_KEY)
    return True


def load_record(target: Target) -> dict[str, Any]:
    """What the last deployment wrote to the artifacts bucket; ``{}`` where there was none."""
    try:
        reply = target.s3.get_object(Bucket=target.names.bucket("artifacts"), Key=RECORD_KEY)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchBucket"):
            return {}
        raise
    document: dict[str, Any] = json.loads(reply["Body"].read())
    return document


def recorded_api_url(target: Target) -> str:
    """The address of the REST API as last deployed; ``""`` where it never was."""
    record = load_record(target)
    return _deployed(target, record["chalice"], changed=False).api_url if record else ""


def _stands(target: Target, record: Mapping[str, Any]) -> bool:
    """Whether what the record says is there and runs the recorded code (another operator may have changed it)."""
    try:
        if _code(target, record["chalice"]) != record["code"]:
            return False
        api = _resource(record["chalice"], "rest_api")
        if api is not None:
            target.client("apigateway").get_rest_api(restApiId=api["rest_api_id"])
        return notifications.stand(target, record["chalice"])
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ResourceNotFoundException", "NotFoundException"):
            return False
        raise


def _code(target: Target, chalice_record: Mapping[str, Any]) -> dict[str, str]:
    """Function ARN → hash of the code that Lambda runs."""
    return {
        arn: target.lambda_.get_function_configuration(FunctionName=arn)["CodeSha256"]
        for arn in _functions(chalice_record).values()
    }


def _deployed(target: Target, chalice_record: Mapping[str, Any], *, changed: bool) -> Deployed:
    api = _resource(chalice_record, "rest_api")
    url = ""
    if api is not None:
        url = api["rest_api_url"].rstrip("/")
        if target.endpoint_url is not None:
            url = f"{target.endpoint_url}/_aws/execute-api/{api['rest_api_id']}/{template()['api_gateway_stage']}"
    return Deployed(url, _functions(chalice_record), changed)


def _functions(chalice_record: Mapping[str, Any]) -> dict[str, str]:
    found = [each for each in chalice_record["resources"] if each["resource_type"] == "lambda_function"]
    return {each["name"]: each["lambda_arn"] for each in found}


def _resource(chalice_record: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    return next((each for each in chalice_record["resources"] if each["resource_type"] == kind), None)


def _run(target: Target, action: str, folder: Path, tell: Tell) -> str:
    """Run Chalice in a process of its own. Returns what it said when it failed, or ``""``."""
    environment = target.process_environment(os.environ) | target.names.environment()
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}  # Chalice packs every file it finds
    with subprocess.Popen(
        [sys.executable, "-m", "ops.chalice_runner", action, str(folder), target.stage],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as runner:
        assert runner.stdout is not None
        assert runner.stderr is not None
        said: list[str] = []
        reader = threading.Thread(target=said.extend, args=(runner.stderr,), daemon=True)
        reader.start()
        try:
            for line in runner.stdout:
                tell(line.strip())
        except BaseException:
            _interrupt(runner)
            raise
        reader.join()
    return "" if runner.returncode == 0 else "".join(said)[-_RUNNER_ERROR_CHARS:] or f"status {runner.returncode}"


def _interrupt(runner: subprocess.Popen[str]) -> None:
    """Have Chalice stop, and wait until it has written down what it made. A Ctrl-C at a terminal has reached it:
    a second one could hit it while it writes.
    """
    for seconds, end in ((_RUNNER_ENDS_ITSELF_SECONDS, runner.send_signal), (_RUNNER_END_SECONDS, None)):
        try:
            runner.wait(seconds)
            return
        except subprocess.TimeoutExpired:
            if end is not None:
                end(signal.SIGINT)
    runner.kill()


def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256(chalice.__version__.encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"\n{path.relative_to(folder).as_posix()} {content}".encode())
    return digest.hexdigest()
