"""The dependency layer: pandas, numpy and pyarrow for the functions' platform, without what the functions never use.

As unpacked by pip they take more than the 250 MB that Lambda allows. What is left out is listed here by pattern; what
must stay, though it looks superfluous: libarrow_substrait and libarrow_dataset (pyarrow.lib links to them), numpy's and
pandas' ``testing`` modules (imported by others), every ``*.libs`` folder (bundled shared libraries).

The archive is reproducible: same wheels, same bytes. A version's description is the hash of what decides its content
(the hashed wheels, the platform, the patterns), so a layer is built, uploaded and published only when that changed.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from chalicelib.frozen import frozen
from ops.checkout import ROOT
from ops.packages import archive, wheels
from ops.target import OperatorError, Target, Tell

if TYPE_CHECKING:
    from mypy_boto3_lambda.type_defs import LayerVersionsListItemTypeDef

LIMIT_BYTES: Final = 250 * 1024 * 1024
"""Function and layers together, unzipped. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
FUNCTION_ALLOWANCE_BYTES: Final = 10 * 1024 * 1024
"""What is kept free for the functions' own package."""

SUPERFLUOUS: Final = (
    # tests, sources, headers, what only compilers and editors read
    "**/tests",
    "**/__pycache__",
    "**/include",
    "**/includes",
    "**/*.pxd",
    "**/*.pyx",
    "**/*.pxi",
    "**/*.pyi",
    "**/*.h",
    "**/*.a",
    "pyarrow/src",
    "pyarrow/conftest.py",
    "pyarrow/_pyarrow_cpp_tests*",
    # Arrow's own S3, Google, Azure and Hadoop clients: objects are read with boto3
    "pyarrow/libarrow_s3.so*",
    "pyarrow/_s3fs*",
    "pyarrow/_gcsfs*",
    "pyarrow/_azurefs*",
    "pyarrow/_hdfs*",
    # Flight and ORC
    "pyarrow/*flight*",
    "pyarrow/_orc*",
    "pyarrow/orc.py",
    "pyarrow/_dataset_orc*",
    # a wheel cannot hold symbolic links: the same library under the two names that nothing loads
    "pyarrow/libarrow_python*.so",
    "pyarrow/libarrow_python*.so.*.*",
)

LOCK: Final = ROOT / "requirements-layer.lock"


@frozen
class Archive:
    path: Path
    digest: str
    """SHA-256 of the archive."""
    unzipped_bytes: int


def publish(target: Target, architecture: str, tell: Tell) -> tuple[str, bool]:
    """The ARN of the layer's version with today's content, and whether it had to be published.

    Errors: ``OperatorError`` where the layer is too large, or pip cannot fetch a wheel.
    """
    existing = find(target, architecture)
    if existing is not None:
        return existing, False
    tell("building the dependency layer")
    with TemporaryDirectory(prefix="sluice-layer-") as scratch:
        built = build(Path(scratch), architecture)
        bucket, key = target.names.bucket("artifacts"), f"layers/{built.digest}.zip"
        size_bytes = built.path.stat().st_size
        tell(f"uploading {size_bytes / 1e6:.0f} MB ({built.unzipped_bytes / 1e6:.0f} MB unzipped)")
        target.s3.upload_file(str(built.path), bucket, key, Callback=_progress(size_bytes, tell))
    published = target.lambda_.publish_layer_version(
        LayerName=target.names.layer,
        Description=_name(architecture),
        Content={"S3Bucket": bucket, "S3Key": key},
        CompatibleRuntimes=[wheels.RUNTIME],
        CompatibleArchitectures=["arm64"] if architecture == "arm64" else ["x86_64"],
    )
    return published["LayerVersionArn"], True


def _progress(size_bytes: int, tell: Tell) -> Callable[[int], None]:
    """Called by S3's client with each piece's size, from several threads; tells every tenth of the whole."""
    sent, told, lock = 0, 0, Lock()

    def count(piece_bytes: int) -> None:
        nonlocal sent, told
        with lock:
            sent += piece_bytes
            tenth = sent * 10 // size_bytes
            if tenth > told:
                told = tenth
                tell(f"uploaded {tenth * 10} % of the dependency layer")

    return count


def find(target: Target, architecture: str) -> str | None:
    """The ARN of the published version with today's content; None where there is none."""
    name = _name(architecture)
    return next((each["LayerVersionArn"] for each in versions(target) if each.get("Description") == name), None)


def delete(target: Target) -> int:
    """Delete every version of the layer; how many there were."""
    published = list(versions(target))
    for version in published:
        target.lambda_.delete_layer_version(LayerName=target.names.layer, VersionNumber=version["Version"])
    return len(published)


def build(scratch: Path, architecture: str, python: str = wheels.PYTHON) -> Archive:
    """Build the archive in an empty folder. Errors: ``OperatorError`` (see ``publish``)."""
    tree = scratch / "python"  # Lambda puts a layer's python/ on sys.path
    wheels.install(LOCK, tree, architecture, python)
    prune(tree)
    unzipped_bytes = sum(path.stat().st_size for path in archive.files(tree))
    if unzipped_bytes > LIMIT_BYTES - FUNCTION_ALLOWANCE_BYTES:
        raise OperatorError(
            f"the layer takes {unzipped_bytes} bytes unzipped; see ops/packages/layer.py for what may go"
        )
    path = scratch / "layer.zip"
    pack(tree, path)
    return Archive(path, hashlib.sha256(path.read_bytes()).hexdigest(), unzipped_bytes)


def prune(tree: Path) -> None:
    """Remove what ``SUPERFLUOUS`` names."""
    for pattern in SUPERFLUOUS:
        for path in list(tree.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.exists():  # not already gone with its folder
                path.unlink()


def pack(tree: Path, packed: Path) -> None:
    """Zip a tree reproducibly, as Lambda wants a layer."""
    archive.pack(archive.files(tree), packed, relative_to=tree.parent)


def _name(architecture: str) -> str:
    """What decides the content: the pinned, hashed wheels, the platform, and what is left out of them."""
    recipe = "\n".join((LOCK.read_text(), architecture, wheels.PYTHON, *SUPERFLUOUS))
    return hashlib.sha256(recipe.encode()).hexdigest()


def versions(target: Target) -> Iterator[LayerVersionsListItemTypeDef]:
    """Every published version of the stage's layer, newest first."""
    try:
        for page in target.lambda_.get_paginator("list_layer_versions").paginate(LayerName=target.names.layer):
            yield from page["LayerVersions"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
