"""Contracts over generated documents: they survive a round trip, nothing but ``InvalidContract`` comes of any JSON, and
what a contract accepts (values, patterns) its readers accept as well.
"""

from __future__ import annotations

import copy
import datetime
import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine import arrays, types
from chalicelib.engine import contract as contracts
from chalicelib.engine.contract import (
    Aggregate,
    Constraints,
    Contract,
    Derived,
    Dialect,
    Field,
    ForeignKey,
    Measure,
    Tolerance,
    expressions,
    literals,
    regexes,
    sluice_keys,
)
from chalicelib.engine.contract.descriptor import Node
from chalicelib.errors import InvalidContract, Terminal

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
NAMES = TEXTS.filter(lambda name: name.strip() and name not in contracts.RESERVED_LABELS)
MARKS = st.sampled_from(".,' _:")


def distinct(
    items: st.SearchStrategy[str], min_size: int = 0, max_size: int | None = None
) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(items, unique=True, min_size=min_size, max_size=max_size).map(tuple)


def limits(values: st.SearchStrategy[str], key: Any) -> st.SearchStrategy[Constraints]:
    """At most one bound on each side, in order."""
    return st.lists(values, min_size=2, max_size=2, unique_by=key).map(
        lambda pair: Constraints(minimum=min(pair, key=key), exclusive_maximum=max(pair, key=key))
    )


LENGTH = st.none() | st.integers(0, 5)
CONSTRAINTS: dict[str, st.SearchStrategy[Constraints]] = {
    "string": st.builds(
        Constraints,
        required=st.booleans(),
        unique=st.booleans(),
        enum=st.none() | distinct(TEXTS, min_size=1, max_size=3),
        pattern=st.none() | st.sampled_from(["[a-z]+", r"\d{4}-\d\d", "a|b", ""]),
        min_length=st.none() | st.integers(0, 5),
        max_length=st.none() | st.integers(5, 2**31 - 1),
    ),
    "integer": limits(st.integers(-(2**63), 2**63 - 1).map(str), int),
    "number": limits(st.integers(-(10**6), 10**6).map(lambda n: f"{n}"), float),
    "boolean": st.just(Constraints(enum=("true",))),
    "date": limits(st.dates().map(str), str),
    "datetime": limits(st.datetimes().map(lambda moment: moment.isoformat(timespec="seconds")), str),
    "time": limits(st.times().map(lambda clock: clock.isoformat(timespec="microseconds")), str),
    "year": limits(st.integers(1000, 9999).map(str), str),
    "yearmonth": limits(st.dates().map(lambda day: day.isoformat()[:7]), str),
    "duration": limits(st.integers(0, 10**9 - 1).map(lambda n: f"PT{n}S"), lambda text: int(text[2:-1])),
    "object": st.builds(
        Constraints, required=st.booleans(), enum=st.just(('{"a": [1, 2.50]}', "{}")), min_length=LENGTH
    ),
    "array": st.builds(Constraints, unique=st.booleans(), enum=st.just(("[1, null]", "[]")), max_length=LENGTH),
    "list": st.builds(Constraints, unique=st.booleans(), enum=st.none() | st.just(("true", "1")), max_length=LENGTH),
    "geopoint": st.builds(Constraints, required=st.booleans(), unique=st.booleans()),
    "geojson": st.builds(Constraints, required=st.booleans(), unique=st.booleans()),
    "any": st.builds(Constraints, required=st.booleans(), enum=st.none() | distinct(TEXTS, min_size=1, max_size=3)),
}


