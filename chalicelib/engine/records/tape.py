"""What the finding of records needs to know of where its bytes come from."""

from __future__ import annotations

from typing import Final, Protocol

LOOKAHEAD_BYTES: Final = 64 * 1024
"""How much is asked of a tape beyond what is looked at, so that the record that its end cuts is mostly whole."""


class Tape(Protocol):
    """A stretch of the object, of which a window is at hand that moves on with its reader. The stretch can grow."""

    @property
    def base(self) -> int:
        """Offset in the object of the window's first byte."""

    @property
    def data(self) -> bytes:
        """The window. What held it before it moved keeps it as it was."""

    @property
    def at_end(self) -> bool:
        """Whether the window reaches the object's end."""

    def reach(self, start: int, end: int) -> bool:
        """Have the object's bytes from ``start`` to ``end`` at hand, as far as the stretch goes; those before ``start``
        may be dropped. Tells whether there are more bytes at hand after the window's end than before.
        """

    def extend(self) -> None:
        """Let the stretch grow; only called while it does not reach the object's end."""

    def again(self) -> Tape:
        """The same stretch from its first byte on."""
