"""``ports.Objects`` on S3.

Reads of a source are pinned to its version and ETag, and their length is checked: what arrives is what was asked for,
or an error. Writes carry a SHA-256 that S3 checks. Buckets may or may not be versioned; where they are not, the ETag
stands in for the version id and is never sent as one.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from chalicelib.aws.clients import REQUESTS_AT_ONCE, aws_errors, client
from chalicelib.aws.multipart import PART_SIZE_BYTES, copy_in_parts, cut, quoted, stored, upload_parts
from chalicelib.errors import SluiceError, Terminal, Transient
from chalicelib.model import Source
from chalicelib.ports import Body, Stored
from chalicelib.settings import MIB

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

COPY_LIMIT_BYTES: Final = 5 * 1024 * MIB
"""Largest object that one CopyObject takes: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html"""
_READ_ATTEMPTS: Final = 3
"""botocore retries a request that failed, but not a body that broke off half way: that is done here."""
_WINDOW_BYTES: Final = 8 * MIB
"""What ``stream`` asks for at a time: a connection that breaks costs no more than this."""
_ETAG: Final = re.compile(r"[0-9a-f]{32}(-\d+)?")


class S3Objects:
    """Objects in S3. ``part_size_bytes`` and ``copy_limit_bytes`` are S3's limits, smaller only in tests."""

    requests_at_once: Final = REQUESTS_AT_ONCE

    def __init__(
        self,
        client: S3Client | None = None,
        *,
        part_size_bytes: int = PART_SIZE_BYTES,
        copy_limit_bytes: int = COPY_LIMIT_BYTES,
    ) -> None:
        self._given = client
        self._part_size_bytes = part_size_bytes
        self._copy_limit_bytes = copy_limit_bytes

    @cached_property
    def _s3(self) -> S3Client:
        return self._given or client("s3")

    def head(self, bucket: str, key: str, version_id: str = "") -> Stored:
        known = _reading(bucket, key)
        may_stand_in = _ETAG.fullmatch(version_id) is not None
        if may_stand_in:
            known["400"] = known["InvalidArgument"]
        version: dict[str, Any] = {"VersionId": version_id} if version_id else {}
        try:
            with aws_errors("s3:GetObject", known):
                found = self._s3.head_object(Bucket=bucket, Key=key, **version)
        except Terminal as error:
            # An ETag that stands in for the version of an unversioned bucket: S3 knows no such version.
            if error.code != "object-not-found" or not may_stand_in:
                raise
            newest = self.head(bucket, key)
            if newest.etag != version_id:
                raise
            return newest
        return stored(bucket, key, found["ContentLength"], found, last_modified=found["LastModified"])

    def read_range(self, source: Source, start: int, end: int) -> bytes:
        if not 0 <= start <= end:
            raise ValueError(f"not a range: [{start}, {end})")
        if start == end:
            return b""
        request = _pins(source) | {"Range": f"bytes={start}-{end - 1}"}
        return self._read(source.bucket, source.key, request, span=(start, end))[0]

    def stream(self, source: Source, piece_bytes: int) -> Iterator[bytes]:
        if piece_bytes < 1:
            raise ValueError(f"a piece has at least one byte, not {piece_bytes}")
        with aws_errors("s3:GetObject", _reading(source.bucket, source.key)):
            found = self._s3.head_object(Bucket=source.bucket, Key=source.key, **_pins(source))
        size_bytes = found["ContentLength"]
        window = piece_bytes * max(1, _WINDOW_BYTES // piece_bytes)
        for start in range(0, size_bytes, window):
            body = memoryview(self.read_range(source, start, min(start + window, size_bytes)))
            for offset in range(0, len(body), piece_bytes):
                yield bytes(body[offset : offset + piece_bytes])

    def get(self, bucket: str, key: str) -> bytes:
        return self._read(bucket, key, {})[0]

    def get_with_etag(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        """Errors: ``Terminal("access-denied")`` too: whether the object exists must not be guessed."""
        missing = Terminal("object-not-found", f"s3://{bucket}/{key} does not exist")
        try:
            body, response = self._read(bucket, key, {}, known={"NoSuchKey": missing})
        except Terminal as error:
            if error is missing:
                return None
            raise
        return body, response["ETag"].strip('"')

    def put(self, bucket: str, key: str, body: Body, content_type: str, if_match: str | None = None) -> Stored:
        body = body if isinstance(body, bytes) else b"".join(body)
        digest = hashlib.sha256(body)
        condition: dict[str, Any] = {}
        if if_match is not None:
            condition = {"IfMatch": quoted(if_match)} if if_match else {"IfNoneMatch": "*"}
        raced = Transient("precondition-failed", f"s3://{bucket}/{key} was written by another")
        known: dict[str, SluiceError] = {"PreconditionFailed": raced, "ConditionalRequestConflict": raced}
        if if_match:
            known["NoSuchKey"] = raced
        try:
            with aws_errors("s3:PutObject", known):
                response = self._s3.put_object(
                    Bucket=bucket,
                    Key=key,
                    Body=body,
                    ContentType=content_type,
                    ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
                    **condition,
                )
        except Transient as error:
            if error is not raced:
                raise
            # A retry after a lost reply fails on the object that the first attempt wrote: then all is well.
            found = self.get_with_etag(bucket, key)
            if found is None or found[0] != body:
                raise
            return Stored(bucket, key, len(body), found[1], found[1], checksum_sha256=digest.hexdigest())
        return stored(bucket, key, len(body), response, checksum_sha256=digest.hexdigest())

    def put_stream(self, bucket: str, key: str, pieces: Iterable[bytes], content_type: str) -> Stored:
        parts = cut(pieces, self._part_size_bytes)
        first, second = next(parts, b""), next(parts, None)
        if second is None:
            return self.put(bucket, key, first, content_type)
        return upload_parts(self._s3, bucket, key, _chain(first, second, parts), content_type)

    def copy(self, bucket: str, key: str, target_key: str, etag: str, size_bytes: int) -> Stored:
        if size_bytes > self._copy_limit_bytes:
            source = Stored(bucket, key, size_bytes, etag)
            return copy_in_parts(self._s3, source, target_key, self._copy_limit_bytes, _reading(bucket, key))
        with aws_errors("s3:GetObject, s3:PutObject", _reading(bucket, key)):
            response = self._s3.copy_object(
                Bucket=bucket,
                Key=target_key,
                CopySource={"Bucket": bucket, "Key": key},
                CopySourceIfMatch=quoted(etag),
            )
        result = {"ETag": response["CopyObjectResult"]["ETag"], "VersionId": response.get("VersionId")}
        return stored(bucket, target_key, size_bytes, result)

    def delete(self, bucket: str, key: str) -> None:
        with aws_errors("s3:DeleteObject"):
            self._s3.delete_object(Bucket=bucket, Key=key)

    def list(self, bucket: str, prefix: str) -> Iterator[Stored]:
        """In the order of the keys' UTF-8 bytes. A listing names no versions: ``version_id`` is empty."""
        with aws_errors("s3:ListBucket"):
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                for found in page.get("Contents", ()):
                    etag = found["ETag"].strip('"')
                    yield Stored(bucket, found["Key"], found["Size"], etag, "", found["LastModified"])

    def _read(
        self,
        bucket: str,
        key: str,
        request: dict[str, Any],
        known: dict[str, SluiceError] | None = None,
        span: tuple[int, int] | None = None,
    ) -> tuple[bytes, GetObjectOutputTypeDef]:
        """The body (or its bytes ``span``) and the response; a body that breaks off is asked for again."""
        known = _reading(bucket, key) if known is None else known
        for attempt in range(1, _READ_ATTEMPTS + 1):
            try:
                with aws_errors("s3:GetObject", known):
                    response = self._s3.get_object(Bucket=bucket, Key=key, **request)
                    return _body(response, f"s3://{bucket}/{key}", span), response
            except Transient as error:
                if error.code != "short-read" or attempt == _READ_ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")


def _body(response: GetObjectOutputTypeDef, uri: str, span: tuple[int, int] | None) -> bytes:
    """What was asked for, whole. Errors: ``Transient("short-read")``, ``Terminal("invalid-range")``."""
    size_bytes = response["ContentLength"]
    if span is None:
        body = response["Body"].read()
        wanted_bytes = size_bytes
    elif found := response.get("ContentRange"):
        start, end = span
        body = response["Body"].read()
        wanted_bytes = end - start
        if not found.startswith(f"bytes {start}-{end - 1}/"):  # another range may have the same length
            raise Transient("short-read", f"{uri}: {found} came for [{start}, {end})")
    else:
        # A server may ignore Range and send everything (RFC 9110, 14.2), as emulators of S3 do beside a version id.
        start, end = span
        if start >= size_bytes:
            raise _past_the_end(uri)
        body = _skipping(response["Body"], start, end - start)
        wanted_bytes = end - start
    if len(body) != wanted_bytes:
        raise Transient("short-read", f"{uri}: {len(body)} of {wanted_bytes} bytes came")
    return body


def _skipping(stream: StreamingBody, skipped_bytes: int, wanted_bytes: int) -> bytes:
    """Some bytes from the middle of a stream, in bounded memory; the rest is not read."""
    with closing(stream):
        while skipped_bytes and (piece := stream.read(min(skipped_bytes, MIB))):
            skipped_bytes -= len(piece)
        return stream.read(wanted_bytes)


def _chain(first: bytes, second: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield second
    yield from rest


def _pins(source: Source) -> dict[str, Any]:
    """What pins a request to exactly this version."""
    pins = {"IfMatch": quoted(source.etag)} if source.etag else {}
    if source.version_id and source.version_id != source.etag:
        pins["VersionId"] = source.version_id
    return pins


def _reading(bucket: str, key: str) -> dict[str, SluiceError]:
    """S3's codes for what may be wrong with an object that is read; HEAD answers with the HTTP status instead."""
    uri = f"s3://{bucket}/{key}"
    missing = Terminal("object-not-found", f"{uri}, or this version of it, does not exist")
    # A role that may not list the bucket is not told whether the object exists.
    hidden = Terminal("object-not-found", f"{uri} does not exist, or this role may not read it")
    replaced = Terminal("object-replaced", f"{uri} was replaced by another version")
    return {
        **dict.fromkeys(("NoSuchKey", "NoSuchVersion", "404"), missing),
        **dict.fromkeys(("MethodNotAllowed", "405"), missing),  # the version is a delete marker
        "InvalidArgument": missing,  # the text cannot be a version id
        **dict.fromkeys(("AccessDenied", "403"), hidden),
        **dict.fromkeys(("PreconditionFailed", "412"), replaced),
        **dict.fromkeys(("InvalidRange", "416"), _past_the_end(uri)),
    }


def _past_the_end(uri: str) -> Terminal:
    return Terminal("invalid-range", f"{uri} ends before the bytes that were asked for")
