"""Both validators on one file."""

from __future__ import annotations

import csv
import io
from typing import Any

from chalicelib.model import Status
from tests import pipeline
from tests.differential import reference
from tests.differential.explanations import Compared
from tests.differential.tables import Table

JSON = dict[str, Any]


def compare(table: Table) -> Compared:
    """Run both. Sluice is given the schema in a contract that tolerates any number of rejected rows."""
    schema = dict(table.schema)
    described = pipeline.contract(*schema.pop("fields"), schema=schema, dialect=table.dialect)
    outcome = pipeline.run(table.body, described)
    if outcome.job.status is Status.SUCCEEDED:
        ours = outcome.findings
    else:
        assert outcome.job.error is not None
        assert outcome.job.error.code == "header-mismatch", outcome.job.error
        ours = {(0, "", "header-mismatch")}
    theirs = reference.findings(table.body, table.schema, table.dialect)
    return Compared(
        table.schema,
        records(table),
        table.dialect,
        table.body,
        frozenset(ours),
        frozenset(theirs),
    )


def records(table: Table) -> list[list[str]]:
    """The cells of each record after the header, as Python's csv module reads them."""
    text = table.body.decode("utf-8-sig", "replace")
    rows = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=table.dialect.get("delimiter", ","),
        quotechar=table.dialect.get("quoteChar", '"'),
        skipinitialspace=table.dialect.get("skipInitialSpace", False),
    )
    return list(rows)[1 if table.dialect.get("header", True) else 0 :]
