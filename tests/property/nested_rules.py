"""The rules of the types whose values have parts, written a second time: from a text to its value, or BAD."""

from __future__ import annotations

import json
import math
import re
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

BAD = object()
"""Also what ``test_types_property`` compares with."""

NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def duration(text: str) -> Any:
    """Letter by letter: units in order, each at most once, a fraction before S alone."""
    sign, rest = ("-", text[1:]) if text.startswith("-") else ("", text)
    if not rest.startswith("P"):
        return BAD
    day_part, t, clock_part = rest[1:].partition("T")
    if (t and not clock_part) or not (day_part or clock_part):
        return BAD
    amounts: dict[str, Fraction] = {}
    for prefix, part, units in (("", day_part, "YMD"), ("clock ", clock_part, "HMS")):
        number = ""
        for letter in part:
            if letter in "0123456789.":
                number += letter
                continue
            if letter not in units or not number:
                return BAD
            whole, point, fraction = number.partition(".")
            if not 1 <= len(whole) <= 9 or (
                point and (letter != "S" or not 1 <= len(fraction) <= 6 or "." in fraction)
            ):
                return BAD
            amounts[prefix + letter] = Fraction(number)
            units = units[units.index(letter) + 1 :]
            number = ""
        if number:
            return BAD
    return sign, amounts


def canonical_duration(text: str) -> Any:
    read = duration(text)
    if read is BAD:
        return BAD
    sign, amounts = read
    months = amounts.get("Y", 0) * 12 + amounts.get("M", 0)
    seconds = sum(
        amounts.get(name, 0) * size for name, size in (("D", 86400), ("clock H", 3600), ("clock M", 60), ("clock S", 1))
    )
    if not months and not seconds:
        return "PT0S"
    if months // 12 > 999_999_999 or seconds // 86400 > 999_999_999:
        return BAD
    out = f"{sign}P"
    out += f"{months // 12}Y" if months >= 12 else ""
    out += f"{months % 12}M" if months % 12 else ""
    out += f"{seconds // 86400}D" if seconds >= 86400 else ""
    seconds %= 86400
    out += "T" if seconds else ""
    out += f"{seconds // 3600}H" if seconds >= 3600 else ""
    out += f"{seconds % 3600 // 60}M" if seconds % 3600 >= 60 else ""
    seconds = Fraction(seconds) % 60
    if seconds:
        micro = int(seconds * 10**6)
        out += f"{micro // 10**6}.{micro % 10**6:06}".rstrip("0").rstrip(".") + "S"
    return out


def _no(text: str) -> Any:
    raise ValueError(text)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("twice")
    return dict(pairs)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def loads(text: str) -> Any:
    """A JSON value, or BAD; numbers as floats are enough for these rules."""
    try:
        value = json.loads(text, parse_int=float, parse_constant=_no, object_pairs_hook=_members)
    except (ValueError, RecursionError):
        return BAD
    return BAD if _depth(value) > 100 else value


def json_of(kind: type) -> Any:
    return lambda text: text if isinstance(loads(text), kind) else BAD


def _point(lon: Any, lat: Any) -> Any:
    if not isinstance(lon, float) or not isinstance(lat, float):
        return BAD
    inside = math.fabs(lon) <= 180 and math.fabs(lat) <= 90
    return {"lon": lon, "lat": lat} if inside else BAD


def pair(text: str) -> Any:
    lon, comma, lat = text.partition(",")
    lat = lat.removeprefix(" ")
    numbers = [float(part) if NUMBER.fullmatch(part) else None for part in (lon, lat)]
    return _point(*numbers) if comma else BAD


def point_array(text: str) -> Any:
    value = loads(text)
    return _point(*value) if isinstance(value, list) and len(value) == 2 else BAD


def point_object(text: str) -> Any:
    value = loads(text)
    if not isinstance(value, dict) or sorted(value) != ["lat", "lon"]:
        return BAD
    return _point(value["lon"], value["lat"])


def list_of(delimiter: str, item: Any) -> Any:
    def rule(text: str) -> Any:
        items = [item(piece) for piece in text.split(delimiter)]
        return BAD if any(each is BAD for each in items) else items

    return rule


DEPTHS = {"Point": 1, "MultiPoint": 2, "LineString": 2, "MultiLineString": 3, "Polygon": 3, "MultiPolygon": 4}


def _coordinates(kind: str, value: Any, depth: int) -> bool:
    """Lists nested so deep around numbers; how many of them, says the kind."""
    if not isinstance(value, list):
        return False
    if depth == 1:
        return len(value) >= 2 and all(isinstance(number, float) for number in value)
    if depth == 2 and "Polygon" in kind and (len(value) < 4 or value[0] != value[-1]):
        return False
    if depth == 2 and "LineString" in kind and len(value) < 2:
        return False
    return all(_coordinates(kind, each, depth - 1) for each in value)


