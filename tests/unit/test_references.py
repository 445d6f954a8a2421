"""Unique keys of several fields, and foreign keys to another dataset's current data, over whole files in any cut."""

from __future__ import annotations

import io
import json
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import steps
from chalicelib.engine import arrays, hashing, ipc, types
from chalicelib.engine.checks import references as engine
from chalicelib.engine.checks.references import KeySet
from chalicelib.engine.contract.fields import TYPES as FIELD_TYPES
from chalicelib.engine.contract.fields import Field
from chalicelib.engine.hashing import hash_array
from chalicelib.errors import Transient
from chalicelib.model import JSON, event_from_source
from chalicelib.stages import references
from tests import pipeline
from tests.fakes import MemoryPorts
from tests.pipeline import RESULTS, Outcome, contract

COUNTRIES = contract(
    {"name": "code", "type": "string"}, {"name": "number", "type": "integer"}, {"name": "at", "type": "date"}
)
ROWS = b"code,number,at\nUS,1,2024-01-01\nDE,2,2024-01-02\n,3,\nDE,4,\n"


def foreign(fields: Any, columns: Any, resource: str = "countries") -> JSON:
    return {"foreignKeys": [{"fields": fields, "reference": {"resource": resource, "fields": columns}}]}


def referring(schema: JSON, **keys: Any) -> JSON:
    fields = [
        {"name": "id", "type": "integer"},
        {"name": "country", "type": "string"},
        {"name": "day", "type": "date", "format": "%d.%m.%Y"},
    ]
    return contract(*fields, schema=schema, **keys)


def with_countries(rows: bytes = ROWS, described: JSON = COUNTRIES, **keys: Any) -> MemoryPorts:
    ports = MemoryPorts()
    outcome = pipeline.run(rows, described, ports=ports, key="incoming/countries/a.csv", **keys)
    assert outcome.job.error is None
    return ports


def refused(outcome: Outcome) -> tuple[str, str]:
    assert outcome.job.error is not None
    return outcome.job.error.code, outcome.job.error.message


@pytest.mark.parametrize("chunk_size", [1 << 20, 12, 3])
def test_a_value_that_is_not_there_is_a_finding(chunk_size: int) -> None:
    body = b"id,country,day\n1,US,\n2,FR,\n3,,\nx,ES,\n4,DE,\n5,us,\n"
    outcome = pipeline.run(body, referring(foreign("country", "code")), ports=with_countries(), chunk_size=chunk_size)
    assert outcome.findings == {
        (2, "country", "foreign-key"),
        (4, "id", "type-error"),
        (4, "country", "foreign-key"),
        (6, "country", "foreign-key"),
    }
    assert outcome.rejects[0]["errors"][0]["note"] == (
        'the value of country is not in code of the dataset countries, found "FR"'
    )
    assert outcome.table.column("id").to_pylist() == [1, 3, 4]


def test_a_key_of_several_fields_is_looked_up_as_one() -> None:
    body = b"id,country,day\n1,US,01.01.2024\n1,DE,02.01.2024\n2,DE,02.01.2024\n2,,02.01.2024\n9,DE,x\n"
    schema = foreign(["country", "id", "day"], ["code", "number", "at"])
    outcome = pipeline.run(body, referring(schema), ports=with_countries())
    assert outcome.findings == {(2, "", "foreign-key"), (5, "day", "type-error")}
    assert outcome.rejects[0]["errors"][0]["note"] == (
        'the value of country, id, day is not in code, number, at of the dataset countries, found "DE, 1, 02.01.2024"'
    )


def test_every_foreign_key_is_checked() -> None:
    schema = foreign("country", "code")
    schema["foreignKeys"] += foreign("id", "number")["foreignKeys"]
    outcome = pipeline.run(b"id,country,day\n1,US,\n9,FR,\n3,FR,\n9,US,\n", referring(schema), ports=with_countries())
    assert outcome.findings == {
        (2, "country", "foreign-key"), (2, "id", "foreign-key"), (3, "country", "foreign-key"), (4, "id", "foreign-key")
    }  # fmt: skip


def test_all_current_files_are_referred_to_and_no_others() -> None:
    ports = with_countries()
    pipeline.run(b"code,number,at\nFR,5,\n", COUNTRIES, ports=ports, key="incoming/countries/b.csv")
    body = b"id,country,day\n1,US,\n2,FR,\n"
    assert pipeline.run(body, referring(foreign("country", "code")), ports=ports).findings == set()
    replacing = COUNTRIES | {"sluice": {"mode": "replace"}}
    pipeline.run(b"code,number,at\nFR,5,\n", replacing, ports=ports, key="incoming/countries/c.csv")
    outcome = pipeline.run(body, referring(foreign("country", "code")), ports=ports)
    assert outcome.findings == {(1, "country", "foreign-key")}


