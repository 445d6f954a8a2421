"""The dependency layer, built for real: from the hashed wheels, pruned, small enough, the same each time, and able."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import boto3
import pytest
from chalice.deploy.packager import DependencyBuilder, LambdaDeploymentPackager
from chalice.utils import UI, OSUtils

from ops.chalice import functions
from ops.packages import layer, wheels
from ops.target import Target
from tests.infrastructure import documents
from tests.infrastructure.documents import ROOT

# Its own worker under xdist: it downloads 80 MB and is slow, others need not wait behind it.
pytestmark = pytest.mark.xdist_group("layer")

RUNTIME_CARRIES = ("boto3", "botocore", "s3transfer", "urllib3", "jmespath", "dateutil", "six.py")
"""What Lambda's Python has without our doing."""
ELF_MACHINES = {"x86_64": 0x3E, "arm64": 0xB7}
"""``e_machine``, the two bytes at offset 18 of every shared library."""


def interpreter() -> tuple[str, str]:
    """The runtime's Python where this machine has it, else the one that runs the tests; and its version."""
    folder = Path.home() / ".pyenv" / "versions"
    found = sorted(folder.glob(f"{wheels.PYTHON}.*/bin/python"))
    return (str(found[-1]), wheels.PYTHON) if found else (sys.executable, ".".join(platform.python_version_tuple()[:2]))


MACHINE = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
OTHER = {"x86_64": "arm64", "arm64": "x86_64"}[MACHINE]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> layer.Archive:
    return layer.build(tmp_path_factory.mktemp("layer"), MACHINE, interpreter()[1])


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The functions' archive, as Chalice makes it out of the build folder."""
    target = Target("test", "us-east-1")
    target.__dict__["names"] = documents.NAMES  # else an account would be asked who it is
    environment = documents.NAMES.environment()
    build = functions.render(target, environment, None, MACHINE, tmp_path_factory.mktemp("package") / "build")
    osutils, ui = OSUtils(), UI()
    packager = LambdaDeploymentPackager(osutils, DependencyBuilder(osutils), ui)
    return Path(packager.create_deployment_package(str(build.folder), wheels.RUNTIME))


def machines(tree: Path) -> set[int]:
    """What the shared libraries below ``tree`` are made for."""
    found = set()
    for path in tree.rglob("*.so*"):
        with path.open("rb") as library:
            head = library.read(20)
        assert head.startswith(b"\x7fELF"), path
        found.add(int.from_bytes(head[18:20], "little"))
    return found


def unzipped_bytes(archive: Path) -> int:
    with zipfile.ZipFile(archive) as zipped:
        return sum(entry.file_size for entry in zipped.infolist())


def test_layer_and_function_together_fit(built: layer.Archive, package: Path) -> None:
    with zipfile.ZipFile(built.path) as archive:
        assert all(name.startswith("python/") for name in archive.namelist())
    assert unzipped_bytes(built.path) == built.unzipped_bytes
    assert unzipped_bytes(package) <= layer.FUNCTION_ALLOWANCE_BYTES
    assert built.unzipped_bytes + unzipped_bytes(package) <= layer.LIMIT_BYTES


def test_the_other_architecture_gets_its_own_libraries_and_fits(tmp_path: Path) -> None:
    tree = tmp_path / "python"
    wheels.install(layer.LOCK, tree, OTHER)
    layer.prune(tree)
    assert machines(tree) == {ELF_MACHINES[OTHER]}
    assert sum(path.stat().st_size for path in tree.rglob("*") if path.is_file()) < layer.LIMIT_BYTES


def test_the_shipped_tree_alone_does_a_chunk(built: layer.Archive, package: Path, tmp_path: Path) -> None:
    """As Lambda lays it out: the function in one folder, the layer in another, boto3 in the runtime's; nothing else."""
    task, opt, runtime = tmp_path / "task", tmp_path / "opt", tmp_path / "runtime"
    for archive, folder in ((package, task), (built.path, opt)):
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(folder)
    assert machines(opt) == {ELF_MACHINES[MACHINE]}
    runtime.mkdir()
    for name in RUNTIME_CARRIES:
        (runtime / name).symlink_to(Path(boto3.__file__).parents[1] / name)
    script, fakes = ROOT / "tests" / "infrastructure" / "shipped.py", ROOT / "tests" / "fakes.py"
    done = subprocess.run(
        # -I -S: neither this folder, nor the user's, nor any virtual environment's packages.
        [interpreter()[0], "-I", "-S", "-B", str(script), str(fakes), str(task), str(opt / "python"), str(runtime)],
        env=documents.NAMES.environment() | {"AWS_DEFAULT_REGION": "us-east-1", "AWS_LAMBDA_FUNCTION_NAME": "test"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"read": 3, "valid": 2, "rejected": 1, "blank": 0}


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
    assert re.findall(r"(?m)^([a-z][^\s]*==[^\s]+)", lock) == pins, "run: python -m ops.packages.wheels"
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
