"""Tables for both validators: fields of every type with good, bad and odd texts, constraints, keys, and rough edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st

JSON = dict[str, Any]


@dataclass(frozen=True)
class Pool:
    """A kind of field and texts for it."""

    field: JSON
    plain: tuple[str, ...]
    """Texts on which the two agree: good and bad ones."""
    odd: tuple[str, ...]
    """Texts on which they differ, and near misses of those."""
    lows: tuple[Any, ...] = ()
    """Values for ``minimum`` and ``exclusiveMinimum``, all below every one of ``highs``."""
    highs: tuple[Any, ...] = ()
    enums: tuple[tuple[Any, ...], ...] = ()
    patterns: tuple[str, ...] = ()
    keys: bool = True
    """Whether Frictionless can compare the values: of Python's lists and dictionaries it cannot tell repeats."""


_DIGITS: Final = ("1_0", "٣", "१२", " 5", "5 ", "5\t", "５", "1__0", "_1", "1_", "²", "\u20075")
POOLS: Final = (
    Pool(
        {"type": "integer"},
        ("0", "1", "2", "10", "-1", "+1", "007", "-0", "9223372036854775807", "x", "1.0", "1e3", "0x1F",
         "--1", "1 0", "-"),
        (*_DIGITS, "9223372036854775808", "-9223372036854775809", "9" * 40, "0" * 30 + "1"),
        lows=(-1, 0),
        highs=(2, 10),
        enums=((0, 1), (-1, 10)),
    ),
    Pool(
        {"type": "integer", "groupChar": ","},
        ("1", "1000", "x", "1,5x"),
        ("1,000", "1,00", "1,234,567"),
        lows=(0,),
        highs=(1000,),
    ),
    Pool(
        {"type": "integer", "bareNumber": False},
        ("5", "€5", "5 %", "-5", "€-5", "x", "", "5.5", "1 of 2"),
        ("-€5", "+5", "€+5", "5_0", "a5_0b", "٣", "€", "-", "x-5", "(5)", "–5", "5 CR"),
        lows=(0,),
    ),
    Pool(
        {"type": "number"},
        ("0", "1", "1.5", "-1.5", "+1.5", ".5", "1.", "1e3", "1E-2", "-0", "-0.0", "0.50",
         "0.5", "x", ".", "1,5", "1.2.3", "1e", "--1"),
        (*_DIGITS, "NaN", "nan", "INF", "-inf", "Infinity", "NaN1", "1e400", "-1e400", "1e-400", "0.1",
         "0.1000000000000000055", "9007199254740993", "9007199254740992", "1_0.5", "1e1_0"),
        lows=(-1.5, 0),
        highs=(1.5, 100),
        enums=((0.5, 1.5), (0, 1)),
    ),
    Pool(
        {"type": "number", "decimalChar": ",", "groupChar": "."},
        ("1", "1,5", "-1,5", ",5", "x", "1,2,3"),
        ("1.5", "1.234,5", "1.234.567", "12.34,5", "1,234.5", "1,5e2", "1.5e2"),
        lows=(0,),
        highs=(1000,),
    ),
    Pool(
        {"type": "number", "bareNumber": False},
        ("5", "95.5%", "€95.50", "-5", "x", "€ 5"),
        ("No.5", ".5", "€.5", "-€5", "+5", "5.", "1e5", "€1e5", "-", "€", "5 5", "5-", "(5)", "−5", "5 DR"),
        lows=(0,),
    ),
    Pool(
        {"type": "boolean"},
        ("true", "True", "TRUE", "1", "false", "False", "FALSE", "0", "yes", "tRUE", "2", " true"),
        (),
        enums=((True,), (False,)),
    ),
    Pool(
        {"type": "boolean", "trueValues": ["ja", "j"], "falseValues": ["nein"]},
        ("ja", "j", "nein", "true", "1", "JA"),
        (),
    ),
    Pool(
        {"type": "date"},
        ("2024-02-29", "2024-01-02", "2023-02-29", "0001-01-01", "9999-12-31", "0000-01-01", "2024-13-01", "x",
         "20240102", "2024-01-02T00:00:00", "10000-01-01"),
        ("2024-1-2", "2024-01-2", " 2024-01-02", "2024-01-02 ", "٢٠٢٤-٠١-٠٢", "024-01-02", "24-01-02"),
        lows=("2024-01-01",),
        highs=("2024-02-28", "2024-12-31"),
        enums=(("2024-01-02", "2024-02-29"),),
    ),
    Pool(
        {"type": "date", "format": "any"},
        ("2024-01-02", "2024-02-29", "x"),
        ("01/02/2024", "January 2, 2024", "2024", "20240102", "2024-01-02T03:04:05", "10"),
    ),
    Pool(
        {"type": "date", "format": "%d/%m/%Y"},
        ("02/01/2024", "29/02/2024", "29/02/2023", "2024-01-02", "x", "02/01/24"),
        ("2/1/2024", "02/1/2024", "02/01/2024 ", "٠٢/٠١/٢٠٢٤"),
        lows=("01/01/2024",),
        highs=("28/02/2024",),
    ),
    Pool(
        {"type": "time"},
        ("10:00:00", "00:00:00", "23:59:59", "10:00:00.5", "23:59:60", "10:00", "25:00:00", "x", "10:00:00."),
        ("24:00:00", "10:00:00.1234567", "10:00:00,5", "٠٠:00:00", " 10:00:00"),
        lows=("09:00:00",),
        highs=("12:00:00",),
    ),
    Pool(  # without limits: Frictionless cannot compare a time that has a zone with one that has none
        {"type": "time"},
        ("10:00:00", "x"),
        ("10:00:00Z", "10:00:00+02:00", "10:00:00z", "10:00:00+0200"),
    ),
    Pool(
        {"type": "datetime"},
        ("2024-01-02T03:04:05", "2024-01-02 03:04:05", "2024-01-02T03:04:05.25", "2023-02-29T00:00:00", "2024-01-02",
         "2024-01-02T03:04", "x", "2016-12-31T23:59:60", "2024-01-02T25:00:00"),
        ("2024-01-02T24:00:00", "2024-01-02t03:04:05", "2024-01-02T03:04:05.1234567", "2024-01-02x03:04:05",
         "2024-01-02T03:04:05,5", " 2024-01-02T03:04:05", "2024-01-02_03:04:05", "2024-W01-2T03:04:05"),
        lows=("2024-01-01T00:00:00",),
        highs=("2024-01-02T03:04:05", "2024-06-01T00:00:00"),
        enums=(("2024-01-02T03:04:05",),),
    ),
    Pool(  # without limits, as above
        {"type": "datetime"},
        ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05+02:00", "2024-01-02T01:04:05Z", "2024-01-02T03:04:05-14:00", "x"),
        ("2024-01-02T03:04:05+0200", "2024-01-02T03:04:05+02", "2024-01-02T03:04:05z", "2024-01-02T03:04:05+14:01",
         "2024-01-02T03:04:05+15:00", "0001-01-01T00:00:00+00:01", "2024-01-02T03:04:05"),
    ),
    Pool(
        {"type": "datetime", "format": "%d.%m.%Y %H:%M"},
        ("02.01.2024 03:04", "31.12.2023 23:59", "02.01.2024", "x", "02.01.2024 03:60"),
        ("2.1.2024 3:04", "02.01.2024  03:04", "02.01.2024\t03:04"),
        lows=("01.01.2024 00:00",),
    ),
    Pool(
        {"type": "year"},
        ("2024", "1999", "0001", "24", "02024", "x", "20x4"),
        ("12345", "-0044", "-044", "+024", " 202", "2_24", "٢٠٢٤", "0000"),
        lows=(1990,),
        highs=(2000, 2024),
    ),
    Pool(
        {"type": "yearmonth"},
        ("2024-01", "1999-12", "2024-13", "2024", "x", "2024-00"),
        ("2024-1", "24-01", "2024-001", " 2024-01", "2024- 1", "2_024-01", "٢٠٢٤-٠١", "+2024-01", "12024-01"),
    ),
    Pool(
        {"type": "string"},
        ("a", "b", "ab", "A", "é", "日本語", "a b", " ", "1", "nan", "=1", "a,b;c|d\te", 'say "hi"', "two\nlines",
         "e\u0301"),
        ("x\n", "\u2028", "a\u0085b", "a\x0bb", "٣"),
        enums=(("a", "b"), ("é", " ")),
        patterns=("[a-z]+", "a|b", r"\w+", "(?:a|b).*", r"\d", "^a$"),
    ),
    Pool(
        {"type": "string", "format": "email"},
        ("a@example.com", "a.b+c@example.co.uk", "x", "a@", "@example.com", "a b@example.com"),
        ("a@localhost", "a@-example.com", "a..b@example.com", '"a b"@example.com', "ä@example.com", "a@exämple.com",
         "a@example.c", "a@[127.0.0.1]", ".a@example.com", "a@example.com.", "a@ex_ample.com"),
    ),
    Pool(
        {"type": "string", "format": "uri"},
        ("https://example.com/a?b#c", "urn:isbn:1", "mailto:a@example.com", "x", "//example.com", "/a/b"),
        ("http://x/%zz", "http://a b", "http://exämple.com", "http://[::1]/", "http://[zz]/", "http://x:80a/", "1http://x",
         "http://", "a:", "http://x/[", "http://x/\\", "http://x/|", "http://a@b@c/"),
    ),
    Pool(
        {"type": "string", "format": "uuid"},
        ("123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-12D3-A456-426614174000", "x", "123e4567"),
        ("123e4567e89b12d3a456426614174000", "{123e4567-e89b-12d3-a456-426614174000}",
         "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
         "urn:uuid:123e4567-e89b-12d3-a456-426614174000", "123e-4567e89b12d3a456426614174000"),
    ),
    Pool(
        {"type": "string", "format": "binary"},
        ("aGk=", "aGkh", "aGk", "a"),
        ("aG=k", "a-_=", "aGk\n=", "aG kh", "aGkh====", "ä", "!!!!", "=", "aGk=aGk="),
    ),
    Pool({"type": "any"}, ("a", "1", " ", "é"), ()),
    Pool(
        {"type": "duration"},
        ("P1Y2M", "PT36H", "P1DT2H3M4S", "-P3D", "PT4.5S", "P1M", "P2D", "x", "P", "1D", "P-1D", "P1DT1D"),
        ("P14M", "P1D", "PT24H", "P1W", "P0.5Y", "+P1D", "PT", "P1DT", "PT0,5S", "PT1.1234567S", "p1d", "P1Y2W", "P٣D",
         "P0D", "-P0D", "P0003-06-04T12:30:05"),
        enums=(("P1M", "P2D"),),
    ),
    Pool(
        {"type": "object"},
        ('{"a": 1}', "{}", '{"a": {"b": [1, null, true]}}', "[1]", "1", "null", "x", "{a: 1}", '{"a": 1,}', "{'a': 1}"),
        (' {"a": 1} ', '{"a": NaN}', '{"a": 1, "a": 2}', '{"a": 1e400}', '{"a": "\\ud800"}', '\ufeff{"a": 1}',
         '\u00a0{}'),
        keys=False,
    ),
    Pool(
        {"type": "array"},
        ("[1, 2]", "[]", '["a", {"b": 1}]', '{"a": 1}', "1", "x", "[1,]", "[1"),
        ("[NaN]", "[Infinity, 1]", " [1] ", '["\\ud800"]', "[1e400]", "[01]"),
        keys=False,
    ),
    Pool(
        {"type": "list"},
        ("a,b", "a", ",", "a,,b", " a , b "),
        (),
        keys=False,
    ),
    Pool(
        {"type": "list", "itemType": "integer", "delimiter": ";"},
        ("1;2", "1", "x", "1;x", "1.5;2"),
        ("1; 2", "1_0;2", "٣", "1;", ";", "9223372036854775808"),
        keys=False,
    ),
    Pool(
        {"type": "geopoint"},
        ("90.5,45.5", "90, 45", "-180,-90", "180,90", "181,0", "0,91", "90", "x", "1,2,3", "90;45", ","),
        ("90 ,45", "90,  45", " 90,45", "1_0,45", "NaN,45", "٣,45", "1e1,45", "90,45 ",
         "0.1000000000000000055,1", "0.1,1"),
    ),
    Pool(
        {"type": "geopoint", "format": "array"},
        ("[90.5, 45.5]", "[181, 0]", "[0]", "[1, 2, 3]", "x", "{}", "90,45"),
        ('["90", "45"]', "[true, 1]", "[NaN, 1]", "[null, 1]", "[1e400, 0]", " [1, 2]", '{"90": 1, "45": 2}'),
    ),
    Pool(
        {"type": "geopoint", "format": "object"},
        ('{"lon": 90.5, "lat": 45.5}', '{"lon": 181, "lat": 0}', '{"lon": 1}', "x", "[1, 2]",
         '{"lon": 1, "lat": 2, "z": 3}'),
        ('{"lon": "90", "lat": "45"}', '{"lon": true, "lat": 1}', '{"lon": 1, "lon": 2, "lat": 3}'),
    ),
    Pool(
        {"type": "geojson"},
        ('{"type": "Point", "coordinates": [1, 2]}', '{"type": "x"}', "{}", "[]", "x",
         '{"type": "LineString", "coordinates": [[0, 0], [1, 1]]}', '{"type": "Point", "coordinates": "x"}',
         '{"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {}}'),
        ('{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,1]]]}', '{"type": "Point", "coordinates": []}',
         '{"type": "Feature", "geometry": null, "properties": null}', '{"type": "Point", "coordinates": [NaN, 1]}',
         '{"type": "FeatureCollection", "features": []}', '{"type": "Point", "coordinates": [1, 2], "bbox": "x"}',
         '{"type": "LineString", "coordinates": [[0, 0]]}', '{"type": "GeometryCollection", "geometries": []}'),
        keys=False,
    ),
    Pool(
        {"type": "geojson", "format": "topojson"},
        ('{"type": "Topology", "objects": {}, "arcs": []}', "{}", "x"),
        ('{"type": "Topology", "objects": {"a": {"type": "x"}}, "arcs": []}', '{"type": "Topology", "objects": {}}',
         '{"type": "Point", "coordinates": [1, 2]}',
         '{"type": "Topology", "objects": {}, "arcs": [[[0, 0], [1, 1]]]}',
         '{"type": "Topology", "objects": {}, "arcs": "x"}'),
        keys=False,
    ),
)  # fmt: skip

