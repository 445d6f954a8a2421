"""What docs/reading.md tells readers to do gives the dataset's rows: its own lines are run, on a folder for S3."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
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


ZIPS = [{"name": "id", "type": "integer"}, {"name": "The City", "type": "string"}, {"name": "zip", "type": "string"}]


def in_s3(folder: Path, *jobs: tuple[str, list[str]]) -> list[str]:
    """Jobs of these rows by these columns of ``partitionBy``; the paths of the files that are listed then."""
    ports = MemoryPorts()
    for name, (rows, partition_by) in zip("ab", jobs, strict=False):
        described = pipeline.contract(*ZIPS, sluice={"partitionBy": partition_by})
        body = f"id,The City,zip\n{rows}".encode()
        assert pipeline.run(body, described, key=f"incoming/things/{name}.csv", ports=ports).job.error is None
    listed = ports.objects.get(pipeline.RESULTS, "datasets/things/hive/symlink.txt").decode().splitlines()
    for uri in listed:
        path = folder / uri.removeprefix("s3://")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(ports.objects.get(pipeline.RESULTS, uri.removeprefix(f"s3://{pipeline.RESULTS}/")))
    return [str(folder / uri.removeprefix("s3://")) for uri in listed]


def test_a_job_that_is_taken_out_makes_way_for_the_corrected_file() -> None:
    """As docs/operations.md says: else both versions of the file stay, with ``append``."""
    ports, current, listed = MemoryPorts(), "datasets/things/current.json", "datasets/things/hive/symlink.txt"

    def upload(body: bytes) -> list[str]:
        outcome = pipeline.run(body, pipeline.contract(*ZIPS), ports=ports)
        files = ports.objects.get(pipeline.RESULTS, listed).decode().splitlines()
        assert [uri.split("/")[4] for uri in files] == outcome.current
        return outcome.current

    first = upload(b"id,The City,zip\n1,a,1\n2,b,2\n")
    both = upload(b"id,The City,zip\n1,a,9\n2,b,2\n")
    assert both[:1] == first
    assert len(both) == 2
    document = json.loads(ports.objects.get(pipeline.RESULTS, current))
    document["jobs"] = []
    ports.objects.put(pipeline.RESULTS, current, json.dumps(document).encode(), "application/json")
    assert len(upload(b"id,The City,zip\n1,a,8\n2,b,2\n")) == 1


def told(words: str) -> str:
    """Words that the page has, in code or out of it."""
    assert words in PAGE
    return words


def test_arrow_guesses_the_types_of_columns_in_folders_or_is_told(tmp_path: Path) -> None:
    files = in_s3(tmp_path, ("1,a b,01234\n2,,5\n", ["The City", "zip"]))
    guessed = ds.dataset(files, format="parquet", partitioning="hive").to_table()
    assert guessed.select(["The City", "zip"]).to_pylist() == [
        {"The City": None, "zip": 5},
        {"The City": "a b", "zip": 1234},
    ]
    given = told('ds.partitioning(pa.schema([("zip", pa.string())]), flavor="hive")')
    files = in_s3(tmp_path / "zip", ("1,a b,01234\n2,,5\n", ["zip"]))
    read = ds.dataset(files, format="parquet", partitioning=eval(given, {"ds": ds, "pa": pa})).to_table()
    assert sorted(read.column("zip").to_pylist()) == ["01234", "5"]


def test_pandas_reads_a_jobs_folder_where_a_value_is_missing_if_it_is_told_the_columns(tmp_path: Path) -> None:
    rows = "1,a b,01234\n2,,5\n3,c,\n"
    folder = in_s3(tmp_path, (rows, ["The City", "zip"]))[0].partition("/data/")[0] + "/data"
    with pytest.raises(pa.ArrowInvalid, match=re.sub(" (?=dictionaries)", r"\\s+", "Cannot yet unify dictionaries")):
        pd.read_parquet(folder)
    lines = block("python", "import pandas").replace("out/<job_id>/data", folder)
    columns = '("country", pa.string()), ("status", pa.string())'
    assert lines.count(columns) == 1
    names: dict[str, Any] = {}
    exec(lines.replace(columns, '("The City", pa.string()), ("zip", pa.string())'), names)
    read = names["orders"].sort_values("id").astype(object)
    assert read.where(read.notna(), None).values.tolist() == [[1, "a b", "01234"], [2, None, "5"], [3, "c", None]]


def test_duckdb_guesses_the_types_of_columns_in_folders_or_is_told(tmp_path: Path) -> None:
    files = in_s3(tmp_path, ("1,a b,1234\n2,,5\n", ["The City", "zip"]))
    with duckdb.connect() as connection:
        read = "SELECT * FROM read_parquet(?, hive_partitioning = true"
        connection.execute(f"{read}) ORDER BY id", [files])
        columns = [name for name, *_ in connection.description or ()]
        assert columns == ["id", told("The%20City"), "zip"]
        assert connection.fetchall() == [(1, "a b", 1234), (2, None, 5)]
        given = told("hive_types = {'zip': VARCHAR}")
        connection.execute(f"{read}, {given}) ORDER BY id", [files])
        assert connection.fetchall() == [(1, "a b", "1234"), (2, None, "5")]
        leading = in_s3(tmp_path / "leading", ("1,a b,01234\n2,,5\n", ["zip"]))
        connection.execute(f"{read}) ORDER BY id", [leading])
        assert connection.fetchall() == [(1, "a b", "01234"), (2, None, "5")]


def test_readers_refuse_columns_that_are_in_folders_here_and_in_files_there(tmp_path: Path) -> None:
    files = in_s3(tmp_path, ("1,a,5\n", []), ("2,b,6\n", ["zip"]))
    with duckdb.connect() as connection, pytest.raises(duckdb.BinderException, match=told("Hive partition mismatch")):
        connection.execute("SELECT * FROM read_parquet(?, union_by_name = true, hive_partitioning = true)", [files])
    with pytest.raises(pa.ArrowTypeError, match=told("Unable to merge")):
        ds.dataset(files, format="parquet", partitioning="hive")


def test_athena() -> None:
    made = athena.statements_of(uploaded().objects, pipeline.RESULTS, "orders", "orders")
    assert (f"{made.sql[0]};\n", made.left_out) == (block("sql", "CREATE EXTERNAL TABLE"), {})


def test_a_list_of_files_is_where_the_page_says() -> None:
    uri = block("text", "s3://").strip()
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    assert len(uploaded().objects.get(bucket, key).splitlines()) == 2
