"""How the job went: where its rows went, chunk by chunk, and its time, stage by stage."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from chalicelib.engine.report.markup import KINDS, duration, number, row, section, size, stacked, table, text

JSON = dict[str, Any]

CHUNK_ROWS: Final = 50


def ledger(found: JSON | None) -> str:
    chunks = (found or {}).get("chunks") or []
    if not found or not chunks:
        return ""
    total = found["rows"]
    parts = " + ".join(f"{number(total[kind])} {kind}" for kind in KINDS)
    balances = total["read"] == sum(total[kind] for kind in KINDS)
    verdict = "Every record read is accounted for" if balances else "The counts do not balance"
    where = f"in {number(len(chunks))} chunk{'' if len(chunks) == 1 else 's'} over all {size(found['size_bytes'])}"
    intro = f'<p class="soft">{verdict}: {number(total["read"])} read {"=" if balances else "≠"} {parts}, {where}.</p>'
    heads = [("Chunk", ""), ("Bytes", "n"), ("Read", "n"), *((kind.capitalize(), "n") for kind in KINDS), ("", "")]
    lines = [_chunk(chunk) for chunk in chunks[:CHUNK_ROWS]]
    rest = ""
    if len(chunks) > CHUNK_ROWS:
        rest = f'<p class="soft small">The other {number(len(chunks) - CHUNK_ROWS)} chunks are in manifest.json.</p>'
    return section("ledger", "Ledger", f"{intro}{table('Rows per chunk', heads, lines, 'dense')}{rest}")


def _chunk(chunk: JSON) -> str:
    start, end = chunk["range"]
    again = '<span class="kind">processed again</span>' if chunk.get("round", 1) > 1 else ""
    chart = stacked([(kind, chunk[kind]) for kind in KINDS], 160, 8)
    counts = ((number(chunk[kind]), "n") for kind in ("read", *KINDS))
    return row(
        f"{number(chunk['index'] + 1)}{again}",
        (f"{number(start)} – {number(end)}", "n"),
        *counts,
        (f'<div class="share">{chart}</div>', ""),
    )


def timeline(stages: list[JSON]) -> str:
    timed = [stage for stage in stages if stage.get("start") and stage.get("end")]
    if not timed:
        return ""
    starts = [datetime.fromisoformat(stage["start"]) for stage in timed]
    ends = [datetime.fromisoformat(stage["end"]) for stage in timed]
    first = min(starts)
    whole = max((max(ends) - first).total_seconds(), 1e-9)
    lines = []
    for stage, start, end in zip(timed, starts, ends, strict=True):
        left, span = (start - first).total_seconds(), (end - start).total_seconds()
        x, wide = 600 * left / whole, max(600 * span / whole, 3)
        chart = (
            '<svg aria-hidden="true" width="100%" height="10" viewBox="0 0 600 10" preserveAspectRatio="none">'
            '<rect class="f-track" width="600" height="10"/>'
            f'<rect class="f-gold" x="{min(x, 597):.1f}" width="{wide:.1f}" height="10"/></svg>'
        )
        lines.append(row(text(stage["stage"]), (duration(span), "n"), (f'<div class="span">{chart}</div>', "wide")))
    intro = f'<p class="soft">{duration(whole)} from the first stage to the last.</p>'
    heads = [("Stage", ""), ("Time", "n"), ("", "")]
    return section("timeline", "Timeline", f"{intro}{table('Time per stage', heads, lines)}")
