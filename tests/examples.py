"""How many examples a property gets. The profile's number is for one that takes some milliseconds each time."""

from __future__ import annotations

from typing import Final

from hypothesis import settings

FEWEST: Final = 15
"""What the ``dev`` profile gives."""


def share(part: float) -> settings:
    """So large a part of the profile's examples, for a property whose every example is a whole job or several, or which
    is tried for many parameters; never fewer than ``dev`` gives.
    """
    return settings(max_examples=max(FEWEST, round(part * settings().max_examples)))
