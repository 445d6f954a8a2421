"""A job's end as a message to people and machines."""

from __future__ import annotations

from chalicelib.model import JSON
from chalicelib.ports import Ports
from chalicelib.settings import Settings


def notify(ports: Ports, settings: Settings, payload: JSON) -> JSON:
    raise NotImplementedError
