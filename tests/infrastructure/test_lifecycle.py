"""A stage's life on the emulator: up, up again, changed, seen, taken down with and without its data."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from chalicelib.aws.jobs import DynamoJobs
from chalicelib.model import Status
from ops.chalice import chalice_process, dead_letters, functions, record, removal
from ops.cloudformation import change_sets, stacks
from ops.cloudformation.change_sets import Stack
from ops.cloudformation.drift import Drift
from ops.emulation.emulator import Emulator
from ops.stage import data, deployment, inspection, leftovers, mail, rollback, workflow
from ops.stage.deployment import Options
from ops.stage.workflow import Alarms
from ops.target import NOTE, STAGE_TAG, OperatorError, Target, Tell
from tests.infrastructure.documents import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("lifecycle")]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def target(emulator: Emulator, request: pytest.FixtureRequest) -> Iterator[Target]:
    """A stage of its own for each test, gone afterwards."""
    name = "t" + format(abs(hash(request.node.name)) % 16**8, "x")
    stage = emulator.target(name)
    yield stage
    deployment.down(stage, ignore, delete_data=True)


@pytest.fixture(scope="module")
def standing(emulator: Emulator) -> Target:
    """A stage that stands, for the tests that only look at it."""
    stage = emulator.target("standing")
    up(stage)
    return stage


def ignore(_: str) -> None:
    return None


def up(target: Target, options: Options | None = None) -> deployment.Deployed:
    return deployment.up(target, options or Options(), ignore)


def plan(target: Target, options: Options | None = None) -> list[str]:
    return [str(change) for change in deployment.plan(target, options or Options(), ignore)]


def data_of(target: Target) -> list[str]:
    names = target.names
    return [f"bucket: {names.bucket('inbox')}", f"bucket: {names.bucket('results')}", f"table: {names.jobs_table}"]


def artifacts_of(target: Target) -> list[tuple[str, str]]:
    found = target.s3.list_object_versions(Bucket=target.names.bucket("artifacts"))
    return [(each["Key"], each["VersionId"]) for each in found["Versions"]]


def map_concurrency(target: Target) -> int:
    machine = target.client("stepfunctions").describe_state_machine(stateMachineArn=target.names.state_machine_arn)
    return int(json.loads(machine["definition"])["States"]["ProcessData"]["MaxConcurrency"])


def status_of(url: str, token: str = "") -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_up_twice_changes_nothing(target: Target) -> None:
    assert up(target, Options(notify=["ops@example.com"], chunk_size_bytes=4_096, max_concurrency=3)).changes
    again = up(target)
    assert again.changes == ()
    assert plan(target) == []
    assert deployment.find(target) == again


def test_the_api_lets_in_whoever_has_the_token(standing: Target) -> None:
    url = up(standing).api_url
    assert status_of(f"{url}/health") == 200
    assert status_of(f"{url}/jobs") == 401
    assert status_of(f"{url}/jobs", "wrong") == 403
    assert status_of(f"{url}/jobs", deployment.api_token(standing)) == 200


def test_what_was_chosen_stays_until_something_else_is_chosen(target: Target) -> None:
    chosen = Options(notify=["ops@example.com"], chunk_size_bytes=4_096, max_concurrency=3, architecture="arm64")
    up(target, chosen)
    up(target, Options(max_concurrency=5))
    found = target.lambda_.get_function_configuration(FunctionName=target.names.function("process-chunk"))
    assert found["Architectures"] == ["arm64"]
    for topic in (target.names.notices_topic_arn, target.names.alarms_topic_arn):
        subscriptions = target.client("sns").list_subscriptions_by_topic(TopicArn=topic)
        assert [each["Endpoint"] for each in subscriptions["Subscriptions"]] == ["ops@example.com"]
    environment = environment_of(target, "process-chunk")
    assert environment["SLUICE_CHUNK_SIZE_BYTES"] == "4096"
    machine = target.client("stepfunctions").describe_state_machine(stateMachineArn=target.names.state_machine_arn)
    assert json.loads(machine["definition"])["States"]["ProcessData"]["MaxConcurrency"] == 5


def test_an_address_that_sns_mails_no_more_is_told_and_subscribed_again(target: Target) -> None:
    """SNS takes a subscription away that was held back for its number of messages and was not confirmed again."""
    up(target, Options(notify=["ops@example.com", "dev@example.com"]))
    sns, topic = target.client("sns"), target.names.alarms_topic_arn

    def subscribed() -> dict[str, str]:
        listed = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        return {each["Endpoint"]: each["SubscriptionArn"] for each in listed}

    alarms = f"{target.names.prefix}-alarms"
    sns.unsubscribe(SubscriptionArn=subscribed()["dev@example.com"])
    gone = [line for line in mail.not_mailed(target) if "any more" in line]
    assert gone == [f"dev@example.com gets nothing of {alarms} any more: run `up`"]
    again = f"{alarms}: subscribed dev@example.com again, who has to confirm it"
    assert again in up(target).changes
    assert again not in up(target).changes
    # The stack does not know of it: it has to go with the address all the same.
    up(target, Options(notify=["ops@example.com"]))
    assert list(subscribed()) == ["ops@example.com"]
    # As of a stage that an earlier release has deployed.
    sns.delete_topic(TopicArn=topic)
    assert not [line for line in mail.not_mailed(target) if alarms in line]
    assert not [line for line in up(target).changes if alarms in line]


def test_alarms_are_tuned_and_stay_so(target: Target) -> None:
    up(target)
    assert "no-upload" not in alarms_of(target)
    up(target, Options(alarms=Alarms(rejected_percent=5, job_age_minutes=90, no_upload_hours=168)))
    assert up(target).changes == ()
    found = alarms_of(target)
    assert found["rejected-percent"]["Threshold"] == 5
    assert found["oldest-job"]["Threshold"] == 5_400
    assert found["no-upload"]["EvaluationPeriods"] * found["no-upload"]["Period"] == 7 * 86_400
    up(target, Options(alarms=Alarms(no_upload_hours=0)))
    assert "no-upload" not in alarms_of(target)


def alarms_of(target: Target) -> dict[str, Any]:
    """The stage's alarms, by what comes after its prefix."""
    prefix = f"{target.names.prefix}-"
    pages = target.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix)
    return {alarm["AlarmName"].removeprefix(prefix): alarm for page in pages for alarm in page["MetricAlarms"]}


