"""An AWS request as it stands on the wire: which operation it calls, on what."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

_JOB = re.compile(r"(?<=^jobs/)[a-z0-9-]+-[0-9a-f]{20}|(?<=^work/)[a-z0-9-]+-[0-9a-f]{20}")
_PLAN = re.compile(r"(?<=^work/\*/)[0-9a-f]{16}(?=/)")
_UNIQUE = re.compile(r"(references-(?:\d+-)?)[0-9a-f]{16,}")


@dataclass(frozen=True)
class Request:
    """``path`` with its query, as sent; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def service(self) -> str:
        """As the signature names it: ``s3``, ``dynamodb``, ``states``, ``sns``, ``ssm``."""
        scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", self.headers.get("authorization", ""))
        return scope[1] if scope else ""

    @property
    def invocation(self) -> str:
        """The same for every attempt that botocore makes of one call."""
        return self.headers.get("amz-sdk-invocation-id", "")

    @property
    def operation(self) -> str:
        """``PutObject``, ``UpdateItem``, …"""
        if "x-amz-target" in self.headers:
            return self.headers["x-amz-target"].rpartition(".")[2]
        if self.service == "sns":
            return parse_qs(self.body.decode())["Action"][0]
        return self._s3_operation()

    def _s3_operation(self) -> str:
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        copies = "x-amz-copy-source" in self.headers
        if "uploads" in query:
            return "CreateMultipartUpload"
        if "uploadId" in query:
            part = "UploadPartCopy" if copies else "UploadPart"
            return {"PUT": part, "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}[self.method]
        if not self.key:
            return {"GET": "ListObjectsV2", "HEAD": "HeadBucket", "PUT": "CreateBucket"}[self.method]
        put = "CopyObject" if copies else "PutObject"
        return {"GET": "GetObject", "HEAD": "HeadObject", "PUT": put, "DELETE": "DeleteObject"}[self.method]

    @property
    def bucket(self) -> str:
        return unquote(urlsplit(self.path).path).strip("/").partition("/")[0]

    @property
    def key(self) -> str:
        return unquote(urlsplit(self.path).path).lstrip("/").partition("/")[2]

    @property
    def target(self) -> str:
        """What the call is about, the same in every run: an object's key without the job's id, a table, a topic."""
        if self.service == "s3":
            part = re.search(r"partNumber=(\d+)", self.path)
            return _UNIQUE.sub(r"\1*", _PLAN.sub("*", _JOB.sub("*", self.key))) + (f" part {part[1]}" if part else "")
        if self.service == "dynamodb":
            asked = json.loads(self.body)
            return str(asked.get("IndexName", "a job"))
        return {"states": "the workflow", "sns": "the topic", "ssm": "the token"}.get(self.service, self.service)


@dataclass(frozen=True)
class Reply:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def refusal(request: Request, status: int, code: str) -> Reply:
    """The error as the service's protocol writes it."""
    if request.service in ("s3", "sns"):
        error = f"<Code>{code}</Code><Message>injected</Message>"
        whole = f"<Error>{error}<RequestId>r</RequestId></Error>"
        if request.service == "sns":
            whole = f"<ErrorResponse><Error>{error}</Error><RequestId>r</RequestId></ErrorResponse>"
        kind, body = "application/xml", b"" if request.method == "HEAD" else whole.encode()
    else:
        kind, body = "application/x-amz-json-1.0", json.dumps({"__type": code, "message": "injected"}).encode()
    return Reply(status, (("Content-Type", kind), ("Content-Length", str(len(body)))), body)