@st.composite
def fields(draw: st.DrawFn, name: str, missing_values: tuple[str, ...]) -> Field:
    kind = draw(st.sampled_from(contracts.TYPES))
    field = Field(name, kind, missing_values=draw(st.just(missing_values) | distinct(st.text("NA-", max_size=2))))
    if kind == "string":
        field = replace(field, format=draw(st.sampled_from(["default", "email", "uri", "uuid", "binary"])))
    if kind in ("date", "time", "datetime"):
        field = replace(field, format=draw(st.sampled_from(["default", "any"])))
    if kind == "number":
        point, group = draw(st.lists(MARKS, min_size=2, max_size=2, unique=True))
        precision, scale = draw(st.sampled_from([(None, None), (38, 0), (12, 2)]))
        group_char = draw(st.sampled_from([None, group]))
        field = replace(field, decimal_char=point, group_char=group_char, precision=precision, scale=scale)
    if kind in ("number", "integer"):
        field = replace(field, bare_number=draw(st.booleans()))
    if kind == "boolean":
        field = replace(field, true_values=("true", *draw(distinct(st.text("yj", min_size=1, max_size=2), max_size=2))))
    if kind == "list":
        item_type = draw(st.sampled_from(["string", "boolean"]))
        field = replace(field, item_type=item_type, delimiter=draw(st.sampled_from([",", "; ", "|"])))
    if kind in ("geopoint", "geojson"):
        field = replace(field, format=draw(st.sampled_from(FORMATS[kind])))
    return replace(field, constraints=draw(st.just(Constraints()) | CONSTRAINTS[kind]))


FORMATS = {"geopoint": ["default", "array", "object"], "geojson": ["default", "topojson"]}


@st.composite
def foreign_keys(draw: st.DrawFn, names: tuple[str, ...]) -> ForeignKey:
    own = draw(distinct(st.sampled_from(names), min_size=1, max_size=2))
    return ForeignKey(own, draw(st.sampled_from(["things", "a.b-c"])), draw(distinct(TEXTS, len(own), len(own))))


@st.composite
def measures(draw: st.DrawFn, name: str) -> Measure:
    function = draw(st.sampled_from(sluice_keys.FUNCTIONS))
    column = "*" if function == "count" else draw(NAMES.filter(lambda text: text != "*"))
    return Measure(name, function, column, draw(st.floats(0, 1)) if function == "quantile" else None)


@st.composite
def aggregates(draw: st.DrawFn, name: str) -> Aggregate:
    names = draw(distinct(TEXTS, min_size=1, max_size=4))
    split = draw(st.integers(0, len(names) - 1))
    return Aggregate(name, names[:split], tuple(draw(measures(measure)) for measure in names[split:]))


@st.composite
def derived(draw: st.DrawFn, known: tuple[Field, ...]) -> tuple[Derived, ...]:
    """Expressions of every kind of operand, over columns whose names have to be quoted or need not be."""
    columns = [field.name for field in known if field.type in expressions.NUMERIC]
    texts: dict[str, str] = {}
    for name in draw(distinct(NAMES.filter(lambda name: name not in {field.name for field in known}), max_size=2)):
        quoted = ['"' + column.replace('"', '""') + '"' for column in [*columns, *texts]]
        operands = st.sampled_from(["1", "2.5e-3", "(-4)", *quoted])
        chosen = draw(st.lists(operands, min_size=1, max_size=3))
        texts[name] = draw(st.sampled_from([*(mark.join(chosen) for mark in "+-*/"), f"coalesce({','.join(chosen)})"]))
    return expressions.read(Node(texts), known)


