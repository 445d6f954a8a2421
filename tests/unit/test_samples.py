"""The sample is what its generator writes, and it holds what the documentation says."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from chalicelib.transforms import orders

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_orders", ROOT / "samples" / "make_orders.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_sample_is_what_the_generator_writes(generator: ModuleType) -> None:
    assert (ROOT / "samples" / "orders.csv").read_bytes() == generator.make()


def test_the_sample_is_broken_within_the_tolerance_and_in_every_code(generator: ModuleType) -> None:
    broken = sum(count for count, _, _ in generator.FAULTS.values()) + generator.DUPLICATES + 1  # the last row's
    contract = json.loads((ROOT / "contracts" / "orders.json").read_bytes())
    assert broken / generator.ROWS < contract["sluice"]["tolerance"]["maxRejectedRatio"]
    assert {code for _, code, _ in generator.FAULTS.values()} == {
        "constraint-error", "encoding-error", "extra-cell", "missing-cell", "nul-byte", "text-after-quote",
        "type-error",
    }  # fmt: skip


def test_addresses_in_the_sample_are_nobodys() -> None:
    text = (ROOT / "samples" / "orders.csv").read_text(encoding="latin-1")
    domains = set(re.findall(r"@([\w.-]+)", text))
    assert domains == {"example.com", "example.org"}


def test_orders_amount_counts_a_missing_discount_as_none() -> None:
    frame = pd.DataFrame(
        {
            "quantity": pd.array([2, 4], dtype="int64[pyarrow]"),
            "unit_price": pd.array([10.0, 2.5], dtype="double[pyarrow]"),
            "discount": pd.array([None, 0.25], dtype="double[pyarrow]"),
        }
    )
    result = orders.transform(frame)
    assert list(result["amount"]) == [20.0, 7.5]
    assert list(result.columns) == ["quantity", "unit_price", "discount", "amount"]
    assert list(frame.columns) == ["quantity", "unit_price", "discount"]
