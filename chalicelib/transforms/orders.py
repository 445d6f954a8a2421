"""The sample dataset's transform."""

from __future__ import annotations

import pandas as pd


def transform(df: pd.DataFrame) -> pd.DataFrame:
    """Add ``amount``: what the customer pays, in the unit of ``unit_price``. An empty discount is a discount of 0."""
    discount = df["discount"].astype("float64").fillna(0.0)
    return df.assign(amount=df["quantity"].astype("float64") * df["unit_price"].astype("float64") * (1 - discount))