def test_columns_that_became_folders_are_referred_to() -> None:
    ports = with_countries(b"code,number,at\nUS,1,2024-01-01\nD=/E,2,\n,3,2024-01-01\n",
                           COUNTRIES | {"sluice": {"partitionBy": ["code", "at"]}})  # fmt: skip
    body = b"id,country,day\n1,US,01.01.2024\n2,D=/E,\n2,US,\n1,FR,02.01.2024\n"
    schema = foreign(["country", "id"], ["code", "number"])
    schema["foreignKeys"] += foreign(["day"], ["at"])["foreignKeys"]
    outcome = pipeline.run(body, referring(schema), ports=ports)
    assert outcome.findings == {(3, "", "foreign-key"), (4, "", "foreign-key"), (4, "day", "foreign-key")}


PARTITIONED = COUNTRIES | {"sluice": {"partitionBy": ["code"]}}


@pytest.mark.parametrize("described", [COUNTRIES, PARTITIONED], ids=["whole", "partitioned"])
def test_a_file_without_a_row_is_passed_over(described: JSON) -> None:
    """It has no folder that would tell the partition's columns."""
    ports = with_countries(described=described)
    pipeline.run(b"code,number,at\n", described, ports=ports, key="incoming/countries/b.csv")
    schema = foreign("country", "code")
    schema["foreignKeys"] += foreign(["id", "country"], ["number", "code"])["foreignKeys"]
    outcome = pipeline.run(b"id,country,day\n1,US,\n2,US,\n3,FR,\n", referring(schema), ports=ports)
    assert outcome.findings == {(2, "", "foreign-key"), (3, "country", "foreign-key"), (3, "", "foreign-key")}


@pytest.mark.parametrize("described", [COUNTRIES, PARTITIONED], ids=["whole", "partitioned"])
def test_a_dataset_whose_files_have_no_row_has_no_key(described: JSON) -> None:
    ports = with_countries(b"code,number,at\n", described)
    outcome = pipeline.run(b"id,country,day\n1,US,\n2,,\n", referring(foreign("country", "code")), ports=ports)
    assert outcome.findings == {(1, "country", "foreign-key")}


@pytest.mark.parametrize(
    ("schema", "code", "parts"),
    [
        (foreign("country", "code", "nowhere"), "reference-missing", ["nowhere", "before this file", "local.py serve"]),
        (foreign("country", "name"), "reference-missing", ["countries", "name"]),
        (foreign("country", "number"), "reference-type", ["country", "string", "number", "countries", "int64"]),
        (foreign("id", "at"), "reference-type", ["id", "int64", "at", "date32"]),
        (foreign("id", "id", "others"), "invalid-contract", ["schema.foreignKeys[0].reference.resource", "itself"]),
    ],
)
def test_what_cannot_be_referred_to_fails_the_job(schema: JSON, code: str, parts: list[str]) -> None:
    key = "incoming/others/a.csv"
    outcome = pipeline.run(b"id,country,day\n1,US,\n", referring(schema), ports=with_countries(), key=key)
    found, message = refused(outcome)
    assert found == code
    assert [part for part in parts if part not in message] == []


POINT = '{{""type"": ""Point"", ""coordinates"": [1, {}]}}'
FOLDERS: list[tuple[JSON, list[str], str]] = [
    ({"type": "string"}, ["a/b", "é=%"], "c"),
    ({"type": "integer"}, ["-5", "9007199254740993"], "9007199254740992"),
    ({"type": "number"}, ["0.1", "-0", "1e300"], "0.2"),
    ({"type": "number", "decimal": True}, ["0.10", "-12345678901234567890.12"], "-12345678901234567890.13"),
    ({"type": "boolean"}, ["true"], "false"),
    ({"type": "year"}, ["-0044", "12345"], "2024"),
    ({"type": "yearmonth"}, ["2024-01", "2024-02"], "2024-03"),
    ({"type": "duration"}, ["P12M", "P1D"], "PT1S"),
    ({"type": "date"}, ["0001-01-01", "9999-12-31"], "2024-02-29"),
    ({"type": "time"}, ["10:00:00", "23:59:59.999999"], "10:00:00.000001"),
    ({"type": "time", "format": "%H.%M"}, ["10.00", "23.59"], "00.00"),
    ({"type": "datetime"}, ["0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"], "2024-01-01T00:00:00+02:00"),
    ({"type": "datetime", "format": "%Y-%m-%d %H:%M"}, ["2024-01-01 10:00", "2024-01-01 11:00"], "2024-01-01 12:00"),
    ({"type": "object"}, ['{""a"": 1}', "{}"], '{""a"": 2}'),
    ({"type": "array"}, ["[1]", "[]"], "[2]"),
    ({"type": "geojson"}, [POINT.format(2)], POINT.format(3)),
    ({"type": "any"}, ["a", "b"], "c"),
]
"""A field; texts of it that name folders; and one that does not."""


