"""Durations, JSON, lists, points and shapes: which texts they are, and what keys and constraints make of them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given

from chalicelib.engine import arrays, types
from chalicelib.engine.contract import durations, jsontexts, literals
from chalicelib.engine.contract.fields import Field
from chalicelib.engine.delivery import transform
from chalicelib.engine.types import nested
from chalicelib.model import JSON
from tests import pipeline
from tests.property import nested_rules as rules

BAD = "bad"


def read(field: Field, *texts: str | None) -> list[Any]:
    values, bad = types.read(field, arrays.strings(texts))
    values.validate(full=True)
    return [BAD if is_bad else value for value, is_bad in zip(values.to_pylist(), bad, strict=True)]


def point(lon: float, lat: float) -> dict[str, float]:
    return {"lon": lon, "lat": lat}


def itself(*texts: str) -> dict[str, Any]:
    return {text: text for text in texts}


def bad(*texts: str) -> dict[str, Any]:
    return dict.fromkeys(texts, BAD)


EXAMPLES: list[tuple[Field, dict[str, Any]]] = [
    (Field("x", "duration"), {
        "P1Y2M": "P1Y2M", "P14M": "P1Y2M", "PT36H": "P1DT12H", "PT0.50S": "PT0.5S", "-P0D": "PT0S", "-P1D": "-P1D",
        "P999999999Y": "P999999999Y", "P999999998Y12M": "P999999999Y", "P999999998DT24H": "P999999999D",
        "-P999999999Y11M999999999DT23H59M59.999999S": "-P999999999Y11M999999999DT23H59M59.999999S",
    } | bad("P", "PT", "P1DT", "P1W", "1D", "P1H", "PT1D", "P1M1Y", "P1.5D", "PT.5S", "PT1.S", "PT1.1234567S", "+P1D",
            "p1d", "P-1D", " P1D", "P1000000000Y", "P٣D", "P999999999Y12M", "-P999999999DT24H",
            "P999999999DT23H59M60S")),
    (Field("x", "object"), itself('{"a": 1}', "{}", ' {"a":[{}]}\n', '{"a":1e400}', '{"a":"\\ud800"}')
     | bad("[]", "null", '{"a":1,"a":1}', '{"a":NaN}', "{'a':1}", '{"a":1,}', "", "{", '{"a":1e1234567890123456789}')),
    (Field("x", "array"), itself("[]", '[1,"x",null]', "[" * 100 + "]" * 100)
     | bad("{}", "[1,]", "[01]", "[Infinity]", "[" * 101 + "]" * 101, "1,2", "[1] [2]")),
    (Field("x", "list"), {"a,b": ["a", "b"], "a": ["a"], "": [""], "a, b,": ["a", " b", ""]}),
    (Field("x", "list", item_type="integer", delimiter=" | "), {"1 | -2": [1, -2], "3": [3]}
     | bad("1|2", "1 | x", "", "1 | ", "1 | 2.0")),
    (Field("x", "list", item_type="date"), {"2024-02-29,2024-03-01": [dt.date(2024, 2, 29), dt.date(2024, 3, 1)]}
     | bad("2024-02-30", "2024-02-29, 2024-03-01")),
    (Field("x", "geopoint"), {
        "90.5, 45.5": point(90.5, 45.5), "90.5,45.5": point(90.5, 45.5), "-180,+90": point(-180, 90),
        "1e1,.5": point(10, 0.5),
    } | bad("180.1,0", "0,90.1", "90.5 ,45.5", "90.5,  45.5", "90.5", "1,2,3", "nan,0", "inf,0", "[1,2]", "x,1",
            "٣,1")),
    (Field("x", "geopoint", "array"), {"[90.5, 45.5]": point(90.5, 45.5), "[1e1,-0]": point(10, 0)}
     | bad('["1","2"]', "[1]", "[1,2,3]", "[181,0]", "1,2", "[null,1]", "[true,1]", "[1e999,1]")),
    (Field("x", "geopoint", "object"), {'{"lat": 45.5, "lon": 90.5}': point(90.5, 45.5)}
     | bad('{"lon":1}', '{"lon":1,"lat":2,"alt":3}', '{"lon":"1","lat":2}', '{"lng":1,"lat":2}', "[1,2]")),
    (Field("x", "geojson"), itself(
        '{"type":"Point","coordinates":[1,2]}', '{"type":"Point","coordinates":[1,2,3],"bbox":[0,0,1,1]}',
        '{"type":"MultiPoint","coordinates":[]}', '{"type":"LineString","coordinates":[[1,2],[3,4]]}',
        '{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,0.0]]]}',
        '{"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":[1,2]}]}',
        '{"type":"Feature","geometry":null,"properties":null,"id":1}',
        '{"type":"FeatureCollection","features":[{"type":"Feature","geometry":null,"properties":{}}],"name":"x"}')
     | bad("{}", '{"type":"point","coordinates":[1,2]}', '{"type":"Point","coordinates":[1]}',
           '{"type":"Point","coordinates":["1","2"]}', '{"type":"LineString","coordinates":[[1,2]]}',
           '{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,1]]]}',
           '{"type":"Polygon","coordinates":[[[0,0],[1,0],[0,0]]]}', '{"type":"Feature","geometry":null}',
           '{"type":"Feature","properties":{}}',
           '{"type":"FeatureCollection","features":[{"type":"Point","coordinates":[1,2]}]}',
           '{"type":"Feature","geometry":null,"properties":null,"id":null}', '{"type":["Point"],"coordinates":[1,2]}',
           '{"type":"Point","coordinates":[1,2],"bbox":[1,2]}', '{"type":"Topology","objects":{},"arcs":[]}')),
    (Field("x", "geojson", "topojson"), itself(
        '{"type":"Topology","objects":{},"arcs":[]}',
        '{"type":"Topology","objects":{"a":{"type":"Polygon","arcs":[[0,-1]]},"b":{"type":null}},"arcs":[[[0,0],[1,1]]],'
        '"transform":{"scale":[1,1],"translate":[0,0]}}',
        '{"type":"Topology","objects":{"a":{"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":[1,2]},'
        '{"type":"MultiPolygon","arcs":[[[0]]]}]}},"arcs":[]}')
     | bad('{"type":"Topology","objects":{}}', '{"type":"Topology","arcs":[]}', '{"type":"Point","coordinates":[1,2]}',
           '{"type":"Topology","objects":{"a":{"type":"LineString","arcs":[0.5]}},"arcs":[]}',
           '{"type":"Topology","objects":{"a":{"arcs":[0]}},"arcs":[]}',
           '{"type":"Topology","objects":{},"arcs":[],"transform":{"scale":[1,1]}}')),
]  # fmt: skip


def is_refused_in_a_contract(field: Field, text: str) -> bool:
    try:
        literals.value_of(field, text)
    except ValueError:
        return True
    return False


@pytest.mark.parametrize(
    ("field", "expected"), EXAMPLES, ids=[f"{field.type} {field.format} {field.item_type}" for field, _ in EXAMPLES]
)
def test_examples(field: Field, expected: dict[str, Any]) -> None:
    assert read(field, *expected) == list(expected.values())
    for text, value in expected.items():
        assert read(field, text) == [value], text
        assert read(field, None, text, None) == [None, value, None], text
        assert is_refused_in_a_contract(field, text) is (value is BAD), text


@pytest.mark.parametrize(
    ("shorter", "longer"),
    [("P27D", "P1M"), ("P1M", "P32D"), ("P364D", "P1Y"), ("P1Y", "P367D"), ("-P1M", "PT0S"), ("P1Y", "P1YT0.000001S"),
     ("P149D", "P5M"), ("P5M", "P154D")],
)  # fmt: skip
def test_durations_in_order(shorter: str, longer: str) -> None:
    """The examples of https://www.w3.org/TR/xmlschema-2/#duration-order."""
    one, two = durations.read(shorter), durations.read(longer)
    assert one < two
    assert one <= two
    assert two > one
    assert not two <= one


