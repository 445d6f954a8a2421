"""Whole event documents, as AWS hands them to a Lambda function, one JSON file each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def event(name: str) -> dict[str, Any]:
    """A fresh copy of the document in ``<name>.json``."""
    document: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return document


def names(prefix: str) -> list[str]:
    """The names of the documents that begin with ``prefix``, sorted."""
    return sorted(path.stem for path in FOLDER.glob(f"{prefix}*.json"))