def test_every_type_that_names_folders_is_here() -> None:
    assert {described["type"] for described, _, _ in FOLDERS} == set(FIELD_TYPES) - {"list", "geopoint"}


@pytest.mark.parametrize(("described", "known", "unknown"), FOLDERS, ids=lambda each: str(each)[:40])
def test_folders_of_every_type_are_referred_to(described: JSON, known: list[str], unknown: str) -> None:
    field = {"name": "code"} | {key: value for key, value in described.items() if key != "decimal"}
    fields = [field, {"name": "n", "type": "integer"}]
    sluice = {"decimals": {"code": {"precision": 22, "scale": 2}}} if "decimal" in described else {}

    def upload(texts: list[str], dataset: str, contract: JSON, ports: MemoryPorts) -> Outcome:
        body = "code,n\n" + "".join(f'"{text}",1\n' for text in texts)
        return pipeline.run(body.encode(), contract, ports=ports, key=f"incoming/{dataset}/a.csv")

    ports = MemoryPorts()
    kept = upload([*known, ""], "refs", contract(*fields, sluice=sluice | {"partitionBy": ["code"]}), ports)
    assert sum(name.startswith("data/code=") for name in kept.published) == len(known) + 1
    referring = contract(*fields, sluice=sluice, schema=foreign("code", "code", "refs"))
    outcome = upload([*known, unknown, ""], "things", referring, ports)
    assert outcome.job.error is None
    assert outcome.findings == {(len(known) + 1, "code", "foreign-key")}


def test_folders_are_no_lists() -> None:
    ports = with_countries(described=PARTITIONED)
    lists = contract({"name": "codes", "type": "list"}, schema=foreign("codes", "code"))
    code, message = refused(pipeline.run(b"codes\nUS\n", lists, ports=ports))
    assert code == "reference-type"
    assert "codes is of type list" in message


def test_folders_of_no_time_fail_the_job() -> None:
    ports = with_countries(b"code,number,at\n10:00:00,1,\n24:00:00,2,\n", PARTITIONED)
    times = contract({"name": "at", "type": "time"}, schema=foreign("at", "code"))
    code, message = refused(pipeline.run(b"at\n10:00:00\n", times, ports=ports))
    assert code == "reference-type"
    assert "at is of type time64[us], but code" in message


