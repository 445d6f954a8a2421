"""Every code that a job can end with is in the documents: the codes are collected from the source's syntax trees."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from chalicelib import notify
from chalicelib.errors import FINDINGS

ROOT: Final = Path(__file__).resolve().parents[2]
OPERATIONS: Final = ROOT / "docs" / "operations.md"
SOURCES: Final = sorted(path for folder in ("chalicelib", "ops") for path in (ROOT / folder).rglob("*.py"))

KINDS: Final = {"SluiceError", "Terminal", "Transient", "Failure"}
"""What is made with a code as its first argument."""
PASSED_ON: Final = {"error.code", "failed.failure['code']", "*errors.from_text(message)", "**known['error']"}
"""What stands in a code's place where it is one that was collected elsewhere."""
IN_PAIRS: Final = {"code": "chalicelib/triggers.py"}
"""Likewise a variable → the module that has its values in pairs of a code and a message."""

NEVER_A_JOBS: Final = {
    "bad-query": "an answer of the API",
    "bad-cursor": "an answer of the API",
    "job-not-failed": "an answer of the API",
    "job-not-found": "an answer of the API, and of a notice for a job that has no record to be ended",
    "secret-not-found": "of the API's authorizer",
    "precondition-failed": "caught, or raised after the job's outputs are decided, from when on it can only succeed",
    "sweep-incomplete": "of the sweeper, after it has looked after every job",
    "execution-exists": "caught where it is raised",
    "no-execution": "caught where it is raised",
    "damaged-record": "of a record on disk that cannot be read, nor then be ended",
    "no-workflow": "of the local command, which starts no execution",
    "no-progress": "of the local command, which waits for the job no longer",
    "deployment-failed": "of the local command, before anything is uploaded",
    "emulator-ended": "of the local command, whose emulator took the job's record with it",
    "unknown-message": "of `deploy.py dead-letters`, for a message of no job",
}
"""Code → why no job ends with it. It need not be in the table."""


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _made(tree: ast.Module) -> Iterator[ast.expr | ast.keyword]:
    """What stands in the place of a code wherever an error or a failure is made."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in KINDS:
            yield (node.args or node.keywords)[0]
        if isinstance(node, ast.ClassDef) and KINDS & set(map(_name, node.bases)):
            calls = (each for each in ast.walk(node) if isinstance(each, ast.Call))
            yield from (call.args[0] for call in calls if ast.unparse(call.func) == "super().__init__")


def _pairs(tree: ast.Module) -> Iterator[str]:
    """The codes of the pairs of a code and a message."""
    for node in ast.walk(tree):
        match node:
            case ast.Tuple(elts=[ast.Constant(value=str(code)), ast.Constant(value=str(message))]) if " " in message:
                yield code


@cache
def collected() -> frozenset[str]:
    """The codes that the source has. Whatever else stands in a code's place must be known to be one of them."""
    codes: set[str] = set()
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        for given in _made(tree):
            match given:
                case ast.Constant(value=str(code)):
                    codes.add(code)
                case _:
                    source, module = ast.unparse(given), path.relative_to(ROOT).as_posix()
                    assert source in PASSED_ON or IN_PAIRS.get(source) == module, f"{module}, line {given.lineno}"
    for module in IN_PAIRS.values():
        pairs = set(_pairs(ast.parse((ROOT / module).read_text())))
        assert pairs, module
        codes |= pairs
    return frozenset(codes)


def tables(text: str) -> set[str]:
    """The codes in the first column of a text's tables of codes."""
    found = re.findall(r"^\| code \|.*\n\|[-|]+\|\n((?:\|.*\n)*)", text, re.MULTILINE)
    cells = [row.split("|")[1] for table in found for row in table.splitlines()]
    return {code for cell in cells for code in re.findall(r"`([^`]+)`", cell)}


def section() -> str:
    return OPERATIONS.read_text().partition("## When a job fails\n")[2].partition("\n### ")[0]


def in_the_table() -> set[str]:
    return tables(section())


def test_the_table_of_operations_has_every_code_that_a_job_can_end_with() -> None:
    assert in_the_table() == collected() - NEVER_A_JOBS.keys()


def test_what_no_job_ends_with_is_in_the_source() -> None:
    assert NEVER_A_JOBS.keys() <= collected()


def test_other_tables_of_codes_have_none_that_there_is_not() -> None:
    known = collected() | FINDINGS.keys()
    told = {path.name: tables(path.read_text()) for path in (ROOT / "docs").glob("*.md")}
    assert {page: codes - known for page, codes in told.items() if codes - known} == {}
    assert {page for page, codes in told.items() if codes} >= {"aggregates.md", "encodings.md", "operations.md"}


def test_notices_advise_on_codes_that_there_are() -> None:
    assert notify._ADVICE.keys() <= in_the_table()


def test_notices_tell_a_fault_of_sluice_as_one() -> None:
    faults = tables(section().partition("**What is a fault of Sluice.**")[2])
    assert {code for code, advice in notify._ADVICE.items() if advice == notify._FAULT} == faults


def test_notices_advise_a_retry_where_the_operations_do() -> None:
    """An upload once more would do everything again, and be another job beside the failed one."""
    mended = section().partition("**What the operator mends.**")[2].partition("**What is a fault")[0]
    another_file, laptop = {"object-too-large"}, {"disk-error", "invalid-key"}
    for code in tables(mended) - another_file - laptop:
        assert "{retry}" in notify._ADVICE.get(code, ""), code