MISSING: Final = ([""], ["", "NA"], ["NA", "n/a"], ["", "NaN", "0"])
_BREAKS: Final = ("\n", "\r\n", "\r")
_DIALECTS: Final[tuple[JSON, ...]] = ({}, {}, {"quoteChar": "'"}, {"skipInitialSpace": True}, {"header": False})
_DELIMITERS: Final = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Table:
    body: bytes
    schema: JSON
    dialect: JSON

    def __repr__(self) -> str:
        return f"Table({self.body!r}, {self.schema!r}, {self.dialect!r})"


def _constraints(pool: Pool) -> st.SearchStrategy[JSON]:
    optional: dict[str, st.SearchStrategy[Any]] = {"required": st.just(True)}
    if pool.keys:
        optional["unique"] = st.just(True)
    if pool.lows:
        optional |= dict.fromkeys(("minimum", "exclusiveMinimum"), st.sampled_from(pool.lows))
    if pool.highs:
        optional |= dict.fromkeys(("maximum", "exclusiveMaximum"), st.sampled_from(pool.highs))
    if pool.enums:
        optional["enum"] = st.sampled_from(pool.enums).map(list)
    if pool.field["type"] in ("string", "object", "array", "list"):
        optional |= {"minLength": st.integers(0, 2), "maxLength": st.integers(2, 20)}
    if pool.patterns:
        optional["pattern"] = st.sampled_from(pool.patterns)
    # Some constraint in half of the fields, seldom many at once: with all of them few cells would be good.
    return st.one_of(
        st.just({}), *(st.fixed_dictionaries({name: values}) for name, values in optional.items()),
        st.fixed_dictionaries({}, optional=optional),
    )  # fmt: skip


