"""The documentation's links lead somewhere, nothing is left to be filled in, and its commands and contracts work."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import deploy
import local
from chalicelib.model import JSON
from tests import pipeline
from tests.fakes import MemoryPorts

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def prose(page: Path) -> str:
    return re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|mailto:)([^)#]*)(?:#([^)]+))?\)", prose(page))
    targets = [(page.parent / target if target else page, anchor) for target, anchor in links]
    assert [target for target, _ in targets if not target.exists()] == []
    assert [(target, anchor) for target, anchor in targets if anchor and anchor not in anchors(target)] == []


COMMANDS = [
    (page.name, line)
    for page in PAGES
    for block in re.findall(r"^```\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
"""Page and line of each block that is a shell's."""


def parsers(name: str) -> argparse.ArgumentParser:
    return {"local.py": local.parser, "deploy.py": deploy.parser}[name]()


@pytest.mark.parametrize(
    "line", [pytest.param(line, id=f"{page}: {line}") for page, line in COMMANDS if line.startswith("python ")]
)
def test_a_documented_command_is_one(line: str) -> None:
    # What follows is told of the command, or done with what it prints.
    command = re.split("[#>|]", line.replace("<stage>", "test"))[0]
    _, name, *arguments = shlex.split(command)
    parsers(name).parse_args(arguments)


@pytest.mark.parametrize(
    "line", [pytest.param(line, id=f"{page}: {line}") for page, line in COMMANDS if line.startswith("curl ")]
)
def test_an_address_with_a_query_is_quoted(line: str) -> None:
    """zsh looks for files whose names match a bare ``?``, and any shell ends a command at ``&``."""
    assert not re.search("[?&]", re.sub(r'"[^"]*"', "", line))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_left_to_be_filled_in(page: Path) -> None:
    assert not re.findall(r"@@|TODO|FIXME|XXX", page.read_text())


def test_every_page_is_reached_from_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert {name for name in pages if f"({name}" not in index} == set()


def test_the_make_targets_in_the_docs_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)", page.read_text())}
    assert named <= targets


RECORDS = {
    "order_id country unit_price ordered_at": "1,DE,2.5,2024-05-06T07:08:09Z",
    "order_id country unit_price": "1,DE,2.5",
    "order_id country": "1,DE",
    "order_id country quantity unit_price": "1,DE,2,2.50",
    "quantity unit price discount": "2,2.5,",
    "sensor measured_at celsius": "north,06.05.2024 07:08,-999",
    "booked amount settled contact": '06/05/2024,"1.234,5",ja,a@example.org',
    "code name born share": "DE0001,Ann,1999-12-31,0.5",
    "id label": "1;ink",
    "id price": "1;2,5",
}
"""The fields of each contract in the documentation → a record that keeps it, in its dialect."""


def test_current_json_is_documented_as_it_is_written() -> None:
    (block,) = re.findall(r"```json\n(\{.*?)```", (ROOT / "docs" / "index.md").read_text(), flags=re.DOTALL)
    documented = json.loads(block)
    ports = MemoryPorts()
    pipeline.run(b"id\n1\n", key="incoming/things/2026/a.csv", ports=ports)
    written = json.loads(ports.objects.get(pipeline.RESULTS, "datasets/things/current.json"))
    assert keys_of(written) == keys_of(documented)


def keys_of(value: Any) -> Any:
    """A document's keys, with the types of what stands under them."""
    if isinstance(value, dict):
        return {key: keys_of(each) for key, each in value.items()}
    return [keys_of(each) for each in value] if isinstance(value, list) else type(value).__name__


def test_partitions_lie_where_the_documentation_says() -> None:
    fields = [{"name": "id", "type": "integer"}, {"name": "city", "type": "string"}]
    described = {"name": "a", "schema": {"fields": fields}, "sluice": {"partitionBy": ["city"]}}
    outcome = pipeline.run("id,city\n1,München\n2,\n".encode(), described)
    folders = {name.split("/")[1] for name in outcome.published if name.startswith("data/")}
    assert folders == {"city=M%C3%BCnchen", "city=__HIVE_DEFAULT_PARTITION__"}
    assert all(folder.split("=")[1] in (ROOT / "docs" / "contract.md").read_text() for folder in folders)


def documented_contracts() -> list[tuple[str, JSON]]:
    """Page and document of each block of JSON that is a contract and not a part of one."""
    blocks = [
        (page.name, block)
        for page in PAGES
        for block in re.findall(r"```json\n(\{.*?)```", page.read_text(), flags=re.DOTALL)
    ]
    documents = [(page, json.loads(block)) for page, block in blocks if '"schema"' in block]
    return [(page, document) for page, document in documents if "name" in document]


def fields_of(document: JSON) -> list[str]:
    return [field["name"] for field in document["schema"]["fields"]]


@pytest.mark.parametrize(
    "document",
    [pytest.param(document, id=f"{page}: {fields_of(document)}") for page, document in documented_contracts()],
)
def test_a_documented_contract_delivers_a_file_that_keeps_it(document: JSON) -> None:
    ports = MemoryPorts()
    for key in document["schema"].get("foreignKeys", ()):
        to = key["reference"]
        pipeline.run(f"{to['fields'][0]}\nDE\n".encode(), key=f"incoming/{to['resource']}/a.csv", ports=ports)
    dialect = document.get("dialect", {})
    header = [dialect.get("delimiter", ",").join(fields_of(document))] if dialect.get("header", True) else []
    before = ["a title"] * len(dialect.get("commentRows", ()))
    body = "".join(f"{line}\n" for line in (*before, *header)) + RECORDS[" ".join(fields_of(document))] + "\n"
    outcome = pipeline.run(body.encode(), document, key=f"incoming/{document['name']}/a.csv", ports=ports)
    assert outcome.job.error is None
    assert outcome.job.rows.valid == outcome.job.rows.read == 1
    assert outcome.table.num_rows == 1


def test_every_record_is_that_of_a_documented_contract() -> None:
    assert {" ".join(fields_of(document)) for _, document in documented_contracts()} == RECORDS.keys()
