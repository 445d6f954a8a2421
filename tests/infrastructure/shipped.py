"""Run by test_layer.py in a Python without packages: what Lambda gets takes a small file through its first two steps.

``python -I -S shipped.py FAKES TASK LAYER RUNTIME``: the tests' ports in memory, then the folders that Lambda puts on
``sys.path``, in its order. Prints the counts of the chunk's report as JSON.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

CONTEXT = SimpleNamespace(
    function_name="test",
    memory_limit_in_mb=2048,
    invoked_function_arn="arn:aws:lambda:us-east-1:111122223333:function:test",
    aws_request_id="1",
    get_remaining_time_in_millis=lambda: 60_000,
)
FIELDS = [
    {"name": "sold", "type": "date"},
    {"name": "amount", "type": "number"},
    {"name": "where", "type": "string"},
]
BODY = b'sold,amount,where\n2026-11-24,1.5,"Halle, Saale"\nnever,2,Ulm\n2026-11-25,4,Jena\n'


def main(fakes_file: str, *shipped: str) -> None:
    sys.path[:0] = shipped
    import app

    assert "pandas" not in sys.modules, "the functions without a layer could not start"
    from chalicelib import wiring
    from chalicelib.model import Source, event_from_source

    fakes = load(Path(fakes_file))
    ports = fakes.MemoryPorts()
    wiring.ports = lambda: ports  # type: ignore[assignment]
    inbox, results = app.SETTINGS.inbox_bucket, app.SETTINGS.results_bucket

    contract = {"name": "trades", "schema": {"fields": FIELDS}}
    ports.objects.put(inbox, "contracts/trades.json", json.dumps(contract).encode(), "application/json")
    stored = ports.objects.put(inbox, "incoming/trades/a.csv", BODY, "text/csv")
    source = Source(inbox, stored.key, stored.version_id, stored.size_bytes, stored.etag)
    event = {"execution": fakes.execution_arn("1"), "event": event_from_source(source)}
    planned = app.validate_data(event, CONTEXT)
    assert planned["action"] == "process", planned
    (task,) = json.loads(ports.objects.get(results, planned["round"]["key"]))
    assert app.process_chunk({"task": task}, CONTEXT) == {}

    assert "pandas" not in sys.modules, "a worker without a transform starts without it"
    importlib.import_module("pandas")  # as a transform would
    for module in ("pandas", "pyarrow", "numpy", "chalice", "aws_lambda_powertools", "chalicelib"):
        assert any(Path(folder) in Path(sys.modules[module].__file__ or "").parents for folder in shipped[:2]), module
    keys = [stored.key for stored in ports.objects.list(results, f"work/{planned['job_id']}/")]
    (report,) = [json.loads(ports.objects.get(results, key)) for key in keys if "report" in key]
    print(json.dumps(report["rows"]))


def load(path: Path) -> Any:
    """A module by its file: the folder that it lies in is not to be on ``sys.path``."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(*sys.argv[1:])
