"""StoreResults: from a settled job's partial results to its outputs under ``jobs/<job_id>/``.

Nothing is published by halves: readers go by ``datasets/<dataset>/current.json``, which is switched by one conditional
put (``publication.py``), and only after the manifest, which is written after everything that it lists.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any, Final

from chalicelib import errors, publication
from chalicelib.engine import contract as contracts
from chalicelib.engine import ledger
from chalicelib.engine.checks.findings import Base, Reasons
from chalicelib.engine.contract.binding import drift_of
from chalicelib.engine.ledger import Report
from chalicelib.engine.plan import Plan
from chalicelib.engine.rejects import drafts
from chalicelib.engine.rejects.render import csv_header
from chalicelib.engine.report import render
from chalicelib.frozen import frozen
from chalicelib.model import JSON, Reason, Rows, Status, timestamp
from chalicelib.parallel import parallel
from chalicelib.ports import Ports, Stored
from chalicelib.stages import lanes
from chalicelib.stages.excess import excess
from chalicelib.stages.outputs import Outputs, copy_data
from chalicelib.stages.settling import State

REASONS_ON_JOB: Final = 10
FIELD_ON_JOB_CHARS: Final = 256
"""Longest name of a field among them: the label of a file without a header may be its longest cell, and the record, a
page of records and a notice have limits."""
_CSV_TYPE: Final = "text/csv; charset=utf-8"
_JSONL_TYPE: Final = "application/jsonl"
_HTML_TYPE: Final = "text/html; charset=utf-8"


@frozen
class Run:
    """The execution of a job whose outputs are written."""

    job_id: str
    dataset: str
    execution: str
    timeline: list[JSON]
    """``{"stage", "start", "end"}`` of each stage so far; StoreResults' own comes last and has no end yet."""


def publish(ports: Ports, run: Run, state: State) -> list[JSON]:
    """Write every output, the manifest last, and make the job the dataset's current one. Returns the timeline as the
    report shows it.

    Errors: ``ToleranceExceeded`` where too many rows were rejected: then the rejects, the summary, the
    contract and the report are written and stand on the job, and nothing else is.
    """
    merged = state.workspace.get_json("merged.json")
    rows = Rows(**merged["ledger"]["rows"])
    outputs = Outputs(ports, state.workspace.bucket, run.job_id)
    summary = _write_rejects(outputs, state)
    summary |= _summary(run, state, merged)
    facts = _facts(summary["findings"]["reasons"])
    outputs.put_json("contract", "contract.json", contracts.to_document(state.contract))
    outputs.put_json("summary", "summary.json", summary)
    too_many = excess(state.contract, state.plan, rows, summary["findings"]["reasons"])
    if too_many is None:
        copy_data(outputs, state)
    timeline = _write_report(ports, outputs, run, state, merged, summary, too_many)
    if state.workspace.attempt > 1:
        outputs.settle()
    if too_many is not None:
        ports.jobs.advance(run.job_id, run.execution, Status.STORING, **facts, outputs=outputs.uris)
        told = {"job_id": run.job_id, "dataset": run.dataset, "timeline": timeline}
        raise errors.ToleranceExceeded(too_many, told)
    finished = timestamp(ports.clock())
    _write_manifest(outputs, run, state, merged["ledger"], finished)
    facts |= {"delivered": merged["ledger"]["delivered"], "outputs": outputs.uris}
    decided = ports.jobs.advance(run.job_id, run.execution, Status.STORING, **facts)
    publication.finish(ports, state.workspace.bucket, decided)
    return timeline


def _facts(reasons: list[JSON]) -> JSON:
    """What the job's record tells of the findings."""
    told = reasons[:REASONS_ON_JOB]
    return {
        "reasons": tuple(Reason(each["code"], _short(each["field"]), each["count"]) for each in told),
        "reasons_omitted": len(reasons) - len(told),
    }


def _short(field: str) -> str:
    return field if len(field) <= FIELD_ON_JOB_CHARS else field[:FIELD_ON_JOB_CHARS] + "…"


def _write_rejects(outputs: Outputs, state: State) -> JSON:
    """rejects.csv and rejects.jsonl, streamed side by side; gives the summary's ``findings``.

    Errors: ``Terminal("ledger-unbalanced")`` where a chunk's worker wrote another number of records or findings than it
    reported.
    """
    bases = ledger.bases(state.reports, state.plan.header_lines)
    reasons, rejected = _reasons(state, bases), state.rows.rejected

    def put(path: str, kind: str) -> Callable[[Iterator[bytes]], Stored]:
        return lambda pieces: outputs.objects.put_stream(outputs.bucket, outputs.key(path), pieces, kind)

    lines = chain([(csv_header(state.plan), b"")], _rejected_lines(state, drafts.Numbers(bases)))
    csv, jsonl = lanes.read(lines, [put("rejects.csv", _CSV_TYPE), put("rejects.jsonl", _JSONL_TYPE)])
    outputs.add("rejects", "rejects.csv", csv, rejected)
    outputs.add("rejects_jsonl", "rejects.jsonl", jsonl, rejected)
    return {"findings": {"total": reasons.total, "records": rejected, "reasons": reasons.ranked()}}


