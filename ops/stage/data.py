"""A stage's data: what ``down`` keeps, and how it goes when it is to go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from ops.stage import ownership
from ops.target import OperatorError, Target, Tell

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef


def kept(target: Target) -> list[str]:
    """What ``down`` keeps, as ``leftovers`` names it."""
    names = target.names
    return [f"bucket: {names.bucket('inbox')}", f"bucket: {names.bucket('results')}", f"table: {names.jobs_table}"]


def delete(target: Target, tell: Tell) -> None:
    """Delete uploads, results and job records with what holds them; what is gone already is no error."""
    for purpose in ("inbox", "results"):
        bucket = target.names.bucket(purpose)
        if empty(target, bucket, tell):
            target.s3.delete_bucket(Bucket=bucket)
    _delete_table(target, target.names.jobs_table)


def empty(target: Target, bucket: str, tell: Tell) -> bool:
    """Delete every version of every object. False where there is no such bucket.

    Errors: ``OperatorError`` where S3 refuses to delete one.
    """
    deleted = 0
    try:
        for page in target.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            if found:
                doomed: list[ObjectIdentifierTypeDef] = [
                    {"Key": each["Key"], "VersionId": each["VersionId"]} for each in found
                ]
                reply = target.s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed, "Quiet": True})
                if refused := reply.get("Errors"):  # the call succeeds all the same
                    first = refused[0]
                    raise OperatorError(
                        f"{len(refused)} objects of {bucket} cannot be deleted, the first of them {first['Key']}: "
                        f"{first['Code']}, {first['Message']}"
                    )
                deleted += len(doomed)
                tell(f"deleted {deleted:,} versions of objects in {bucket}")
        for listing in target.s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
            for upload in listing.get("Uploads", []):
                target.s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchBucket":
            return False
        raise
    return True


def delete_late_logs(target: Target) -> None:
    """Delete the functions' log groups that are there though their stack is gone: an invocation that still ran has
    written its log, and so made the group anew.
    """
    logs = target.client("logs")
    for group in ownership.log_groups(target):
        try:
            logs.delete_log_group(logGroupName=group)
        except logs.exceptions.ResourceNotFoundException:
            continue  # listed for a moment longer


def _delete_table(target: Target, table: str) -> None:
    database = target.client("dynamodb")
    try:
        database.delete_table(TableName=table)
    except database.exceptions.ResourceNotFoundException:
        return
    database.get_waiter("table_not_exists").wait(TableName=table, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
