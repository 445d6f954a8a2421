"""Sluice's own keys of a contract, those under ``sluice``: tolerance, aggregates, partitions, exact decimals.

What they say of columns is looked up by ``resource``; ``derive`` has a module of its own, ``expressions``.
"""

from __future__ import annotations

from typing import Any, Final

from chalicelib.engine.contract.descriptor import Node, did_you_mean, plain, shown
from chalicelib.frozen import frozen

FUNCTIONS: Final = ("count", "sum", "min", "max", "mean", "approxDistinct", "quantile")
_OF_OTHER_TOOLS: Final = {
    **dict.fromkeys(("avg", "average"), '{"mean": …}'),
    **dict.fromkeys(("countdistinct", "distinct", "nunique"), '{"approxDistinct": …}'),
    "median": '{"quantile": …, "q": 0.5}',
    "percentile": '{"quantile": …, "q": …}, with q from 0 to 1',
}
"""What SQL, pandas or Spark call a function, without case and separators → what to write here."""
MODES: Final = ("append", "replace")
MAX_PRECISION: Final = 38
"""Digits of Arrow's and Parquet's 128-bit decimals."""

KEYS: Final = ("tolerance", "aggregates", "partitionBy", "mode", "decimals", "derive", "inferred")
_ROWS_LIMIT: Final = 2**63 - 1


@frozen
class Measure:
    """One number per group of an aggregate."""

    name: str
    function: str
    """One of count, sum, min, max, mean, approxDistinct, quantile."""
    column: str
    """A column of the transformed rows; ``*`` (count only) counts rows."""
    q: float | None = None
    """Which quantile, 0 to 1; None for every other function."""


@frozen
class Aggregate:
    """One table of ``sluice.aggregates``."""

    name: str
    group_by: tuple[str, ...]
    """Columns of the transformed rows; none: one group of all rows."""
    measures: tuple[Measure, ...]


@frozen
class Tolerance:
    """How many rejected rows a job may have and still succeed, and how few valid ones; beyond any limit it fails."""

    max_rejected_rows: int | None = None
    """None: no absolute limit."""
    max_rejected_ratio: float = 0.05
    """Rejected rows / rows read, 0 to 1."""
    min_valid_rows: int = 0


DEFAULT_TOLERANCE: Final = Tolerance()


@frozen
class SluiceKeys:
    """What a contract's ``sluice`` states."""

    tolerance: Tolerance
    aggregates: tuple[Aggregate, ...]
    partition_by: tuple[str, ...]
    mode: str
    decimals: dict[str, tuple[Node, tuple[int, int]]]
    """Field name → where it stands, and precision and scale. Whether there is such a field is not checked yet."""
    derive: Node | None
    """Not read yet: an expression names fields."""
    inferred: bool


def read(node: Node) -> SluiceKeys:
    """Errors: ``InvalidContract``. Columns are not looked up: a dataset's transform may make them."""
    node.only(KEYS)
    tolerance, aggregates = node.get("tolerance"), node.get("aggregates")
    partition_by, mode = node.get("partitionBy"), node.get("mode")
    decimals, inferred = node.get("decimals"), node.get("inferred")
    return SluiceKeys(
        tolerance=DEFAULT_TOLERANCE if tolerance is None else _tolerance(tolerance),
        aggregates=() if aggregates is None else _aggregates(aggregates),
        partition_by=() if partition_by is None else partition_by.texts(),
        mode="append" if mode is None else mode.one_of(MODES),
        decimals={} if decimals is None else {name: (child, _decimal(child)) for name, child in decimals.children()},
        derive=node.get("derive"),
        inferred=inferred is not None and inferred.flag(),
    )


def _tolerance(node: Node) -> Tolerance:
    node.only(("maxRejectedRows", "maxRejectedRatio", "minValidRows"))
    rows, ratio, least = node.get("maxRejectedRows"), node.get("maxRejectedRatio"), node.get("minValidRows")
    return Tolerance(
        None if rows is None or rows.value is None else rows.whole(0, _ROWS_LIMIT),
        DEFAULT_TOLERANCE.max_rejected_ratio if ratio is None else ratio.ratio(),
        DEFAULT_TOLERANCE.min_valid_rows if least is None else least.whole(0, _ROWS_LIMIT),
    )


def _decimal(node: Node) -> tuple[int, int]:
    node.only(("precision", "scale"))
    precision = node.require("precision").whole(1, MAX_PRECISION)
    return precision, node.require("scale").whole(0, precision)


def _aggregates(node: Node) -> tuple[Aggregate, ...]:
    found: list[Aggregate] = []
    for item in node.items():
        aggregate = _aggregate(item)
        if any(aggregate.name == other.name for other in found):
            raise item.child("name").refusal(f"{shown(aggregate.name)} is the name of another aggregate already")
        found.append(aggregate)
    return tuple(found)


def _aggregate(node: Node) -> Aggregate:
    node.only(("name", "groupBy", "measures"))
    group_node = node.get("groupBy")
    group_by = () if group_node is None else group_node.texts()
    measures_node = node.require("measures")
    measures = tuple(_measure(name, child) for name, child in measures_node.children())
    if not measures:
        raise measures_node.refusal("is empty")
    for measure in measures:
        if measure.name in group_by:
            raise measures_node.child(measure.name).refusal("has the name of a groupBy column")
    return Aggregate(node.require("name").text(), group_by, measures)


def _measure(name: str, node: Node) -> Measure:
    Node(name, node.path).text()
    for key, child in node.children():
        if key not in (*FUNCTIONS, "q"):
            raise child.refusal(f"is no function of a measure{_instead(key)}")
    functions = [key for key in node.members() if key != "q"]
    if len(functions) != 1:
        raise node.refusal(f"has {len(functions)} functions, expected one of {', '.join(FUNCTIONS)}")
    function = functions[0]
    column_node = node.child(function)
    column = column_node.text()
    if column == "*" and function != "count":
        raise column_node.refusal('is "*", which only count takes')
    if function == "quantile":
        return Measure(name, function, column, node.require("q").ratio())
    if "q" in node.members():
        raise node.child("q").refusal(f"does not apply to {function}")
    return Measure(name, function, column)


def _instead(key: str) -> str:
    """What to write instead of a function that there is not."""
    written = _OF_OTHER_TOOLS.get(plain(key))
    if written is not None:
        return f": write {written}"
    return did_you_mean(key, (*FUNCTIONS, "q")) or f", expected one of {', '.join(FUNCTIONS)}"


def aggregate_document(aggregate: Aggregate) -> dict[str, Any]:
    """The JSON of an aggregate."""
    measures: dict[str, Any] = {}
    for measure in aggregate.measures:
        measures[measure.name] = {measure.function: measure.column}
        if measure.q is not None:
            measures[measure.name]["q"] = measure.q
    return {"name": aggregate.name, "groupBy": list(aggregate.group_by), "measures": measures}
