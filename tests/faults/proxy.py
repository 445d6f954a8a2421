"""A proxy on 127.0.0.1 in front of an AWS endpoint that does a fault to exactly the call that it is told.

Faults are done on the wire: a reply that is lost was really given, a duplicate really arrives a second time, a worker
that is killed sends nothing more. A call is known by operation, target and how many of the kind came before it, not by
its place among all calls: threads may change the order of those.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.faults.catalogue import INTERNAL, THROTTLING, Deed, Fault, Reach
from tests.faults.wire import Reply, Request, refusal


class Killed(BaseException):
    """The worker is dead. No ``except Exception`` of its code may see this, as none sees a SIGKILL."""


@dataclass(frozen=True)
class Call:
    operation: str
    target: str
    occurrence: int
    """1 for the first call of this operation on this target."""

    def __str__(self) -> str:
        return f"{self.operation} {self.target} ({self.occurrence})"


@dataclass(frozen=True)
class Seen:
    """A call as it was answered."""

    call: Call
    worker: str
    """The Lambda function that made it."""
    request: Request
    status: int
    reply_bytes: int


@dataclass(frozen=True)
class Order:
    """The fault to do, and the call to do it to."""

    fault: Fault
    call: Call


class Proxy:
    def __init__(self, upstream: Callable[[Request], Reply]) -> None:
        """``upstream``: the endpoint behind it."""
        self.forward = upstream
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.worker = ""
        """The Lambda function at work."""
        self.denies: Callable[[Request, int, str], bool] = lambda request, status, worker: False
        """Whether a worker's policy denies a request that would be answered with this status."""
        self.troubles: list[BaseException] = []
        """Errors of the proxy itself: a run that has any proves nothing."""
        self.reset()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def serving(self) -> Iterator[Proxy]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def reset(self, order: Order | None = None) -> None:
        """Begin a run: nothing was seen, everyone lives."""
        self.order = order
        self.seen: list[Seen] = []
        self.hits = 0
        """How many requests the fault was done to."""
        self.dead = threading.Event()
        self.fatal = False
        """Whether the execution dies with its worker."""
        self._occurrences: Counter[tuple[str, str]] = Counter()
        self._calls: dict[str, Call] = {}
        self._late: list[Request] = []
        self._duplicated: list[Request] = []

    def heal(self) -> None:
        """The end of an outage."""
        if self.order is not None and self.order.fault.reach is Reach.OUTAGE:
            self.order = None

    def arrive(self) -> None:
        """What is still on its way arrives now."""
        for request in self._duplicated:
            self.forward(request)

    def before_send(self, **event: Any) -> None:
        """botocore's event: a worker that is dead sends nothing."""
        if self.dead.is_set():
            raise Killed

    def answer(self, request: Request, wire: _Handler) -> None:
        if not self.worker:  # someone who is no part of the pipeline looks on
            wire.send(self.forward(request))
            return
        call, first = self._identify(request)
        deed = self._deed(call, first)
        if deed is None:
            self._plainly(call, request, wire)
        else:
            self.hits += 1
            _DEEDS[deed](self, request, wire)

    def _plainly(self, call: Call, request: Request, wire: _Handler) -> None:
        with self._lock:
            late, self._late = self._late, []
        denied = refusal(request, 403, "AccessDenied" if request.service == "s3" else "AccessDeniedException")
        reply = denied if self.denies(request, 200, self.worker) else self.forward(request)
        if self.denies(request, reply.status, self.worker):
            reply = denied
        for each in late:
            self.forward(each)
        self.seen.append(Seen(call, self.worker, request, reply.status, len(reply.body)))
        wire.send(reply)

    def _identify(self, request: Request) -> tuple[Call, bool]:
        """The call, and whether this is its first request."""
        with self._lock:
            known = self._calls.get(request.invocation)
            if known is not None:
                return known, False
            kind = (request.operation, request.target)
            self._occurrences[kind] += 1
            call = self._calls[request.invocation] = Call(*kind, self._occurrences[kind])
            return call, True

    def _deed(self, call: Call, first: bool) -> Deed | None:
        if self.order is None:
            return None
        fault, at = self.order.fault, self.order.call
        if fault.reach is Reach.OUTAGE:
            same = (call.operation, call.target) == (at.operation, at.target) and call.occurrence >= at.occurrence
            return fault.deed if same else None
        return fault.deed if call == at and (first or fault.reach is Reach.CALL) else None

    def throttle(self, request: Request, wire: _Handler) -> None:
        wire.send(refusal(request, *THROTTLING[request.service]))

    def fail(self, request: Request, wire: _Handler) -> None:
        wire.send(refusal(request, *INTERNAL[request.service]))

    def break_off(self, request: Request, wire: _Handler) -> None:
        wire.break_off()

    def lose(self, request: Request, wire: _Handler) -> None:
        self.forward(request)
        wire.break_off()

    def duplicate(self, request: Request, wire: _Handler) -> None:
        reply = self.forward(request)
        with self._lock:
            self._late.append(request)
            self._duplicated.append(request)
        wire.send(reply)

    def cut(self, request: Request, wire: _Handler) -> None:
        reply = self.forward(request)
        wire.send(reply, only_bytes=len(reply.body) // 2)
        wire.break_off()

    def shorten(self, request: Request, wire: _Handler) -> None:
        reply = self.forward(request)
        body = reply.body[: len(reply.body) // 2]
        headers = [each for each in reply.headers if each[0].lower() != "content-length"]
        wire.send(Reply(reply.status, (*headers, ("Content-Length", str(len(body)))), body))

    def damage(self, request: Request, wire: _Handler) -> None:
        wire.send(refusal(request, 400, "IncompleteBody"))

    def hide_an_error(self, request: Request, wire: _Handler) -> None:
        wire.send(refusal(request, 200, "InternalError"))

    def kill_before(self, request: Request, wire: _Handler) -> None:
        self.dead.set()
        wire.break_off()

    def kill_after(self, request: Request, wire: _Handler) -> None:
        self.forward(request)
        self.dead.set()
        wire.break_off()


_DEEDS: dict[Deed, Callable[[Proxy, Request, _Handler], None]] = {
    Deed.RESET: Proxy.break_off,
    Deed.LOST: Proxy.lose,
    Deed.THROTTLED: Proxy.throttle,
    Deed.FAILED: Proxy.fail,
    Deed.DUPLICATE: Proxy.duplicate,
    Deed.CUT: Proxy.cut,
    Deed.SHORT: Proxy.shorten,
    Deed.DAMAGED: Proxy.damage,
    Deed.HIDDEN_ERROR: Proxy.hide_an_error,
    Deed.KILLED_BEFORE: Proxy.kill_before,
    Deed.KILLED_AFTER: Proxy.kill_after,
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: Proxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        # A client that went away is part of the game; anything else is a fault of the proxy.
        if error is not None and not isinstance(error, ConnectionError):
            self.proxy.troubles.append(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one write for headers and body
    server: _Server

    def do_any(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        assert "transfer-encoding" not in headers, "a body in pieces, which the pipeline's calls do not have"
        request = Request(self.command, self.path, headers, self.rfile.read(size))
        self.server.proxy.answer(request, self)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_any

    def handle_expect_100(self) -> bool:
        answered = super().handle_expect_100()
        self.wfile.flush()  # the client waits for it
        return answered

    def send(self, reply: Reply, only_bytes: int | None = None) -> None:
        self.send_response_only(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in reply.headers):
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body if only_bytes is None else reply.body[:only_bytes])
        self.wfile.flush()

    def break_off(self) -> None:
        """Reset the connection (RST), at once."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """The run's own record is ``Proxy.seen``."""
