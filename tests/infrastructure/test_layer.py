"""The dependency layer, built for real: from the hashed wheels, pruned, small enough, the same each time, and able."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ops import layer, wheels
from tests.infrastructure.documents import ROOT

# Its own worker under xdist: it downloads 80 MB and is slow, others need not wait behind it.
pytestmark = pytest.mark.xdist_group("layer")

CHUNK = """
import io, sys
from pathlib import Path

tree = Path(sys.argv[1])
import pyarrow, pandas, numpy
for module in (pyarrow, pandas, numpy):
    assert tree in Path(module.__file__).parents, module.__file__
import pyarrow.compute, pyarrow.csv, pyarrow.parquet

table = pyarrow.csv.read_csv(io.BytesIO(b"country,amount\\nDE,1.5\\nUS,2.5\\nDE,4\\n"))
assert pyarrow.compute.sum(table["amount"]).as_py() == 8
grouped = table.group_by("country").aggregate([("amount", "sum")]).sort_by("country")
assert grouped.to_pydict() == {"country": ["DE", "US"], "amount_sum": [5.5, 2.5]}
frame = table.to_pandas()
frame["doubled"] = frame["amount"] * 2
body = io.BytesIO()
pyarrow.parquet.write_table(pyarrow.Table.from_pandas(frame, preserve_index=False), body, compression="zstd")
assert pyarrow.parquet.read_table(body).num_rows == 3
when = pyarrow.compute.strptime(pyarrow.array(["2026-11-24"]), "%Y-%m-%d", "s")
assert pyarrow.compute.assume_timezone(when, "Europe/Berlin").type.tz == "Europe/Berlin"

sys.path.insert(0, sys.argv[2])
from chalicelib.engine import worker
assert tree in Path(sys.modules["pyarrow.lib"].__file__).parents
print("ok")
"""


def interpreter() -> tuple[str, str]:
    """The runtime's Python where this machine has it, else the one that runs the tests; and its version."""
    folder = Path.home() / ".pyenv" / "versions"
    found = sorted(folder.glob(f"{wheels.PYTHON}.*/bin/python"))
    return (str(found[-1]), wheels.PYTHON) if found else (sys.executable, ".".join(platform.python_version_tuple()[:2]))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> layer.Archive:
    machine = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
    return layer.build(tmp_path_factory.mktemp("layer"), machine, interpreter()[1])


def test_the_layer_leaves_room_for_the_function(built: layer.Archive) -> None:
    with zipfile.ZipFile(built.path) as archive:
        unzipped = sum(entry.file_size for entry in archive.infolist())
        assert all(name.startswith("python/") for name in archive.namelist())
    assert unzipped == built.unzipped_bytes
    assert unzipped + layer.FUNCTION_ALLOWANCE_BYTES <= layer.LIMIT_BYTES


def test_the_shipped_tree_alone_reads_computes_and_writes(built: layer.Archive, tmp_path: Path) -> None:
    with zipfile.ZipFile(built.path) as archive:
        archive.extractall(tmp_path)
    tree = tmp_path / "python"
    # -I -S: neither this folder, nor the user's, nor any virtual environment's packages.
    script = f"import sys; sys.path.insert(0, {str(tree)!r})\n{CHUNK}"
    done = subprocess.run(
        [interpreter()[0], "-I", "-S", "-c", script, str(tree), str(ROOT)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "ok\n", done.stderr


def test_the_same_wheels_give_the_same_archive(built: layer.Archive, tmp_path: Path) -> None:
    with zipfile.ZipFile(built.path) as archive:
        archive.extractall(tmp_path)
    again = tmp_path / "again.zip"
    layer.pack(tmp_path / "python", again)
    assert again.read_bytes() == built.path.read_bytes()


@pytest.mark.parametrize("stem", ["requirements", "requirements-layer"])
def test_the_lock_names_what_the_requirements_name(stem: str) -> None:
    pins = [line for line in (ROOT / f"{stem}.txt").read_text().splitlines() if line and not line.startswith("#")]
    lock = (ROOT / f"{stem}.lock").read_text()
    assert re.findall(r"(?m)^([a-z][^\s]*==[^\s]+)", lock) == pins, "run: python -m ops.wheels"
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", lock)) >= len(pins)


def test_the_function_package_is_pure_python() -> None:
    """One wheel serves every platform: a single hash each."""
    pins = (ROOT / "requirements.lock").read_text().split("\n", 1)[1].split("==")[1:]
    assert [pin.count("--hash") for pin in pins] == [1] * len(pins)


def test_a_wheel_with_another_hash_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"six==1.17.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(Exception, match="hash"):
        wheels.install(lock, tmp_path / "tree", "x86_64")