@pytest.mark.parametrize("limit", [{"REFERENCE_KEYS_LIMIT": 1}, {"REFERENCE_SIZE_BYTES": 5}])
def test_more_keys_than_a_worker_can_hold_fail_the_job(limit: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in limit.items():
        monkeypatch.setattr(references, name, value)
    outcome = pipeline.run(b"id,country,day\n1,US,\n", referring(foreign("country", "code")), ports=with_countries())
    assert refused(outcome)[0] == "reference-too-large"


def test_what_cannot_be_pinned_fails_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else no value would be looked up."""
    ports = with_countries()
    put = ports.objects.put

    def unavailable(bucket: str, key: str, body: bytes, content_type: str, if_match: str | None = None) -> Any:
        if if_match == "" and "/references-" in key:
            raise Transient("aws-unavailable", "s3:PutObject got no answer")
        return put(bucket, key, body, content_type, if_match)

    monkeypatch.setattr(ports.objects, "put", unavailable)
    outcome = pipeline.run(b"id,country,day\n1,FR,\n", referring(foreign("country", "code")), ports=ports)
    assert refused(outcome)[0] == "aws-unavailable"


def test_every_chunk_and_every_retry_sees_what_was_pinned_first() -> None:
    ports = with_countries()
    described = referring(foreign("country", "code"))

    def overtaken(ports: MemoryPorts) -> None:
        """France becomes current after the plan was made, and ValidateData runs again: its first reply was lost."""
        pipeline.run(b"code,number,at\nFR,5,\n", COUNTRIES, ports=ports, key="incoming/countries/b.csv")
        job = next(job for job in ports.jobs.records.values() if job.dataset == "things")
        payload = {"execution": f"arn:{job.job_id}", "event": event_from_source(job.source)}
        steps.validate_data(ports, pipeline.settings(10), payload)

    body = b"id,country,day\n1,US,\n2,FR,\n"
    outcome = pipeline.run(body, described, ports=ports, chunk_size=10, before_chunks=overtaken)
    assert outcome.findings == {(2, "country", "foreign-key")}
    again = pipeline.run(body, described, ports=ports, chunk_size=10)
    assert again.findings == set()


def test_a_pin_is_read_back_where_another_run_was_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ValidateData of one execution at once: the document of the one that came first counts for both."""
    ports = with_countries()
    described = referring(foreign("country", "code"))
    written: list[str] = []
    put = ports.objects.put

    def slow_put(bucket: str, key: str, body: bytes, content_type: str, if_match: str | None = None) -> Any:
        if if_match == "" and key.endswith(".json") and not written:
            written.append(key)
            put(bucket, key, json.dumps(["work/first.arrow"]).encode(), content_type)
        return put(bucket, key, body, content_type, if_match)

    monkeypatch.setattr(ports.objects, "put", slow_put)
    ports.objects.add(RESULTS, "work/first.arrow", ipc.dump(pa.table({"0": ["FR"]})))
    outcome = pipeline.run(b"id,country,day\n1,US,\n2,FR,\n", described, ports=ports)
    assert outcome.findings == {(1, "country", "foreign-key")}
    assert len(written) == 1


EPOCH = pa.array([0], pa.timestamp("s", "UTC"))
TYPES = [
    (Field("x", "integer"), pa.array([1, None, 5], pa.int32()), ["1", "2"]),
    (Field("x", "year"), pa.array([1, 2020], pa.int64()), ["2020", "2021"]),
    (Field("x", "number"), pa.array([1.5, -0.0], pa.float32()), ["0", "2.5"]),
    (Field("x", "number", precision=9, scale=2), pa.array([1, 2], pa.decimal128(20, 2)), ["1.0", "3"]),
    (Field("x", "boolean"), pa.array([True]), ["1", "false"]),
    (Field("x", "string"), pa.array(["a", "b"]).dictionary_encode(), ["b", "c"]),
    (Field("x", "string"), pa.array(["a"], pa.large_string()), ["a", "A"]),
    (Field("x", "datetime"), EPOCH, ["1970-01-01T01:00:00+01:00", "1970-01-01 00:01:00"]),
    (Field("x", "duration"), pa.array(["P1Y"]), ["P12M", "P365D"]),
    (Field("x", "object"), pa.array(['{"a":1,"b":2}', "no JSON"]), ['{"b": 2.0, "a": 1}', "{}"]),
    (Field("x", "geopoint"), pa.array([{"lon": 0.0, "lat": 1.0}]), ["-0,1", "1,0"]),
    (Field("x", "list", item_type="integer"), pa.array([[1, 2], None]), ["1,2", "1"]),
]  # fmt: skip


@pytest.mark.parametrize(("field", "column", "texts"), TYPES, ids=lambda each: str(getattr(each, "type", "")))
def test_values_are_compared_as_the_fields_type(field: Field, column: pa.Array, texts: list[str]) -> None:
    """Of the two texts the first is among the keys and the second is not."""
    assert engine.agrees(field, column.type)
    known = KeySet.load(ipc.dump(engine.merged([field], [engine.normalised([field], [column])])))
    values, _ = types.read(field, arrays.strings([*texts, None]))
    assert known.lacks([engine.normal(field, values)]).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        (Field("x", "integer"), pa.float64()),
        (Field("x", "string"), pa.binary()),
        (Field("x", "number", precision=9, scale=2), pa.decimal128(9, 3)),
        (Field("x", "datetime"), pa.timestamp("us")),
        (Field("x", "geopoint"), pa.struct([("x", pa.float64()), ("y", pa.float64())])),
        (Field("x", "list", item_type="integer"), pa.list_(pa.string())),
        (Field("x", "list"), pa.string()),
    ],
    ids=str,
)
def test_types_that_do_not_agree(field: Field, kind: pa.DataType) -> None:
    assert not engine.agrees(field, kind)


WORDS = st.sampled_from(["a", "b", "c", "dd", ""]) | st.none()
KEYS = st.lists(st.tuples(WORDS, st.integers(0, 3) | st.none(), WORDS), max_size=12)
FIELDS = [Field("one", "string"), Field("two", "integer"), Field("three", "string")]


