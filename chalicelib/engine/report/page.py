"""A job's report: one HTML file without scripts or outside resources, for the screen (light and dark), print and
screen readers. The charts are inline SVG; the style sheet is report.css beside this module.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from chalicelib.engine.report.aggregates import aggregates
from chalicelib.engine.report.columns import columns
from chalicelib.engine.report.course import ledger, timeline
from chalicelib.engine.report.markup import (
    KINDS,
    NOTHING,
    bar,
    duration,
    number,
    percent,
    row,
    section,
    size,
    stacked,
    table,
    text,
)
from chalicelib.errors import FINDINGS

JSON = dict[str, Any]

_STATUS: Final = {"SUCCEEDED": ("good", "Succeeded"), "FAILED": ("bad", "Failed")}


def render(document: JSON) -> str:
    """The report of a job, finished or failed, as HTML.

    ``document``: ``job`` (``model.Job.to_json``); and, each of them left out or None where the job did not get so far,
    ``contract`` (the descriptor that was applied), ``summary`` (summary.json), ``ledger`` (what ``ledger.balance``
    gives) and ``timeline`` (``[{"stage", "start", "end"}]``, ISO 8601 times).
    """
    job: JSON = document["job"]
    summary: JSON = document.get("summary") or {}
    sections = [
        _failure(job.get("error")),
        _rows(job, summary),
        _findings(summary.get("findings"), job.get("reasons") or []),
        _drift(summary.get("drift") or {}),
        columns(summary.get("profile") or []),
        aggregates(summary.get("aggregates") or {}, document.get("contract") or {}),
        ledger(document.get("ledger")),
        timeline(document.get("timeline") or []),
        _contract(document.get("contract"), summary),
        _outputs(job.get("outputs") or {}),
    ]
    title = text(f"{job['dataset']}: {_file(job)}")
    style = Path(__file__).with_name("report.css").read_text("utf-8")
    body = "\n".join(section for section in sections if section)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title} – data quality report</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"{_head(job)}\n<main>\n{body}\n</main>\n"
        f"<footer>Job <code>{text(job['job_id'])}</code>. Made by Sluice.</footer>\n</body>\n</html>\n"
    )


def _file(job: JSON) -> str:
    return str(job["source"]["key"]).rsplit("/", 1)[-1]


def _head(job: JSON) -> str:
    css, word = _STATUS.get(job["status"], ("open", str(job["status"]).capitalize()))
    source = job["source"]
    where = text(f"s3://{source['bucket']}/{source['key']}")
    facts = [size(source.get("size_bytes") or 0)]
    if job.get("received_at"):
        facts.append(f"received {_moment(job['received_at'])}")
    spent = _seconds(job.get("started_at"), job.get("finished_at"))
    if spent is not None:
        facts.append(f"processed in {duration(spent)}")
    return (
        f'<header>\n<p class="eyebrow">Data quality report · {text(job["dataset"])}</p>\n'
        f'<div class="top"><h1>{text(_file(job))}</h1><span class="pill {css}">{text(word)}</span></div>\n'
        f'<p class="where small">{where}<br>{text(" · ".join(facts))}</p>\n</header>'
    )


def _failure(error: JSON | None) -> str:
    if not error:
        return ""
    nothing = '<p class="soft small">Nothing of this job was published: the dataset’s current data is unchanged.</p>'
    code = f"<p><code>{text(error['code'])}</code></p>"
    return section("failure", "Why it failed", f"{code}<p>{text(error['message'])}</p>{nothing}", "failure")


def _rows(job: JSON, summary: JSON) -> str:
    rows: JSON = summary.get("rows") or job.get("rows") or {}
    read = rows.get("read", 0)
    if not read:
        if job.get("error"):
            return ""
        return section("rows", "Rows", '<p class="soft">The file has a header and no records.</p>')
    cells = [f'<div class="plain"><dt>read</dt><dd>{number(read)}</dd></div>']
    for kind in KINDS:
        count = rows.get(kind, 0)
        note = f" ({percent(count, read)})" if kind != "blank" or count else ""
        cells.append(f'<div style="--key: var(--{kind})"><dt>{kind}{note}</dt><dd>{number(count)}</dd></div>')
    delivered = summary.get("delivered")
    after = ""
    if delivered is not None and delivered != rows.get("valid"):
        made = f"The transform made {number(delivered)} rows of the {number(rows.get('valid', 0))} valid ones."
        after = f'<p class="soft small">{made}</p>'
    chart = stacked([(kind, rows.get(kind, 0)) for kind in KINDS], 1000, 14)
    return section("rows", "Rows", f'<dl class="counts">{"".join(cells)}</dl>{chart}{after}')


def _findings(findings: JSON | None, job_reasons: list[JSON]) -> str:
    reasons = (findings or {}).get("reasons") or job_reasons
    if not reasons:
        clean = '<p class="soft">Every record passed every check.</p>'
        return section("findings", "Findings", clean) if findings else ""
    most = max(reason["count"] for reason in reasons)
    total = (findings or {}).get("total", sum(reason["count"] for reason in reasons))
    intro = f"{number(total)} finding{'' if total == 1 else 's'}"
    if findings and findings.get("records") is not None:
        intro += f" in {number(findings['records'])} record{'' if findings['records'] == 1 else 's'}"
    hidden = total - sum(reason["count"] for reason in reasons)
    rest = f'<p class="soft small">{number(hidden)} further findings have other reasons.</p>' if hidden > 0 else ""
    rows = [_reason(reason, most) for reason in reasons]
    heads = [("Field", ""), ("Check", ""), ("Count", "n"), ("", "bars-head"), ("For example", "")]
    return section(
        "findings", "Findings", f'<p class="soft">{intro}.</p>{table("Findings by reason", heads, rows)}{rest}'
    )


def _reason(reason: JSON, most: int) -> str:
    code = reason["code"]
    places: dict[str, list[str]] = {}
    for example in reason.get("examples") or []:
        places.setdefault(example.get("note") or "", []).append(_place(example))
    examples = [
        f'<li>{text(note)} <span class="at">{text(", ".join(filter(None, found)))}</span></li>'
        for note, found in places.items()
    ]
    listed = f'<ul class="examples small">{"".join(examples)}</ul>' if examples else NOTHING
    known = f'<code title="{text(FINDINGS[code])}">' if code in FINDINGS else "<code>"
    return row(
        text(reason.get("field") or "whole record"),
        (f"{known}{text(code)}</code>", "whole"),
        (number(reason["count"]), "n"),
        (bar(reason["count"], most, "rejected"), "bars"),
        (listed, "value"),
    )


def _place(example: JSON) -> str:
    record, line = example.get("record"), example.get("line")
    if not record:
        return f"line {number(line)}" if line else ""
    return f"record {number(record)}" + (f" (line {number(line)})" if line else "")


def _drift(drift: JSON) -> str:
    """How the file's columns differ from the contract, where it tolerates that; empty where they do not."""
    facts = [
        (title, ", ".join(map(text, drift[key])))
        for key, title in (("missing", "Fields without a column: null"), ("extra", "Columns not delivered"))
        if drift.get(key)
    ]
    if drift.get("reordered"):
        facts.append(("Order", "the columns are not in the order of the fields"))
    if not facts:
        return ""
    listed = "".join(f"<div><dt>{title}</dt><dd>{fact}</dd></div>" for title, fact in facts)
    return section("drift", "Drift from the contract", f'<dl class="facts">{listed}</dl>')


