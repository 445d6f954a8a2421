"""The types whose values have parts: duration, object, array, list, geopoint and geojson. The rules: docs/types.md.

A duration is stored as its canonical text, and JSON as the very text that came: Parquet has no type for either that
Athena, DuckDB and pandas all read. A list is an Arrow list, a geopoint a struct of two numbers. Arrow can neither
compare, hash nor put in order what has parts, so ``comparable`` gives the values another form, in which equal ones are
equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chalicelib.engine import arrays
from chalicelib.engine.arrays import ArrowArray, Mask
from chalicelib.engine.contract import durations, geo, jsontexts
from chalicelib.engine.contract.fields import Field
from chalicelib.engine.measure.canonical import canonical
from chalicelib.engine.types.resolving import Slow

T = TypeVar("T")

POINT: Final = pa.struct([("lon", pa.float64()), ("lat", pa.float64())])
"""As in GeoParquet's native encoding of a point, a struct of two doubles, here with the names of Table Schema."""

_PAIR: Final = rf"\A(?P<lon>{geo.NUMBER}), ?(?P<lat>{geo.NUMBER})\z"


def item_field(field: Field) -> Field:
    """A list's item as a field of its own: it has its type's default format, whatever the list has."""
    return Field(field.name, field.item_type)


def json_reader(field: Field) -> Slow:
    """Reads JSON: the texts themselves, where they are of the type."""
    check = _json_check(field)

    def read(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
        codes, found = _each(texts, check)
        good = np.array([value is not None for value in found] + [False], np.bool_)[codes]
        bad = arrays.valid(texts) & ~good
        return (arrays.with_only(texts, good) if bad.any() else texts), bad

    return read


def _json_check(field: Field) -> Callable[[str], Any]:
    if field.type == "geojson":
        return lambda text: geo.read_shape(text, field.format)
    return jsontexts.read_object if field.type == "object" else jsontexts.read_array


def read_durations(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
    """Canonical texts."""
    codes, found = _each(texts, lambda text: str(durations.read(text)))
    good = np.array([value is not None for value in found] + [False], np.bool_)[codes]
    return _spread(arrays.strings(found), codes), arrays.valid(texts) & ~good


def point_reader(field: Field) -> Slow:
    """Reads geopoints of the field's format."""
    return _read_pairs if field.format == "default" else lambda texts: _read_points(texts, field.format)


def _read_pairs(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
    groups = cast("pa.StructArray", pc.extract_regex(texts, _PAIR))
    good = arrays.valid(groups)
    degrees = []
    for name in ("lon", "lat"):
        part = arrays.with_only(cast("pa.StringArray", groups.field(name)), good)
        degrees.append(arrays.values_of(pc.cast(part, pa.float64()), np.float64) + 0.0)
    good &= (np.abs(degrees[0]) <= 180) & (np.abs(degrees[1]) <= 90)
    return _points(degrees[0], degrees[1], good), arrays.valid(texts) & ~good


def _read_points(texts: pa.StringArray, point_format: str) -> tuple[ArrowArray, Mask]:
    codes, found = _each(texts, lambda text: geo.read_point(text, point_format))
    good = np.array([value is not None for value in found] + [False], np.bool_)[codes]
    degrees = np.array([value or (0.0, 0.0) for value in found] + [(0.0, 0.0)], np.float64)[codes]
    return _points(degrees[:, 0], degrees[:, 1], good), arrays.valid(texts) & ~good


def _points(lon: NDArray[np.float64], lat: NDArray[np.float64], good: Mask) -> ArrowArray:
    # What stands under a null is zero, so that the same values are the same bytes.
    parts = [arrays.from_values(np.where(good, part, 0.0), pa.float64()) for part in (lon, lat)]
    validity = None if good.all() else arrays.bitmap(good)
    return pa.Array.from_buffers(POINT, len(good), [validity], children=parts)


def list_reader(field: Field, item_type: pa.DataType, read_items: Slow) -> Slow:
    """Reads lists: the text is cut at every delimiter, and each piece is read as an item."""

    def read(texts: pa.StringArray) -> tuple[ArrowArray, Mask]:
        pieces = pc.split_pattern(texts, pattern=field.delimiter)
        items, bad_items = read_items(cast("pa.StringArray", pieces.flatten()))
        present = arrays.valid(texts)
        sizes = np.where(present, _lengths_of(pieces), 0)
        edges = np.zeros(len(texts) + 1, np.int32)
        np.cumsum(sizes, out=edges[1:])
        bad = np.zeros(len(texts), np.bool_)
        bad[np.repeat(np.arange(len(texts)), sizes)[bad_items]] = True
        good = present & ~bad
        if bad.any():
            items = items.filter(arrays.booleans(np.repeat(good, sizes)))
            np.cumsum(np.where(good, sizes, 0), out=edges[1:])
        validity = None if good.all() else arrays.bitmap(good)
        offsets = arrays.from_values(edges, pa.int32()).buffers()[1]
        return pa.Array.from_buffers(pa.list_(item_type), len(texts), [validity, offsets], children=[items]), bad

    return read


def _lengths_of(lists: ArrowArray) -> NDArray[np.int32]:
    """Items of each list; anything for a null."""
    return arrays.values_of(pc.list_value_length(lists), np.int32)


def is_compared_otherwise(field: Field) -> bool:
    """Whether ``comparable`` changes the field's values."""
    return field.type in ("object", "array", "geojson", "geopoint", "list")


def comparable(field: Field, values: ArrowArray) -> ArrowArray:
    """The values in a form that is equal where they are, and that Arrow can hash and compare; null stays null."""
    match field.type:
        case "object" | "array" | "geojson":
            codes, found = _each(cast("pa.StringArray", values), _canonical_json)
            return _spread(arrays.strings(found), codes)
        case "geopoint":
            return _point_bytes(values)
        case "list":
            items = canonical(values.flatten())  # one zero
            sizes = np.where(arrays.valid(values), _lengths_of(values), 0)
            ends = np.cumsum(sizes).tolist()
            whole = items.to_pylist()
            rows = zip(arrays.valid(values).tolist(), sizes.tolist(), ends, strict=True)
            return arrays.strings([repr(whole[end - size : end]) if kept else None for kept, size, end in rows])
        case _:
            return values


def _canonical_json(text: str) -> str:
    return jsontexts.canonical(jsontexts.parse(text))


def _point_bytes(points: ArrowArray) -> ArrowArray:
    lon, lat = (arrays.values_of(cast("pa.StructArray", points).field(at), np.float64) for at in (0, 1))
    pairs = np.column_stack((lon, lat)) + 0.0
    fixed = arrays.from_values(pairs.view("V16").ravel(), pa.binary(16), arrays.valid(points))
    return pc.cast(fixed, pa.binary())


def lengths(field: Field, values: ArrowArray, limit: int) -> NDArray[np.integer[Any]]:
    """What ``minLength`` and ``maxLength`` count: characters of a text, items of a list or array, members of an object.
    Anything for a null. Only good to be compared with ``limit``: where a text's bytes, one to four for a character,
    are less or more for certain, they stand for its characters.
    """
    if field.type == "list":
        return _lengths_of(values)
    if field.type in ("object", "array"):
        codes, found = _each(cast("pa.StringArray", values), lambda text: len(jsontexts.parse(text)))
        return np.array([size or 0 for size in found] + [0], np.int32)[codes]
    texts = cast("pa.StringArray", values)
    sizes = np.diff(arrays.offsets(texts)).astype(np.int64)
    unsure = (sizes >= limit) & (sizes <= 4 * limit)
    if unsure.any():
        sizes[unsure] = arrays.characters(cast("pa.StringArray", texts.filter(arrays.booleans(unsure))))
    return sizes


def is_duration_within(values: ArrowArray, within: Callable[[durations.Duration], bool]) -> Mask:
    """Which durations keep a limit; False for null."""
    codes, texts = _distinct(cast("pa.StringArray", values))
    return np.array([within(durations.read(text)) for text in texts] + [False], np.bool_)[codes]


def _each(texts: pa.StringArray, function: Callable[[str], T]) -> tuple[NDArray[np.int64], list[T | None]]:
    """``function`` of every distinct text, None where it raises ValueError, and per row which of them is its own: -1,
    the last, for null.
    """
    codes, distinct = _distinct(texts)
    found: list[T | None] = []
    for text in distinct:
        try:
            found.append(function(text))
        except ValueError:
            found.append(None)
    return codes, found


def _distinct(texts: pa.StringArray) -> tuple[NDArray[np.int64], list[str]]:
    """Per row which of the distinct texts it is: -1, the last, for null; and these."""
    encoded = texts.dictionary_encode()
    codes = np.where(arrays.valid(encoded.indices), arrays.values_of(encoded.indices, np.int32), np.int32(-1))
    return codes.astype(np.int64), cast("list[str]", encoded.dictionary.to_pylist())


def _spread(distinct: ArrowArray, codes: NDArray[np.int64]) -> ArrowArray:
    return distinct.take(arrays.from_values(codes, pa.int64(), codes >= 0))
