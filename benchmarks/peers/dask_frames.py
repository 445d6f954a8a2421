"""dask: the pandas rules on each partition. A quoted line feed may lie where dask cuts, which it cannot know."""

from __future__ import annotations

import os
from pathlib import Path

import dask
import dask.dataframe as dd
import pandas as pd
from dask import delayed

from benchmarks.peers import pandas_rules as rules
from benchmarks.peers.task import Task, task

BLOCK_BYTES = 16 << 20


@delayed
def checked(texts: pd.DataFrame, given: Task) -> tuple[pd.DataFrame, pd.DataFrame]:
    return rules.check(texts.reset_index(drop=True), given)


@delayed
def delivered(
    parts: tuple[pd.DataFrame, pd.DataFrame], number: int, given: Task
) -> tuple[int, pd.Series, pd.DataFrame]:
    typed, flags = parts
    valid = rules.with_amount(typed[~flags.any(axis=1)])
    valid.to_parquet(given.path(f"data/part-{number:05}.parquet"), compression="snappy", index=False)
    return len(flags), rules.reasons(flags), rules.groups(valid, given)


def main() -> None:
    given = task()
    Path(given.path("data")).mkdir()
    texts = dd.read_csv(given.file, blocksize=BLOCK_BYTES, **rules.read_options(given))
    parts = [delivered(checked(part, given), number, given) for number, part in enumerate(texts.to_delayed())]
    cores = len(os.sched_getaffinity(0))
    scheduler = {"scheduler": "synchronous"} if cores == 1 else {"scheduler": "processes", "num_workers": cores}
    before, rejects, groups = 0, [], []
    for rows, fields, found in dask.compute(*parts, **scheduler):
        rejects.append(pd.DataFrame({"record": fields.index + 1 + before, "fields": fields}))
        groups.append(found)
        before += rows
    pd.concat(rejects).to_csv(given.path("rejects.csv"), index=False)
    total = pd.concat(groups).groupby(given.keys, observed=True).sum().reset_index()
    total.to_csv(given.path("groups.csv"), index=False)


if __name__ == "__main__":
    main()
