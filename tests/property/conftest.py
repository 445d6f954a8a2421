"""What property tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.engine.records import arrowcsv, unquoted


@pytest.fixture(
    scope="module",
    params=[(1, 1), (1 << 40, 1), (1 << 40, 1 << 20)],
    ids=["by delimiters", "by Arrow", "by Arrow, whole"],
)
def either_reader(request: pytest.FixtureRequest) -> Iterator[None]:
    """Blocks without quotes are read by where their delimiters are, however few records they have; or never so. Arrow
    reads pieces as small as the longest record, or all at once.
    """
    least_records, piece_bytes = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unquoted, "LEAST_RECORDS", least_records)
        patch.setattr(arrowcsv, "PIECE_BYTES", piece_bytes)
        yield
