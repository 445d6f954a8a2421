"""A Python that is too old, or has not what a command needs, ends it with a line; other faults have a traceback."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops import requirement

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "command", ["local.py check samples/orders.csv", "local.py serve", "deploy.py status --stage prod"]
)
def test_a_python_without_the_packages_is_told_in_a_line(command: str) -> None:
    program, *arguments = command.split()
    # -S: as a system's Python, without what is installed in this environment.
    python = [sys.executable, "-S", program, *arguments]
    done = subprocess.run(python, cwd=ROOT, check=False, capture_output=True, text=True)
    told = re.fullmatch(rf"{program}: .* has no module (.*): `make install`, then `(.*) …`\n", done.stderr)
    assert told is not None, done.stderr
    assert told[1] in requirement.MODULES
    assert told[2] == f".venv/bin/python {program}"
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("version", [(3, 8, 18), (3, 9, 18), (3, 10, 13)])
@pytest.mark.parametrize("program", ["local.py", "deploy.py"])
def test_a_python_that_is_too_old_is_told_in_a_line_before_it_lacks_anything(
    program: str, version: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.delattr(sys, "orig_argv")  # which 3.9 has not
    monkeypatch.setattr(sys, "argv", [f"some/where/{program}", "status"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / program), run_name="__main__")
    told = f"Python 3.11, 3.12 or 3.13 is needed, this is 3.{version[1]}"
    advised = f"`make install`, then `.venv/bin/python {program} …`"
    assert capsys.readouterr().err == f"{program}: {told}: {advised}\n"
    assert ended.value.code == 2


@pytest.mark.parametrize("name", ["local.py", "deploy.py", "ops/__init__.py", "ops/requirement.py", "ops/allocator.py"])
def test_what_an_old_python_reads_before_it_is_told_it_can_read(name: str) -> None:
    ast.parse((ROOT / name).read_text(), feature_version=(3, 8))


@pytest.mark.parametrize("fault", ["import ops.no_such_module", "import no_such_package", "import pandas.no_such_part"])
def test_another_missing_module_keeps_its_traceback(fault: str) -> None:
    code = f"from ops import requirement\nrequirement.explain()\n{fault}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.rstrip().endswith(f"ModuleNotFoundError: No module named '{fault.split()[1]}'")


def test_the_modules_are_those_that_the_commands_import() -> None:
    sources = [ROOT / "local.py", ROOT / "deploy.py"]
    sources += [path for folder in ("ops", "chalicelib") for path in (ROOT / folder).rglob("*.py")]
    found = {name.partition(".")[0] for path in sources for name in imported(path)}
    own = {"__future__", "_typeshed", "chalicelib", "ops"}
    stubs = {name for name in found if name.startswith("mypy_boto3_")}
    assert found - sys.stdlib_module_names - own - stubs == requirement.MODULES


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
