"""What Frictionless finds in the same bytes under the same schema, in the words of Sluice's findings."""

from __future__ import annotations

from typing import Any, Final

from frictionless import Checklist, Dialect, FrictionlessException, Schema
from frictionless.formats.csv import CsvControl
from frictionless.resources import TableResource

Finding = tuple[int, str, str]
"""Record (from 1 after the header; 0: the file as a whole), field (empty: the record as a whole), code."""

_NO_LIMIT: Final = 2**31
_PROFILES: Final = "https://datapackage.org/profiles/2.0/"


def findings(body: bytes, schema: dict[str, Any], dialect: dict[str, Any] | None = None) -> set[Finding]:
    """All of Frictionless' errors. ``dialect``: as in a contract; what it leaves out has the standard's default.

    Frictionless counts rows from the file's first, blank ones included; records are counted from the header on.
    """
    resource = TableResource(
        schema_profile=_PROFILES + "dataresource.json",
        name="table",
        data=body,
        scheme="buffer",
        format="csv",
        encoding="utf-8",
        dialect=_dialect(dialect or {}),
        schema=Schema.from_descriptor({"$schema": _PROFILES + "tableschema.json", **schema}),
    )
    try:
        with resource:
            header_rows = resource.header.row_numbers
    except FrictionlessException as error:
        # A file that cannot be opened at all: one bad byte among its first rows is enough.
        return {(0, "", error.error.type)}
    report = resource.validate(Checklist(), limit_errors=_NO_LIMIT)
    before = header_rows[-1] if header_rows and (dialect or {}).get("header", True) else 0
    found = [error for task in report.tasks for error in task.errors] + list(report.errors)
    return {_finding(error.to_dict(), before) for error in found}


def _dialect(given: dict[str, Any]) -> Dialect:
    # Whatever is left open Frictionless sniffs; a contract's dialect leaves nothing open.
    control = CsvControl(
        delimiter=given.get("delimiter", ","),
        quote_char=given.get("quoteChar", '"') or "",
        double_quote=given.get("doubleQuote", True),
        line_terminator="\r\n",
        escape_char=given.get("escapeChar"),
        skip_initial_space=given.get("skipInitialSpace", False),
    )
    return Dialect(header=given.get("header", True), controls=[control])


def _finding(error: dict[str, Any], before: int) -> Finding:
    row = error.get("rowNumber")
    return 0 if row is None else row - before, error.get("fieldName") or "", error["type"]
