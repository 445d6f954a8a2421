"""The matrix's results as the table of docs/faults.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from tests.faults.catalogue import FAULTS
from tests.faults.matrix import Outcome, Result
from tests.infrastructure.documents import ROOT

PAGE: Final = ROOT / "docs" / "faults.md"
BEGIN, END = "<!-- begin: make test-faults -->", "<!-- end: make test-faults -->"
TOTALS: Final = ("runs", "SUCCEEDED", "FAILED cleanly", "anything else")
OPERATIONS: Final = {
    "GetObject": "GetObject",
    "HeadObject": "HeadObject",
    "PutObject": "PutObject",
    "CopyObject": "CopyObject",
    "CreateMultipartUpload": "multipart upload",
    "UploadPart": "multipart upload",
    "CompleteMultipartUpload": "multipart upload",
    "GetItem": "GetItem",
    "UpdateItem": "UpdateItem",
    "Publish": "Publish",
}
"""AWS operation → the table's column."""


def table(results: Sequence[Result]) -> str:
    """Fault × AWS operation → runs that SUCCEEDED + runs that FAILED cleanly; then the totals."""
    columns = list(dict.fromkeys(OPERATIONS.values()))
    counts = Counter((each.fault, OPERATIONS[each.operation], each.outcome) for each in results)
    lines = [_line(["fault", *columns, *TOTALS]), _line(["---"] + ["--:"] * (len(columns) + len(TOTALS)))]
    for fault in FAULTS:
        cells = [_cell([counts[fault.name, column, outcome] for outcome in Outcome]) for column in columns]
        lines.append(_line([fault.name, *cells, *totals([each for each in results if each.fault == fault.name])]))
    lines.append(_line(["**all**", *[""] * len(columns), *totals(results)]))
    return "\n".join(lines)


def totals(results: Sequence[Result]) -> list[str]:
    succeeded = sum(each.outcome is Outcome.SUCCEEDED for each in results)
    failed = sum(each.outcome is Outcome.FAILED for each in results)
    return [f"{count:,}" for count in (len(results), succeeded, failed, len(results) - succeeded - failed)]


def write(results: Sequence[Result], cases: int) -> None:
    """Put the table into the page. ``cases``: how many there are; fewer may have been run."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    told = f"{len(results):,} of {cases:,} cases were run."
    PAGE.write_text(f"{before}{BEGIN}\n{table(results)}\n\n{told}\n{END}{after}", encoding="utf-8")


def _cell(counts: Sequence[int]) -> str:
    succeeded, failed, *bad = counts
    shown = [str(succeeded)] * bool(succeeded) + [f"{failed} F"] * bool(failed) + [f"**{sum(bad)} !**"] * any(bad)
    return " + ".join(shown)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
