"""What property tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.engine.records import arrowcsv, find, unquoted


@pytest.fixture(
    scope="module",
    params=[(1, 1), (1 << 40, 1), (1 << 40, 1 << 20)],
    ids=["by delimiters", "by Arrow", "by Arrow, whole"],
)
def either_reader(request: pytest.FixtureRequest) -> Iterator[None]:
    """Blocks without quotes are read by where their delimiters are, however few records they have; or never so. Records
    are looked for in pieces of a byte at first, and Arrow reads as little as the longest record at a time; or all at
    once.
    """
    least_records, piece_bytes = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unquoted, "LEAST_RECORDS", least_records)
        patch.setattr(arrowcsv, "PIECE_BYTES", piece_bytes)
        patch.setattr(arrowcsv, "PIECE_BYTES_PER_COLUMN", 0)
        patch.setattr(find, "PIECE_BYTES", piece_bytes)
        yield
