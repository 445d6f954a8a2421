"""The report's table of columns, from a profile (see ``profile.Profile.result``)."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, Final

import numpy as np

from chalicelib.engine.report.markup import NOTHING, bar, histogram, number, percent, row, shown, table, text

JSON = dict[str, Any]

FREQUENT_IN_ROW = 4
_DAY: Final = re.compile("[0-9]{4,}-[0-9]{2}-[0-9]{2}")


def columns(profile: list[JSON]) -> str:
    """A section with one row per column: type, filled share, distinct values, range, distribution. Empty for none."""
    if not profile:
        return ""
    heads = [("Column", ""), ("Filled", ""), ("Distinct", "n"), ("Range", ""), ("Distribution", "")]
    rows = [_column(column) for column in profile]
    plural = "" if len(profile) == 1 else "s"
    intro = f'<p class="soft">{len(profile)} column{plural} of the delivered rows.</p>'
    return (
        '<section id="columns" aria-labelledby="columns-title">\n<h2 id="columns-title">Columns</h2>\n'
        f"{intro}{table('Columns', heads, rows)}\n</section>"
    )


def _column(column: JSON) -> str:
    filled, nulls = column["count"], column["nulls"]
    whole = filled + nulls
    share = f"{percent(filled, whole)}{bar(filled, whole, 'chart')}"
    if nulls:
        share += f'<span class="soft small">{number(nulls)} null</span>'
    kind = f'<span class="kind">{text(column["type"])}</span>'
    return row(
        f"{text(column['name'])}{kind}",
        (share, "n"),
        (_distinct(column), "n"),
        (_range(column), "value"),
        (_distribution(column), ""),
    )


def _distinct(column: JSON) -> str:
    distinct = column.get("approxDistinct")
    if distinct is None:
        return NOTHING
    exact = column.get("mostFrequent") is not None or column.get("unique", False)
    every = '<br><span class="soft small">all differ</span>' if exact and distinct == column["count"] > 1 else ""
    return f"{'' if exact else '≈ '}{number(distinct)}{every}"


def _range(column: JSON) -> str:
    low, high = column.get("min"), column.get("max")
    if low is None and high is None:
        return NOTHING
    # Isolated: between two texts that run from right to left the greater one would stand first.
    lines = [shown(low) if low == high else f"<bdi>{_cut(low)}</bdi> – <bdi>{_cut(high)}</bdi>"]
    if column.get("mean") is not None:
        lines.append(f'<span class="soft small">mean {shown(column["mean"])}</span>')
    if column.get("maxLength") is not None:
        short, long = column["minLength"], column["maxLength"]
        span = number(long) if short == long else f"{number(short)} – {number(long)}"
        lines.append(f'<span class="soft small">{span} character{"" if long == 1 else "s"}</span>')
    return "<br>".join(lines)


def _cut(value: Any, limit: int = 40) -> str:
    if isinstance(value, str) and len(value) > limit:
        return f'<span title="{text(value)}">{text(value[:limit])}…</span>'
    return shown(value)


def _distribution(column: JSON) -> str:
    drawn = column.get("histogram")
    frequent = column.get("mostFrequent") or []
    telling = frequent if frequent and frequent[0]["count"] > 1 else []
    if drawn and drawn["counts"]:
        bins = _bins(drawn["edges"])
        least, most = _end(bins[0][0]), _end(bins[-1][1])
        ends = f'<div class="ends" aria-hidden="true"><span>{least}</span><span>{most}</span></div>'
        more = _details(telling, column["count"])
        return f"{histogram(bins, drawn['counts'])}{ends}{more}"
    if not telling:
        return NOTHING
    rest = telling[FREQUENT_IN_ROW:]
    return _list(telling[:FREQUENT_IN_ROW], column["count"]) + _details(rest, column["count"], "more frequent values")


def _bins(edges: list[Any]) -> list[tuple[Any, Any]]:
    """The ends of each bin. Whole numbers and days have no value between the last of a bin and the next bin's first."""
    return [(low, _last_before(high)) for low, high in pairwise(edges)]


def _last_before(edge: Any) -> Any:
    if isinstance(edge, int):
        return edge - 1
    return str(np.datetime64(edge) - 1) if isinstance(edge, str) and _DAY.fullmatch(edge) else edge


def _end(edge: Any) -> str:
    """An axis label: of a moment the day is enough."""
    return text(edge[:10] if isinstance(edge, str) and len(edge) > 10 and edge[4:5] == "-" else number(edge))


def _details(frequent: list[JSON], count: int, label: str = "frequent values") -> str:
    if not frequent:
        return ""
    return f"<details><summary>{len(frequent)} {label}</summary>{_list(frequent, count)}</details>"


def _list(frequent: list[JSON], count: int) -> str:
    items = []
    for each in frequent:
        share = 100 * each["count"] / count if count else 0
        value = shown(each["value"])
        title = f' title="{text(each["value"])}"'
        items.append(f'<dt style="--share: {share:.1f}%"{title}>{value}</dt><dd>{percent(each["count"], count)}</dd>')
    return f'<dl class="frequent">{"".join(items)}</dl>'
