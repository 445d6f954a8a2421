"""``deploy.py athena``: statements that Athena's SQL takes, with a type for every column that it can read."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

import deploy
from ops import ports
from ops.stage import athena
from ops.target import Names, OperatorError
from tests import pipeline
from tests.fakes import MemoryPorts

LOCATION = "s3://results/datasets/things/hive/"
FIELDS = [
    {"name": "an_integer", "type": "integer"},
    {"name": "a_number", "type": "number"},
    {"name": "a_decimal", "type": "number"},
    {"name": "a_boolean", "type": "boolean"},
    {"name": "a_date", "type": "date"},
    {"name": "a_time", "type": "time"},
    {"name": "a_datetime", "type": "datetime"},
    {"name": "a_year", "type": "year"},
    {"name": "a_yearmonth", "type": "yearmonth"},
    {"name": "a_duration", "type": "duration"},
    {"name": "an_object", "type": "object"},
    {"name": "an_array", "type": "array"},
    {"name": "a_list", "type": "list", "itemType": "integer"},
    {"name": "a_geopoint", "type": "geopoint"},
    {"name": "a_geojson", "type": "geojson"},
    {"name": "a_string", "type": "string"},
    {"name": "an_any", "type": "any"},
]
CELLS = (
    "1,1.5,2.25,true,2024-05-06,07:08:09,2024-05-06T07:08:09Z,2024,2024-05,P1D,"
    '{},[],"1,2","1, 2","{""type"": ""Point"", ""coordinates"": [1, 2]}",x,y'
)


def made(schema: pa.Schema, *folders: str, table: str = "things") -> athena.Statements:
    return athena.statements(schema, folders, LOCATION, table)


def created(statement: str) -> dict[str, str]:
    """Column → type, as a parser of Athena's SQL reads the statement."""
    parsed = sqlglot.parse_one(statement, read="athena")
    assert isinstance(parsed, exp.Create)
    return {column.name: column.kind.sql("hive") for column in parsed.this.expressions}


def published(*fields: dict[str, Any], rows: str, ports: MemoryPorts | None = None, **sluice: Any) -> MemoryPorts:
    outcome = pipeline.run(rows.encode(), pipeline.contract(*fields, sluice=sluice), ports=ports)
    assert outcome.job.error is None
    return outcome.ports


def of(ports: MemoryPorts) -> athena.Statements:
    return athena.statements_of(ports.objects, pipeline.RESULTS, "things", "things")


def test_every_type_of_a_contract_has_one_in_athena_but_times() -> None:
    header = ",".join(str(field["name"]) for field in FIELDS)
    found = of(published(*FIELDS, rows=f"{header}\n{CELLS}\n", decimals={"a_decimal": {"precision": 12, "scale": 2}}))
    assert found.left_out == {"a_time": "Athena has no type for time64[us]"}
    (statement,) = found.sql
    assert created(statement) == {
        "an_integer": "BIGINT",
        "a_number": "DOUBLE",
        "a_decimal": "DECIMAL(12, 2)",
        "a_boolean": "BOOLEAN",
        "a_date": "DATE",
        "a_datetime": "TIMESTAMP",
        "a_year": "INT",
        "a_yearmonth": "STRING",
        "a_duration": "STRING",
        "an_object": "STRING",
        "an_array": "STRING",
        "a_list": "ARRAY<BIGINT>",
        "a_geopoint": "STRUCT<`lon`: DOUBLE, `lat`: DOUBLE>",
        "a_geojson": "STRING",
        "a_string": "STRING",
        "an_any": "STRING",
    }


