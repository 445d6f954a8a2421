"""What can go wrong: the codes of findings and of failed jobs, each with its message template.

Two kinds of trouble are kept apart:

* A *finding* is about one record (or the header). Its code is Frictionless' error type where one exists
  (https://framework.frictionlessdata.io/docs/errors/), so results can be compared cell by cell.
* An *error* ends a job. It is ``Terminal`` (the same input would fail again) or ``Transient`` (a retry may succeed).
  Step Functions matches error names exactly, so every handler raises one of these two names and statemachine.json
  retries ``Transient`` alone.
"""

from __future__ import annotations

import traceback
from typing import Any, Final

FINDINGS: Final[dict[str, str]] = {
    # the header
    "blank-label": "label in position {position} is blank",
    "duplicate-label": 'label "{label}" in position {position} is the same as in position {first}',
    "missing-label": 'the field "{label}" is missing from the header',
    "extra-label": 'the label "{label}" in position {position} is not in the contract',
    "incorrect-label": 'label in position {position} is "{label}", expected "{expected}"',
    # a record's structure
    "blank-row": "the row is blank",
    "missing-cell": 'the cell of field "{field}" in position {position} is missing',
    "extra-cell": "the row has an extra cell in position {position}",
    "unclosed-quote": "a quoted cell is not closed",
    "text-after-quote": "there is text after the closing quote of a cell",
    "dangling-escape": "an escape character at the end escapes nothing",
    "record-too-long": "the record has {size_bytes} bytes, the limit is {limit_bytes}",
    "encoding-error": "byte {byte} is not valid {encoding}",
    "nul-byte": "byte {byte} is NUL",
    "replacement-character": "U+FFFD stands here for a byte that was no character: put the right one in its place",
    # a cell
    "type-error": 'type is "{type}/{format}", found "{cell}"',
    "constraint-error": 'constraint "{constraint}" is "{expected}", found "{cell}"',
    "unique-error": "the value is the same as in record {first}",
    "primary-key": "the primary key is the same as in record {first}",
    "foreign-key": 'the value of {fields} is not in {reference} of the dataset {resource}, found "{cell}"',
}
"""Finding code → message template (``str.format`` keys)."""

UNREADABLE: Final[dict[str, str]] = {
    "too-large": " (too large for the type {type}, which has 64 bits)",
    "does-not-fit": " (more than {before} digits before the decimal point, or {after} after it)",
    "sign": " (what stands beside the number may be its sign)",
    "options": " ({options})",
    "option": "{key} is {value}",
}
"""What is put after a ``type-error``'s message where it explains more than the type's name does: templates, too."""


class SluiceError(Exception):
    """An error with a stable ``code`` (kebab-case) and a message for people; never holds cell values."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled without ``__init__``: its arguments are not those of ``Exception``, and differ by class."""
        return _remade, (type(self), self.args), self.__dict__


def _remade(kind: type[SluiceError], arguments: tuple[Any, ...]) -> SluiceError:
    return kind.__new__(kind, *arguments)


class Terminal(SluiceError):
    """The same input would fail again: Step Functions does not retry it."""


class Transient(SluiceError):
    """A retry may succeed: throttling, a lost connection, a precondition that lost a race."""


class ToleranceExceeded(Terminal):
    """Too many rows were rejected. The step had done all its work by then: ``result`` is what it gives otherwise."""

    def __init__(self, excess: str, result: dict[str, Any]) -> None:
        super().__init__("tolerance-exceeded", excess)
        self.result = result


class InvalidContract(Terminal):
    """The contract is refused; ``message`` names the offending key as a path, e.g. ``schema.fields[2].type``."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__("invalid-contract", f"{path}: {problem}")
        self.path = path


def from_text(text: str) -> tuple[str, str]:
    """Split ``"code: message"`` back into its parts, as found in a Step Functions cause."""
    code, separator, message = text.partition(": ")
    if not separator or not code or " " in code:
        return "internal-error", text
    return code, message


def place(error: BaseException) -> str:
    """An unexpected exception by its class and the line that raised it, without its text: that may hold a cell.

    >>> try: int("secret")
    ... except ValueError as error: place(error).startswith("ValueError in ")
    True
    """
    lines = traceback.extract_tb(error.__traceback__)
    ours = [line for line in lines if "chalicelib" in line.filename] or lines
    where = f" in {ours[-1].filename.rpartition('/')[2]}, line {ours[-1].lineno}" if ours else ""
    return type(error).__name__ + where


def frames(error: BaseException) -> str:
    """The lines of code that an exception came through, its causes' first, each with its class and without its text."""
    chain = [error]
    while (before := chain[-1].__cause__ or chain[-1].__context__) is not None and before not in chain:
        chain.append(before)
    lines: list[str] = []
    for each in reversed(chain):
        lines += [f"{at.filename}, line {at.lineno}, in {at.name}" for at in traceback.extract_tb(each.__traceback__)]
        lines.append(type(each).__name__)
    return "\n".join(lines)
