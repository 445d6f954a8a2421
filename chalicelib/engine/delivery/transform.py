"""A dataset's own pandas function: ``chalicelib/transforms/<dataset>.py``, ``transform(df) -> df``, found by name (what
no module's name can have, as a hyphen, is ``_`` there).

It is given valid rows, typed, some thousand at a time, in file order, and may add, change or drop columns and rows; it
must treat each row by itself, for how many rows a call sees depends on the chunk size.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from chalicelib import errors

if TYPE_CHECKING:
    import pandas as pd

Transform = Callable[["pd.DataFrame"], "pd.DataFrame"]

PACKAGE = "chalicelib.transforms"


def find(dataset: str) -> Transform | None:
    """The dataset's transform; None where it has none. Errors: ``Terminal("bad-transform")``."""
    module = re.sub("[^A-Za-z0-9_]", "_", dataset)
    if module != dataset and _has_file(f"{dataset}.py"):
        raise errors.Terminal(
            "bad-transform", f"transforms/{dataset}.py is not found by this name: call the file {module}.py"
        )
    name = f"{PACKAGE}.{module}"
    if importlib.util.find_spec(name) is None:
        return None
    try:
        function: Transform = importlib.import_module(name).transform
    except Exception as error:
        raise errors.Terminal(
            "bad-transform", f"the transform of dataset {dataset} cannot be loaded ({type(error).__name__})"
        ) from error
    return function


def _has_file(name: str) -> bool:
    return any(
        each.name == name for folder in importlib.import_module(PACKAGE).__path__ for each in Path(folder).iterdir()
    )


def apply(transform: Transform, table: pa.Table, where: str) -> pa.Table:
    """The transformed rows. ``where`` names them in an error.

    The frame's columns are Arrow-backed (``pandas.ArrowDtype``), so nulls and types survive both ways.
    Errors: ``Terminal("transform-failed")``; its cause is the user's exception, its message holds no cell's value.
    """
    import pandas as pd

    frame = table.to_pandas(types_mapper=pd.ArrowDtype)
    try:
        result = transform(frame)
        if not isinstance(result, pd.DataFrame):
            raise TypeError(f"transform returned {type(result).__name__}, not a DataFrame")
        if not len(result.columns):
            raise ValueError("transform returned no columns")
        named = any(name is not None for name in result.index.names)
        flat = result.reset_index() if named else result
        return pa.Table.from_pandas(flat, preserve_index=False).replace_schema_metadata(None)
    except (Exception, SystemExit) as error:
        raise errors.Terminal("transform-failed", f"{where}: {type(error).__name__} in the transform") from error
