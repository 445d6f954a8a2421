"""Who may import whom: the engine is pure, the ports know no AWS, and each AWS service has one adapter."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "chalicelib").rglob("*.py"))
ENGINE = [path for path in SHIPPED if "engine" in path.parts]

PURE = {"chalicelib.engine", "chalicelib.errors", "chalicelib.frozen", "chalicelib.model"}
"""All that the engine may know of the project."""

FORBIDDEN_IN_ENGINE = {"boto3", "botocore", "chalice", "os", "time", "socket", "tempfile", "subprocess"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", ENGINE, ids=named)
def test_the_engine_is_pure(path: Path) -> None:
    for name in imports(path):
        assert not within(name, FORBIDDEN_IN_ENGINE), name
        if name.startswith("chalicelib."):
            assert within(name, PURE), name


@pytest.mark.parametrize("path", [path for path in SHIPPED if "aws" not in path.parts], ids=named)
def test_only_the_adapters_speak_to_aws(path: Path) -> None:
    assert not any(within(name, {"boto3", "botocore"}) for name in imports(path))


@pytest.mark.parametrize("path", SHIPPED, ids=named)
def test_what_is_shipped_needs_nothing_that_is_not(path: Path) -> None:
    assert not any(
        within(name, {"ops", "tests", "local", "deploy", "rich", "moto", "ministack"}) for name in imports(path)
    )


ROOMS = ["", "jobs", "check", "packages", "cloudformation", "chalice", "stage", "emulation"]
"""The folders of ops, "" for what lies beside them: each is made of those before it."""


@pytest.mark.parametrize("path", sorted((ROOT / "ops").rglob("*.py")), ids=named)
def test_the_rooms_of_ops_lean_one_way(path: Path) -> None:
    def room(module: str) -> int:
        parts = module.split(".")
        return ROOMS.index(parts[1] if len(parts) > 1 and (ROOT / "ops" / parts[1]).is_dir() else "")

    own = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
    assert all(room(name) <= own for name in imports(path) if within(name, {"ops"}))


@pytest.mark.parametrize("path", [ROOT / "chalicelib/ports.py", ROOT / "chalicelib/model.py"], ids=named)
def test_ports_and_nouns_know_no_implementation(path: Path) -> None:
    assert not any(within(name, {"chalicelib.aws", "chalicelib.engine"}) for name in imports(path))


@pytest.mark.parametrize("package", ["chalicelib/stages", "chalicelib/engine/rejects"])
def test_a_package_that_tells_of_its_modules_tells_of_each(package: str) -> None:
    told = set(
        re.findall("``([a-z_]+)``", ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text())) or "")
    )
    modules = {path.stem for path in (ROOT / package).glob("*.py")} - {"__init__"}
    assert modules - told == set()
