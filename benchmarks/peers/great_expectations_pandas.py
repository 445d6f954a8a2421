"""Great Expectations on pandas: a lenient cast, then a suite whose complete results name the rejected records."""

from __future__ import annotations

import os

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # it would call home

import great_expectations as gx
import pandas as pd
from great_expectations import expectations as gxe

from benchmarks.peers import pandas_rules as rules
from benchmarks.peers.task import Field, Task, task


def expectations(field: Field) -> list[gxe.Expectation]:
    column = field.name
    found: list[gxe.Expectation] = []
    if field.required:
        found.append(gxe.ExpectColumnValuesToNotBeNull(column=column))
    if field.minimum is not None or field.maximum is not None:
        found.append(gxe.ExpectColumnValuesToBeBetween(column=column, min_value=field.minimum, max_value=field.maximum))
    if field.enum is not None:
        found.append(gxe.ExpectColumnValuesToBeInSet(column=column, value_set=field.enum))
    if field.pattern is not None:
        found.append(gxe.ExpectColumnValuesToMatchRegex(column=column, regex=f"^(?:{field.pattern})$"))
    if field.max_length is not None:
        found.append(gxe.ExpectColumnValueLengthsToBeBetween(column=column, max_value=field.max_length))
    return found


def flags(texts: pd.DataFrame, typed: pd.DataFrame, given: Task) -> pd.DataFrame:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("frames").add_dataframe_asset("frame")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": typed})
    suite = gx.ExpectationSuite(
        name="contract", expectations=[each for field in given.fields for each in expectations(field)]
    )
    results = batch.validate(suite, result_format={"result_format": "COMPLETE", "return_unexpected_index_query": False})
    found = pd.DataFrame(False, index=texts.index, columns=[field.name for field in given.fields if field.can_fail])
    for result in results.results:
        if not result.success:
            found.loc[result.result["unexpected_index_list"], result.expectation_config.kwargs["column"]] = True
    for field in given.fields:
        if field.type != "string" and not field.required:
            found[field.name] |= typed[field.name].isna() & texts[field.name].notna()
    return found


def main() -> None:
    given = task()
    texts = pd.read_csv(given.file, engine="c", **rules.read_options(given))
    typed = pd.DataFrame({field.name: rules.to_type(texts[field.name], field) for field in given.fields})
    rules.deliver(typed, flags(texts, typed, given), given)


if __name__ == "__main__":
    main()
