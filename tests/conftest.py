"""What every test gets: a Hypothesis profile, credentials that open nothing, and no way out to the network."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final
from unittest import mock

import pytest
from botocore.loaders import JSONFileLoader
from hypothesis import HealthCheck, settings

# deadline: the first example of a test pays for imports; what is slow is measured by the benchmarks, not here.
settings.register_profile("dev", max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

# Set while this file is imported, before any test module can make a client out of the developer's own credentials.
for name in [name for name in os.environ if name.startswith(("AWS_", "SLUICE_"))]:
    del os.environ[name]
os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_SESSION_TOKEN="testing",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_REGION="us-east-1",
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    AWS_EC2_METADATA_DISABLED="true",
)


LONGEST_FIRST: Final = ("infrastructure", "e2e", "faults", "adapters", "property", "differential")
"""Folders by what one of their modules takes: a long one that begins last keeps every other worker waiting."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    tests = Path(__file__).parent
    folder = item.path.relative_to(tests).parts[0] if item.path.is_relative_to(tests) else ""
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)


class NetworkUsed(AssertionError):
    """A test tried to reach another machine."""


@pytest.fixture(scope="session", autouse=True)
def models_are_read_once() -> Iterator[None]:
    """botocore reads a service's model, up to 2 MB of JSON, for each session; each mock and each stage has one."""
    read = cache(JSONFileLoader().load_file)
    with mock.patch.object(JSONFileLoader, "load_file", lambda self, path: read(path)):
        yield


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only this machine can be reached."""
    real_connect = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise NetworkUsed(f"a test connects to {address}")
        real_connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
