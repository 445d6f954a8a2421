"""The endpoint behind the proxy: another server, or moto in this very process (quicker, and its state at hand)."""

from __future__ import annotations

import http.client
import io
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from tests.faults.wire import Reply, Request, refusal

_HOP_BY_HOP: Final = {"connection", "keep-alive", "transfer-encoding", "date", "server"}


def server(url: str) -> Callable[[Request], Reply]:
    """The requests go to a server by HTTP."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    where = (parts.hostname, parts.port or 80)

    def forward(request: Request) -> Reply:
        connection = http.client.HTTPConnection(*where, timeout=60)
        try:
            connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name not in ("expect", "connection"):
                    connection.putheader(name, value)
            connection.endheaders(request.body)
            answer = connection.getresponse()
            headers = tuple(each for each in answer.getheaders() if each[0].lower() not in _HOP_BY_HOP)
            return Reply(answer.status, headers, answer.read())
        finally:
            connection.close()

    return forward


def moto() -> Callable[[Request], Reply]:
    """The requests go to moto's server application, without a second connection."""
    application: Any = DomainDispatcherApplication(create_backend_app)

    def forward(request: Request) -> Reply:
        begun: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], error: Any = None) -> None:
            begun[:] = [int(status.split()[0]), tuple(headers)]

        try:
            body = b"".join(application(_environment(request), start))
        except KeyError:
            if request.operation != "UploadPart":
                raise
            return refusal(request, 404, "NoSuchUpload")  # a part for an upload that is over: moto has no answer
        return Reply(begun[0], begun[1], body)

    return forward


def _environment(request: Request) -> dict[str, Any]:
    parts = urlsplit(request.path)
    headers = dict(request.headers)
    if "x-amz-checksum-sha256" in headers:
        # S3 keeps a checksum that comes alone, and tells it with the object; moto wants to be told its kind.
        headers["x-amz-sdk-checksum-algorithm"] = "SHA256"
    host, _, port = headers["host"].partition(":")
    return {
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
        "REQUEST_METHOD": request.method,
        "PATH_INFO": unquote(parts.path, "latin-1"),
        "RAW_URI": request.path,
        "REQUEST_URI": request.path,
        "QUERY_STRING": parts.query,
        "CONTENT_TYPE": headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "SERVER_NAME": host,
        "SERVER_PORT": port or "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SCRIPT_NAME": "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
