"""Contracts: what is read, what is refused and under which path."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chalicelib.engine import arrays, types
from chalicelib.engine import contract as contracts
from chalicelib.engine.contract import Aggregate, Contract, Dialect, Field, ForeignKey, Measure, Tolerance, descriptor
from chalicelib.engine.contract.expressions import Apply, Column
from chalicelib.errors import InvalidContract

ROOT = Path(__file__).parents[2]

BASE: dict[str, Any] = {
    "name": "orders",
    "schema": {
        "fields": [
            {"name": "id", "type": "integer"},
            {"name": "country", "type": "string"},
            {"name": "price", "type": "number"},
            {"name": "at", "type": "datetime"},
            {"name": "paid", "type": "boolean"},
        ]
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """BASE with the value at a path such as ``schema.fields.0.type``; the keys on the way are made."""
    document: Any = copy.deepcopy(BASE)
    here = document
    *steps, last = path.split(".")
    for step in steps:
        here = here[int(step)] if step.isdigit() else here.setdefault(step, {})
    here[int(last) if last.isdigit() else last] = value
    return document


def constrained(index: int, **constraints: Any) -> contracts.Constraints:
    return contracts.parse(changed(f"schema.fields.{index}.constraints", constraints)).fields[index].constraints


def test_the_defaults_are_the_standards() -> None:
    contract = contracts.parse(BASE)
    assert contract == Contract("orders", tuple(Field(f["name"], f["type"]) for f in BASE["schema"]["fields"]))
    assert contract.fields_match == "exact"
    assert contract.missing_values == ("",)
    assert contract.dialect is None
    assert contract.encoding is None
    assert contract.tolerance == Tolerance(None, 0.05)
    assert contract.mode == "append"
    assert contract.fields[4].true_values == ("true", "True", "TRUE", "1")


def test_a_field_without_a_type_is_of_any() -> None:
    assert contracts.parse(changed("schema.fields.0", {"name": "x"})).fields[0].type == "any"


@pytest.mark.parametrize("name", ["orders", "flights"])
def test_the_samples_contracts_are_read(name: str) -> None:
    contract = contracts.parse((ROOT / "contracts" / f"{name}.json").read_bytes())
    assert contract.name == name
    assert contracts.parse(contracts.to_document(contract)) == contract


@pytest.mark.parametrize(
    "encode", [json.dumps, lambda d: json.dumps(d).encode(), lambda d: json.dumps(d).encode("utf-8-sig")]
)
def test_text_bytes_and_a_byte_order_mark_read_alike(encode: Any) -> None:
    assert contracts.parse(encode(BASE)) == contracts.parse(BASE)


def test_version_one_and_two_profiles_are_accepted() -> None:
    for extra in (
        {"profile": "tabular-data-resource"},
        {"profile": "https://specs.frictionlessdata.io/schemas/tabular-data-resource.json"},
        {"$schema": "https://datapackage.org/profiles/2.0/dataresource.json", "type": "table"},
        {"title": "Orders", "description": "…", "sources": [{"title": "shop"}], "x-owner": {"team": ["a"]}},
    ):
        assert contracts.parse(BASE | extra) == contracts.parse(BASE)


def test_what_a_standard_property_could_be_meant_for_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptor, "did_you_mean", None)
    described = {"path": "o.csv", "title": "Orders", "licenses": [], "mediatype": "text/csv", "bytes": 1, "hash": "0"}
    assert contracts.parse(BASE | described) == contracts.parse(BASE)


def test_other_properties_stand_at_every_level() -> None:
    """The standard's own, and those of whoever wrote the contract."""
    document = changed("x-owner", "shop") | {"homepage": "https://example.org/", "licenses": [], "rows": 5}
    schema = document["schema"]
    schema |= {"$schema": "https://datapackage.org/profiles/2.0/tableschema.json", "title": "Orders", "version": 2}
    schema["fields"][0] |= {"title": "Id", "description": "…", "example": 5, "unit": "1", "level": {"required": True}}
    schema["fields"][1] |= {"rdfType": "http://schema.org/Country", "categories": ["US"], "categoriesOrdered": True}
    expected = contracts.parse(changed("schema.fields.1.categories", ["US"]))
    assert contracts.parse(document) == expected


@pytest.mark.parametrize("value", ["subset", ["subset"]])
def test_fields_match_is_a_text_or_an_array_of_one(value: Any) -> None:
    assert contracts.parse(changed("schema.fieldsMatch", value)).fields_match == "subset"


@pytest.mark.parametrize(
    "value, expected",
    [
        (["", "NA"], ("", "NA")),
        ([], ()),
        ([{"value": "", "label": "omitted"}, {"value": "-99"}], ("", "-99")),
    ],
)
def test_missing_values_are_texts_or_objects(value: Any, expected: tuple[str, ...]) -> None:
    contract = contracts.parse(changed("schema.missingValues", value))
    assert contract.missing_values == expected
    assert all(field.missing_values == expected for field in contract.fields)