@st.composite
def all_contracts(draw: st.DrawFn) -> Contract:
    missing_values = draw(distinct(st.text("NA-", max_size=2), max_size=3))
    names = draw(distinct(NAMES, min_size=1, max_size=5))
    characters = draw(st.lists(st.sampled_from(",;|\t:'\"^"), min_size=2, max_size=2, unique=True))
    dialect = Dialect(
        characters[0], draw(st.sampled_from([None, characters[1]])), draw(st.booleans()), None, draw(st.booleans())
    )
    described = tuple(draw(fields(name, missing_values)) for name in names)
    return Contract(
        name=draw(TEXTS),
        fields=described,
        primary_key=names[: draw(st.integers(0, len(names)))],
        unique_keys=() if len(names) < 2 else draw(st.sampled_from([(), (names,), (names[:2], names[1::-1])])),
        foreign_keys=tuple(draw(st.lists(foreign_keys(names), max_size=2))),
        fields_match=draw(st.sampled_from(["exact", "equal", "subset", "superset", "partial"])),
        missing_values=missing_values,
        dialect=draw(st.sampled_from([None, dialect])),
        encoding=draw(st.sampled_from([None, "utf-8"])),
        tolerance=Tolerance(
            draw(st.none() | st.integers(0, 2**63 - 1)), draw(st.floats(0, 1)), draw(st.integers(0, 2**63 - 1))
        ),
        derived=draw(derived(described)),
        aggregates=tuple(draw(aggregates(name)) for name in draw(distinct(TEXTS, max_size=2))),
        partition_by=draw(distinct(TEXTS, max_size=2)),
        mode=draw(st.sampled_from(["append", "replace"])),
        inferred=draw(st.booleans()),
    )


@given(all_contracts())
def test_a_contract_survives_its_document(contract: Contract) -> None:
    document = contracts.to_document(contract)
    assert contracts.parse(document) == contract
    assert contracts.parse(json.dumps(document).encode()) == contract


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(
        [10**300, -(10**600), 0.5, -0.0, 1e308, float("inf"), float("nan"), "", "5", "%Y", "*", "(a", "\ud800"]
    )
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    keys: list[Any] = (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    )
    found = [(value, key) for key in keys]
    for key in keys:
        found += places(value[key])
    return found


@given(all_contracts(), st.data())
def test_any_json_is_read_or_refused(contract: Contract, data: st.DataObject) -> None:
    document = copy.deepcopy(contracts.to_document(contract))
    for _ in range(data.draw(st.integers(1, 3))):
        spots = places(document)
        if not spots:
            break
        container, key = data.draw(st.sampled_from(spots))
        action = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "remove":
            del container[key]
        elif action == "add" and isinstance(container, dict):
            container[data.draw(st.text(max_size=6))] = data.draw(JSON)
        else:
            container[key] = data.draw(JSON)
    read = outcome(document)
    if isinstance(read, Contract):
        assert contracts.parse(contracts.to_document(read)) == read


def outcome(document: Any) -> Contract | InvalidContract:
    """The contract, or the refusal, which names a path and can be sent as UTF-8. Any other error is the test's."""
    try:
        return contracts.parse(document)
    except InvalidContract as refusal:
        str(refusal).encode()
        return refusal


@given(JSON)
def test_any_document_is_refused(value: Any) -> None:
    for document in (value, json.dumps(value)):
        refusal = outcome(document)
        assert isinstance(refusal, InvalidContract)
        assert refusal.path


@given(st.binary(max_size=50))
def test_any_bytes_are_refused(document: bytes) -> None:
    assert isinstance(outcome(document), InvalidContract)


