"""pandera on pandas: a lenient cast, then a schema validated lazily; its failure cases are the rejects."""

from __future__ import annotations

import pandas as pd
import pandera.pandas as pa

from benchmarks.peers import pandas_rules as rules
from benchmarks.peers.pandera_rules import checks
from benchmarks.peers.task import Task, task


def flags(frame: pd.DataFrame, typed: pd.DataFrame, given: Task) -> pd.DataFrame:
    schema = pa.DataFrameSchema(
        {field.name: pa.Column(None, checks(field, pa), nullable=not field.required) for field in given.fields}
    )
    found = pd.DataFrame(False, index=frame.index, columns=[field.name for field in given.fields if field.can_fail])
    try:
        schema.validate(typed, lazy=True)
    except pa.errors.SchemaErrors as errors:
        for name, cases in errors.failure_cases.groupby("column"):
            found.loc[cases["index"], name] = True
    for field in given.fields:  # a text that could not be read is missing by now, which only a required field minds
        if field.type != "string" and not field.required:
            found[field.name] |= typed[field.name].isna() & frame[field.name].notna()
    return found


def main() -> None:
    given = task()
    frame = pd.read_csv(given.file, engine="pyarrow", dtype_backend="pyarrow", **rules.read_options(given))
    typed = pd.DataFrame({field.name: rules.to_type(frame[field.name], field) for field in given.fields})
    rules.deliver(typed, flags(frame, typed, given), given)


if __name__ == "__main__":
    main()
