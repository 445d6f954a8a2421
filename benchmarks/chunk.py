"""One chunk through the worker that Lambda runs, in a process of its own, for its peak of memory.

    python -m benchmarks.chunk FOLDER CHUNK_BYTES

FOLDER is one of ``benchmarks.data.folder``. Only the first chunk is done; the ports are those of ``local.py check``.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.data import DATASET
from chalicelib import steps
from chalicelib.model import JSON, Source, event_from_source
from chalicelib.settings import Settings, from_environment
from ops.check.inprocess import FolderPorts


def plan(place: Path, folder: Path, chunk_bytes: int) -> tuple[FolderPorts, Settings, list[JSON]]:
    """Ports under ``folder`` and the round of tasks that ValidateData plans for the file."""
    settings = from_environment(
        {
            "SLUICE_STAGE": "bench",
            "SLUICE_INBOX_BUCKET": "inbox",
            "SLUICE_RESULTS_BUCKET": "results",
            "SLUICE_CHUNK_SIZE_BYTES": str(chunk_bytes),
        }
    )
    ports = FolderPorts.at(folder)
    contract = (place / "contract.json").read_bytes()
    ports.objects.put("inbox", f"contracts/{DATASET}.json", contract, "application/json")
    stored = ports.objects.link("inbox", f"incoming/{DATASET}/data.csv", place / "data.csv")
    source = Source(stored.bucket, stored.key, stored.version_id, stored.size_bytes, stored.etag)
    ports.jobs.register(source, ports.clock().isoformat())
    state = steps.validate_data(ports, settings, {"execution": "bench", "event": event_from_source(source)})
    return ports, settings, json.loads(ports.objects.get(state["round"]["bucket"], state["round"]["key"]))


def main() -> None:
    place, chunk_bytes = Path(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory(dir=place) as folder:
        ports, settings, tasks = plan(place, Path(folder), chunk_bytes)
        steps.process_chunk(ports, settings, {"task": tasks[0]})


if __name__ == "__main__":
    main()
