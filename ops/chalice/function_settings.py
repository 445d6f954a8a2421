"""What decides how a function behaves, as data: read from Lambda and IAM, or from a build; and how two such differ.

``plan`` compares what stands with a build, ``status`` what stands with what was deployed, ``up`` both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from chalicelib.frozen import frozen
from ops.target import Target

Settings = dict[str, Any]
"""One function's: ``code`` (the SHA-256 that Lambda gives, Base64), ``memory`` (MiB), ``timeout`` (s), ``runtime``,
``architecture``, ``tracing``, ``layers`` (ARNs), ``environment`` (name → value), ``policy`` (Sid → statement)."""

CODE: Final = "code"
_BY_NAME: Final = ("environment", "policy")
"""Settings that have names of their own in them, each of which is compared by itself."""


@frozen
class Difference:
    """One setting of one function."""

    function: str
    setting: str
    """``memory``, …, or with a name: ``environment SLUICE_STAGE``, ``policy ReadUploads``."""
    before: str
    """Empty: there was none."""
    after: str
    """Empty: there is none."""

    def __str__(self) -> str:
        return f"{self.function}: {self.setting} {self.before or '(none)'} → {self.after or '(none)'}"


def live(target: Target, name: str) -> Settings | None:
    """A function's settings as they stand; None where it, or its role, does not exist. ``name``: Chalice's."""
    function, role = target.names.function(name), target.names.role(name)
    iam = target.client("iam")
    try:
        found = target.lambda_.get_function_configuration(FunctionName=function)
        policy = iam.get_role_policy(RoleName=role, PolicyName=role)["PolicyDocument"]
    except (target.lambda_.exceptions.ResourceNotFoundException, iam.exceptions.NoSuchEntityException):
        return None
    return {
        CODE: found["CodeSha256"],
        "memory": found["MemorySize"],
        "timeout": found["Timeout"],
        "runtime": found["Runtime"],
        "architecture": found.get("Architectures", ["x86_64"])[0],
        "tracing": found.get("TracingConfig", {}).get("Mode", "PassThrough"),
        "layers": [layer["Arn"] for layer in found.get("Layers", [])],
        "environment": found.get("Environment", {}).get("Variables", {}),
        "policy": _statements(policy),
    }


def built(configuration: Mapping[str, Any], policies: Mapping[str, Any], runtime: str) -> dict[str, Settings]:
    """Chalice's name → the settings that a rendered ``.chalice/config.json`` asks for, but for the code."""
    (stage,) = configuration["stages"].values()
    return {
        name: {
            "memory": own["lambda_memory_size"],
            "timeout": own["lambda_timeout"],
            "runtime": runtime,
            "architecture": configuration["lambda_architecture"],
            "tracing": "Active" if configuration["xray"] else "PassThrough",
            "layers": own.get("layers", []),
            "environment": stage["environment_variables"],
            "policy": _statements(policies[name]),
        }
        for name, own in configuration["lambda_functions"].items()
    }


def compare(before: Mapping[str, Settings | None], after: Mapping[str, Settings | None]) -> list[Difference]:
    """How ``after`` differs, function by function. None, or no entry: there is no such function."""
    found: list[Difference] = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is None and new is not None:
            found.append(Difference(name, "function", "", "created"))
        elif old is not None and new is None:
            found.append(Difference(name, "function", "exists", ""))
        elif old is not None and new is not None:
            found += _compare_one(name, old, new)
    return found


def _compare_one(name: str, old: Settings, new: Settings) -> Iterator[Difference]:
    for setting in new:
        if setting in _BY_NAME:
            for key in sorted({*old[setting], *new[setting]}):
                yield from _difference(name, f"{setting} {key}", old[setting].get(key), new[setting].get(key))
        else:
            yield from _difference(name, setting, old[setting], new[setting])


def _difference(name: str, setting: str, old: Any, new: Any) -> Iterator[Difference]:
    if old != new:
        yield Difference(name, setting, _text(old), _text(new))


def _text(value: Any) -> str:
    if value in (None, []):
        return ""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _statements(policy: Mapping[str, Any]) -> dict[str, Any]:
    return {statement.get("Sid") or str(at): statement for at, statement in enumerate(policy["Statement"])}
