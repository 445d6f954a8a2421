"""Pruning and packing, on small trees."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
from moto import mock_aws

from ops.packages import layer
from ops.target import Target


def tree(folder: Path, *files: str) -> Path:
    for file in files:
        path = folder / "python" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file)
    return folder / "python"


def names(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_prune_takes_what_is_superfluous_and_leaves_what_is_linked(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        "pandas/tests/test_x.py",
        "pandas/core/frame.py",
        "numpy/_core/tests/data/x.csv",
        "numpy/_core/include/numpy/arrayobject.h",
        "numpy/testing/__init__.py",
        "numpy.libs/libopenblas.so",
        "pyarrow/lib.pyx",
        "pyarrow/lib.cpython-313-x86_64-linux-gnu.so",
        "pyarrow/libarrow.so.2600",
        "pyarrow/libarrow_substrait.so.2600",
        "pyarrow/libarrow_dataset.so.2600",
        "pyarrow/libarrow_flight.so.2600",
        "pyarrow/_flight.cpython-313-x86_64-linux-gnu.so",
        "pyarrow/libarrow_s3.so.2600",
        "pyarrow/libarrow_python.so",
        "pyarrow/libarrow_python.so.2600",
        "pyarrow/libarrow_python.so.2600.1.0",
        "pyarrow/_orc.cpython-313-x86_64-linux-gnu.so",
    )
    layer.prune(root)
    assert names(root) == [
        "numpy.libs/libopenblas.so",
        "numpy/testing/__init__.py",
        "pandas/core/frame.py",
        "pyarrow/lib.cpython-313-x86_64-linux-gnu.so",
        "pyarrow/libarrow.so.2600",
        "pyarrow/libarrow_dataset.so.2600",
        "pyarrow/libarrow_python.so.2600",
        "pyarrow/libarrow_substrait.so.2600",
    ]


def test_an_archive_depends_on_content_alone(tmp_path: Path) -> None:
    first = tree(tmp_path / "1", "b.py", "a/c.py")
    second = tree(tmp_path / "2", "a/c.py", "b.py")
    os.utime(second / "b.py", (1, 1))
    (second / "b.py").chmod(0o600)
    layer.pack(first, tmp_path / "1.zip")
    layer.pack(second, tmp_path / "2.zip")
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "1.zip") as archive:
        assert archive.namelist() == ["python/a/c.py", "python/b.py"]
        assert {entry.external_attr >> 16 & 0o777 for entry in archive.infolist()} == {0o644}


def test_the_recipe_names_the_layer() -> None:
    assert layer._name("x86_64") == layer._name("x86_64")
    assert layer._name("x86_64") != layer._name("arm64")
    assert len(layer._name("x86_64")) <= 256  # a version's description


def test_a_layer_is_published_when_it_changed_and_only_then(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    built: list[str] = []

    def build(scratch: Path, architecture: str) -> layer.Archive:
        built.append(architecture)
        layer.pack(tree(scratch, "six.py"), scratch / "layer.zip")
        return layer.Archive(scratch / "layer.zip", "d", 6)

    monkeypatch.setattr(layer, "build", build)
    told: list[str] = []
    with mock_aws():
        target = Target("test", "us-east-1", None, {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"})
        target.s3.create_bucket(Bucket=target.names.bucket("artifacts"))
        first, published = layer.publish(target, "x86_64", told.append)
        assert published
        assert told[-1] == "uploaded 100 % of the dependency layer"
        assert layer.publish(target, "x86_64", told.append) == (first, False)
        arm, published = layer.publish(target, "arm64", told.append)
        assert (published, built) == (True, ["x86_64", "arm64"])
        lock = tmp_path / "changed.lock"
        lock.write_text(layer.LOCK.read_text().replace("pandas==", "pandas==9"))
        monkeypatch.setattr(layer, "LOCK", lock)
        changed, published = layer.publish(target, "x86_64", told.append)
        assert published
        assert len({first, arm, changed}) == 3
        assert layer.delete(target) == 3
        assert list(layer.versions(target)) == []