@pytest.mark.parametrize(
    ("one", "two"),
    [("P1M", "P28D"), ("P1M", "P31D"), ("P1Y", "P365D"), ("P1Y", "P366D"), ("P5M", "P150D"), ("P5M", "P153D")],
)  # fmt: skip
def test_durations_without_an_order(one: str, two: str) -> None:
    left, right = durations.read(one), durations.read(two)
    assert left != right
    assert not any((left < right, left > right, left <= right, left >= right))


@given(rules.DURATIONS | rules.ORDERED_DURATIONS)
@example("P999999999DT24H")
def test_a_durations_canonical_text_is_read_as_the_same(text: str) -> None:
    values, [is_bad] = types.read(Field("x", "duration"), arrays.strings([text]))
    if not is_bad:
        canonical = values.to_pylist()[0]
        assert durations.read(canonical) == durations.read(text)
        assert read(Field("x", "duration"), canonical) == [canonical]
        assert nested.is_duration_within(values, lambda each: each == durations.read(text)).tolist() == [True]


@pytest.mark.parametrize("constraints", [{}, {"minimum": "P1D"}])
def test_a_duration_is_rejected_for_its_digits_whatever_its_limits(constraints: JSON) -> None:
    described = pipeline.contract(field("d", "duration", constraints=constraints))
    outcome = pipeline.run(b"d\nP999999999D\nP999999999DT24H\nP999999999Y12M\n", described)
    assert outcome.findings == {(2, "d", "type-error"), (3, "d", "type-error")}
    assert outcome.table.to_pylist() == [{"d": "P999999999D"}]


