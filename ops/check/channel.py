"""Messages between two processes of one program, none of which ever waits for the rest of a message in vain.

``multiprocessing``'s connections read a message to its end. Where its sender is killed, and a process that the sender
forked keeps its socket open, that end never comes, and nor does the socket's.
"""

from __future__ import annotations

import pickle
import socket
import struct
from collections.abc import Iterator
from typing import Any, Final

_LENGTH: Final = struct.Struct("!Q")
_PIECE_BYTES: Final = 1 << 16


class Channel:
    """One of two ends; each message is pickled, and its length stands before it."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self._taken = bytearray()
        """What has come of messages that were not given away yet."""

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        ours, theirs = socket.socketpair()
        return cls(ours), cls(theirs)

    def close(self) -> None:
        self.end.close()

    def send(self, message: Any) -> None:
        """Errors: ``OSError`` where nobody holds the other end."""
        body = pickle.dumps(message)
        self.end.sendall(_LENGTH.pack(len(body)) + body)

    def receive(self) -> Any:
        """The next message, however long it takes. Errors: ``EOFError`` where nobody holds the other end."""
        while True:
            for message in self.messages():
                return message
            self._take()

    def take(self) -> bool:
        """Take some of what has come, and wait for nothing; whether there was any. Errors: as ``receive``."""
        try:
            self._take(socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return True

    def messages(self) -> Iterator[Any]:
        """Those that were taken whole; each is given once."""
        while len(self._taken) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._taken)[0]
            if len(self._taken) < end:
                return
            body = bytes(self._taken[_LENGTH.size : end])
            del self._taken[:end]
            yield pickle.loads(body)

    def _take(self, flags: int = 0) -> None:
        piece = self.end.recv(_PIECE_BYTES, flags)
        if not piece:
            raise EOFError
        self._taken += piece
