"""HTML and SVG for the report: escaping, numbers as people read them, and small charts.

Whatever comes from a file, a contract or a message passes ``text`` on its way out.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

NOTHING = '<span class="soft">–</span>'
KINDS: Final = ("valid", "rejected", "blank")
"""What becomes of a record, in the order of the charts."""


def text(value: Any) -> str:
    """A value, escaped for element content and for attributes in double quotes; control characters made visible."""
    shown = str(value)
    if not shown.isprintable():
        shown = "".join(map(_visible, shown))
    return html.escape(shown, quote=True)


def _visible(character: str) -> str:
    if character in "\n\t" or character.isprintable() or character == "\u00a0":
        return character
    code = ord(character)
    # Unicode's pictures of control characters; what else does not print (bidirectional marks) is named by its number
    return chr(0x2400 + code) if code < 0x20 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def number(value: Any) -> str:
    """A count or measure: thousands apart, no more digits than can be read. Text stays as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    size = abs(value)
    if not math.isfinite(value) or size >= 1e15 or 0 < size < 1e-3:
        return f"{value:.4g}"
    digits = 2 if size >= 1000 else 4
    return f"{value:,.{digits}f}".rstrip("0").rstrip(".")


def digits(values: Iterable[Any]) -> int:
    """Decimals that show a column of numbers one below the other as ``number`` would show the longest of them."""
    floats = [value for value in values if isinstance(value, float)]
    texts = [each for each in map(number, floats) if "e" not in each and each[-1].isdigit()]
    most = 2 if any(abs(value) >= 1000 for value in floats) else 4
    return max((min(most, len(each.partition(".")[2])) for each in texts), default=0)


def aligned(value: Any, decimals: int) -> str:
    """A float with so many decimals, the exact one as a tooltip; what that cannot show as ``shown`` does."""
    if not isinstance(value, float) or not math.isfinite(value) or "e" in number(value):
        return shown(value)
    return f'<span title="{text(repr(value))}">{value:,.{decimals}f}</span>'


def shown(value: Any) -> str:
    """A cell's content: null as a dash, empty text named, a float with its exact value as a tooltip."""
    if value is None:
        return NOTHING
    if value == "":
        return '<span class="soft">empty text</span>'
    if isinstance(value, float):
        return f'<span title="{text(repr(value))}">{text(number(value))}</span>'
    if isinstance(value, bool):
        return "true" if value else "false"
    return text(number(value))


def percent(part: float, whole: float) -> str:
    """``part`` of ``whole``, never rounded to 0 % or 100 % where it is neither."""
    if not whole:
        return "–"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "< 0.1 %"
    if 99.9 < share < 100:
        return "> 99.9 %"
    return f"{share:.1f}".removesuffix(".0") + " %"


def size(value: float) -> str:
    """Bytes in the largest binary unit that leaves at least one."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if abs(value) < 1024 or unit == "GiB":
            return f"{value:,.0f} {unit}" if unit == "bytes" else f"{value:,.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def table(caption: str, heads: Sequence[tuple[str, str]], rows: Iterable[str], css: str = "") -> str:
    """``heads``: (label, CSS class) per column; ``rows``: finished ``<tr>`` elements; ``css``: the table's class. The
    caption is for screen readers.
    """
    cells = "".join(f'<th scope="col"{_class(css)}>{text(label)}</th>' for label, css in heads)
    label = text(caption)
    body = "\n".join(rows)
    # a region that scrolls must be reachable with the keyboard
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0"><table{_class(css)} aria-label="{label}">'
        f"<thead><tr>{cells}</tr></thead><tbody>\n{body}\n</tbody></table></div>"
    )


def row(head: str, *cells: tuple[str, str]) -> str:
    """A table row of finished HTML: the row's header, and (content, CSS class) per further cell."""
    data = "".join(f"<td{_class(css)}>{content}</td>" for content, css in cells)
    return f'<tr><th scope="row" class="name">{head}</th>{data}</tr>'


def _class(css: str) -> str:
    return f' class="{css}"' if css else ""


def stacked(parts: Sequence[tuple[str, int]], width: int, height: int) -> str:
    """One horizontal bar of (kind, count) parts, each at least visible; the kinds are CSS names."""
    total = sum(count for _, count in parts)
    label = ", ".join(f"{count:,} {kind}" for kind, count in parts)
    present = [(kind, count) for kind, count in parts if count]
    least = 2.0
    free = width - least * len(present)
    pieces, left = [], 0.0
    for kind, count in present:
        span = least + free * count / total
        gap = 1.5 if left + span < width - 0.5 else 0
        pieces.append(f'<rect class="f-{kind}" x="{left:.1f}" width="{max(span - gap, 1):.1f}" height="{height}"/>')
        left += span
    if not present:
        pieces.append(f'<rect class="f-track" width="{width}" height="{height}"/>')
    return _svg(width, height, label, "".join(pieces), stretch=True)


def bar(part: float, whole: float, kind: str) -> str:
    """A share as a bar on a track. It repeats the number beside it, so screen readers pass over it."""
    width = 90
    filled = width * part / whole if whole else 0
    inner = f'<rect class="f-track" width="{width}" height="6" rx="3"/>'
    if part:
        inner += f'<rect class="f-{kind}" width="{max(filled, 3):.1f}" height="6" rx="3"/>'
    return f'<svg width="{width}" height="6" viewBox="0 0 {width} 6" aria-hidden="true">{inner}</svg>'


def histogram(bins: Sequence[tuple[Any, Any]], counts: Sequence[int]) -> str:
    """Bars over bins of equal width, the tallest as high as the chart; each tells its range and count. ``bins``: the
    ends of each.
    """
    width, height = 220, 44
    most = max(counts, default=0)
    if not most:
        return NOTHING
    step = width / len(counts)
    bars = []
    for position, (ends, count) in enumerate(zip(bins, counts, strict=True)):
        tall = max(1.5, (height - 2) * count / most) if count else 0.75
        css = "f-chart" if count else "f-soft"
        place = f'x="{position * step:.1f}" y="{height - tall:.1f}" width="{step - 1.5:.1f}" height="{tall:.1f}"'
        bars.append(f'<rect class="{css}" {place}><title>{text(_span(*ends))}: {count:,}</title></rect>')
    peak = bins[max(range(len(counts)), key=lambda place: counts[place])]
    label = (
        f"Histogram of {len(counts)} bins from {number(bins[0][0])} to {number(bins[-1][1])}; "
        f"most values, {most:,}, {'at' if peak[0] == peak[1] else 'from'} {_span(*peak)}"
    )
    return _svg(width, height, label, "".join(bars))


def _span(low: Any, high: Any) -> str:
    return number(low) if low == high else f"{number(low)} to {number(high)}"


def _svg(width: int, height: int, label: str, content: str, stretch: bool = False) -> str:
    extent = 'width="100%" preserveAspectRatio="none"' if stretch else f'width="{width}"'
    return (
        f'<svg role="img" aria-label="{text(label)}" {extent} height="{height}" viewBox="0 0 {width} {height}">'
        f"{content}</svg>"
    )


def section(name: str, title: str, content: str, css: str = "") -> str:
    extra = f' class="{css}"' if css else ""
    head = f'<h2 id="{name}-title">{title}</h2>'
    return f'<section id="{name}"{extra} aria-labelledby="{name}-title">\n{head}\n{content}\n</section>'


def duration(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
