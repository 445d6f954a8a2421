"""S3's multipart uploads: what is too large for one PUT or one copy, all or nothing, in bounded memory.

Limits: 10,000 parts, each but the last of at least 5 MiB:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from chalicelib.aws.clients import aws_errors
from chalicelib.errors import SluiceError, Terminal
from chalicelib.model import version_of
from chalicelib.ports import Stored
from chalicelib.settings import MIB

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART_SIZE_BYTES: Final = 8 * MIB
MAX_PARTS: Final = 10_000
_PARTS_PER_SIZE: Final = 1000
"""After so many parts the next ones are larger by ``PART_SIZE_BYTES``: 10,000 parts then hold 430 GiB, not 78."""
_COPY_PART_BYTES: Final = 1024 * MIB
_TOKEN: Final = "sluice-upload"
"""Metadata by which an upload whose completion got no reply recognises its own object."""


def quoted(etag: str) -> str:
    """An ETag as HTTP's conditional headers want it."""
    return f'"{etag}"'


def stored(
    bucket: str,
    key: str,
    size_bytes: int,
    response: Mapping[str, Any],
    *,
    last_modified: datetime | None = None,
    checksum_sha256: str = "",
) -> Stored:
    """``Stored`` from a response with ``ETag`` and perhaps ``VersionId``; without one, the ETag stands in."""
    etag = response["ETag"].strip('"')
    version_id = version_of(response.get("VersionId"), etag)
    return Stored(bucket, key, size_bytes, etag, version_id, last_modified, checksum_sha256)


def cut(pieces: Iterable[bytes], part_size_bytes: int) -> Iterator[bytes]:
    """``pieces`` joined and cut anew into parts; only the last is shorter, and none is empty."""
    buffer = bytearray()
    number = 0
    for piece in pieces:
        buffer += piece
        while len(buffer) >= (size := part_size_bytes * (1 + number // _PARTS_PER_SIZE)):
            yield bytes(buffer[:size])
            del buffer[:size]
            number += 1
    if buffer:
        yield bytes(buffer)


def upload_parts(client: S3Client, bucket: str, key: str, parts: Iterable[bytes], content_type: str) -> Stored:
    """Write ``parts`` as one object. Whatever stops it leaves no object behind, not even when ``parts`` raises."""
    digest = hashlib.sha256()
    size_bytes = 0
    with _upload(client, bucket, key, content_type, ChecksumAlgorithm="SHA256") as upload:
        for part in parts:
            digest.update(part)
            size_bytes += len(part)
            upload.add(part)
        response = upload.complete()
    return stored(bucket, key, size_bytes, response, checksum_sha256=digest.hexdigest())


def copy_in_parts(
    client: S3Client, source: Stored, target_key: str, copy_limit_bytes: int, known: Mapping[str, SluiceError]
) -> Stored:
    """Copy an object above ``copy_limit_bytes`` on the server's side, each part provided that its ETag still stands."""
    with aws_errors("s3:GetObject", known):
        found = client.head_object(Bucket=source.bucket, Key=source.key)
    step = min(_COPY_PART_BYTES, copy_limit_bytes)
    with _upload(client, source.bucket, target_key, found["ContentType"]) as upload:
        for start in range(0, source.size_bytes, step):
            upload.copy(source, start, min(start + step, source.size_bytes), known)
        response = upload.complete()
    return stored(source.bucket, target_key, source.size_bytes, response)


class _Upload:
    """One multipart upload in progress."""

    def __init__(self, client: S3Client, bucket: str, key: str, token: str, upload_id: str) -> None:
        self._client = client
        self._token = token
        self._object: Any = {"Bucket": bucket, "Key": key}
        self._where: Any = self._object | {"UploadId": upload_id}
        self._parts: list[CompletedPartTypeDef] = []

    def add(self, body: bytes) -> None:
        number = self._next_number()
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        with aws_errors("s3:PutObject"):
            response = self._client.upload_part(**self._where, PartNumber=number, Body=body, ChecksumSHA256=checksum)
        self._parts.append({"PartNumber": number, "ETag": response["ETag"], "ChecksumSHA256": checksum})

    def copy(self, source: Stored, start: int, end: int, known: Mapping[str, SluiceError]) -> None:
        number = self._next_number()
        with aws_errors("s3:GetObject, s3:PutObject", known):
            response = self._client.upload_part_copy(
                **self._where,
                PartNumber=number,
                CopySource={"Bucket": source.bucket, "Key": source.key},
                CopySourceIfMatch=quoted(source.etag),
                CopySourceRange=f"bytes={start}-{end - 1}",
            )
        self._parts.append({"PartNumber": number, "ETag": response["CopyPartResult"]["ETag"]})

    def complete(self) -> Mapping[str, Any]:
        """A response with ``ETag`` and perhaps ``VersionId``."""
        gone = Terminal("upload-gone", f"the upload of s3://{self._object['Bucket']}/{self._object['Key']} vanished")
        try:
            with aws_errors("s3:PutObject", {"NoSuchUpload": gone}):
                return self._client.complete_multipart_upload(**self._where, MultipartUpload={"Parts": self._parts})
        except Terminal as error:
            if error is not gone:
                raise
            # A retry after a lost reply finds the upload closed; the token tells whether by our own first attempt.
            with aws_errors("s3:GetObject", {"404": gone}):
                found = self._client.head_object(**self._object)
            if found["Metadata"].get(_TOKEN) != self._token:
                raise
            return found

    def abort(self) -> None:
        with aws_errors("s3:AbortMultipartUpload"):
            self._client.abort_multipart_upload(**self._where)

    def _next_number(self) -> int:
        if len(self._parts) == MAX_PARTS:
            raise Terminal("object-too-large", f"an upload has at most {MAX_PARTS} parts")
        return len(self._parts) + 1


@contextmanager
def _upload(client: S3Client, bucket: str, key: str, content_type: str, **options: Any) -> Iterator[_Upload]:
    token = uuid.uuid4().hex
    with aws_errors("s3:PutObject"):
        created = client.create_multipart_upload(
            Bucket=bucket, Key=key, ContentType=content_type, Metadata={_TOKEN: token}, **options
        )
    upload = _Upload(client, bucket, key, token, created["UploadId"])
    try:
        yield upload
    except BaseException:
        # The first failure is the one to tell; parts that stay behind are removed by the bucket's lifecycle rule.
        with suppress(SluiceError):
            upload.abort()
        raise
