"""How long each Lambda function imports, by ``python -X importtime``, and how large its package is."""

from __future__ import annotations

import statistics
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Final

import chalice

from benchmarks import data, measure
from ops.packages import wheels

IMPORTS: Final = {
    "API, authorizer": ("import app", "chalicelib.aws.jobs, chalicelib.aws.executions, chalicelib.aws.secrets"),
    "on-upload": ("import app", "chalicelib.aws.jobs"),
    "on-contract": ("import app; import chalicelib.engine.contract", "chalicelib.aws.objects"),
    "chunk worker": ("import app; import chalicelib.steps", "chalicelib.aws.objects, chalicelib.aws.jobs"),
    "chunk worker, with a transform": (
        "import app; import chalicelib.steps; import chalicelib.transforms.orders",
        "chalicelib.aws.objects, chalicelib.aws.jobs",
    ),
}
"""Function → what it imports itself, and the adapters (with boto3) that its first call brings in."""

CHALICES_FILES: Final = ("__init__.py", "app.py")
"""What Chalice puts of itself into a package."""


def start(quick: bool) -> dict[str, Any]:
    """Medians of seconds, per function, and the size of what is uploaded."""
    rounds = 1 if quick else 7
    found: dict[str, dict[str, list[float]]] = {name: {"own": [], "with_clients": []} for name in IMPORTS}
    for _ in range(rounds):
        for name, (own, adapters) in IMPORTS.items():
            found[name]["own"].append(_import_seconds(own))
            found[name]["with_clients"].append(_import_seconds(f"{own}; import {adapters}"))
    functions = {name: {key: statistics.median(values) for key, values in each.items()} for name, each in found.items()}
    return {"functions": functions, "package": package()}


def _import_seconds(statement: str) -> float:
    """The sum of every module's own time, but for those that Python itself starts with."""
    measure.run([sys.executable, "-X", "importtime", "-c", statement], 1, data.WORK)
    lines = (data.WORK / "stderr").read_text().splitlines()
    cells = [line.removeprefix("import time:").split("|") for line in lines if line.startswith("import time:")]
    names = [cell[2].strip() for cell in cells]
    return sum(int(cell[0]) for cell in cells[names.index("site") + 1 :]) / 1e6


def package() -> dict[str, float]:
    """MB of the package of the functions without the layer: the project's code, what ``requirements.lock`` names, and
    Chalice's runtime."""
    with tempfile.TemporaryDirectory() as folder:
        vendor, archive = Path(folder) / "vendor", Path(folder) / "package.zip"
        wheels.install(data.ROOT / "requirements.lock", vendor, "x86_64")
        files = {path: path.relative_to(vendor) for path in vendor.rglob("*")}
        files |= {path: path.relative_to(data.ROOT) for path in (data.ROOT / "chalicelib").rglob("*")}
        files[data.ROOT / "app.py"] = Path("app.py")
        runtime = Path(chalice.__file__).parent
        files |= {runtime / name: Path("chalice") / name for name in CHALICES_FILES}
        shipped = {path: name for path, name in files.items() if path.is_file() and "__pycache__" not in name.parts}
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path, name in shipped.items():
                packed.write(path, name)
        unpacked = sum(path.stat().st_size for path in shipped)
        return {"zipped_mb": archive.stat().st_size / 1e6, "unpacked_mb": unpacked / 1e6}