def _contract(contract: JSON | None, summary: JSON) -> str:
    facts = []
    given = summary.get("contract")
    if given:
        facts.append(("Contract", "inferred from the whole file" if given == "inferred" else "given for the dataset"))
    if summary.get("encoding"):
        facts.append(("Encoding", summary["encoding"]))
    if summary.get("compression"):
        facts.append(("Compression", summary["compression"]))
    dialect = summary.get("dialect") or {}
    if dialect:
        facts.append(("Delimiter", _character(dialect.get("delimiter", ","))))
        quote = dialect.get("quoteChar", dialect.get("quote_char", '"'))
        facts.append(("Quote", _character(quote) if quote else "none"))
        facts.append(("Header", "yes" if dialect.get("header", True) else "no"))
    confidence = summary.get("dialect_confidence")
    if confidence is not None:
        facts.append(("Sure of the dialect", percent(confidence, 1)))
    if not facts and not contract:
        return ""
    listed = "".join(f"<div><dt>{text(term)}</dt><dd>{text(fact)}</dd></div>" for term, fact in facts)
    described = ""
    if contract:
        source = text(json.dumps(contract, indent=2, ensure_ascii=False))
        described = f"<details><summary>The contract as it was applied</summary><pre>{source}</pre></details>"
    return section("contract", "Contract and dialect", f'<dl class="facts">{listed}</dl>{described}')


def _character(character: str) -> str:
    names = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe", " ": "space", '"': "double quote", "'": "quote"}
    return f"{names[character]} {character.strip()}".rstrip() if character in names else character


def _outputs(outputs: dict[str, str]) -> str:
    if not outputs:
        return ""
    rows = [row(text(name), (f"<code>{text(uri)}</code>", "value")) for name, uri in outputs.items()]
    return section("outputs", "Outputs", table("Outputs", [("Output", ""), ("Where", "")], rows))


def _moment(iso: str) -> str:
    moment = datetime.fromisoformat(iso)
    return f"{moment:%Y-%m-%d %H:%M:%S}{' UTC' if moment.utcoffset() is not None and not moment.utcoffset() else ''}"


def _seconds(start: str | None, end: str | None) -> float | None:
    if not start or not end:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