def test_a_fields_missing_values_replace_the_schemas() -> None:
    document = changed("schema.fields.0.missingValues", ["-"])
    document["schema"]["missingValues"] = ["", "NA"]
    contract = contracts.parse(document)
    assert contract.fields[0].missing_values == ("-",)
    assert contract.fields[1].missing_values == ("", "NA")


def test_constraint_values_become_the_texts_of_cells() -> None:
    assert constrained(0, minimum=1, maximum=5.0) == contracts.Constraints(minimum="1", maximum="5")
    assert constrained(2, minimum=0.10, exclusiveMaximum="1e3").exclusive_maximum == "1e3"
    assert constrained(4, enum=[True]).enum == ("true",)
    assert constrained(3, minimum="2020-01-01T00:00:00Z").minimum == "2020-01-01T00:00:00Z"
    document = changed(
        "schema.fields.2", {"name": "p", "type": "number", "decimalChar": ",", "constraints": {"minimum": 0.5}}
    )
    assert contracts.parse(document).fields[2].constraints.minimum == "0,5"


def test_a_number_in_json_keeps_its_digits() -> None:
    text = json.dumps(changed("schema.fields.2.constraints", {"minimum": 12345})).replace(
        "12345", "0.1234567890123456789012345678"
    )
    assert contracts.parse(text).fields[2].constraints.minimum == "0.1234567890123456789012345678"


@pytest.mark.parametrize("decimal", [{}, {"decimalChar": ","}], ids=["no decimalChar", "a decimalChar"])
def test_the_point_may_stand_between_an_integers_groups(decimal: dict[str, str]) -> None:
    """And a ``decimalChar``, which an integer has no use for, makes no difference."""
    document = changed("schema.fields.0", {"name": "x", "type": "integer", "groupChar": "."} | decimal)
    document["schema"]["fields"][0]["constraints"] = {"maximum": "1.234.567"}
    field = contracts.parse(document).fields[0]
    assert (field.group_char, field.constraints.maximum) == (".", "1.234.567")
    values, bad = types.read(field, arrays.strings(["1.234", "-12.345.678", "1.23", "1.234.5"]))
    assert (values.to_pylist(), bad.tolist()) == ([1234, -12345678, None, None], [False, False, True, True])


def test_categories_restrict_like_an_enum() -> None:
    document = changed("schema.fields.1.categories", [{"value": "a", "label": "A"}, {"value": "b"}])
    assert contracts.parse(document).fields[1].constraints.enum == ("a", "b")


def test_a_unique_key_of_one_field_is_its_constraint() -> None:
    fields = contracts.parse(changed("schema.uniqueKeys", [["country"]])).fields
    assert [field.constraints.unique for field in fields] == [False, True, False, False, False]


def test_keys_of_several_fields_and_into_other_datasets_are_read() -> None:
    document = changed("schema.uniqueKeys", [["country"], ["country", "at"]])
    pair = {"fields": ["id", "country"], "reference": {"resource": "x.y", "fields": ["a", "b"]}}
    document["schema"]["foreignKeys"] = [FOREIGN, pair]
    contract = contracts.parse(document)
    assert contract.fields[1].constraints.unique
    assert contract.unique_keys == (("country", "at"),)
    assert contract.foreign_keys == (
        ForeignKey(("id",), "things", ("thing_id",)),
        ForeignKey(("id", "country"), "x.y", ("a", "b")),
    )
    assert contracts.parse(contracts.to_document(contract)) == contract


@pytest.mark.parametrize(
    "kind, options, values, texts",
    [
        ("list", {"itemType": "integer", "delimiter": "; "}, [[1, 2.0], "3; 4"], ("1; 2", "3; 4")),
        ("list", {"itemType": "boolean"}, [[True, False]], ("true,false",)),
        ("object", {}, [{"a": 0.10}, '{"b": 1}'], ('{"a": 0.10}', '{"b": 1}')),
        ("array", {}, [[1, "x", None, True], "[]"], ('[1, "x", null, true]', "[]")),
        ("geopoint", {}, ["90, 45"], ("90, 45",)),
        ("geopoint", {"format": "array"}, [[90, 45.50]], ("[90, 45.50]",)),
        ("geopoint", {"format": "object"}, [{"lon": 90, "lat": 45}], ('{"lon": 90, "lat": 45}',)),
        ("geojson", {}, [{"type": "Point", "coordinates": [1, 2]}], ('{"type": "Point", "coordinates": [1, 2]}',)),
        ("duration", {}, ["P1Y"], ("P1Y",)),
    ],
)
def test_values_with_parts_stand_as_json_or_as_text(
    kind: str, options: dict[str, Any], values: list[Any], texts: tuple[str, ...]
) -> None:
    field = {"name": "x", "type": kind, "constraints": {"enum": values}} | options
    document = json.dumps(changed("schema.fields.0", field)).replace("0.1}", "0.10}").replace("45.5]", "45.50]")
    assert contracts.parse(document).fields[0].constraints.enum == texts


