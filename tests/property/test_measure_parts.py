"""The vectorised parts of the measures agree with what Python says row by row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine.measure import sketches


def ranked(registers: np.ndarray, hashes: list[int], rest_bits: int) -> np.ndarray:
    """HyperLogLog, hash by hash."""
    for each in hashes:
        rest = each & ((1 << rest_bits) - 1)
        place = each >> rest_bits
        registers[place] = max(registers[place], rest_bits + 1 - rest.bit_length())
    return registers


@given(
    st.lists(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3) | st.integers(2**64 - 4, 2**64 - 1)), max_size=4),
    st.integers(12, 16),
    st.integers(0, 30),
)
def test_registers_hold_the_highest_rank(parts, precision, cold):
    expected, found = np.zeros(1 << precision, np.uint8), np.zeros((1, 1 << precision), np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sketches, "_COLD_HASHES", cold)
        for part in parts:
            sketches.update_registers(found, np.array(part, np.uint64))
            ranked(expected, part, 64 - precision)
    assert np.array_equal(found[0], expected)
