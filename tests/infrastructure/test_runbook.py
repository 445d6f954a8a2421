"""docs/runbook.md has an entry for each alarm, and names only commands that exist."""

from __future__ import annotations

import re

import botocore.session
import pytest
from botocore import xform_name

import deploy
from ops.chalice import dead_letters
from tests.infrastructure import documents

RUNBOOK = documents.ROOT / "docs" / "runbook.md"
ALARMS = documents.resources(documents.WORKFLOW, "AWS::CloudWatch::Alarm")
ENTRIES = dict(re.findall(r"^### `([^`]+)`\n(.*?)(?=^##|\Z)", RUNBOOK.read_text(), flags=re.MULTILINE | re.DOTALL))


def test_each_alarm_has_its_entry_and_each_entry_its_alarm() -> None:
    names = [documents.alarm_name(alarm).replace("${Stage}", "<stage>") for alarm in ALARMS.values()]
    assert sorted(ENTRIES) == sorted(name.replace("${Name}", "<function>") for name in names)


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_says_what_it_means_where_to_look_and_what_mends_it(name: str) -> None:
    found = re.findall(r"^\*\*(\w+)\.\*\* \S", ENTRIES[name], flags=re.MULTILINE)
    assert found == ["Means", "Look", "Mend"]


def test_the_entry_of_the_dead_letters_names_every_handler_whose_failed_events_come_there() -> None:
    entry = ENTRIES["sluice-<stage>-dead-letters"]
    assert [name for name in dead_letters.HANDLERS if f"`{name}`" not in entry] == []


COMMANDS = re.findall(r"(?:^|`)((?:python deploy\.py|aws) [^`\n]+)", RUNBOOK.read_text(), flags=re.MULTILINE)
HIGH_LEVEL = {("s3", "cp"), ("s3", "ls"), ("logs", "tail")}
"""Commands of the AWS CLI that are no operation of a service."""


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("aws ")])
def test_the_aws_commands_of_the_runbook_exist(command: str) -> None:
    _, service, operation, *options = command.split()
    if (service, operation) in HIGH_LEVEL:
        return
    model = botocore.session.get_session().get_service_model(service)
    known = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in known
    shape = model.operation_model(known[operation]).input_shape
    accepted = {f"--{xform_name(member, '-')}" for member in (shape.members if shape else ())} | {"--query", "--output"}
    assert {option for option in options if option.startswith("--")} <= accepted


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("python ")])
def test_the_deploy_commands_of_the_runbook_exist(command: str) -> None:
    arguments = command.removeprefix("python deploy.py ").replace("<stage>", "test").split()
    values = ["24" if each.isupper() else each for each in arguments]
    assert deploy.parser().parse_args(values).stage == "test"