def test_a_field_may_have_a_name_of_the_rejects_columns_where_it_is_not_taken_for_one() -> None:
    fields = contracts.parse(changed("schema.fields.1.name", "_line")).fields
    assert fields[1].name == "_line"


@pytest.mark.parametrize("policy", ["equal", "subset", "superset", "partial"])
def test_where_columns_may_move_no_field_has_a_name_of_the_rejects_columns(policy: str) -> None:
    document = changed("schema.fields.1.name", "_line")
    document["schema"]["fieldsMatch"] = policy
    with pytest.raises(InvalidContract, match=r"schema\.fields\[1\]\.name"):
        contracts.parse(document)


def test_sluices_own_keys() -> None:
    contract = contracts.parse(
        BASE
        | {
            "sluice": {
                "tolerance": {"maxRejectedRows": 10, "maxRejectedRatio": 1, "minValidRows": 3},
                "aggregates": [
                    {
                        "name": "a",
                        "groupBy": ["made_later"],
                        "measures": {"n": {"count": "*"}, "q": {"quantile": "x", "q": 0.5}},
                    }
                ],
                "partitionBy": ["made_later"],
                "mode": "replace",
                "decimals": {"price": {"precision": 12, "scale": 2}},
            }
        }
    )
    assert contract.tolerance == Tolerance(10, 1.0, 3)
    assert contract.aggregates == (
        Aggregate("a", ("made_later",), (Measure("n", "count", "*"), Measure("q", "quantile", "x", 0.5))),
    )
    assert (contract.partition_by, contract.mode) == (("made_later",), "replace")
    assert (contract.fields[2].precision, contract.fields[2].scale) == (12, 2)


def test_derived_columns_are_read_into_postfix_order() -> None:
    document = changed("schema.fields.2.name", 'unit "price"') | {
        "sluice": {"derive": {"x": 'id - -"unit ""price""" / 2.5e-1', "y": "coalesce(x, (id), 0)"}}
    }
    x, y = contracts.parse(document).derived
    assert (x.name, x.text) == ("x", 'id - -"unit ""price""" / 2.5e-1')
    price, minus, quotient = Column('unit "price"'), Apply("negate"), Apply("divide")
    assert x.steps == (Column("id"), price, minus, 0.25, quotient, Apply("subtract"))
    assert y.steps == (Column("x"), Column("id"), Apply("coalesce"), 0.0, Apply("coalesce"))


def test_names_are_taken_as_they_are() -> None:
    """Python's parser would refuse the first two, and take another normal form of the third for it."""
    for name in ("class", "None", "\ufb01", "größe", "coalesce"):
        document = changed("schema.fields.0.name", name)
        assert contracts.parse(document | {"sluice": {"derive": {"x": f"-{name}"}}}).derived[0].steps[0] == Column(name)


def test_the_largest_expressions_are_read() -> None:
    for text in ("id" + 499 * "+1", 32 * "(" + "id" + 32 * ")", 32 * "-" + "id"):
        derived = contracts.parse(BASE | {"sluice": {"derive": {"x": text}}}).derived
        assert hash(derived) == hash(copy.deepcopy(derived))


def test_a_dialect_has_the_standards_defaults_for_what_it_leaves_out() -> None:
    assert contracts.parse(changed("dialect", {})).dialect == Dialect()
    assert contracts.parse(
        changed("dialect", {"delimiter": ";", "quoteChar": None, "lineTerminator": "\n"})
    ).dialect == Dialect(";", None)


@pytest.mark.parametrize("name", ["UTF-8", "utf8", "utf-8-sig", "U8"])
def test_an_encoding_is_normalised(name: str) -> None:
    assert contracts.parse(changed("encoding", name)).encoding == "utf-8"


F0 = "schema.fields.0"
C1 = "schema.fields.1.constraints"
FOREIGN: dict[str, Any] = {"fields": "id", "reference": {"resource": "things", "fields": "thing_id"}}
AGGREGATE: dict[str, Any] = {"name": "a", "groupBy": ["country"], "measures": {"n": {"count": "*"}}}

