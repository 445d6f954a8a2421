"""Points and shapes on the earth, from texts: the types geopoint and geojson. Plain Python, like ``literals``.

Sources: https://datapackage.org/standard/table-schema/#geopoint, RFC 7946 (GeoJSON) and the TopoJSON specification 1.0
(https://github.com/topojson/topojson-specification).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from chalicelib.engine.contract import jsontexts
from chalicelib.engine.contract.jsontexts import Number

NUMBER: Final = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
"""The texts of a number, as a cell of that type has them."""
_PAIR: Final = re.compile(rf"({NUMBER}), ?({NUMBER})")

Point = tuple[float, float]
"""Longitude and latitude in degrees."""


def read_point(text: str, point_format: str) -> Point:
    """A geopoint in the format default, array or object. Raises ValueError for any other text, and beyond ±180, ±90."""
    lon, lat = (float(part) for part in _POINT_PARTS[point_format](text))
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise ValueError(text)
    # One zero, as elsewhere: two would be two points that are the same.
    return lon + 0.0, lat + 0.0


def _pair(text: str) -> tuple[str, str]:
    found = _PAIR.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return found[1], found[2]


def _array(text: str) -> tuple[str, str]:
    items = jsontexts.read_array(text)
    if len(items) != 2:
        raise ValueError(text)
    return _number(items[0]), _number(items[1])


def _object(text: str) -> tuple[str, str]:
    members = jsontexts.read_object(text)
    if members.keys() != {"lon", "lat"}:
        raise ValueError(text)
    return _number(members["lon"]), _number(members["lat"])


def _number(value: Any) -> str:
    if not isinstance(value, Number):
        raise ValueError("not a number")
    return value.text


_POINT_PARTS: Final[dict[str, Callable[[str], tuple[str, str]]]] = {
    "default": _pair, "array": _array, "object": _object
}  # fmt: skip


def read_shape(text: str, shape_format: str) -> dict[str, Any]:
    """A GeoJSON object (format default) or a topology. Raises ValueError where the text is neither."""
    members = jsontexts.read_object(text)
    valid = _is_topology(members) if shape_format == "topojson" else _is_geojson(members)
    if not valid:
        raise ValueError("not such an object")
    return members


def _is_geojson(value: Any) -> bool:
    if not isinstance(value, dict) or not _has_good_bbox(value):
        return False
    match value.get("type"):
        case "FeatureCollection":
            return _is_list_of(value.get("features"), _is_feature)
        case "Feature":
            return _is_feature(value)
        case _:
            return _is_geometry(value)


def _is_feature(value: Any) -> bool:
    if not isinstance(value, dict) or value.get("type") != "Feature" or not _has_good_bbox(value):
        return False
    if "geometry" not in value or "properties" not in value:
        return False
    geometry, properties, name = value["geometry"], value["properties"], value.get("id", "")
    return (
        (geometry is None or _is_geometry(geometry))
        and (properties is None or isinstance(properties, dict))
        and isinstance(name, str | Number)
    )


def _is_geometry(value: Any) -> bool:
    if not isinstance(value, dict) or not _has_good_bbox(value):
        return False
    kind = value.get("type")
    if kind == "GeometryCollection":
        return _is_list_of(value.get("geometries"), _is_geometry)
    test = _COORDINATES.get(kind) if isinstance(kind, str) else None
    return test is not None and test(value.get("coordinates"))


def _is_list_of(value: Any, test: Callable[[Any], bool], least: int = 0) -> bool:
    return isinstance(value, list) and len(value) >= least and all(map(test, value))


def _is_number(value: Any) -> bool:
    return isinstance(value, Number)


def _is_position(value: Any) -> bool:
    """Longitude, latitude and perhaps more (RFC 7946, section 3.1.1)."""
    return _is_list_of(value, _is_number, 2)


def _is_line(value: Any) -> bool:
    return _is_list_of(value, _is_position, 2)


def _is_ring(value: Any) -> bool:
    """At least four positions, the first and the last the same (section 3.1.6)."""
    return _is_list_of(value, _is_position, 4) and jsontexts.canonical(value[0]) == jsontexts.canonical(value[-1])


def _is_polygon(value: Any) -> bool:
    return _is_list_of(value, _is_ring)


def _is_bbox(value: Any) -> bool:
    return _is_list_of(value, _is_number, 4) and len(value) % 2 == 0


def _has_good_bbox(members: dict[str, Any]) -> bool:
    return "bbox" not in members or _is_bbox(members["bbox"])


_COORDINATES: Final[dict[str, Callable[[Any], bool]]] = {
    "Point": _is_position,
    "MultiPoint": lambda value: _is_list_of(value, _is_position),
    "LineString": _is_line,
    "MultiLineString": lambda value: _is_list_of(value, _is_line),
    "Polygon": _is_polygon,
    "MultiPolygon": lambda value: _is_list_of(value, _is_polygon),
}


def _is_topology(members: dict[str, Any]) -> bool:
    objects, transform = members.get("objects"), members.get("transform")
    return (
        members.get("type") == "Topology"
        and _has_good_bbox(members)
        and isinstance(objects, dict)
        and all(map(_is_topology_object, objects.values()))
        and _is_list_of(members.get("arcs"), _is_line)
        and ("transform" not in members or _is_transform(transform))
    )


def _is_transform(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _is_list_of(value.get(key), _is_number, 2) and len(value[key]) == 2 for key in ("scale", "translate")
    )


def _is_topology_object(value: Any) -> bool:
    if not isinstance(value, dict) or not _has_good_bbox(value) or "type" not in value:
        return False
    kind = value["type"]
    if kind == "GeometryCollection":
        return _is_list_of(value.get("geometries"), _is_topology_object)
    if kind in ("Point", "MultiPoint"):
        return _COORDINATES[kind](value.get("coordinates"))
    test = _ARCS.get(kind) if isinstance(kind, str) else None
    return kind is None or (test is not None and test(value.get("arcs")))


def _is_index(value: Any) -> bool:
    """The number of an arc; a negative one is read backwards."""
    return isinstance(value, Number) and re.fullmatch(r"-?[0-9]+", value.text) is not None


def _is_arc_string(value: Any) -> bool:
    return _is_list_of(value, _is_index)


def _is_arc_polygon(value: Any) -> bool:
    return _is_list_of(value, _is_arc_string)


_ARCS: Final[dict[str, Callable[[Any], bool]]] = {
    "LineString": _is_arc_string,
    "MultiLineString": _is_arc_polygon,
    "Polygon": _is_arc_polygon,
    "MultiPolygon": lambda value: _is_list_of(value, _is_arc_polygon),
}
