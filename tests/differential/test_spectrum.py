"""csv-spectrum: Sluice delivers the rows that its JSON says, all of them texts."""

from __future__ import annotations

import json

import pytest

from tests import pipeline
from tests.differential import corpora
from tests.pipeline import contract

NAMES = (
    "comma_in_quotes",
    "empty",
    "empty_crlf",
    "escaped_quotes",
    "json",
    "newlines",
    "newlines_crlf",
    "quotes_and_newlines",
    "simple",
    "simple_crlf",
    "utf8",
)


def test_no_case_is_left_out() -> None:
    # The two halves of location_coordinates disagree: another telephone number stands in each.
    assert set(corpora.spectrum()) == {*NAMES, "location_coordinates"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("chunk_size", [1, 7, 1 << 20])
def test_the_rows_are_those_of_the_json(name: str, chunk_size: int) -> None:
    body, said = corpora.spectrum()[name]
    rows = json.loads(said)
    # An empty text is a value there, as is everything else.
    described = contract(*({"name": label, "type": "string"} for label in rows[0]), schema={"missingValues": []})
    assert pipeline.run(body, described, chunk_size=chunk_size).table.to_pylist() == rows


@pytest.mark.parametrize("name", NAMES)
def test_without_a_contract_the_values_are_the_same_but_typed(name: str) -> None:
    body, said = corpora.spectrum()[name]
    delivered = [
        {label: "" if value is None else str(value) for label, value in row.items()}
        for row in pipeline.run(body).table.to_pylist()
    ]
    assert delivered == json.loads(said)