@given(KEYS, KEYS, st.integers(1, 3), st.integers(1, 4), st.sampled_from([2**64 - 1, 1, 0]))
def test_a_key_set_is_the_set_of_its_whole_keys(
    held: list[tuple[Any, ...]], asked: list[tuple[Any, ...]], width: int, parts: int, hash_bits: int
) -> None:
    """However many values share a hash."""
    with mock.patch.object(hashing, "hash_array", lambda array: hash_array(array) & np.uint64(hash_bits)):
        _compare_with_a_set(held, asked, FIELDS[:width], parts)


def _compare_with_a_set(
    held: list[tuple[Any, ...]], asked: list[tuple[Any, ...]], fields: list[Field], parts: int
) -> None:
    width = len(fields)

    def columns(rows: list[tuple[Any, ...]]) -> list[pa.Array]:
        kinds = [types.arrow_type(field) for field in fields]
        return [pa.array([row[at] for row in rows], kind) for at, kind in enumerate(kinds)]

    tables = [engine.normalised(fields, columns(held[at::parts])) for at in range(parts)]
    body = ipc.dump(engine.merged(fields, tables))
    known = KeySet.load(body)
    whole = {row[:width] for row in held if None not in row[:width]}
    assert known.size == len(whole)
    lacking = [None not in row[:width] and row[:width] not in whole for row in asked]
    assert known.lacks([engine.normal(*each) for each in zip(fields, columns(asked), strict=True)]).tolist() == lacking
    # The same set is the same bytes, whatever order and parts it came in.
    assert ipc.dump(engine.merged(fields, tables[::-1])) == body
    assert ipc.dump(engine.normalised(fields, columns(held[::-1]))) == body


UNIQUE = contract(
    {"name": "a", "type": "integer"}, {"name": "b}", "type": "string"}, {"name": "c", "type": "geopoint"},
    schema={"uniqueKeys": [["a", "b}"], ["b}", "c"]]},
)  # fmt: skip


@pytest.mark.parametrize("chunk_size", [1 << 20, 9, 2])
def test_a_unique_key_of_several_fields_repeats_only_as_a_whole(chunk_size: int) -> None:
    rows = ['1,x,"1,2"', "1,y,", "01,x,", ",x,", ",x,", '2,x,"1.0,2"', "1,,", "1,,"]
    outcome = pipeline.run(("a,b},c\n" + "\n".join(rows) + "\n").encode(), UNIQUE, chunk_size=chunk_size)
    assert outcome.findings == {(3, "", "unique-error"), (6, "", "unique-error")}
    notes = [error["note"] for each in outcome.rejects for error in each["errors"]]
    said = "the values of {} are the same as in record 1"
    assert notes == [said.format("a, b}"), said.format("b}, c")]
    assert outcome.table.num_rows == 6


def test_part_keys_of_a_folder_without_stored_key_columns() -> None:
    ports = MemoryPorts()
    sink = io.BytesIO()
    pq.write_table(pa.table({"other": [1, 2]}), sink)
    name = "jobs/x/data/code=US/part-00000.parquet"
    ports.objects.add(RESULTS, name, sink.getvalue())
    manifest = {"outputs": [{"name": "data", "key": name}]}
    ports.objects.add(RESULTS, "jobs/x/manifest.json", json.dumps(manifest).encode())
    current = {"jobs": [{"manifest": "jobs/x/manifest.json"}]}
    ports.objects.add(RESULTS, "datasets/countries/current.json", json.dumps(current).encode())
    outcome = pipeline.run(b"id,country,day\n1,US,\n2,FR,\n", referring(foreign("country", "code")), ports=ports)
    assert outcome.findings == {(2, "country", "foreign-key")}


@pytest.mark.parametrize("key", [{"schema": {"primaryKey": ["id"]}}, {"schema": {"uniqueKeys": [["id"]]}}])
@pytest.mark.parametrize("chunk_size", [4, 1 << 20])
def test_a_rejected_record_keeps_the_key_that_it_has(key: JSON, chunk_size: int) -> None:
    """As docs/contract.md shows: nothing is delivered for key 1. One whose key cannot be read has none."""
    described = contract({"name": "id", "type": "integer"}, {"name": "v", "type": "integer"}, **key)
    outcome = pipeline.run(b"id,v\n1,x\n1,2\n?,3\n4,4\n", described, chunk_size=chunk_size)
    repeated = outcome.rejects[1]["errors"]
    assert [(each["record"], each["errors"][0]["code"]) for each in outcome.rejects] == [
        (1, "type-error"),
        (2, repeated[0]["code"]),
        (3, "type-error"),
    ]
    assert "record 1" in repeated[0]["note"]
    assert outcome.table.to_pylist() == [{"id": 4, "v": 4}]