CELLS = {
    "integer": st.from_regex(r"[+-]?[0-9_,. x]{1,21}", fullmatch=True) | st.integers().map(str),
    "number": st.from_regex(r"[+-]?[0-9., €]{0,9}([eE][+-]?[0-9]{1,4})?", fullmatch=True) | st.floats().map(repr),
    "boolean": st.sampled_from(["true", "1", "yes", "False", ""]),
    "date": st.from_regex(r"[0-9]{4}-[01][0-9]-[0-3][0-9]|[0-9-]{10}", fullmatch=True) | st.dates().map(str),
    "datetime": st.datetimes().map(lambda moment: moment.isoformat())
    | st.from_regex(
        r"(0000-12-31|0001-01-01|9999-12-31|2024-02-29)[T ][0-2][0-9]:[0-5][0-9]:[0-6][0-9]"
        r"(\.[0-9]{0,7})?(Z|[+-]1[0-9]:[0-5]0)?",
        fullmatch=True,
    ),
    "time": st.times().map(str) | st.from_regex(r"[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{0,7})?", fullmatch=True),
    "year": st.from_regex(r"-?[0-9]{3,10}", fullmatch=True),
    "yearmonth": st.from_regex(r"[0-9]{4}-[0-9]{2}", fullmatch=True),
    "duration": st.from_regex(
        r"-?P([0-9]{1,3}[YMDW]){0,3}(T([0-9]{1,10}[HMS]){0,2}([0-9]\.[0-9]{0,7}S)?)?", fullmatch=True
    ),
}
FIRST, LAST = datetime.datetime.fromisoformat("0001-01-02"), datetime.datetime.fromisoformat("9999-12-31")
MOMENTS = st.datetimes() | st.datetimes(max_value=FIRST) | st.datetimes(min_value=LAST)
OFFSETS = st.from_regex(r"[+-](0[0-9]|1[0-5]|23):?[0-6][0-9](:00)?|Z|z|", fullmatch=True)
PATTERNED = {
    "%d.%m.%Y": MOMENTS.map(lambda moment: f"{moment:%d.%m.%Y}") | st.sampled_from(["1.1.2024", "01.1.2024"]),
    "%Y%j": MOMENTS.map(lambda moment: f"{moment.year:04}{moment:%j}"),
    "%B %d %y": MOMENTS.map(lambda moment: f"{moment:%B %d %y}")
    | st.sampled_from(["May 5 24", "MAY 05 24", "May  05 24", "Augu\u017ft 05 24"]),
    "%d %b %Y": MOMENTS.map(lambda moment: f"{moment:%d %b} {moment.year:04}")
    | st.sampled_from(["01 SEP 2024", "01 \u017fep 2024", "01 \u017fEP 2024"]),
    "%Y-%m-%dT%H:%M%z": st.builds(
        lambda moment, offset: f"{moment.year:04}-{moment:%m-%dT%H:%M}{offset}", MOMENTS, OFFSETS
    ),
    "%z %Y": st.builds(lambda moment, offset: f"{offset} {moment.year:04}", MOMENTS, OFFSETS),
    "%H.%f": st.from_regex(r"[0-2][0-9]\.[0-9]{0,7}", fullmatch=True),
}
SURROUNDED = st.builds(
    "{}{}{}{}".format,
    st.from_regex(r"EUR|m s⁻¹|km–h|CR |minus |[−–‐－＋±▲⁻()（）<>\[\]€ kdCR-]{0,3}", fullmatch=True),
    st.sampled_from(["", "-", "+"]),
    st.from_regex(r"[0-9]{1,2}(\.[0-9])?", fullmatch=True),
    st.from_regex(r" km–h|⁻¹|DR|[−–－()（）<> €kd-]{0,3}", fullmatch=True),
)
FIELDS = [
    *(Field("f", kind) for kind in CELLS),
    Field("f", "number", decimal_char=",", group_char="."),
    Field("f", "number", bare_number=False),
    Field("f", "integer", bare_number=False),
    Field("f", "integer", group_char=","),
    Field("f", "number", precision=5, scale=2),
    Field("f", "date", "%d.%m.%Y"),
    Field("f", "date", "%Y%j"),
    Field("f", "date", "%B %d %y"),
    Field("f", "date", "%d %b %Y"),
    Field("f", "datetime", "%Y-%m-%dT%H:%M%z"),
    Field("f", "datetime", "%z %Y"),
    Field("f", "time", "%H.%f"),
]


@given(st.sampled_from(FIELDS), st.data())
def test_a_contracts_values_are_what_the_readers_read(field: Field, data: st.DataObject) -> None:
    cells = PATTERNED[field.format] if "%" in field.format else CELLS[field.type] if field.bare_number else SURROUNDED
    read = []
    for text in data.draw(st.lists(cells, min_size=2, max_size=2)):
        try:
            read.append((literals.value_of(field, text), types.limit(field, text)))
        except ValueError:
            assert _is_refused(lambda text=text: literals.value_of(field, text))
            assert _is_refused(lambda text=text: types.limit(field, text))
    if len(read) == 2 and field.type not in ("boolean", "duration"):
        (left, left_scalar), (right, right_scalar) = read
        if left < right:
            # Two exact numbers may be one 64-bit float.
            assert pc.less_equal(left_scalar, right_scalar).as_py()