def test_the_table_reads_the_list_of_files() -> None:
    (statement,) = of(published({"name": "id", "type": "integer"}, rows="id\n1\n")).sql
    location = f"s3://{pipeline.RESULTS}/datasets/things/hive/"
    assert statement.splitlines() == [
        "CREATE EXTERNAL TABLE `things` (",
        "  `id` bigint",
        ")",
        "ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'",
        "STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat'",
        "OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'",
        f"LOCATION '{location}'",
    ]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (pa.int8(), "TINYINT"),
        (pa.int16(), "SMALLINT"),
        (pa.float32(), "FLOAT"),
        (pa.large_string(), "STRING"),
        (pa.binary(), "BINARY"),
        (pa.timestamp("us"), "TIMESTAMP"),
        (pa.dictionary(pa.int32(), pa.string()), "STRING"),
        (pa.list_(pa.struct([("a", pa.date32())])), "ARRAY<STRUCT<`a`: DATE>>"),
        (pa.struct([("date", pa.date32()), ("Order", pa.int64())]), "STRUCT<`date`: DATE, `order`: BIGINT>"),
    ],
)
def test_a_transforms_types(kind: pa.DataType, expected: str) -> None:
    (statement,) = made(pa.schema([("made", kind)])).sql
    assert created(statement) == {"made": expected}


@pytest.mark.parametrize(
    "kind",
    [
        pa.uint64(),
        pa.duration("us"),
        pa.list_(pa.time64("us")),
        pa.struct([("a b", pa.int8())]),
        pa.struct([("a", pa.int8()), ("A", pa.int8())]),
    ],
)
def test_what_athena_has_no_type_for_is_left_out_and_told(kind: pa.DataType) -> None:
    found = made(pa.schema([("id", pa.int64()), ("made", kind)]))
    assert created(found.sql[0]) == {"id": "BIGINT"}
    assert list(found.left_out) == ["made"]
    assert "a b" not in found.left_out["made"]


@pytest.mark.parametrize("name", ["a.b", "a:b", "a,b", "a`b", "a\nb", "ä" * 128, "", "$path"])
def test_a_name_that_athena_does_not_take_is_left_out_and_told(name: str) -> None:
    found = made(pa.schema([("id", pa.int64()), (name, pa.int64())]))
    assert created(found.sql[0]) == {"id": "BIGINT"}
    assert list(found.left_out) == [name]


def test_other_names_stand_in_backticks_and_in_small_letters() -> None:
    found = made(
        pa.schema([("Order Id", pa.int64()), ("select", pa.int64()), ("größe", pa.int64()), ("ORDER ID", pa.int8())])
    )
    assert list(created(found.sql[0])) == ["order id", "select", "größe"]
    assert list(found.left_out) == ["ORDER ID"]


def test_a_dataset_without_a_column_that_athena_reads_has_no_table() -> None:
    with pytest.raises(OperatorError, match="a type for none of the columns"):
        made(pa.schema([("at", pa.time64("us"))]))


def test_a_table_may_stand_in_a_database() -> None:
    table, view = made(pa.schema([("id", pa.int64())]), "city", table="sales.things").sql
    assert table.startswith("CREATE EXTERNAL TABLE `sales`.`things_files` (")
    assert view.startswith('CREATE OR REPLACE VIEW "sales"."things" AS')
    assert view.endswith('FROM "sales"."things_files"')


def test_the_view_has_the_columns_that_stand_in_folders() -> None:
    """Each value comes back as it was, by the SQL itself: DuckDB's functions of these names do the same."""
    fields = [
        {"name": "id", "type": "integer"},
        {"name": "The City", "type": "string"},
        {"name": "day", "type": "date"},
    ]
    cities = ["München", "a b", "a+b", "50%", "x=y", "__HIVE_DEFAULT_PARTITION__", "it's"]
    rows = "".join(f"{number},{city},2024-05-06\n" for number, city in enumerate([*cities, ""]))
    ports = published(*fields, rows=f"id,The City,day\n{rows}", partitionBy=["The City", "day"])
    table, view = of(ports).sql
    assert created(table) == {"id": "BIGINT"}
    (selected,) = sqlglot.parse_one(view, read="trino").find_all(exp.Select)
    listed = ports.objects.get(pipeline.RESULTS, "datasets/things/hive/symlink.txt").decode().splitlines()
    with duckdb.connect() as connection:
        connection.execute('CREATE TABLE things_files (id BIGINT, "$path" VARCHAR)')
        connection.executemany("INSERT INTO things_files VALUES (?, ?)", list(enumerate(listed)))
        found = connection.execute(selected.sql("duckdb")).fetchall()
        columns = [each[0] for each in connection.description or ()]
    assert columns[-2:] == ["the city", "day"]
    assert {row[-2] for row in found} == {*cities, None}
    assert {row[-1] for row in found} == {"2024-05-06"}


