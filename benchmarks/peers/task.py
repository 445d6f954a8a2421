"""What every peer is told: the files' names, and the contract as plain objects. Imports nothing that takes time."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Field:
    name: str
    type: str
    """integer, number, string or datetime (ISO 8601, in UTC, ending in Z)"""
    required: bool
    minimum: float | None
    maximum: float | None
    enum: list[str] | None
    pattern: str | None
    """A regular expression that the whole text must match."""
    max_length: int | None
    """In characters."""

    @property
    def can_fail(self) -> bool:
        return self.type != "string" or any((self.required, self.enum, self.pattern, self.max_length))


@dataclass(frozen=True)
class Task:
    file: str
    fields: list[Field]
    keys: list[str]
    folder: Path

    @property
    def names(self) -> list[str]:
        return [field.name for field in self.fields]

    @property
    def has_quotes(self) -> bool:
        """Whether there are quotes in the first megabyte; then a cell may hold line feeds."""
        with open(self.file, "rb") as file:
            return b'"' in file.read(1 << 20)

    def path(self, name: str) -> str:
        return str(self.folder / name)


def task() -> Task:
    """The task on the command line."""
    file, contract, folder = sys.argv[1:4]
    document: dict[str, Any] = json.loads(Path(contract).read_bytes())
    (aggregate,) = document["sluice"]["aggregates"]
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Task(file, [_field(each) for each in document["schema"]["fields"]], aggregate["groupBy"], Path(folder))


def _field(descriptor: dict[str, Any]) -> Field:
    rules = descriptor.get("constraints", {})
    return Field(
        descriptor["name"],
        descriptor["type"],
        rules.get("required", False),
        rules.get("minimum"),
        rules.get("maximum"),
        rules.get("enum"),
        rules.get("pattern"),
        rules.get("maxLength"),
    )