def _rejected_lines(state: State, numbers: drafts.Numbers) -> Iterator[tuple[bytes, bytes]]:
    """Those of rejects.csv and of rejects.jsonl, slice by slice."""
    for report in state.reports:
        if "rejects" not in report.outputs:
            continue
        records = 0
        for batch in drafts.read(state.workspace.body(report.outputs["rejects"])):
            records += len(batch)
            yield numbers.lines(batch, report.index)
        if records != report.rows.rejected:
            raise _miscounted(report, f"{report.rows.rejected} records rejected", records)


def _reasons(state: State, bases: Mapping[int, Base]) -> Reasons:
    def load(report: Report) -> Any:
        return json.loads(state.workspace.body(report.outputs["reasons"])) if "reasons" in report.outputs else []

    reasons = Reasons()
    told_of = parallel(state.workspace.objects, load, state.reports)
    for each, told in zip(state.reports, told_of, strict=True):
        before = reasons.total
        reasons.merge(told, each.index, bases)
        if reasons.total - before != each.findings:
            raise _miscounted(each, f"{each.findings} findings", reasons.total - before)
    return reasons


def _miscounted(report: Report, said: str, written: int) -> errors.Terminal:
    return errors.Terminal("ledger-unbalanced", f"chunk {report.index}: {said}, but {written} written")


def _summary(run: Run, state: State, merged: JSON) -> JSON:
    plan = state.plan
    return {
        "job_id": run.job_id,
        "dataset": run.dataset,
        "contract": "inferred" if state.contract.inferred else "given",
        "encoding": plan.text.encoding,
        "encoding_confidence": plan.text.encoding_confidence,
        "compression": plan.text.compression,
        "dialect": contracts.to_document(replace(state.contract, dialect=plan.dialect))["dialect"],
        "dialect_confidence": plan.dialect_confidence,
        "dialect_detected": list(plan.dialect_chosen),
        "drift": drift_of(state.contract, plan.labels, plan.binding).to_json(),
        "rows": merged["ledger"]["rows"],
        "delivered": merged["ledger"]["delivered"],
        "chunks": {"planned": state.chunks.planned, "repaired": state.chunks.repaired},
        "aggregates": merged["aggregates"],
        "profile": merged["profile"],
    }


def _write_report(
    ports: Ports, outputs: Outputs, run: Run, state: State, merged: JSON, summary: JSON, too_many: str | None
) -> list[JSON]:
    """Returns the timeline; StoreResults ends in it where the report is written, which cannot tell of what follows."""
    record = ports.jobs.get(run.job_id)
    if record is None:
        raise errors.Terminal("stale-execution", f"job {run.job_id} has no record any more")
    now = timestamp(ports.clock())
    shown = record.with_(
        status=Status.SUCCEEDED if too_many is None else Status.FAILED, finished_at=now, outputs=outputs.uris
    ).to_json()
    if too_many is not None:
        shown["error"] = {"code": "tolerance-exceeded", "message": too_many}
    timeline = [*run.timeline[:-1], {**run.timeline[-1], "end": now}]
    document = {
        "job": shown,
        "contract": contracts.to_document(state.contract),
        "summary": summary,
        "ledger": merged["ledger"],
        "timeline": timeline,
    }
    body = render(document).encode()
    outputs.add(
        "report", "report.html", outputs.objects.put(outputs.bucket, outputs.key("report.html"), body, _HTML_TYPE)
    )
    return timeline


def _write_manifest(outputs: Outputs, run: Run, state: State, balanced: JSON, finished: str) -> None:
    document = {
        "job_id": run.job_id,
        "dataset": run.dataset,
        "source": state.plan.source.to_json(),
        "text": _text(state.plan),
        "finished_at": finished,
        "mode": state.contract.mode,
        "ledger": balanced | {"repaired": state.chunks.repaired},
        "outputs": outputs.entries,
    }
    outputs.put_json("manifest", "manifest.json", document)


def _text(plan: Plan) -> JSON:
    """What the ledger's offsets and sizes are of: the upload itself, or its content as UTF-8."""
    text = plan.text
    return {
        "size_bytes": text.source.size_bytes,
        "original_bytes": text.original_bytes,
        "encoding": text.encoding,
        "compression": text.compression,
        "rewritten": text.source != plan.source,
    }
