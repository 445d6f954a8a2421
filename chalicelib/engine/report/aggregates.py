"""The report's tables of the contract's aggregates, in which an estimate is told from an exact number."""

from __future__ import annotations

from typing import Any, Final

from chalicelib.engine.measure.sketches import EXACT_LIMIT
from chalicelib.engine.report.markup import aligned, digits, number, section, shown, table, text

JSON = dict[str, Any]

AGGREGATE_ROWS: Final = 50
"""Rows of an aggregate that are shown; the others are counted and stand in summary.json."""

_SURELY_EXACT: Final = EXACT_LIMIT - EXACT_LIMIT // 16
"""Up to here a number of distinct values is no estimate: of more than the limit one is four standard errors away."""
_OWN_BINS: Final = 256
"""Whole numbers below this one have a bin of their own (``sketches.Bins``), so that a quantile among them is exact."""

_DISTINCT: Final = (
    f"an estimate, for more than {number(EXACT_LIMIT)} distinct values: within 1.6 % (standard error). The columns"
    " above have but one such count each, and take more room for it: within 0.8 %"
)
_QUANTILE: Final = "within 0.4 % of the quantile"


def aggregates(tables: JSON, contract: JSON) -> str:
    """A section with a table per aggregate; empty for none. ``contract``: the descriptor that was applied."""
    given = {each["name"]: each["measures"] for each in (contract.get("sluice") or {}).get("aggregates") or []}
    parts = []
    for name, rows in tables.items():
        parts.append(f"<h3>{text(name)}</h3>")
        if not rows:
            parts.append('<p class="soft small">No rows.</p>')
            continue
        parts.append(_aggregate(name, rows[:AGGREGATE_ROWS], list(rows[0]), given.get(name, {})))
        if len(rows) > AGGREGATE_ROWS:
            parts.append(
                f'<p class="soft small">The first {AGGREGATE_ROWS} of {number(len(rows))} rows; '
                f"the other {number(len(rows) - AGGREGATE_ROWS)} are in summary.json.</p>"
            )
    return section("aggregates", "Aggregates", "\n".join(parts)) if parts else ""


def _aggregate(name: str, rows: list[JSON], names: list[str], measures: JSON) -> str:
    numeric = {each for each in names if all(_is_number(line[each]) or line[each] is None for line in rows)}
    # a bar behind the number, where all share one zero
    most = {each: max((line[each] or 0 for line in rows), default=0) for each in numeric}
    decimals = {each: digits(line[each] for line in rows) for each in numeric}
    bars = {each for each in numeric if most[each] > 0 and all((line[each] or 0) >= 0 for line in rows)}

    def cell(line: JSON, each: str) -> str:
        about = "≈ " if _is_estimate(measures.get(each, {}), line[each]) else ""
        if each not in numeric:
            return f'<td class="value">{about}{shown(line[each])}</td>'
        share = 100 * (line[each] or 0) / most[each] if each in bars and len(rows) > 1 else 0
        return f'<td class="n measure" style="--share: {share:.1f}%">{about}{aligned(line[each], decimals[each])}</td>'

    lines = ["<tr>" + "".join(cell(line, each) for each in names) + "</tr>" for line in rows]
    drawn = table(
        f"Aggregate {name}", [(each, "n measure" if each in numeric else "value") for each in names], lines, "dense"
    )
    return drawn + "".join(_note(each, rows, measure) for each, measure in measures.items())


def _is_estimate(measure: JSON, value: Any) -> bool:
    """Whether a measure's value may be another than the exact one."""
    if "approxDistinct" in measure:
        return _is_number(value) and value > _SURELY_EXACT
    if "quantile" not in measure or measure.get("q") in (0, 1) or not value:
        return False
    if isinstance(value, str):  # an exact decimal, or one of JSON's missing numbers
        return value[-1].isdigit()
    return not (isinstance(value, int) and abs(value) < _OWN_BINS)


def _note(name: str, rows: list[JSON], measure: JSON) -> str:
    if not any(_is_estimate(measure, line.get(name)) for line in rows):
        return ""
    told = _DISTINCT if "approxDistinct" in measure else _QUANTILE
    return f'<p class="soft small">≈ {text(name)}: {told}.</p>'


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