def _shape(value: Any, allowed: str) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return False
    box = value.get("bbox", [0.0] * 4)
    if not isinstance(box, list) or len(box) % 2 or len(box) < 4 or not all(isinstance(each, float) for each in box):
        return False
    kind = value["type"]
    if kind in DEPTHS and allowed != "feature":
        return _coordinates(kind, value.get("coordinates"), DEPTHS[kind])
    if kind == "GeometryCollection" and allowed != "feature":
        return isinstance(value.get("geometries"), list) and all(
            _shape(each, "geometry") for each in value["geometries"]
        )
    if kind == "Feature" and allowed != "geometry":
        return (
            ("geometry" in value and (value["geometry"] is None or _shape(value["geometry"], "geometry")))
            and isinstance(value.get("properties", 0), dict | type(None))
            and isinstance(value.get("id", ""), str | float)
        )
    if kind == "FeatureCollection" and allowed == "any":
        return isinstance(value.get("features"), list) and all(_shape(each, "feature") for each in value["features"])
    return False


def geojson(text: str) -> Any:
    return text if _shape(loads(text), "any") else BAD


SPACES = st.sampled_from(["", "", " ", "\n", "\t "])
SCALARS = (
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
WRONG_JSON = st.sampled_from(
    ["{}", "[]", '{"a":1,"a":2}', "[1,]", "{'a': 1}", "[NaN]", "[-Infinity]", "[01]", "[+1]", "[1.]", "[.5]", "[1e5]",
     "\ufeff[]", "[]]", "[\x01]", '["\x01"]', '["\\u12"]', '["\\ud800"]', "[" * 100 + "]" * 100, "[" * 101 + "]" * 101,
     "[" * 5000, "[" * 50 + "{}" + "]" * 50, '["[[[["]' * 40, '{"' + "[" * 200 + '": 1}', "nulls", "null", "٣", "[٣]"]
)  # fmt: skip
JSON_TEXTS = WRONG_JSON | st.builds("{}{}{}".format, SPACES, VALUES.map(json.dumps), SPACES)
OBJECTS = st.dictionaries(st.text(max_size=3), VALUES, max_size=3).map(json.dumps)
ARRAYS = st.lists(VALUES, max_size=3).map(json.dumps)
AMOUNT = st.one_of(
    st.integers(0, 10**9).map(str), st.sampled_from(["0", "00", "1", "60", "1.5", "0.000001", ".5", "1."])
)
DURATIONS = st.builds(
    lambda sign, parts, t, clock: sign + "P" + "".join(parts) + t + "".join(clock),
    st.sampled_from(["", "-", "+"]),
    st.lists(st.builds(str.__add__, AMOUNT, st.sampled_from("YMD")), max_size=3),
    st.sampled_from(["", "T", "T"]),
    st.lists(st.builds(str.__add__, AMOUNT, st.sampled_from("HMSW")), max_size=3),
)
ORDERED_DURATIONS = st.builds(
    lambda sign, numbers: sign + "P{}Y{}M{}DT{}H{}M{}.{:06}S".format(*numbers),
    st.sampled_from(["", "-"]),
    st.tuples(*[st.integers(0, 99) | st.integers(999_999_990, 999_999_999)] * 6, st.integers(0, 999_999)),
)
DEGREES = st.one_of(
    st.floats(-200, 200).map(repr),
    st.integers(-200, 200).map(str),
    st.sampled_from(["180", "-90", "90.0000001", "1e1"]),
)
POSITIONS = st.lists(st.integers(-3, 3) | st.floats(-1, 1), min_size=1, max_size=3)


@st.composite
def shapes(draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from([*DEPTHS, "GeometryCollection", "Feature", "FeatureCollection", "Circle"]))
    if kind == "GeometryCollection":
        return {"type": kind, "geometries": draw(st.lists(shapes(), max_size=2))}
    if kind == "Feature":
        return {"type": kind, "geometry": draw(st.none() | shapes()), "properties": draw(st.none() | st.just({"a": 1}))}
    if kind == "FeatureCollection":
        return {"type": kind, "features": draw(st.lists(shapes(), max_size=2))}
    value: Any = draw(POSITIONS)
    ring = draw(st.booleans())
    for level in range(DEPTHS.get(kind, 2) - 1):
        more = [draw(POSITIONS) for _ in range(draw(st.integers(0, 3)))] if level == 0 else []
        value = [value, *more, value] if ring and level == 0 else [value, *more]
    document: dict[str, Any] = {"type": kind, "coordinates": value}
    extra: dict[str, Any] = draw(
        st.sampled_from([{}, {}, {"bbox": [0, 0, 1, 1]}, {"bbox": [0, 0, 1]}, {"bbox": None}, {"id": 5}])
    )
    return document | extra


SHAPES = st.one_of(
    shapes().map(json.dumps),
    st.builds(
        lambda shape, key, junk: json.dumps(shape | {key: junk}),
        shapes(),
        st.sampled_from(["type", "coordinates", "geometry", "properties", "features", "geometries", "id", "bbox"]),
        VALUES,
    ),
)