REFUSED: list[tuple[str, Any, str, str]] = [
    # key that is changed, its value, path in the message, part of the message
    ("name", 5, "name", "is 5, expected a text"),
    ("name", "", "name", "is empty"),
    ("name", "\ud800", "name", "surrogate"),
    ("schema", "schema.json", "schema", "write the schema here"),
    ("schema", None, "schema", "is null, expected an object"),
    ("schema", {}, "schema.fields", "is missing"),
    ("schema.fields", [], "schema.fields", "is empty"),
    ("schema.fields", {"id": "integer"}, "schema.fields", "is an object, expected an array"),
    ("schema.field", [], "schema.field", 'did you mean "fields"?'),
    ("schema.primary_key", "id", "schema.primary_key", 'did you mean "primaryKey"?'),
    ("schema.fieldsMatch", "exakt", "schema.fieldsMatch", 'did you mean "exact"?'),
    ("schema.fieldsMatch", ["exact", "subset"], "schema.fieldsMatch", "has 2 values"),
    ("schema.missingValues", "NA", "schema.missingValues", "expected an array"),
    ("schema.missingValues", ["", ""], "schema.missingValues[1]", "listed twice"),
    ("schema.missingValues", [0], "schema.missingValues[0]", "is 0, expected a text"),
    ("schema.missingValues", [{"label": "x"}], "schema.missingValues[0].value", "is missing"),
    ("schema.primaryKey", ["id", "nope"], "schema.primaryKey[1]", '"nope" is not the name of a field'),
    ("schema.primaryKey", "nope", "schema.primaryKey", '"nope" is not the name of a field'),
    ("schema.uniqueKeys", [["id", "nope"]], "schema.uniqueKeys[0][1]", "not the name of a field"),
    ("schema.uniqueKeys", [[]], "schema.uniqueKeys[0]", "is empty"),
    ("schema.uniqueKeys", [["id"], ["id"]], "schema.uniqueKeys[1]", "listed twice"),
    ("schema.foreignKeys", [{"fields": "id"}], "schema.foreignKeys[0].reference", "is missing"),
    ("schema.foreignKeys", [FOREIGN | {"fields": "nope"}], "schema.foreignKeys[0].fields", "not the name of a field"),
    ("schema.foreignKeys", [FOREIGN | {"onDelete": "x"}], "schema.foreignKeys[0].onDelete", "not a known key"),
    (
        "schema.foreignKeys",
        [{"fields": "id", "reference": {"fields": "id"}}],
        "schema.foreignKeys[0].reference.resource",
        "refers to the file itself",
    ),
    (
        "schema.foreignKeys",
        [{"fields": "id", "reference": {"resource": "", "fields": "id"}}],
        "schema.foreignKeys[0].reference.resource",
        "refers to the file itself",
    ),
    (
        "schema.foreignKeys",
        [{"fields": "id", "reference": {"resource": "orders", "fields": "id"}}],
        "schema.foreignKeys[0].reference.resource",
        "refers to the file itself",
    ),
    (
        "schema.foreignKeys",
        [{"fields": "id", "reference": {"resource": "a/b", "fields": "id"}}],
        "schema.foreignKeys[0].reference.resource",
        "not the name of a dataset",
    ),
    (
        "schema.foreignKeys",
        [{"fields": "id", "reference": {"resource": "x", "fields": ["a", "b"]}}],
        "schema.foreignKeys[0].reference.fields",
        "has 2 names, expected 1",
    ),
    ("resources", [], "resources", "belongs to a Data Package"),
    ("primaryKey", "id", "primaryKey", 'belongs under "schema"'),
    ("data", [], "data", "describes files"),
    # known keys in a place that is not theirs
    *((key, None, key, 'belongs under "schema"') for key in ("missingValues", "uniqueKeys", "foreignKeys")),
    *((key, None, key, 'belongs under "dialect"') for key in ("delimiter", "header", "commentRows", "nullSequence")),
    *((key, None, key, 'belongs under "sluice"') for key in ("tolerance", "derive", "mode", "decimals")),
    ("constraints", {"required": True}, "constraints", "belongs in a field"),
    ("schema.constraints", {"required": True}, "schema.constraints", "belongs in a field"),
    ("schema.required", ["id"], "schema.required", 'belongs under "constraints" in a field'),
    ("schema.trueValues", ["yes"], "schema.trueValues", "belongs in a field"),
    ("schema.delimiter", ";", "schema.delimiter", 'belongs under "dialect"'),
    ("schema.decimals", {}, "schema.decimals", 'belongs under "sluice"'),
    *(
        (f"schema.fields.0.{key}", None, f"schema.fields[0].{key}", 'belongs under "constraints"')
        for key in ("required", "unique", "enum", "pattern", "minLength", "minimum", "exclusiveMaximum", "jsonSchema")
    ),
    ("schema.fields.0.primaryKey", True, "schema.fields[0].primaryKey", 'belongs under "schema"'),
    ("sluce", {}, "sluce", 'did you mean "sluice"?'),
    ("profile", "data-package", "profile", "tabular-data-resource"),
    ("type", "file", "type", "expected one of table"),
    ("encoding", "utf-7", "encoding", "supported: utf-8"),
    ("encoding", "utf-9", "encoding", "not the name of an encoding"),
    # fields
    (f"{F0}.name", "country", "schema.fields[1].name", "is the name of fields[0] already"),
    (
        f"{F0}.constraints",
        {"jsonSchema": {"type": "object"}},
        "schema.fields[0].constraints.jsonSchema",
        "does not apply to the type integer",
    ),
    (
        F0,
        {"name": "x", "type": "object", "constraints": {"jsonSchema": {}}},
        "schema.fields[0].constraints.jsonSchema",
        "is not supported",
    ),
    (F0, {"name": "x", "type": "list", "itemType": "list"}, "schema.fields[0].itemType", "expected one of"),
    (F0, {"name": "x", "type": "list", "delimiter": ""}, "schema.fields[0].delimiter", "is empty"),
    (F0, {"name": "x", "type": "array", "delimiter": ","}, "schema.fields[0].delimiter", "does not apply"),
    (
        F0,
        {"name": "x", "type": "list", "constraints": {"enum": [["a,b"]]}},
        "schema.fields[0].constraints.enum[0][0]",
        "has the delimiter",
    ),
    (
        F0,
        {"name": "x", "type": "duration", "constraints": {"minimum": "P2M", "maximum": "P1M"}},
        "schema.fields[0].constraints.minimum",
        "no value would be allowed",
    ),
    (
        F0,
        {"name": "x", "type": "geopoint", "constraints": {"enum": ["1,91"]}},
        "schema.fields[0].constraints.enum[0]",
        "not of type geopoint/default",
    ),
    (
        F0,
        {"name": "x", "type": "geojson", "constraints": {"minLength": 1}},
        "schema.fields[0].constraints.minLength",
        "does not apply",
    ),
    (f"{F0}.name", " ", "schema.fields[0].name", "is blank"),
    (f"{F0}.name", "_errors", "schema.fields[0].name", "rejects.csv"),
    (F0, {"type": "integer"}, "schema.fields[0].name", "is missing"),
    (F0, "id", "schema.fields[0]", 'is "id", expected an object'),
    (f"{F0}.type", "int", "schema.fields[0].type", "expected one of"),
    (f"{F0}.type", "intger", "schema.fields[0].type", 'did you mean "integer"?'),
    (f"{F0}.constrains", {}, "schema.fields[0].constrains", 'did you mean "constraints"?'),
    (f"{F0}.format", "hex", "schema.fields[0].format", "expected one of default"),
    ("schema.fields.1.format", "emial", "schema.fields[1].format", 'did you mean "email"?'),
    ("schema.fields.3.format", "YYYY", "schema.fields[3].format", "such as %Y-%m-%d"),
    ("schema.fields.3.format", "%Y-%Q", "schema.fields[3].format", '"%Q"'),
    ("schema.fields.3.format", "%Y %Y", "schema.fields[3].format", "twice"),
    ("schema.fields.3.format", "%Y %I", "schema.fields[3].format", "need each other"),
    ("schema.fields.3.format", "%H:%M", "schema.fields[3].format", "has no %Y or %y"),
    (f"{F0}.trueValues", ["y"], "schema.fields[0].trueValues", "does not apply to the type integer"),
    ("schema.fields.1.groupChar", ".", "schema.fields[1].groupChar", "does not apply to the type string"),
    ("schema.fields.4.bareNumber", False, "schema.fields[4].bareNumber", "does not apply to the type boolean"),
    ("schema.fields.4.format", "%Y", "schema.fields[4].format", "expected one of default"),
    ("schema.fields.4.trueValues", ["0"], "schema.fields[4].trueValues", "both true and false"),
    ("schema.fields.4.trueValues", [], "schema.fields[4].trueValues", "is empty"),
    ("schema.fields.2.decimalChar", "..", "schema.fields[2].decimalChar", "one character"),
    ("schema.fields.2.groupChar", ".", "schema.fields[2].groupChar", "decimal point as well"),
    ("schema.fields.2.bareNumber", "no", "schema.fields[2].bareNumber", "true or false"),
    # constraints
    (C1, {"requird": True}, "schema.fields[1].constraints.requird", 'did you mean "required"?'),
    (C1, {"required": "true"}, "schema.fields[1].constraints.required", "true or false"),
    (C1, {"minimum": 1}, "schema.fields[1].constraints.minimum", "does not apply to the type string"),
    (C1, {"minLength": 3, "maxLength": 2}, "schema.fields[1].constraints.minLength", "greater than maxLength (2)"),
    (C1, {"minLength": -1}, "schema.fields[1].constraints.minLength", "whole number from 0"),
    (C1, {"minLength": True}, "schema.fields[1].constraints.minLength", "is true, expected a number"),
    (C1, {"minLength": 10**5000}, "schema.fields[1].constraints.minLength", "digits"),
    (C1, {"enum": []}, "schema.fields[1].constraints.enum", "is empty"),
    (C1, {"enum": ["a", "a"]}, "schema.fields[1].constraints.enum[1]", "listed twice"),
    (C1, {"enum": [5]}, "schema.fields[1].constraints.enum[0]", "written as a text"),
    (C1, {"enum": [None]}, "schema.fields[1].constraints.enum[0]", "is null"),
    (C1, {"pattern": "(a"}, "schema.fields[1].constraints.pattern", "is not a regular expression"),
    (C1, {"pattern": "(?=a)"}, "schema.fields[1].constraints.pattern", "look-around, (?="),
    (C1, {"pattern": "(?<!a)b"}, "schema.fields[1].constraints.pattern", "look-around, (?<!"),
    (C1, {"pattern": r"(a)\1"}, "schema.fields[1].constraints.pattern", r"back-reference, \1"),
    (C1, {"pattern": r"(?P<n>a)(?P=n)"}, "schema.fields[1].constraints.pattern", "back-reference"),
    (C1, {"pattern": r"\p{Klingon}"}, "schema.fields[1].constraints.pattern", "no class of characters"),
    (C1, {"pattern": "((a{40}){40})"}, "schema.fields[1].constraints.pattern", "more than 1000 times"),
    (C1, {"pattern": "(" * 4000}, "schema.fields[1].constraints.pattern", "is not a regular expression"),
    (f"{F0}.constraints", {"minimum": "a"}, "schema.fields[0].constraints.minimum", "not of type integer/default"),
    (f"{F0}.constraints", {"minimum": 1.5}, "schema.fields[0].constraints.minimum", "expected a value of type integer"),
    (f"{F0}.constraints", {"minimum": 2**63}, "schema.fields[0].constraints.minimum", "not of type integer"),
    (f"{F0}.constraints", {"minimum": 2, "maximum": "1"}, "schema.fields[0].constraints.minimum", "no value"),
    (
        f"{F0}.constraints",
        {"exclusiveMinimum": 2, "maximum": 2},
        "schema.fields[0].constraints.exclusiveMinimum",
        "no value",
    ),
    (f"{F0}.constraints", {"maximum": float("inf")}, "schema.fields[0].constraints.maximum", "number"),
    (
        "schema.fields.3.constraints",
        {"minimum": "2020-02-30T00:00:00"},
        "schema.fields[3].constraints.minimum",
        "not of",
    ),
    ("schema.fields.4.constraints", {"enum": ["maybe"]}, "schema.fields[4].constraints.enum[0]", "not of type boolean"),
    # dialect
    ("dialect", "dialect.json", "dialect", "write the dialect here"),
    ("dialect.delimeter", ";", "dialect.delimeter", 'did you mean "delimiter"?'),
    ("dialect.delimiter", ";;", "dialect.delimiter", "one ASCII character"),
    ("dialect.delimiter", "¦", "dialect.delimiter", "one ASCII character"),
    ("dialect.quoteChar", ",", "dialect.quoteChar", "another meaning in this dialect already"),
    ("dialect.escapeChar", '"', "dialect.escapeChar", "another meaning in this dialect already"),
    ("dialect.delimiter", "\n", "dialect.delimiter", "no line break"),
    ("dialect.delimiter", None, "dialect.delimiter", "is null"),
    ("dialect.header", "yes", "dialect.header", "true or false"),
    ("dialect.headerRows", [2], "dialect.headerRows", "expected rows 1 to 1"),
    ("dialect.headerRows", [], "dialect.headerRows", "say header: false instead"),
    ("dialect.commentRows", [3], "dialect.commentRows", "needs commentChar"),
    ("dialect.commentRows", [1], "dialect.commentRows", 'write "headerRows": [2] besides'),
    ("dialect.commentRows", [1, 2, 3], "dialect.commentRows", 'write "headerRows": [4] besides'),
    ("dialect", {"commentRows": [1], "headerRows": [1]}, "dialect.commentRows", "expected rows 1 to 2, each once"),
    ("dialect.nullSequence", "NA", "dialect.nullSequence", "missingValues"),
    ("dialect.lineTerminator", ";", "dialect.lineTerminator", "not supported"),
    # sluice
    ("sluice", [], "sluice", "expected an object"),
    ("sluice.tolerence", {}, "sluice.tolerence", 'did you mean "tolerance"?'),
    ("sluice.tolerance", {"maxRejectedRatio": 5}, "sluice.tolerance.maxRejectedRatio", "number from 0 to 1"),
    ("sluice.tolerance", {"maxRejectedRatio": "0.1"}, "sluice.tolerance.maxRejectedRatio", "expected a number"),
    ("sluice.tolerance", {"maxRejectedRows": 1.5}, "sluice.tolerance.maxRejectedRows", "whole number"),
    ("sluice.tolerance", {"minValidRows": -1}, "sluice.tolerance.minValidRows", "whole number"),
    ("sluice.mode", "overwrite", "sluice.mode", "append, replace"),
    ("sluice.partitionBy", "country", "sluice.partitionBy", "expected an array"),
    ("sluice.partitionBy", ["a", "a"], "sluice.partitionBy[1]", "listed twice"),
    ("sluice.decimals", {"price": {"precision": 39, "scale": 2}}, "sluice.decimals.price.precision", "from 1 to 38"),
    ("sluice.decimals", {"price": {"precision": 2, "scale": 3}}, "sluice.decimals.price.scale", "from 0 to 2"),
    (
        "sluice.decimals",
        {"unit price": {"precision": 2, "scale": 1}},
        'sluice.decimals["unit price"]',
        "name of a field",
    ),
    ("sluice.decimals", {"id": {"precision": 2, "scale": 1}}, "sluice.decimals.id", "type integer, expected number"),
    ("sluice.derive", [], "sluice.derive", "is an array, expected an object"),
    ("sluice.derive", {"": "price"}, 'sluice.derive[""]', "is empty"),
    ("sluice.derive", {" ": "price"}, 'sluice.derive[" "]', "has a blank name"),
    ("sluice.derive", {"\ud800": "price"}, 'sluice.derive["\\ud800"]', "surrogate"),
    ("sluice.derive", {"_errors": "price"}, "sluice.derive._errors", "has the name of a column of rejects.csv"),
    ("sluice.derive", {"country": "price"}, "sluice.derive.country", "has the name of a field"),
    ("sluice.derive", {"x": "1", "y": 2}, "sluice.derive.y", "is 2, expected a text"),
    *(
        ("sluice.derive", {"x": text, "z": "1"}, "sluice.derive.x", problem)
        for text, problem in {
            "": "is empty",
            " ": "ends where a number, a column or a bracket is expected",
            "prise": '"prise" is not the name of a field; did you mean "price"?',
            '"unit ""price"': '"unit \\"price" is not the name of a field',
            "country + 1": '"country" is a field of type string, expected integer or number',
            "x + 1": '"x" is not derived before this column',
            "z + 1": '"z" is not derived before this column',
            "price +": "ends where a number, a column or a bracket is expected",
            "+price": 'has "+" at character 1 where a number, a column or a bracket is expected',
            "price price": 'has "price" at character 7 where an operator or the end is expected',
            "price ** 2": 'has "*" at character 8 where',
            "price // 2": 'has "/" at character 8 where',
            "(price": 'ends where an operator or ")" is expected',
            "price)": 'has ")" at character 6 where an operator or the end is expected',
            "price, 1": 'has "," at character 6 where',
            "price % 2": 'has "%" at character 7, which is no part of an expression',
            "price > 2": 'has ">" at character 7, which is no part of an expression',
            "price # all of it": 'has "#" at character 7, which is no part of an expression',
            "'price'": 'has "\'" at character 1, which is no part of an expression',
            '2 * "price': "has a quoted name that does not end at character 5",
            "price.real": 'has "." at character 6, which is no part of an expression',
            "1_000": 'has "_000" at character 2 where an operator',
            "0x10": 'has "x10" at character 2 where an operator',
            "1e": 'has "e" at character 2 where an operator',
            "٣": 'has "٣" at character 1, which is no part of an expression',
            "max(price, 1)": '"max" is not a function; there is coalesce alone',
            "coalesce()": 'has ")" at character 10 where a number',
            "coalesce(price,)": 'has ")" at character 16 where a number',
            "coalesce": '"coalesce" is not the name of a field',
            "1e309": "has a number at character 1 that is too large for 64 bits",
            "2 * 1" + 400 * "0": "has a number at character 5 that is too large for 64 bits",
            "1" * 1001: "has 1001 characters, the limit is 1000",
            33 * "(" + "1" + 33 * ")": "is nested more than 32 levels deep",
            500 * "(": "is nested more than 32 levels deep",
            900 * "-" + "1": "is nested more than 32 levels deep",
        }.items()
    ),
    ("sluice.aggregates", {}, "sluice.aggregates", "expected an array"),
    ("sluice.aggregates", [AGGREGATE, AGGREGATE], "sluice.aggregates[1].name", "another aggregate"),
    ("sluice.aggregates", [AGGREGATE | {"measures": {}}], "sluice.aggregates[0].measures", "is empty"),
    (
        "sluice.aggregates",
        [AGGREGATE | {"measures": {"n": {"sum": "*"}}}],
        "sluice.aggregates[0].measures.n.sum",
        "only count",
    ),
    (
        "sluice.aggregates",
        [AGGREGATE | {"measures": {"n": {"avg": "x"}}}],
        "sluice.aggregates[0].measures.n.avg",
        'is no function of a measure: write {"mean": …}',
    ),
    (
        "sluice.aggregates",
        [AGGREGATE | {"measures": {"n": {"Median": "x"}}}],
        "sluice.aggregates[0].measures.n.Median",
        'write {"quantile": …, "q": 0.5}',
    ),
    (
        "sluice.aggregates",
        [AGGREGATE | {"measures": {"n": {"count_distinct": "x"}}}],
        "sluice.aggregates[0].measures.n.count_distinct",
        'write {"approxDistinct": …}',
    ),
    (
        "sluice.aggregates",
        [AGGREGATE | {"measures": {"n": {"quantil": "x", "q": 0.5}}}],
        "sluice.aggregates[0].measures.n.quantil",
        'did you mean "quantile"?',
    ),
    (
        "sluice.aggregates",
        [AGGREGATE | {"measures": {"n": {"stddev": "x"}}}],
        "sluice.aggregates[0].measures.n.stddev",
        "expected one of count, sum, min, max, mean, approxDistinct, quantile",
    ),
    ("sluice.aggregates", [AGGREGATE | {"measures": {"n": {}}}], "sluice.aggregates[0].measures.n", "has 0 functions"),
    (
        "sluice.aggregates",
        [AGGREGATE | {"measures": {"n": {"quantile": "x"}}}],
        "sluice.aggregates[0].measures.n.q",
        "is missing",
    ),
    (
        "sluice.aggregates",
        [AGGREGATE | {"measures": {"country": {"count": "*"}}}],
        "sluice.aggregates[0].measures.country",
        "groupBy",
    ),
]


