"""What is told of a cell that is not of its field's type: the type, the cell, and what explains it."""

from __future__ import annotations

from typing import Any

import pytest

from tests import pipeline
from tests.pipeline import contract

COMMA: dict[str, Any] = {"decimalChar": ","}
TOO_LARGE = {kind: f" (too large for the type {kind}, which has 64 bits)" for kind in ("integer", "number")}
TEN_DIGITS = {"sluice": {"tolerance": {"maxRejectedRatio": 1}, "decimals": {"x": {"precision": 10, "scale": 2}}}}


@pytest.mark.parametrize(
    "kind, options, cell, reason",
    [
        ("integer", {}, "x", ""),
        ("integer", {}, "1.5", ""),
        ("integer", {}, "99999999999999999999", TOO_LARGE["integer"]),
        ("integer", {}, "-9223372036854775809", TOO_LARGE["integer"]),
        ("integer", {"groupChar": "."}, "9.223.372.036.854.775.808", TOO_LARGE["integer"]),
        ("integer", {"groupChar": "."}, "1,5", ' (groupChar is ".")'),
        ("integer", {"bareNumber": False}, "-$5", " (groupChar is none, bareNumber is false)"),
        ("integer", {"bareNumber": False}, "(5)", " (what stands beside the number may be its sign)"),
        ("number", {"bareNumber": False}, "−5", " (what stands beside the number may be its sign)"),
        ("number", {"bareNumber": False}, "(x)", " (groupChar is none, bareNumber is false)"),
        ("number", {"bareNumber": False}, "€1e400", TOO_LARGE["number"]),
        ("number", {}, "1,5", ""),
        ("number", {}, "1e400", TOO_LARGE["number"]),
        ("number", COMMA, "1e400", TOO_LARGE["number"]),
        ("number", COMMA, "1.5", ' (decimalChar is ",", groupChar is none)'),
        ("number", COMMA, "1.234,5", ' (decimalChar is ",", groupChar is none)'),
        ("number", COMMA | {"groupChar": "."}, "1,234.5", ' (decimalChar is ",", groupChar is ".")'),
        ("boolean", {}, "yes", ""),
        ("boolean", {"trueValues": ["ja"], "falseValues": ["nein", "n"]}, "true",
         ' (trueValues is ["ja"], falseValues is ["nein", "n"])'),
        ("list", {"itemType": "integer", "delimiter": "; "}, "1;2", ' (delimiter is "; ", itemType is "integer")'),
        ("date", {}, "1.2.2024", ""),
    ],
)  # fmt: skip
def test_a_cell_that_cannot_be_read_is_explained(kind: str, options: dict[str, Any], cell: str, reason: str) -> None:
    assert notes(kind, options, cell) == [f'type is "{kind}/default", found "{cell}"{reason}']


@pytest.mark.parametrize(
    "cell, reason",
    [
        ("123456789.5", " (more than 8 digits before the decimal point, or 2 after it)"),
        ("1.555", " (more than 8 digits before the decimal point, or 2 after it)"),
        ("1,5", ""),
    ],
)
def test_an_exact_decimal_that_does_not_fit_is_told_its_digits(cell: str, reason: str) -> None:
    assert notes("number", {}, cell, **TEN_DIGITS) == [f'type is "number/default", found "{cell}"{reason}']


@pytest.mark.parametrize("repeated", [1, 2000])
def test_cells_of_one_column_have_each_their_own_explanation(repeated: int) -> None:
    body = "x\n" + "1\n99999999999999999999\ny\n" * repeated
    outcome = pipeline.run(body.encode(), contract({"name": "x", "type": "integer"}))
    told = [(each["record"], each["errors"][0]["note"]) for each in outcome.rejects]
    large = f'type is "integer/default", found "99999999999999999999"{TOO_LARGE["integer"]}'
    pairs = [(2, large), (3, 'type is "integer/default", found "y"')]
    assert told == [(record + 3 * more, note) for more in range(repeated) for record, note in pairs]
    assert [each.count for each in outcome.job.reasons] == [2 * repeated]


def notes(kind: str, options: dict[str, Any], cell: str, **keys: Any) -> list[str]:
    """All that is told of a file whose only cell this is."""
    described = contract({"name": "x", "type": kind} | options, dialect={"delimiter": "|"}, **keys)
    (rejected,) = pipeline.run(f"x\n{cell}\n".encode(), described).rejects
    return [each["note"] for each in rejected["errors"]]