def test_each_kind_of_change_reaches_its_part_only(target: Target) -> None:
    up(target)
    (change,) = up(target, Options(chunk_size_bytes=8_192)).changes
    assert change.startswith("functions: deployed")
    (change,) = up(target, Options(max_concurrency=7)).changes
    assert "Modify Workflow (AWS::StepFunctions::StateMachine)" in change


BROKEN_POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "none"}]}
"""IAM takes it for no policy."""

ANYTHING = {"Sid": "Anything", "Effect": "Allow", "Action": "*", "Resource": "*"}


def changed_definition(folder: Path) -> Path:
    path = folder / "statemachine.json"
    path.write_text(workflow.DEFINITION.read_text().replace('"TimeoutSeconds": 21600', '"TimeoutSeconds": 21601'))
    return path


def test_a_plan_tells_and_changes_nothing(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(target)
    for line in (
        f"{target.names.foundation_stack}: Add InboxBucket (AWS::S3::Bucket)",
        "functions: process-chunk: function (none) → created",
        f"{target.names.workflow_stack}: Add Workflow (AWS::StepFunctions::StateMachine)",
    ):
        assert line in planned
    assert leftovers.find(target) == []
    up(target)
    before, stored = leftovers.find(target), artifacts_of(target)
    monkeypatch.setattr(workflow, "DEFINITION", changed_definition(tmp_path))
    (planned_workflow,) = plan(target)
    assert "Modify Workflow (AWS::StepFunctions::StateMachine)" in planned_workflow
    assert artifacts_of(target) == stored  # not even the definition
    monkeypatch.undo()
    planned = plan(target, Options(chunk_size_bytes=1))
    assert "functions: process-chunk: environment SLUICE_CHUNK_SIZE_BYTES (none) → 1" in planned
    assert {line.rpartition(": ")[2] for line in planned} == {"environment SLUICE_CHUNK_SIZE_BYTES (none) → 1"}
    assert environment_of(target, "process-chunk").get("SLUICE_CHUNK_SIZE_BYTES") is None
    assert leftovers.find(target) == before


def test_down_keeps_the_data_and_nothing_else(target: Target) -> None:
    inbox = up(target).inbox_bucket
    version = target.s3.put_object(Bucket=inbox, Key="kept/a.csv", Body=b"a\n1\n")["VersionId"]
    assert deployment.down(target, ignore) == data_of(target)
    kept = target.s3.get_object(Bucket=inbox, Key="kept/a.csv", VersionId=version)
    assert kept["Body"].read() == b"a\n1\n"


def test_the_next_deployment_adopts_the_kept_data(target: Target) -> None:
    inbox = up(target).inbox_bucket
    target.s3.put_object(Bucket=inbox, Key="contracts/orders.json", Body=b"{}")
    deployment.down(target, ignore)
    assert up(target).inbox_bucket == inbox
    assert up(target).changes == ()
    assert target.s3.get_object(Bucket=inbox, Key="contracts/orders.json")["Body"].read() == b"{}"
    notifications = target.s3.get_bucket_notification_configuration(Bucket=inbox)
    assert "EventBridgeConfiguration" in notifications
    assert len(notifications["LambdaFunctionConfigurations"]) == 2


def test_what_of_the_adopted_data_is_not_as_it_should_be_is_told(target: Target) -> None:
    results = up(target).results_bucket
    deployment.down(target, ignore)
    target.s3.put_bucket_versioning(Bucket=results, VersioningConfiguration={"Status": "Suspended"})
    told: list[str] = []
    deployment.up(target, Options(), told.append)
    notes = [line for line in told if line.startswith(NOTE)]
    assert notes == [
        "note: ResultsBucket was adopted as it is, and differs from the template: "
        "/VersioningConfiguration/Status: Enabled → Suspended"
    ]


def test_down_with_the_data_leaves_nothing(target: Target) -> None:
    inbox = up(target).inbox_bucket
    for body in (b"1", b"2"):
        target.s3.put_object(Bucket=inbox, Key="kept/a.csv", Body=body)
    target.s3.delete_object(Bucket=inbox, Key="kept/a.csv")  # two versions and a delete marker
    assert deployment.down(target, ignore, delete_data=True) == []
    assert deployment.down(target, ignore, delete_data=True) == []  # and once more, with nothing there


def test_a_log_that_came_late_goes_too_and_no_other_stages(target: Target) -> None:
    logs, late = target.client("logs"), f"/aws/lambda/{target.names.function('on-upload')}"
    neighbours = late.replace(target.names.prefix, f"{target.names.prefix}x")
    for group in (late, neighbours):
        logs.create_log_group(logGroupName=group)  # as the emulator does when an invocation ends after its stack
    assert deployment.down(target, ignore) == []
    assert [each["logGroupName"] for each in logs.describe_log_groups(logGroupNamePrefix=late[:-10])["logGroups"]] == [
        neighbours
    ]
    logs.delete_log_group(logGroupName=neighbours)


def test_the_inbox_tells_eventbridge_and_the_handlers(standing: Target) -> None:
    found = standing.s3.get_bucket_notification_configuration(Bucket=up(standing).inbox_bucket)
    assert "EventBridgeConfiguration" in found
    prefixes = {
        rule["Value"]
        for each in found["LambdaFunctionConfigurations"]
        for rule in each["Filter"]["Key"]["FilterRules"]
        if rule["Name"].lower() == "prefix"
    }
    assert prefixes == {"incoming/", "contracts/"}


def test_every_kind_of_resource_is_found_while_it_exists(standing: Target) -> None:
    """Else "nothing is left" would prove nothing. The emulator's stages have no layer."""
    kinds = {line.partition(":")[0] for line in leftovers.find(standing)}
    assert kinds == {
        *("stack", "bucket", "table", "function", "role", "rule", "state machine", "topic", "queue"),
        *("alarm", "dashboard", "log group", "parameter", "API"),
    }


def test_rules_are_called_as_the_code_calls_them(standing: Target) -> None:
    names = standing.names
    listed = standing.client("events").list_rules(NamePrefix=f"{names.prefix}-")["Rules"]
    made = {names.upload_rule, names.rule("on-execution-status"), names.rule("sweep")}
    assert {rule["Name"] for rule in listed} == made


def test_up_twice_uploads_nothing(target: Target) -> None:
    up(target)
    stored = artifacts_of(target)
    up(target)
    assert artifacts_of(target) == stored


def interrupted(target: Target, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, act: Any) -> None:
    """Do it, and have it interrupted where ``module.name`` is called."""
    with monkeypatch.context() as patched:
        patched.setattr(module, name, Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            act(target)


def kinds_of(target: Target) -> Counter[str]:
    return Counter(line.partition(":")[0] for line in leftovers.find(target))


def test_an_up_that_is_interrupted_anywhere_is_gone_on_with(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [(stacks, "_wait"), (deployment, "_ensure_token"), (chalice_process, "run"), (record, "save")]
    places += [(dead_letters, "catch"), (record, "save_build"), (workflow, "upload_definition")]
    for module, name in places:
        interrupted(target, monkeypatch, module, name, up)
    assert up(target).changes
    assert up(target).changes == ()
    assert plan(target) == []
    for name in dead_letters.HANDLERS:
        kept = target.lambda_.get_function_event_invoke_config(FunctionName=target.names.function(name))
        assert kept["DestinationConfig"]["OnFailure"] == {"Destination": target.names.dead_letters_arn}
    assert len([key for key, _ in artifacts_of(target) if key.startswith(record.BUILDS_PREFIX)]) == 1
    found = kinds_of(target)
    assert (found["function"], found["API"]) == (12, 1)


def test_a_down_that_is_interrupted_anywhere_is_gone_on_with(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    up(target)
    places = [(workflow, "stop"), (workflow, "wait_until_gone"), (removal, "_delete_rule")]
    places += [(removal, "_delete_function"), (removal, "_delete_role"), (record, "forget")]
    places += [(data, "empty"), (data, "_delete_table"), (data, "delete_late_logs")]
    for module, name in places:
        interrupted(target, monkeypatch, module, name, lambda stage: deployment.down(stage, ignore, delete_data=True))
    assert deployment.down(target, ignore, delete_data=True) == []


def test_what_was_made_and_never_recorded_is_found_all_the_same(target: Target) -> None:
    """As where the process was killed between the two."""
    for again in (up, lambda stage: deployment.down(stage, ignore, delete_data=True)):
        up(target)
        target.s3.delete_object(Bucket=target.names.bucket("artifacts"), Key=record.RECORD_KEY)
        again(target)
        assert kinds_of(target)["API"] == (1 if again is up else 0)
    assert leftovers.find(target) == []


def test_one_changes_a_stage_at_a_time(target: Target, emulator: Emulator) -> None:
    other = emulator.target(target.stage)
    refused = []

    def meanwhile(line: str) -> None:
        if line not in ("foundation", "workflow"):
            return
        for act in (up, lambda stage: deployment.down(stage, ignore)):
            with pytest.raises(OperatorError, match=r"^up of this stage is under way, by .* delete-parameter") as told:
                act(other)
            refused.append(str(told.value))

    deployment.up(target, Options(), meanwhile)
    assert len(refused) == 4
    assert up(other).changes == ()
    target.client("ssm").put_parameter(Name=target.names.lock_parameter, Value="{}", Type="String")
    assert f"parameter: {target.names.lock_parameter}" in leftovers.find(target)
    with pytest.raises(OperatorError, match="is under way"):
        up(target)
    target.client("ssm").delete_parameter(Name=target.names.lock_parameter)


def test_a_small_account_is_not_filled_by_one_file(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"AccountLimit": {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 10}}
    monkeypatch.setattr(target.lambda_, "get_account_settings", lambda: limits)
    told: list[str] = []
    deployment.up(target, Options(), told.append)
    assert map_concurrency(target) == 5
    assert "note: 5 chunks of a file at the same time, not 100: this account runs 10 functions at once" in told
    up(target, Options(max_concurrency=3))
    assert map_concurrency(target) == 3
    up(target, Options(max_concurrency=6))
    assert map_concurrency(target) == 5
    assert up(target).changes == ()


def test_lost_notifications_are_put_back(target: Target) -> None:
    inbox = up(target).inbox_bucket
    before = target.s3.get_bucket_notification_configuration(Bucket=inbox)
    target.s3.put_bucket_notification_configuration(Bucket=inbox, NotificationConfiguration={})
    assert up(target).changes == ("functions: deployed 12",)
    after = target.s3.get_bucket_notification_configuration(Bucket=inbox)
    assert "EventBridgeConfiguration" in after
    functions_told = {each["LambdaFunctionArn"] for each in after["LambdaFunctionConfigurations"]}
    assert functions_told == {each["LambdaFunctionArn"] for each in before["LambdaFunctionConfigurations"]}
    assert up(target).changes == ()


@pytest.mark.parametrize("end", [OperatorError, KeyboardInterrupt])
def test_a_change_set_that_failed_leaves_no_stack(
    target: Target, monkeypatch: pytest.MonkeyPatch, end: type[BaseException]
) -> None:
    def failing(*_: Any) -> Any:
        placeholder, held = f"stack: {target.names.foundation_stack}", f"parameter: {target.names.lock_parameter}"
        assert leftovers.find(target) == [placeholder, held]
        raise end

    monkeypatch.setattr(change_sets, "_changes", failing)
    with pytest.raises(end):
        up(target)
    assert leftovers.find(target) == []


def test_a_placeholder_is_found_and_deleted(target: Target) -> None:
    name = target.names.workflow_stack
    template = "Resources: {Topic: {Type: AWS::SNS::Topic}}"
    target.cloudformation.create_change_set(
        StackName=name, ChangeSetName="interrupted", ChangeSetType="CREATE", TemplateBody=template
    )
    assert leftovers.find(target) == [f"stack: {name}"]
    assert stacks.describe(target, name) is None
    assert deployment.down(target, ignore) == []


def test_down_ends_running_jobs_first(target: Target) -> None:
    deployed = up(target)
    client = target.client("stepfunctions")
    machine = client.describe_state_machine(stateMachineArn=deployed.state_machine_arn)
    waits = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}}
    client.update_state_machine(stateMachineArn=deployed.state_machine_arn, definition=json.dumps(waits))
    assert machine["status"] == "ACTIVE"
    target.s3.put_object(Bucket=deployed.inbox_bucket, Key="incoming/orders/a.csv", Body=b"a\n1\n")
    jobs = DynamoJobs(target.names.jobs_table, target.client("dynamodb"))
    deadline = time.monotonic() + 60
    while not (workflow._running(target) and jobs.list().jobs):
        assert time.monotonic() < deadline, "the upload started nothing"
        time.sleep(0.05)
    (execution,) = workflow._running(target)
    (job,) = jobs.list().jobs
    source = job.source
    assert jobs.claim(source, execution, "2026-11-24T00:00:00.000Z") is not None  # as ValidateData does
    assert deployment.down(target, ignore) == data_of(target)
    (job,) = jobs.list().jobs
    assert job.status is Status.FAILED
    assert job.error is not None
    assert job.error.code == "aborted"


def test_stages_live_beside_each_other(target: Target, emulator: Emulator) -> None:
    neighbour = emulator.target(f"{target.stage}x")
    try:
        up(target)
        url = up(neighbour).api_url
        assert deployment.down(target, ignore, delete_data=True) == []
        assert status_of(f"{url}/jobs", deployment.api_token(neighbour)) == 200
        assert up(neighbour).changes == ()
    finally:
        deployment.down(neighbour, ignore, delete_data=True)


def test_a_second_region_does_no_harm(standing: Target) -> None:
    up(standing)
    elsewhere = replace(standing, region="eu-west-1")
    before = leftovers.find(standing)
    for act in (up, plan, lambda stage: deployment.down(stage, ignore, delete_data=True)):
        with pytest.raises(OperatorError, match=rf'^stage "{standing.stage}" stands in {standing.region}'):
            act(elsewhere)
    assert leftovers.find(standing) == before
    assert up(standing).changes == ()


def test_what_is_another_tools_outlives_the_stage_though_it_is_named_alike(target: Target) -> None:
    up(target)
    lambda_, events, logs = target.lambda_, target.client("events"), target.client("logs")
    name = f"{target.names.prefix}-ci"
    role = target.client("iam").get_role(RoleName=target.names.role("notify"))["Role"]["Arn"]
    code: Any = {"ZipFile": archived("handler.py", "def handler(event, context): ...")}
    lambda_.create_function(FunctionName=name, Role=role, Runtime="python3.13", Handler="handler.handler", Code=code)
    rules = (f"{name}-nightly", f"{target.names.upload_rule}-audit", f"{target.names.prefix}-sweepings")
    for rule in rules:
        events.put_rule(Name=rule, ScheduleExpression="rate(1 day)")
    group = f"/aws/lambda/{name}"
    logs.create_log_group(logGroupName=group)
    assert deployment.down(target, ignore, delete_data=True) == []
    assert lambda_.get_function(FunctionName=name)["Configuration"]["FunctionName"] == name
    assert [events.describe_rule(Name=rule)["State"] for rule in rules] == ["ENABLED"] * 3
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    lambda_.delete_function(FunctionName=name)
    for rule in rules:
        events.delete_rule(Name=rule)
    logs.delete_log_group(logGroupName=group)


def archived(name: str, text: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, text)
    return packed.getvalue()


def test_roles_are_freed_before_cloudformation_has_to_delete_them(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CloudFormation takes away only what it has given a role, and IAM then refuses to delete it."""
    up(target)
    iam, role = target.client("iam"), target.names.role("workflow")
    nothing = {"Effect": "Deny", "Action": "iam:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [nothing]})
    guardrail = iam.create_policy(PolicyName=f"{target.stage}-guardrail", PolicyDocument=policy)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=role, PolicyArn=guardrail)
    attached: list[str] = []
    told: list[str] = []
    delete = stacks.delete

    def watched(target: Target, name: str, tell: Tell) -> bool:
        if name == target.names.workflow_stack:
            attached.extend(
                each["PolicyArn"] for each in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
            )
        return delete(target, name, tell)

    with monkeypatch.context() as patched:
        patched.setattr(stacks, "delete", watched)
        assert deployment.down(target, told.append, delete_data=True) == []
    assert attached == []
    assert f"{NOTE}detached {guardrail} from {role}" in told
    iam.delete_policy(PolicyArn=guardrail)


def test_what_another_version_made_goes_with_the_stage(target: Target) -> None:
    """Known by the tag alone: this version has no function of that name."""
    names, tags = target.names, {STAGE_TAG: target.stage}
    name, group = f"{names.prefix}-of-another-version", f"/aws/lambda/{names.prefix}-of-another-version"
    up(target)
    role = target.client("iam").get_role(RoleName=names.role("notify"))["Role"]["Arn"]
    code: Any = {"ZipFile": archived("handler.py", "def handler(event, context): ...")}
    target.lambda_.create_function(
        FunctionName=name, Role=role, Runtime="python3.13", Handler="handler.handler", Code=code, Tags=tags
    )
    target.client("events").put_rule(
        Name=name, ScheduleExpression="rate(1 day)", Tags=[{"Key": STAGE_TAG, "Value": target.stage}]
    )
    target.client("logs").create_log_group(logGroupName=group, tags=tags)
    made = {f"function: {name}", f"rule: {name}", f"log group: {group}"}
    assert made <= set(leftovers.find(target))
    assert deployment.down(target, ignore, delete_data=True) == []
    assert not made & set(leftovers.find(target))


def test_what_is_not_of_the_stage_in_its_region_outlives_it_and_is_not_told_as_left(target: Target) -> None:
    up(target)
    iam, role = target.client("iam"), f"{target.names.prefix}-ci"  # the operator's own
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}))
    kept = replace(target.names, region="eu-west-1").bucket("results")  # from when the stage stood there
    target.s3.create_bucket(Bucket=kept)
    assert deployment.down(target, ignore, delete_data=True) == []
    assert iam.get_role(RoleName=role)
    iam.delete_role(RoleName=role)
    target.s3.delete_bucket(Bucket=kept)


def test_every_function_is_as_configured(standing: Target) -> None:
    deployed = up(standing)
    configured = functions.template()["lambda_functions"]
    for name, settings in configured.items():
        found = standing.lambda_.get_function_configuration(FunctionName=standing.names.function(name))
        assert found["MemorySize"] == settings["lambda_memory_size"]
        assert found["Timeout"] == settings["lambda_timeout"]
        assert found["Runtime"] == "python3.13"
        assert found["State"] == "Active"
        assert found["TracingConfig"]["Mode"] == "Active"
        assert found["Role"].endswith(f":role/{standing.names.role(name)}")
        (policy,) = standing.client("iam").list_role_policies(RoleName=standing.names.role(name))["PolicyNames"]
        document = standing.client("iam").get_role_policy(RoleName=standing.names.role(name), PolicyName=policy)
        assert document["PolicyDocument"] == functions.policy(name, standing.names)
        tags = standing.client("iam").list_role_tags(RoleName=standing.names.role(name))["Tags"]
        assert {"Key": STAGE_TAG, "Value": deployed.stage} in tags


def test_what_was_changed_by_hand_is_told_and_deployed_again(target: Target) -> None:
    up(target)
    names, results = target.names, target.names.bucket("results")
    target.lambda_.delete_function(FunctionName=names.function("sweep"))
    target.lambda_.update_function_configuration(FunctionName=names.function("notify"), MemorySize=1024)
    target.client("iam").put_role_policy(
        RoleName=names.role("authorize"),
        PolicyName=names.role("authorize"),
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [ANYTHING]}),
    )
    target.s3.put_bucket_versioning(Bucket=results, VersioningConfiguration={"Status": "Suspended"})
    drifted = {each.name: each.drift for each in inspection.inspect(target, ignore).resources}
    assert drifted["sweep"].state == "DELETED"
    assert drifted["notify"] == Drift("MODIFIED", ("memory: 256 → 1024",))
    assert f"policy Anything:  → {json.dumps(ANYTHING, sort_keys=True)}" in drifted["authorize"].differences
    assert drifted["ResultsBucket"] == Drift("MODIFIED", ("/VersioningConfiguration/Status: Enabled → Suspended",))
    assert drifted["InboxBucket"] == drifted["validate-data"] == Drift("IN_SYNC")
    assert drifted["Dashboard"] == drifted["rest_api"] == Drift("NOT_CHECKED")  # not pretended to be in order
    planned = plan(target)
    assert "functions: sweep: function (none) → created" in planned
    assert "functions: notify: memory 1024 → 256" in planned
    assert up(target).changes == ("functions: deployed 12",)
    assert plan(target) == []


def test_status_tells_what_it_could_not_find_out(standing: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = ClientError({"Error": {"Code": "InvalidAction", "Message": "unknown"}}, "DetectStackDrift")
    monkeypatch.setattr(standing.cloudformation, "detect_stack_drift", Mock(side_effect=refused))
    found = inspection.inspect(standing, ignore)
    assert f"drift of {standing.names.workflow_stack} is not known: this endpoint has no drift detection" in found.notes
    assert {each.drift.state for each in found.resources if each.part != "functions"} == {"NOT_CHECKED"}
    assert {each.state for each in found.resources} == {"CREATE_COMPLETE", "Active", "AVAILABLE"}


def test_every_resource_carries_the_stages_tag(standing: Target) -> None:
    """CloudFormation hands the stack's tags to all that can carry some (test_templates.py), the emulator to fewer."""
    up(standing)
    expected = {"Key": STAGE_TAG, "Value": standing.stage}
    not_handed_on = {"bucket", "dashboard"}
    untagged = [
        name
        for kind, name in (line.split(": ", 1) for line in leftovers.find(standing))
        if kind not in not_handed_on and expected not in tags_of(standing, kind, name)
    ]
    assert untagged == [f"{standing.names.prefix}-uploads"]  # the rule of the workflow's stack


def tags_of(target: Target, kind: str, name: str) -> list[dict[str, str]]:
    """Asked of the service itself: the index of tags lags behind on AWS, and has some kinds only in the emulator."""
    client, names = target.client, target.names
    tags: Any
    match kind:
        case "stack":
            tags = target.cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Tags"]
        case "table":
            table = names.arn("dynamodb", f"table/{name}")
            tags = client("dynamodb").list_tags_of_resource(ResourceArn=table)["Tags"]
        case "function":
            tags = target.lambda_.list_tags(Resource=names.arn("lambda", f"function:{name}"))["Tags"]
        case "rule":
            tags = client("events").list_tags_for_resource(ResourceARN=names.arn("events", f"rule/{name}"))["Tags"]
        case "topic":
            tags = client("sns").list_tags_for_resource(ResourceArn=name)["Tags"]
        case "queue":
            tags = client("sqs").list_queue_tags(QueueUrl=name)["Tags"]
        case "role":
            tags = client("iam").list_role_tags(RoleName=name)["Tags"]
        case "state machine":
            tags = client("stepfunctions").list_tags_for_resource(resourceArn=names.state_machine_arn)["tags"]
        case "alarm":
            tags = client("cloudwatch").list_tags_for_resource(ResourceARN=names.arn("cloudwatch", f"alarm:{name}"))
            tags = tags["Tags"]
        case "log group":
            tags = client("logs").list_tags_for_resource(resourceArn=names.arn("logs", f"log-group:{name}"))["tags"]
        case "parameter":
            tags = client("ssm").list_tags_for_resource(ResourceType="Parameter", ResourceId=name)["TagList"]
        case "API":
            tags = client("apigateway").get_rest_api(restApiId=name)["tags"]
        case _:
            raise AssertionError(f"how is a {kind} tagged?")
    if isinstance(tags, dict):
        return [{"Key": key, "Value": value} for key, value in tags.items()]
    return [{key.capitalize(): value for key, value in tag.items()} for tag in tags]


def test_what_has_the_tag_and_another_name_is_found_too(target: Target) -> None:
    topic = target.client("sns").create_topic(Name="another-name", Tags=[{"Key": STAGE_TAG, "Value": target.stage}])
    try:
        assert leftovers.find(target) == [f"tagged: {topic['TopicArn']}"]
    finally:
        target.client("sns").delete_topic(TopicArn=topic["TopicArn"])


def test_a_failed_deployment_says_why_and_the_next_goes_on(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    real = functions.policy

    def broken(function: str, *arguments: Any) -> dict[str, Any]:
        """IAM refuses it for the sweeper, after other functions were made."""
        return BROKEN_POLICY if function == "sweep" else real(function, *arguments)

    monkeypatch.setattr(functions, "policy", broken)
    with pytest.raises(rollback.UpFailed, match="deployed in part") as caught:
        up(target)
    assert caught.value.rolled_back == []  # there was nothing before
    foundation, there, workflow_stack = caught.value.stands
    assert foundation == f"{target.names.foundation_stack}: CREATE_COMPLETE"
    assert re.fullmatch(r"functions: \d+ of 12, deployed in part", there)
    assert workflow_stack == f"{target.names.workflow_stack}: none"
    made = [line for line in leftovers.find(target) if line.startswith("function:")]
    assert 0 < len(made) < 12
    monkeypatch.setattr(functions, "policy", real)
    assert up(target).changes
    assert len([line for line in leftovers.find(target) if line.startswith("API:")]) == 1


def test_a_failed_change_goes_back_to_what_stood(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Options(chunk_size_bytes=8_192, notify=["ops@example.com"])
    url = up(target, Options(chunk_size_bytes=4_096)).api_url
    real_policy, real_stack = functions.policy, workflow.stack

    def broken_policy(function: str, *arguments: Any) -> dict[str, Any]:
        return BROKEN_POLICY if function == "sweep" else real_policy(function, *arguments)

    def broken_stack(*arguments: Any) -> Stack:
        stack = real_stack(*arguments)
        return replace(stack, parameters={**stack.parameters, "DefinitionKey": "workflow/missing.json"})

    for module, name, broken in ((functions, "policy", broken_policy), (workflow, "stack", broken_stack)):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, broken)
            with pytest.raises(rollback.UpFailed) as caught:
                up(target, wanted)
        assert caught.value.rolled_back == ["foundation", "functions"]
        assert "functions: 12 of 12, as last deployed" in caught.value.stands
        assert environment_of(target, "process-chunk")["SLUICE_CHUNK_SIZE_BYTES"] == "4096"
        assert status_of(f"{url}/jobs", deployment.api_token(target)) == 200
        subscribed = target.client("sns").list_subscriptions_by_topic(TopicArn=target.names.notices_topic_arn)
        assert "ops@example.com" not in {each["Endpoint"] for each in subscribed["Subscriptions"]}
    assert plan(target) == []
    assert up(target, wanted).changes


def test_a_stack_that_never_stood_is_replaced(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    real = workflow.stack

    def without_definition(*arguments: Any, **keywords: Any) -> Stack:
        stack = real(*arguments, **keywords)
        return replace(stack, parameters={**stack.parameters, "DefinitionKey": "workflow/missing.json"})

    monkeypatch.setattr(workflow, "stack", without_definition)
    with pytest.raises(OperatorError, match="ROLLBACK_COMPLETE") as caught:
        up(target)
    assert "Workflow (AWS::StepFunctions::StateMachine) CREATE_FAILED" in str(caught.value)
    monkeypatch.setattr(workflow, "stack", real)
    (planned,) = plan(target)
    assert "ROLLBACK_COMPLETE: will be deleted and created anew" in planned
    up(target)
    stack = stacks.describe(target, target.names.workflow_stack)
    assert stack is not None
    assert stack["StackStatus"] == "CREATE_COMPLETE"


def test_the_command_line(target: Target, emulator: Emulator) -> None:
    def deploy(command: str, *options: str) -> tuple[int, Any, str]:
        done = subprocess.run(
            [sys.executable, "deploy.py", command, "--stage", target.stage, "--json", *options],
            cwd=ROOT,
            env={**os.environ, **emulator.environment, "AWS_SESSION_TOKEN": ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr

    assert deploy("plan")[1]["changes"]
    status, deployed, _ = deploy("up", "--max-concurrency", "2")
    assert status == 0
    assert replace(deployment.Deployed(**deployed), changes=()) == deployment.find(target)
    assert deploy("up")[1]["changes"] == []
    assert deploy("plan")[1] == {"stage": target.stage, "changes": []}
    status, found, _ = deploy("status")
    assert status == 0
    assert {each["drift"]["state"] for each in found["resources"]} == {"IN_SYNC", "NOT_CHECKED"}
    assert found["jobs"] == []
    assert found["deployed"]["api_url"] == deployed["api_url"]
    assert f"bucket: {deployed['inbox_bucket']}" in found["existing"]
    status, nothing, error = deploy("down")
    assert (status, nothing) == (1, None)
    assert "--yes" in error
    status, removed, _ = deploy("down", "--yes")
    assert (status, removed["kept"], removed["left"]) == (0, data_of(target), [])
    status, removed, _ = deploy("down", "--yes", "--delete-data")
    assert (status, removed["kept"], removed["left"]) == (0, [], [])
    assert deploy("status")[1]["existing"] == []
    assert deploy("up", "--chunk-size", "0")[0] == 2


def environment_of(target: Target, function: str) -> dict[str, str]:
    found = target.lambda_.get_function_configuration(FunctionName=target.names.function(function))
    return found["Environment"]["Variables"]
