"""A dataset's own pandas function: ``chalicelib/transforms/<dataset>.py``, ``transform(df) -> df``, found by name (what
no module's name can have, as a hyphen, is ``_`` there).

It is given valid rows, typed, some thousand at a time, in file order, and may add, change or drop columns and rows; it
must treat each row by itself, for how many rows a call sees depends on the chunk size.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from chalicelib import errors
from chalicelib.engine import coding
from chalicelib.engine.arrays import shown, whole
from chalicelib.engine.measure.canonical import canonical

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
    except (Exception, SystemExit) as error:  # a script ends in sys.exit()
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
    ``Terminal("transform-schema")`` where two columns have one name.
    """
    import pandas as pd

    frame = table.to_pandas(types_mapper=pd.ArrowDtype)
    with _failures(where):
        result = transform(frame)
        if not isinstance(result, pd.DataFrame):
            raise TypeError(f"transform returned {type(result).__name__}, not a DataFrame")
        if not len(result.columns):
            raise ValueError("transform returned no columns")
        named = any(name is not None for name in result.index.names)
        flat = result.reset_index() if named else result
    _refuse_namesakes(flat)
    with _failures(where):
        return pa.Table.from_pandas(flat, preserve_index=False).replace_schema_metadata(None)


@contextmanager
def _failures(where: str) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:
        raise errors.Terminal("transform-failed", f"{where}: {type(error).__name__} in the transform") from error


def _refuse_namesakes(frame: pd.DataFrame) -> None:
    """Two columns of one name: pandas may have them, also as ``1`` and ``"1"``; of a file nobody could read either."""
    names = [str(name) for name in frame.columns]
    namesake = next((name for name, count in Counter(names).items() if count > 1), None)
    if namesake is not None:
        raise errors.Terminal(
            "transform-schema", f'the transform gives several columns of the name "{namesake}": rename all but one'
        )


def refuse_unheld(table: pa.Table, given: pa.Table) -> None:
    """Refuse what Arrow takes from a frame without a look: values that are not of their column's type, and such as the
    type in which columns of their kind are measured cannot hold. ``given``: the rows before the transform, whose
    columns, coded or not, need no look where they are as they were.

    Errors: ``Terminal("transform-schema")``, which names the column and holds no cell's value.
    """
    known = {coding.memory(column) for column in given.columns}
    for field, column in zip(table.schema, table.columns, strict=True):
        if coding.is_coded(column) or coding.memory(column) in known:
            continue
        try:
            column.validate(full=True)
            canonical(whole(column))
        except pa.ArrowInvalid as error:  # whose text quotes the value
            raise errors.Terminal(
                "transform-schema",
                f'the transform gives the column "{field.name}" of type {shown(field.type)} {_unheld(field.type)}: put'
                " null, or a value that can be delivered, in their place",
            ) from error


def _unheld(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "moments beyond the years -290,307 to 294,246, the most that microseconds reach"
    return "values that are none of this type (a text that is not UTF-8, a time of another day, a part of a day)"