def _quoted(text: str, delimiter: str, quote: str, always: bool) -> str:
    if always or any(mark in text for mark in (delimiter, quote, "\r", "\n")):
        return quote + text.replace(quote, quote * 2) + quote
    return text


_ROUGH: Final = ('"a"b', 'a"b', '"', '"a', '""', '"" ', ' "a"', '"a"""')
"""Cells as they stand in the file, with stray quotes."""


@st.composite
def tables(draw: st.DrawFn, *, odd: bool, rough: bool) -> Table:
    """``odd``: with texts on which the two differ; ``rough``: with ragged and blank rows and stray quotes."""
    pools = draw(st.lists(st.sampled_from(POOLS), min_size=1, max_size=4))
    names = [f"f{place}" for place in range(1, len(pools) + 1)]
    missing = draw(st.sampled_from(MISSING))
    fields = []
    for name, pool in zip(names, pools, strict=True):
        field = {"name": name, **pool.field}
        if constraints := draw(_constraints(pool)):
            field["constraints"] = constraints
        if draw(st.integers(0, 5)) == 0:
            field["missingValues"] = draw(st.sampled_from(MISSING))
        fields.append(field)
    schema: JSON = {"fields": fields, "missingValues": missing}
    able = [name for name, pool in zip(names, pools, strict=True) if pool.keys]
    if draw(st.booleans()) and able:
        schema["primaryKey"] = draw(st.lists(st.sampled_from(able), min_size=1, max_size=2, unique=True))
    delimiter = draw(st.sampled_from(_DELIMITERS))
    dialect = {"delimiter": delimiter, **draw(st.sampled_from(_DIALECTS))}
    quote = dialect.get("quoteChar", '"')
    line_break = draw(st.sampled_from(_BREAKS))
    texts = [st.sampled_from((*pool.plain, *(pool.odd if odd else ()), "", "NA", "n/a")) for pool in pools]
    lines = [delimiter.join(names)] if dialect.get("header", True) else []
    for _ in range(draw(st.integers(0, 12))):
        always = draw(st.booleans())
        cells = [_quoted(draw(each), delimiter, quote, always) for each in texts]
        if rough:
            cells = _roughened(draw, cells)
        lines.append(delimiter.join(cells))
    body = line_break.join(lines) + draw(st.sampled_from((line_break, "")))
    return Table((body or line_break).encode(), schema, dialect)


def _roughened(draw: st.DrawFn, cells: list[str]) -> list[str]:
    match draw(st.integers(0, 9)):
        case 0:
            return cells[: draw(st.integers(0, len(cells)))]
        case 1:
            return [*cells, *draw(st.lists(st.sampled_from(("", "x", "NA")), min_size=1, max_size=2))]
        case 2:
            return [""] * draw(st.integers(0, len(cells) + 1))
        case 3:
            place = draw(st.integers(0, len(cells) - 1))
            return [*cells[:place], draw(st.sampled_from(_ROUGH)), *cells[place + 1 :]]
        case _:
            return cells
