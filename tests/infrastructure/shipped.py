"""Run by test_layer.py in a Python without packages: what Lambda gets takes a small file through its first two steps.

``python -I -S shipped.py FAKES TASK LAYER RUNTIME``: the tests' ports in memory, then the folders that Lambda puts on
``sys.path``, in its order. Prints the counts of the chunk's report as JSON.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

fakes_file, *shipped = sys.argv[1:]
sys.path[:0] = shipped

import app  # noqa: E402

assert "pandas" not in sys.modules, "the functions without a layer could not start"

from chalicelib import wiring  # noqa: E402
from chalicelib.model import Source, event_from_source  # noqa: E402

spec = importlib.util.spec_from_file_location("fakes", fakes_file)
assert spec is not None
assert spec.loader is not None
fakes = importlib.util.module_from_spec(spec)
sys.modules["fakes"] = fakes
spec.loader.exec_module(fakes)

INBOX, RESULTS = app.SETTINGS.inbox_bucket, app.SETTINGS.results_bucket
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
ports = fakes.MemoryPorts()
wiring.ports = lambda: ports  # type: ignore[assignment]

ports.objects.put(
    INBOX, "contracts/trades.json", json.dumps({"name": "trades", "schema": {"fields": FIELDS}}).encode(), ""
)
body = b'sold,amount,where\n2026-11-24,1.5,"Halle, Saale"\nnever,2,Ulm\n2026-11-25,4,Jena\n'
stored = ports.objects.put(INBOX, "incoming/trades/a.csv", body, "text/csv")
source = Source(INBOX, stored.key, stored.version_id, stored.size_bytes, stored.etag)
event = {"execution": fakes.execution_arn("1"), "event": event_from_source(source)}
planned = app.validate_data(event, CONTEXT)
assert planned["action"] == "process", planned
(task,) = json.loads(ports.objects.get(RESULTS, planned["round"]["key"]))
assert app.process_chunk({"task": task}, CONTEXT) == {}

for module in ("pandas", "pyarrow", "numpy", "chalice", "aws_lambda_powertools", "chalicelib"):
    assert any(Path(folder) in Path(sys.modules[module].__file__ or "").parents for folder in shipped[:2]), module
reports = [stored for stored in ports.objects.list(RESULTS, f"work/{planned['job_id']}/") if "report" in stored.key]
(report,) = [json.loads(ports.objects.get(RESULTS, each.key)) for each in reports]
print(json.dumps(report["rows"]))
