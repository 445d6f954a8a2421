"""Who takes part: how each is started, and how often a race of it can be afforded."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.answers import Answer, of_peer, of_sluice
from benchmarks.data import DATASET, ROOT, WORK

PEERS_PYTHON: Final = WORK / "peers" / "bin" / "python"
SPARK_PYTHON: Final = WORK / "spark" / "bin" / "python"
SLUICE: Final = "sluice"
PROBE: Final = "arrow_probe"
FLOOR: Final = "floor"


@dataclass(frozen=True, slots=True)
class Competitor:
    name: str
    title: str
    slow: bool = False
    """Raced on ``orders`` alone, in fewer rounds."""
    python: Path = PEERS_PYTHON
    peer: bool = True
    """Somebody's tool, which Sluice is compared with; the probe and the floor only say what is possible."""
    largest_mb: float = float("inf")

    def command(self, place: Path, out: Path, parquet: Path | None = None) -> list[str]:
        """``parquet``: valid rows, for the floor alone."""
        file, contract = str(place / "data.csv"), str(place / "contract.json")
        if self.name == SLUICE:
            return check(place, out)
        extra = [str(parquet)] if self.name == FLOOR else []
        return [str(self.python), "-m", f"benchmarks.peers.{self.name}", file, contract, str(out), *extra]

    def answer(self, out: Path) -> Answer:
        if self.name != SLUICE:
            return of_peer(out)
        (job,) = (folder for folder in out.iterdir() if folder.is_dir())
        return of_sluice(job)


def check(place: Path, out: Path, *options: str) -> list[str]:
    """``local.py check`` on a file of ``data.folder``."""
    files = [str(place / "data.csv"), "--contract", str(place / "contract.json"), "--out", str(out)]
    return [sys.executable, str(ROOT / "local.py"), "check", *files, "--dataset", DATASET, "--json", *options]


COMPETITORS: Final[Sequence[Competitor]] = (
    Competitor(SLUICE, "**Sluice**, `local.py check`", peer=False),
    Competitor("polars_streaming", "polars 2.1, streaming"),
    Competitor("polars_eager", "polars 2.1, eager"),
    Competitor("duckdb_try_cast", "duckdb 2.0, try_cast"),
    Competitor("duckdb_two_scans", "duckdb 2.0, two scans"),
    Competitor("pandera_polars", "pandera on polars"),
    Competitor("pandas_pyarrow", "pandas 3.1, pyarrow engine"),
    Competitor("pandas_c", "pandas 3.1, C engine", slow=True),
    Competitor("dask_frames", "dask", slow=True),
    Competitor("pandera_pandas", "pandera on pandas", slow=True),
    Competitor("great_expectations_pandas", "great expectations", slow=True, largest_mb=300),
    Competitor("pyspark_local", "pyspark 4.3, local", slow=True, python=SPARK_PYTHON),
    Competitor("json_rows", "rows as JSON to Lambda", slow=True, largest_mb=300),
    Competitor(PROBE, "*hand-written pyarrow probe*", peer=False),
    Competitor(FLOOR, "*floor: parse to text, write*", peer=False),
)
