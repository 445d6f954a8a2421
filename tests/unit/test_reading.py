"""What docs/reading.md tells readers to do gives the dataset's rows: its own lines are run, on a folder for S3."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.dataset as ds
import pytest
from pyarrow import fs

from ops.stage import athena
from tests import pipeline
from tests.fakes import MemoryPorts

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")
SAMPLE = (ROOT / "samples" / "orders.csv").read_bytes()
CONTRACT = json.loads((ROOT / "contracts" / "orders.json").read_text(encoding="utf-8"))


def block(language: str, beginning: str) -> str:
    """The one block of the page in this language that begins so."""
    (found,) = (each for each in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if each.startswith(beginning))
    return str(found).replace("<results>", pipeline.RESULTS)


def uploaded(**sluice: Any) -> MemoryPorts:
    """The sample, uploaded twice."""
    ports = MemoryPorts()
    described = CONTRACT | {"sluice": CONTRACT["sluice"] | sluice}
    for name in "ab":
        outcome = pipeline.run(SAMPLE, described, key=f"incoming/orders/{name}.csv", ports=ports)
        assert outcome.job.error is None
    return ports


@pytest.fixture(scope="module", params=[(), ("country",), ("country", "status")], ids=len)
def bucket(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the results bucket of the sample, by the columns of ``partitionBy``."""
    ports, root = uploaded(partitionBy=list(request.param)), tmp_path_factory.mktemp("s3")
    for stored in ports.objects.list(pipeline.RESULTS, ""):
        if not stored.key.startswith("work/"):
            path = root / stored.bucket / stored.key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(ports.objects.get(stored.bucket, stored.key))
    return root


@pytest.fixture(scope="module")
def expected() -> pd.DataFrame:
    """The rows of both uploads, as their jobs' parts hold them."""
    table = pipeline.run(SAMPLE, CONTRACT, key="incoming/orders/a.csv").table
    frame: pd.DataFrame = table.to_pandas()
    return pd.concat([frame, frame])


def test_arrow_and_pandas(bucket: Path, expected: pd.DataFrame) -> None:
    lines = block("python", "import pyarrow.dataset")
    opened = 'fs.S3FileSystem(region="eu-west-1")'
    assert lines.count(opened) == 1
    names = {"folder": fs.SubTreeFileSystem(str(bucket), fs.LocalFileSystem())}
    exec(lines.replace(opened, "folder"), names)
    orders, paid = names["orders"], names["paid"]
    assert isinstance(orders, ds.Dataset)
    assert isinstance(paid, pd.DataFrame)
    assert orders.count_rows() == len(expected)
    wanted = expected[expected["status"] == "paid"]
    assert sorted(paid["order_id"]) == sorted(wanted["order_id"])
    assert paid["amount"].sum() == pytest.approx(wanted["amount"].sum())


def test_duckdb(bucket: Path, expected: pd.DataFrame) -> None:
    secret, *statements = block("sql", "CREATE SECRET").split(";\n")
    assert secret == "CREATE SECRET (TYPE s3, PROVIDER credential_chain)"
    listed = bucket / pipeline.RESULTS / "datasets" / "orders" / "hive" / "symlink.txt"
    local = listed.with_name("local.txt")
    local.write_text(listed.read_text().replace("s3://", f"{bucket}/"))
    with duckdb.connect() as connection:
        for statement in filter(None, statements):
            sql = statement.replace("s3://", f"{bucket}/").replace("symlink.txt", "local.txt")
            found = connection.execute(sql).fetchall()
    groups = expected.groupby("country")["amount"]
    assert [(country, count) for country, count, _ in found] == list(groups.count().items())
    assert [revenue for *_, revenue in found] == pytest.approx(list(groups.sum()))


def test_athena() -> None:
    made = athena.statements_of(uploaded().objects, pipeline.RESULTS, "orders", "orders")
    assert (f"{made.sql[0]};\n", made.left_out) == (block("sql", "CREATE EXTERNAL TABLE"), {})


def test_a_list_of_files_is_where_the_page_says() -> None:
    uri = block("text", "s3://").strip()
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    assert len(uploaded().objects.get(bucket, key).splitlines()) == 2
