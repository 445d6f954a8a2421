"""The templates as CloudFormation reads them, for checkov, which knows no ``Fn::ForEach`` and decides no ``Fn::If``.

``python -m ops.stage.expanded FOLDER`` writes each template twice as JSON, without a customer's key and with one: loops
unrolled for a stage called ``lint``, conditions decided, the suppressions (``Metadata``) kept. A suppression that is
justified by the choice of a key (its comment begins with ``--kms-key``) does not hold where that choice was made.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cfnlint.decode.cfn_yaml import load

from ops.chalice import functions
from ops.stage.deployment import FOUNDATION
from ops.stage.workflow import TEMPLATE as WORKFLOW
from ops.target import Names

_LISTS: Final = {
    "FunctionNames": functions.function_names(Names("lint", "111122223333", "us-east-1")),
    "Emails": ["ops@example.com"],
}
"""The values of the parameters that loops go over."""
KEY: Final = "arn:aws:kms:us-east-1:111122223333:key/00000000-0000-0000-0000-000000000000"
_LOOP: Final = "Fn::ForEach::"
_NO_VALUE: Final = {"Ref": "AWS::NoValue"}


def expand(template: Path, *, with_key: bool) -> dict[str, Any]:
    """The template with its loops unrolled and its conditions decided."""
    document: dict[str, Any] = json.loads(json.dumps(load(str(template))))  # plain data, not cfn-lint's own nodes
    resources: dict[str, Any] = {}
    for name, resource in document["Resources"].items():
        if name.startswith(_LOOP):
            variable, over, body = resource
            for value in _LISTS[over["Ref"]]:
                resources |= _substituted(body, variable, value)
        else:
            resources[name] = resource
    chosen: dict[str, Any] = decided(
        resources, {"HasKey": with_key, "TlsIsRequired": True, "HasEmails": True, "WatchesUploads": True}
    )
    for resource in chosen.values() if with_key else ():
        skipped = resource.get("Metadata", {}).get("checkov", {"skip": []})["skip"]
        skipped[:] = [each for each in skipped if not each["comment"].startswith("--kms-key")]
    document["Parameters"]["KmsKey"]["Default"] = KEY if with_key else ""
    return document | {"Resources": chosen}


def _substituted(body: Any, variable: str, value: str) -> dict[str, Any]:
    text = json.dumps(body).replace(json.dumps({"Ref": variable}), json.dumps(value))
    text = text.replace(f"${{{variable}}}", value)
    alphanumeric = "".join(character for character in value if character.isalnum())
    substituted: dict[str, Any] = json.loads(text.replace(f"&{{{variable}}}", alphanumeric))
    return substituted


def decided(value: Any, conditions: Mapping[str, bool]) -> Any:
    """``value`` with every ``Fn::If`` decided, and what then has no value left out."""
    if isinstance(value, dict) and "Fn::If" in value:
        condition, yes, no = value["Fn::If"]
        return decided(yes if conditions[condition] else no, conditions)
    if isinstance(value, dict):
        found = {key: decided(each, conditions) for key, each in value.items()}
        return {key: each for key, each in found.items() if each != _NO_VALUE}
    if isinstance(value, list):
        return [each for each in (decided(each, conditions) for each in value) if each != _NO_VALUE]
    return value


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for template in (FOUNDATION, WORKFLOW):
        for suffix, with_key in (("", False), ("-with-key", True)):
            document = expand(template, with_key=with_key)
            (folder / f"{template.stem}{suffix}.json").write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