def test_a_column_of_a_view_may_have_any_name_that_a_table_takes() -> None:
    _, view = made(pa.schema([("id", pa.int64())]), 'the "City"', "order", "$path").sql
    (selected,) = sqlglot.parse_one(view, read="trino").find_all(exp.Select)
    assert selected.named_selects == ["*", 'the "city"', "order"]


def test_a_column_in_folders_takes_the_place_of_one_alike() -> None:
    found = made(pa.schema([("id", pa.int64()), ("CITY", pa.string())]), "city")
    assert created(found.sql[0]) == {"id": "BIGINT"}
    assert list(found.left_out) == ["CITY"]


def test_a_column_that_only_some_files_have_in_their_folders_is_told() -> None:
    """In the table it is null for the others, or for those, and nothing else would say so."""
    fields = [{"name": "id", "type": "integer"}, {"name": "city", "type": "string"}, {"name": "to", "type": "string"}]
    rows = "id,city,to\n1,x,y\n"
    ports = published(*fields, rows=rows, partitionBy=["to"])
    assert of(ports).in_some_folders == ()
    published(*fields, rows=rows + "2,y,z\n", ports=ports, partitionBy=["to", "city"])
    assert of(ports).in_some_folders == ("city",)
    published(*fields, rows=rows + "3,z,z\n", ports=ports)
    assert of(ports).in_some_folders == ("city", "to")


def test_the_newest_job_with_rows_tells_the_columns() -> None:
    ports = published({"name": "id", "type": "integer"}, rows="id\n1\n")
    two = [{"name": "id", "type": "integer"}, {"name": "to", "type": "string"}]
    published(*two, rows="id,to\n1,x\n", ports=ports)
    pipeline.run(b"id\nx\n", pipeline.contract({"name": "id", "type": "integer"}), ports=ports)
    assert list(created(of(ports).sql[0])) == ["id", "to"]


def test_a_dataset_without_rows_has_no_table() -> None:
    with pytest.raises(OperatorError, match="the dataset things has no list of files in"):
        of(MemoryPorts())
    with pytest.raises(OperatorError, match="the dataset things has no current rows in"):
        of(published({"name": "id", "type": "integer"}, rows="id\n"))


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> MemoryPorts:
    found = published({"name": "id", "type": "integer"}, {"name": "at", "type": "time"}, rows="id,at\n1,07:08:09\n")
    monkeypatch.setattr(ports, "objects", lambda target: found.objects)
    monkeypatch.setattr("ops.target.Names.bucket", lambda names, purpose: pipeline.RESULTS)
    monkeypatch.setattr("ops.target.Target.names", property(lambda target: Names(target.stage, "1" * 12, "eu-west-1")))
    return found


def test_the_command_prints_sql_alone(deployed: MemoryPorts, capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy.main(["athena", "--stage", "prod", "--region", "eu-west-1", "things"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("CREATE EXTERNAL TABLE `things` (\n  `id` bigint\n)\n")
    assert printed.out.endswith("/datasets/things/hive/';\n")
    assert "left out: at: Athena has no type for time64[us]" in printed.err


def test_the_command_as_json(deployed: MemoryPorts, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "athena",
        "--stage",
        "prod",
        "--region",
        "eu-west-1",
        "things",
        "--table",
        "sales.all_things",
        "--json",
    ]
    assert deploy.main(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["statements"][0].startswith("CREATE EXTERNAL TABLE `sales`.`all_things` (")
    assert told["left_out"] == {"at": "Athena has no type for time64[us]"}
    assert (told["stage"], told["dataset"]) == ("prod", "things")


@pytest.mark.parametrize("name", ["Things", "a-b", "a.b.c", "a`b", ""])
def test_a_table_has_a_plain_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        deploy.main(["athena", "--stage", "prod", "things", "--table", name])
    assert ended.value.code == 2
    assert "is not of small letters, digits and _" in capsys.readouterr().err