@pytest.mark.parametrize(
    ("one", "two", "are_equal"),
    [('{"a":1,"b":2}', '{"b":2.0,"a":10e-1}', True), ("[0]", "[-0.00]", True), ("[1]", '["1"]', False),
     ("[12345678901234567890.1]", "[12345678901234567890.2]", False), ("[1e5]", "[100000]", True),
     ('["é"]', '["\\u00e9"]', True), ("[1]", "[true]", False), ("[1,2]", "[2,1]", False), ("[1e-400]", "[0]", False)],
)  # fmt: skip
def test_json_is_compared_by_value(one: str, two: str, are_equal: bool) -> None:
    left, right = (jsontexts.canonical(jsontexts.parse(text)) for text in (one, two))
    assert (left == right) is are_equal
    assert jsontexts.parse(left) is not None


@pytest.mark.parametrize(
    ("field", "texts", "classes"),
    [
        (Field("x", "geopoint"), ["0,1", "-0.0, 1.0", "1,0", None], [0, 0, 1, None]),
        (Field("x", "list", item_type="number"), ["0,1", "-0,1.0", "1,0", "0", None], [0, 0, 1, 2, None]),
        (Field("x", "list"), ["a,b", "a", "a,b,", "a,b"], [0, 1, 2, 0]),
        (Field("x", "object"), ['{"a":1}', '{ "a": 1.0 }', "{}"], [0, 0, 1]),
        (Field("x", "duration"), ["P1Y", "P12M", "P365D"], [0, 0, 1]),
    ],
    ids=str,
)
def test_equal_values_are_comparable_as_equal(field: Field, texts: list[str | None], classes: list[int | None]) -> None:
    values, _ = types.read(field, arrays.strings(["zz", *texts]).slice(1))
    found = nested.comparable(field, values).to_pylist()
    seen: list[Any] = []
    for value in found:
        if value is not None and value not in seen:
            seen.append(value)
    assert [None if value is None else seen.index(value) for value in found] == classes


def field(name: str, kind: str, **keys: Any) -> JSON:
    return {"name": name, "type": kind, **keys}


