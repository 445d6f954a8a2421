"""What property tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.engine.records import unquoted


@pytest.fixture(scope="module", params=[1, 1 << 40], ids=["by delimiters", "by Arrow"])
def either_reader(request: pytest.FixtureRequest) -> Iterator[None]:
    """Blocks without quotes are read by where their delimiters are, however few records they have; or never so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unquoted, "LEAST_RECORDS", request.param)
        yield
