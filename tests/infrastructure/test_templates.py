"""The two CloudFormation templates."""

from __future__ import annotations

from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from cfnlint.api import ManualArgs, lint_file
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from chalice.app import S3EventConfig

from app import SETTINGS, app
from chalicelib import sweeper
from ops.chalice import functions, removal
from ops.cloudformation.change_sets import TEMPLATE_LIMIT_BYTES
from ops.stage import regions
from tests.infrastructure import documents

TEMPLATES = [documents.FOUNDATION, documents.WORKFLOW]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_the_linter_finds_nothing(path: Path) -> None:
    findings = lint_file(path, config=ManualArgs(regions=["us-east-1", "eu-central-1"], include_checks=["I"]))
    assert [str(finding) for finding in findings] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_everything_that_can_be_tagged_takes_the_stacks_tags(path: Path) -> None:
    kinds = {resource["Type"] for resource in documents.resources(path).values()}
    schemas = {kind: PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema for kind in kinds}
    untaggable = {kind for kind, schema in schemas.items() if not schema.get("tagging", {}).get("taggable")}
    parts_of_others = {"AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"}
    assert untaggable <= parts_of_others | {"AWS::SNS::Subscription"}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_fits_into_the_request(path: Path) -> None:
    assert len(path.read_bytes()) < TEMPLATE_LIMIT_BYTES * 0.8


def test_data_outlives_the_stack_and_nothing_else_does() -> None:
    kept = {
        name
        for path in TEMPLATES
        for name, resource in documents.resources(path).items()
        if resource.get("DeletionPolicy", "Delete") != "Delete"
    }
    assert kept == {"InboxBucket", "ResultsBucket", "JobsTable"}
    for name in kept:
        resource = documents.resources(documents.FOUNDATION)[name]
        # A first deployment that fails leaves nothing behind; and only what is retained can be adopted again.
        assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
        assert resource["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize("name", ["InboxBucket", "ResultsBucket", "ArtifactsBucket"])
def test_a_bucket_is_versioned_encrypted_and_closed(name: str) -> None:
    found = documents.resources(documents.FOUNDATION)
    bucket = found[name]["Properties"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert any("AbortIncompleteMultipartUpload" in rule for rule in bucket["LifecycleConfiguration"]["Rules"])
    (statement,) = found[f"{name}Policy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Action"], statement["Principal"]) == ("Deny", "s3:*", "*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert documents.template(documents.FOUNDATION)["Parameters"]["RequireTls"]["Default"] == "true"


def test_the_sweeper_looks_as_far_back_as_the_inbox_lets_an_upload_take() -> None:
    """A lifecycle rule acts at the midnight (UTC) after its days are over:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html
    """
    rules = documents.resources(documents.FOUNDATION)["InboxBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    (days,) = [
        rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]
        for rule in rules
        if "AbortIncompleteMultipartUpload" in rule
    ]
    assert timedelta(days=days + 1) == sweeper.LONGEST_UPLOAD


def test_the_inbox_tells_eventbridge_and_no_data_expires_but_work_and_what_was_replaced() -> None:
    found = documents.resources(documents.FOUNDATION)
    inbox, results = found["InboxBucket"]["Properties"], found["ResultsBucket"]["Properties"]
    assert inbox["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    assert "NotificationConfiguration" not in results  # a result never starts a job
    rules = inbox["LifecycleConfiguration"]["Rules"] + results["LifecycleConfiguration"]["Rules"]
    assert [rule["Prefix"] for rule in rules if "ExpirationInDays" in rule] == ["work/"]
    replaced = {
        rule["Prefix"]: rule["NoncurrentVersionExpiration"] for rule in rules if "NoncurrentVersionExpiration" in rule
    }
    # The inbox has none: each version of an upload is a job's source.
    assert replaced == {
        "work/": {"NoncurrentDays": 1},
        "datasets/": {"NoncurrentDays": 30},
        "jobs/": {"NoncurrentDays": 30},
    }


def test_the_jobs_table_has_the_indexes_that_the_code_asks() -> None:
    table = documents.resources(documents.FOUNDATION)["JobsTable"]["Properties"]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert "TimeToLiveSpecification" not in table
    keys = {
        index["IndexName"]: [key["AttributeName"] for key in index["KeySchema"]]
        for index in table["GlobalSecondaryIndexes"]
    }
    assert keys == {
        "by-received": ["kind", "received_at"],
        "by-dataset": ["dataset", "received_at"],
        "by-status": ["status", "received_at"],
    }


def test_alarms_can_publish_to_their_topic() -> None:
    found = documents.resources(documents.FOUNDATION)
    assert "KmsMasterKeyId" not in found["AlarmsTopic"]["Properties"]  # alias/aws/sns would shut alarms out
    (statement,) = found["AlarmsTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}  # no rule targets the topic
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_who_may_tell_notices_is_left_to_the_roles_policies() -> None:
    """Without a policy of its own, a topic lets everybody of the account publish."""
    found = documents.resources(documents.FOUNDATION)
    (statement,) = found["NoticesTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}


def test_the_rule_starts_the_workflow_for_every_upload_and_keeps_what_it_cannot_start() -> None:
    found = documents.resources(documents.WORKFLOW)
    rule = found["UploadRule"]["Properties"]
    assert rule["EventPattern"] == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [{"Ref": "InboxBucket"}]}, "object": {"key": [{"prefix": "incoming/"}]}},
    }
    (target,) = rule["Targets"]
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185}
    assert target["DeadLetterConfig"] == {"Arn": {"Ref": "DeadLetterQueue"}}
    assert "Input" not in target
    assert "InputPath" not in target  # the workflow's input is the whole event
    (policy,) = found["UploadRuleRole"]["Properties"]["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Action"], statement["Resource"]) == ("states:StartExecution", {"Ref": "Workflow"})
    queue = documents.resources(documents.FOUNDATION)["DeadLetterQueuePolicy"]["Properties"]
    (sender,) = queue["PolicyDocument"]["Statement"]
    arn = documents.resolve(sender["Condition"]["ArnEquals"]["aws:SourceArn"])
    assert arn == documents.NAMES.arn("events", f"rule/{documents.resolve(rule['Name'])}")