@pytest.mark.parametrize("form", ["default", "%Y-%m-%dT%H:%M:%S.%f%z"])
def test_at_the_ends_of_the_calendar_cells_are_read_as_a_contracts_values_are(form: str) -> None:
    field = Field("f", "datetime", form)
    days = ("0000-01-01", "0000-02-29", "0000-12-31", "0001-01-01", "0001-01-02", "9999-12-30", "9999-12-31")
    clocks = [f"{hour:02}:{minute}" for hour in (0, 2, 10, 13, 23) for minute in ("00:00.0", "59:59.5")]
    offsets = [f"{sign}{hours}:00" for sign in "+-" for hours in ("00", "01", "02", "10", "13", "14")]
    texts = [f"{day}T{clock}{offset}" for day in days for clock in clocks for offset in (*offsets, "Z")]
    expected = [_literal(field, text) for text in texts]
    together, bad = types.read(field, arrays.strings(texts))
    assert together.to_pylist() == expected
    assert bad.tolist() == [value is None for value in expected]
    for text, value in zip(texts, expected, strict=True):
        alone, [is_bad] = types.read(field, arrays.strings([text]))
        assert (alone.to_pylist(), is_bad) == ([value], value is None), text


def _literal(field: Field, text: str) -> Any:
    try:
        return literals.value_of(field, text)
    except ValueError:
        return None


def _is_refused(reading: Any) -> bool:
    try:
        reading()
    except ValueError:
        return True
    return False


TOKENS = st.sampled_from(list("ab[]^-()|*+?.${}#&~é")) | st.sampled_from(
    [
        r"\d",
        r"\w",
        "{2}",
        "{2,}",
        "{,2}",
        "{40}",
        "(?:",
        "(?i)",
        "(?i:",
        "(?P<n>",
        "[:alpha:]",
        "[^",
        r"\pL",
        r"\p{Greek}",
        r"\x41",
        r"\x{263a}",
        r"\.",
        r"\b",
        r"\z",
        r"\A",
        r"\1",
        "(?=",
        r"\Q",
        r"\E",
        r"\0",
        "--",
        r"\101",
        r"\_",
        r"\-",
        r"\]",
        r"\Z",
        r"\pX",
        r"\h",
        "(?P=n)",
        "(?>",
        "(?#",
    ]
)


@given(st.lists(TOKENS, max_size=8).map("".join))
def test_a_pattern_that_is_accepted_is_one_of_re2s(pattern: str) -> None:
    if not regexes.check(pattern):
        pc.match_substring_regex(pa.array(["a"]), pattern=rf"\A(?:{pattern})\z")


@given(all_contracts(), st.data())
def test_a_binding_uses_every_field_once_or_names_what_is_wrong(contract: Contract, data: st.DataObject) -> None:
    names = [field.name for field in contract.fields]
    labels = data.draw(st.permutations(names) | st.lists(st.sampled_from([*names, "x", "", "_record"]), max_size=7))
    refused: Terminal | None = None
    try:
        binding = contracts.bind(contract, labels)
    except Terminal as error:
        refused = error
    # The same labels in another order are only wrong where the order counts.
    if sorted(labels) == sorted(names) and (contract.fields_match != "exact" or list(labels) == names):
        assert refused is None
    if refused is not None:
        assert refused.code == "header-mismatch"
        assert refused.message
        return
    assert len(binding.fields) == len(labels)
    bound = [place for place in binding.fields if place is not None]
    assert sorted([*bound, *binding.absent]) == list(range(len(names)))
