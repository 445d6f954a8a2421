"""What the tests of this folder read: the templates, the workflow's definition and the policies, as data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ops.chalice import functions
from ops.stage.expanded import decided
from ops.target import Names

ROOT = Path(__file__).parent.parent.parent
FOUNDATION = ROOT / "infrastructure" / "foundation.yaml"
WORKFLOW = ROOT / "infrastructure" / "workflow.yaml"
DEFINITION = ROOT / "statemachine.json"

NAMES = Names("test", "111122223333", "eu-central-1")


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, as the long ones: ``!Ref x`` is ``{"Ref": "x"}``."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> Any:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _short_form)


def template(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(path.read_text(), Loader=_Loader)
    return document


def resources(path: Path, kind: str | None = None, *, with_key: bool = False) -> dict[str, dict[str, Any]]:
    """The resources of a template, those inside loops included, by logical name. ``with_key``: as they are where the
    stage has a customer's key.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, resource in decided(template(path)["Resources"], {"HasKey": with_key, "WatchesUploads": True}).items():
        found |= resource[2] if name.startswith("Fn::ForEach") else {name: resource}
    return {name: resource for name, resource in found.items() if kind in (None, resource["Type"])}


def alarm_name(alarm: dict[str, Any]) -> str:
    """As the template has it: with ``${Stage}``, or, in the loop over the functions, with ``${Name}``."""
    name: str = alarm["Properties"]["AlarmName"]["Fn::Sub"]
    return name


def substitutions() -> dict[str, str]:
    """What the workflow template puts into the definition, with the template's own expressions worked out."""
    machine = resources(WORKFLOW, "AWS::StepFunctions::StateMachine")["Workflow"]["Properties"]
    return {name: resolve(value) for name, value in machine["DefinitionSubstitutions"].items()}


def resolve(value: Any) -> str:
    """A ``!Sub``, ``!Join``, ``!Ref`` of a parameter or ``!If`` (as if it held), worked out for stage ``test``."""
    known: dict[str, Any] = {
        "FunctionNames": functions.function_names(NAMES),
        "Stage": NAMES.stage,
        "AWS::Partition": NAMES.partition,
        "AWS::Region": NAMES.region,
        "AWS::AccountId": NAMES.account,
        "ResultsBucket": NAMES.bucket("results"),
        "InboxBucket": NAMES.bucket("inbox"),
        "MaxConcurrency": "100",
        "JobAgeAlarmSeconds": "3600",
        "RejectedPercentAlarm": "10",
        "NoUploadAlarmHours": "24",
        "DeadLetterQueue": NAMES.arn("sqs", f"{NAMES.prefix}-dead-letters"),
        "Workflow": NAMES.state_machine_arn,
        "NoticesTopic": NAMES.notices_topic_arn,
        "AlarmsTopic": NAMES.alarms_topic_arn,
    }
    if isinstance(value, dict) and "Ref" in value:
        return str(known[value["Ref"]])
    if isinstance(value, dict) and "Fn::If" in value:
        return resolve(value["Fn::If"][1])
    if isinstance(value, dict) and "Fn::Join" in value:
        separator, listed_ = value["Fn::Join"]
        return str(separator).join(known[listed_["Ref"]])
    if isinstance(value, dict) and "Fn::Sub" in value:
        text, variables = value["Fn::Sub"] if isinstance(value["Fn::Sub"], list) else (value["Fn::Sub"], {})
        known |= {name: resolve(variable) for name, variable in variables.items()}
        return re.sub(r"\$\{([^}]+)\}", lambda found: str(known[found[1]]), text)
    assert isinstance(value, str)
    return value


def definition() -> dict[str, Any]:
    """statemachine.json as Step Functions gets it: substituted in the text, then parsed."""
    text = DEFINITION.read_text()
    for name, value in substitutions().items():
        text = text.replace(f"${{{name}}}", value)
    document: dict[str, Any] = json.loads(text)
    return document


def states(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every state, those of the Map's children included."""
    for name, state in machine["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from states(state["ItemProcessor"])


def policies(kms_key: str | None = None) -> dict[str, dict[str, Any]]:
    """Function → its policy, for stage ``test``."""
    return {name: functions.policy(name, NAMES, kms_key) for name in functions.template()["lambda_functions"]}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