def test_the_state_machine_and_its_map_alone_take_on_the_workflows_role() -> None:
    role = documents.resources(documents.WORKFLOW)["WorkflowRole"]["Properties"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "states.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    machine = documents.NAMES.state_machine_arn
    arns = [documents.resolve(each) for each in statement["Condition"]["ArnLike"]["aws:SourceArn"]]
    assert arns == [machine, f"{machine}/*"]
    (label,) = [state["Label"] for _, state in documents.states(documents.definition()) if "ItemProcessor" in state]
    assert fnmatchcase(f"{machine}/{label}", arns[1])
    assert not any(fnmatchcase(f"{machine}{other}", each) for other in ("x", "x/Chunks", "-x") for each in arns)


def test_every_log_group_has_a_retention() -> None:
    groups = {**documents.resources(documents.FOUNDATION, "AWS::Logs::LogGroup")}
    groups |= documents.resources(documents.WORKFLOW, "AWS::Logs::LogGroup")
    assert len(groups) == 2  # one for the workflow, and one in the loop over the functions
    assert all(group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups.values())


def test_names_in_the_templates_are_those_of_the_code() -> None:
    found = documents.resources(documents.FOUNDATION) | documents.resources(documents.WORKFLOW)
    names = documents.NAMES
    for purpose in ("inbox", "results", "artifacts"):
        bucket = found[f"{purpose.capitalize()}Bucket"]["Properties"]["BucketName"]
        assert documents.resolve(bucket) == names.bucket(purpose)
    assert documents.resolve(found["JobsTable"]["Properties"]["TableName"]) == names.jobs_table
    assert documents.resolve(found["Workflow"]["Properties"]["StateMachineName"]) == names.state_machine
    for logical, arn in (("NoticesTopic", names.notices_topic_arn), ("AlarmsTopic", names.alarms_topic_arn)):
        assert arn.endswith(f":{documents.resolve(found[logical]['Properties']['TopicName'])}")
    assert f"{names.prefix}-validate-data" in functions.function_names(names)
    assert documents.resolve(found["UploadRule"]["Properties"]["Name"]) == names.upload_rule
    assert documents.resolve(found["WorkflowLogGroup"]["Properties"]["LogGroupName"]) == names.workflow_log_group
    roles = documents.resources(documents.WORKFLOW, "AWS::IAM::Role").values()
    made = [documents.resolve(role["Properties"]["RoleName"]) for role in roles]
    assert made == [names.role(name) for name in regions.OF_THE_WORKFLOW]
    given = {policy["PolicyName"] for role in roles for policy in role["Properties"]["Policies"]}
    assert given == removal.OF_THE_STACK


def test_a_result_never_triggers_a_job() -> None:
    """Of all buckets the inbox alone tells of its objects, and only of those under prefixes that no function writes."""
    buckets = documents.resources(documents.FOUNDATION, "AWS::S3::Bucket")
    telling = [name for name, each in buckets.items() if "NotificationConfiguration" in each["Properties"]]
    assert telling == ["InboxBucket"]
    heard = {(source.bucket, source.prefix) for source in app.event_sources if isinstance(source, S3EventConfig)}
    assert heard == {(SETTINGS.inbox_bucket, "incoming/"), (SETTINGS.inbox_bucket, "contracts/")}
    rules = documents.resources(documents.WORKFLOW, "AWS::Events::Rule").values()
    patterns = [rule["Properties"]["EventPattern"] for rule in rules]
    objects = [each["detail"] for each in patterns if each["source"] == ["aws.s3"]]
    assert objects == [{"bucket": {"name": [{"Ref": "InboxBucket"}]}, "object": {"key": [{"prefix": "incoming/"}]}}]
    names = {documents.NAMES.bucket(purpose) for purpose in ("inbox", "results", "artifacts")}
    assert len(names) == 3