@pytest.mark.parametrize("key, value, path, problem", REFUSED)
def test_what_is_refused_is_named(key: str, value: Any, path: str, problem: str) -> None:
    with pytest.raises(InvalidContract) as caught:
        contracts.parse(changed(key, value))
    assert caught.value.path == path
    assert problem in caught.value.message
    assert caught.value.code == "invalid-contract"


@pytest.mark.parametrize(
    "key, value",
    [
        ("schema.fields.0.mode", "REQUIRED"),  # BigQuery has one in every field
        ("schema.fields.0.fields", []),
        ("schema.fields.0.derive", "upstream"),
        ("schema.fields.0.header", "Order"),
        ("schema.categories", ["finance"]),
        ("inferred", True),
    ],
)
def test_what_cannot_be_taken_for_a_check_may_be_anybodys_own_key(key: str, value: Any) -> None:
    assert contracts.parse(changed(key, value)) == contracts.parse(changed("title", "Orders"))


@pytest.mark.parametrize(
    "document, problem",
    [
        ("", "line 1, column 1"),
        ('{"name": "a",\n "schema": }', "line 2, column 12"),
        ("[]", "is an array, expected an object"),
        ("null", "is null, expected an object"),
        (b'{"name": "\xff"}', "is not UTF-8 (byte 10)"),
        ('{"name": NaN}', "NaN is not a JSON number"),
        ('{"a": 1, "a": 2}', 'the key "a" stands twice'),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": 1e99999999999999999999}', "out of range"),
        ('{"a": ' + "9" * 5000 + "}", "has more than 400 digits"),
        (b" " * (1 << 20) + b"{}", "larger than 1 MiB"),
        ('{"fields": []}', None),
    ],
)
def test_a_document_that_cannot_be_read(document: bytes | str, problem: str | None) -> None:
    with pytest.raises(InvalidContract) as caught:
        contracts.parse(document)
    if problem is None:
        assert caught.value.path == "fields"
    else:
        assert caught.value.path == "(document)"
        assert problem in caught.value.message


def test_reading_a_contract_needs_no_arrow() -> None:
    code = "import sys, chalicelib.engine.contract; print({'pyarrow', 'numpy', 'pandas'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout == "set()\n"


def blocks() -> list[str]:
    return re.findall(r"```json\n(.*?)```", (ROOT / "docs/contract.md").read_text(encoding="utf-8"), re.DOTALL)


def test_the_reference_has_examples() -> None:
    assert len(blocks()) >= 6


@pytest.mark.parametrize("block", blocks())
def test_the_examples_of_the_reference_are_contracts(block: str) -> None:
    contract = contracts.parse(block)
    assert contracts.parse(contracts.to_document(contract)) == contract