EVERYTHING = [
    field("d", "duration", constraints={"unique": True, "minimum": "PT1H", "exclusiveMaximum": "P1M"}),
    field("o", "object", constraints={"unique": True, "minLength": 1, "enum": [{"a": 1}, {"b": [1, 2.5]}]}),
    field("a", "array", constraints={"maxLength": 2}),
    field("l", "list", itemType="integer", delimiter="|", constraints={"minLength": 2, "enum": [[1, 2], "3|4|5"]}),
    field("g", "geopoint", constraints={"enum": ["1,2", "3,4"]}),
    field("j", "geojson", constraints={"required": True}),
]
SHAPE = '{"type":"Point","coordinates":[1,2]}'
POINT = '"' + SHAPE.replace('"', '""') + '"'
ROWS = [
    f'PT60M,"{{""a"":1.0}}",[1],1|2,"1, 2",{POINT}',
    f'PT1H,"{{ ""a"" : 1}}","[1,2,3]",01|2,"1.0,2.0",{POINT}',
    'PT59M,{},[],1,"3,4",',
    'P28D,"{""b"":[1.0,2.5]}",[],3|4|5,"3,5",x',
    f"P27D,,,,,{POINT}",
]
FOUND = {
    (2, "d", "unique-error"), (2, "o", "unique-error"), (2, "a", "constraint-error"), (2, "", "unique-error"),
    (3, "d", "constraint-error"), (3, "o", "constraint-error"), (3, "l", "constraint-error"),
    (3, "j", "constraint-error"), (4, "d", "constraint-error"), (4, "g", "constraint-error"), (4, "j", "type-error"),
}  # fmt: skip
"""Record 3's object has both too few members and a value that is not in the enum."""


@pytest.mark.parametrize("chunk_size", [1 << 20, 40, 7])
def test_every_type_goes_through_the_whole_pipeline(chunk_size: int) -> None:
    described = pipeline.contract(
        *EVERYTHING,
        schema={"uniqueKeys": [["d", "l"]]},
        sluice={"aggregates": [{"name": "n", "measures": {"lists": {"count": "l"}, "points": {"count": "g"}}}]},
    )
    outcome = pipeline.run(("d,o,a,l,g,j\n" + "\n".join(ROWS) + "\n").encode(), described, chunk_size=chunk_size)
    assert outcome.job.error is None
    assert outcome.findings == FOUND
    assert outcome.table.to_pylist() == [
        {"d": "PT1H", "o": '{"a":1.0}', "a": "[1]", "l": [1, 2], "g": point(1, 2), "j": SHAPE},
        {"d": "P27D", "o": None, "a": None, "l": None, "g": None, "j": SHAPE},
    ]
    summary = outcome.document("summary.json")
    assert summary["aggregates"] == {"n": [{"lists": 1, "points": 1}]}
    profile = {each["name"]: each for each in summary["profile"]}
    for name, kind in (("l", "list"), ("g", "geopoint")):
        known = {key: value for key, value in profile[name].items() if value is not None}
        assert known == {"name": name, "type": kind, "count": 1, "nulls": 1}
    assert b"geopoint" in outcome.body("report.html")


def test_a_transform_is_given_them_and_gives_them_back() -> None:
    fields = [Field("l", "list", item_type="integer"), Field("g", "geopoint"), Field("d", "duration")]
    texts = [["1,2", None], ["1,2", None], ["P1Y", None]]
    columns = [types.read(each, arrays.strings(given))[0] for each, given in zip(fields, texts, strict=True)]
    table = pa.Table.from_arrays(columns, names=[each.name for each in fields])
    assert transform.apply(lambda frame: frame, table, "here").equals(table)
    counted = transform.apply(lambda frame: frame.assign(items=frame["l"].list.len()), table, "here")
    assert counted.column("items").to_pylist() == [2, None]


def test_parquet_has_the_types_that_readers_know() -> None:
    outcome = pipeline.run(("d,o,a,l,g,j\n" + "\n".join(ROWS[:1]) + "\n").encode(), pipeline.contract(*EVERYTHING))
    kinds = [str(each.type) for each in outcome.table.schema]
    assert kinds[:3] == ["string"] * 3
    assert pa.types.is_list(outcome.table.schema.field("l").type)
    assert outcome.table.schema.field("l").type.value_type == pa.int64()
    assert kinds[4:] == ["struct<lon: double, lat: double>", "string"]


@pytest.mark.parametrize("name", ["l", "g"])
def test_what_has_parts_is_no_partition(name: str) -> None:
    described = pipeline.contract(*EVERYTHING, sluice={"partitionBy": [name]})
    outcome = pipeline.run(("d,o,a,l,g,j\n" + ROWS[0] + "\n").encode(), described)
    assert outcome.job.error is not None
    assert outcome.job.error.code == "bad-partition"
