"""The inbox's notifications: EventBridge, which starts the workflow, and the handlers that Chalice merges in beside it.

CloudFormation writes a bucket's notifications whole, and so do other tools: what one of them dropped is found here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

from ops.target import Target


def stand(target: Target, chalice_record: Mapping[str, Any]) -> bool:
    """Whether the inbox tells EventBridge, and every handler that Chalice recorded for it."""
    bucket = target.names.bucket("inbox")
    found = target.s3.get_bucket_notification_configuration(Bucket=bucket)
    told = {each["LambdaFunctionArn"] for each in found.get("LambdaFunctionConfigurations", [])}
    expected = {
        each["lambda_arn"]
        for each in chalice_record["resources"]
        if each["resource_type"] == "s3_event" and each["bucket"] == bucket
    }
    return "EventBridgeConfiguration" in found and expected <= told


def forget(target: Target, functions: Collection[str]) -> None:
    """Have the inbox, if it is there, tell none of these functions (ARNs) any more."""
    bucket = target.names.bucket("inbox")
    try:
        found = cast("dict[str, Any]", target.s3.get_bucket_notification_configuration(Bucket=bucket))
    except target.s3.exceptions.NoSuchBucket:
        return
    told = found.get("LambdaFunctionConfigurations", [])
    others = [each for each in told if each["LambdaFunctionArn"] not in functions]
    if len(others) < len(told):
        kept = {key: value for key, value in found.items() if key != "ResponseMetadata"}
        configuration: Any = kept | {"LambdaFunctionConfigurations": others}
        target.s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration=configuration, SkipDestinationValidation=True
        )


def tell_eventbridge(target: Target) -> None:
    """Have the inbox tell EventBridge, and leave everything else that it tells as it is."""
    bucket = target.names.bucket("inbox")
    found = cast("dict[str, Any]", target.s3.get_bucket_notification_configuration(Bucket=bucket))
    if "EventBridgeConfiguration" not in found:
        kept = {key: value for key, value in found.items() if key != "ResponseMetadata"}
        configuration: Any = kept | {"EventBridgeConfiguration": {}}
        target.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)
