"""The sample through the whole pipeline, compared with its generator and with the same steps run in-process."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from chalicelib import metrics, telemetry
from chalicelib.errors import FINDINGS
from chalicelib.model import Chunks, Job, Rows, Status
from ops.check import inprocess
from ops.jobs.uploads import plan
from ops.stage import athena
from tests.e2e.conftest import CHUNK_SIZE_BYTES, Pipeline, Unwatched

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "samples" / "orders.csv"
REJECTED = 121
BLANK = 2


@pytest.fixture(scope="module")
def job(pipeline: Pipeline) -> Job:
    pipeline.agree("orders", (ROOT / "contracts" / "orders.json").read_bytes())
    return pipeline.process("incoming/orders/orders.csv", SAMPLE.read_bytes())


@pytest.fixture(scope="module")
def folder(pipeline: Pipeline, job: Job) -> Path:
    return pipeline.outputs(job)


def documents(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "rejects.jsonl").read_text(encoding="utf-8").splitlines()]


def test_every_row_is_accounted_for(job: Job) -> None:
    assert job.status is Status.SUCCEEDED, job.error
    assert job.rows == Rows(read=5000, valid=5000 - REJECTED - BLANK, rejected=REJECTED, blank=BLANK)
    planned = -(-SAMPLE.stat().st_size // CHUNK_SIZE_BYTES)
    assert job.chunks == Chunks(planned=planned, done=planned, repaired=job.chunks.repaired)
    assert job.contract == "given"


def test_every_output_of_the_design_is_there_and_the_manifest_lists_it(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    found = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    assert {"rejects.csv", "rejects.jsonl", "summary.json", "report.html", "contract.json", "manifest.json"} <= set(
        found
    )
    assert any(name.startswith("data/") and name.endswith(".parquet") for name in found)
    text = json.dumps(manifest)
    for name in found.keys() - {"manifest.json"}:
        assert name in text


def test_the_dataset_points_to_the_job(pipeline: Pipeline, job: Job) -> None:
    current = json.loads(pipeline.stack.objects.get(pipeline.stack.results, "datasets/orders/current.json"))
    assert job.job_id in json.dumps(current)


def test_the_dataset_is_a_table(pipeline: Pipeline, job: Job) -> None:
    listed = pipeline.stack.objects.get(pipeline.stack.results, "datasets/orders/hive/symlink.txt").decode()
    assert f"s3://{pipeline.stack.results}/jobs/{job.job_id}/data/part-00000.parquet\n" in listed
    made = athena.statements_of(pipeline.stack.objects, pipeline.stack.results, "orders", "orders")
    assert "`amount` double" in made.sql[0]


def test_valid_rows_are_typed_and_transformed(folder: Path) -> None:
    data = pq.read_table(folder / "data").to_pandas()
    assert len(data) == 5000 - REJECTED - BLANK
    assert data["order_id"].is_unique
    discount = data["discount"].astype(float).fillna(0)
    amount = data["quantity"].astype(float) * data["unit_price"].astype(float) * (1 - discount)
    pd.testing.assert_series_equal(data["amount"].astype(float), amount, check_names=False)
    assert pd.api.types.is_datetime64_any_dtype(data["ordered_at"])
    assert data["note"].str.contains("\n").sum() > 100


def test_aggregates_are_pandas_own(folder: Path) -> None:
    data = pq.read_table(folder / "data").to_pandas()
    summary = json.loads((folder / "summary.json").read_bytes())
    by_country = {row["country"]: row for row in summary["aggregates"]["by_country"]}
    expected = data.groupby("country")["amount"].agg(["count", "sum", "max"])
    assert set(by_country) == set(expected.index)
    for country, row in expected.iterrows():
        assert by_country[str(country)]["orders"] == row["count"]
        assert by_country[str(country)]["revenue"] == pytest.approx(row["sum"], rel=1e-12)
        assert by_country[str(country)]["largest"] == row["max"]
    (total,) = summary["aggregates"]["total"]
    assert total["pieces"] == data["quantity"].sum()
    assert total["customers"] == pytest.approx(data["customer_email"].nunique(), rel=0.05)


def test_rejects_open_as_csv_with_their_original_cells(folder: Path) -> None:
    with (folder / "rejects.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][:4] == ["_record", "_line", "_errors", "order_id"]
    assert len(rows) == 1 + REJECTED
    found = {error["code"] for reject in documents(folder) for error in reject["errors"]}
    elsewhere = {
        "dangling-escape",
        "foreign-key",
        "record-too-long",
        "replacement-character",
        "unique-error",
    }  # no such form, key, size or field, and no rejects.csv
    labels = {code for code in FINDINGS if code.endswith("-label")}
    assert found == FINDINGS.keys() - elsewhere - labels - {"blank-row"}  # a blank row is counted, not rejected


def test_the_report_stands_alone(folder: Path) -> None:
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert "orders" in html
    for loads in ("<script src", '<link rel="stylesheet"', 'src="http'):
        assert loads not in html


def test_every_chunk_is_told_what_its_log_lines_carry(pipeline: Pipeline, job: Job) -> None:
    client = pipeline.stack.target.client("stepfunctions")
    runs = client.list_map_runs(executionArn=job.execution)["mapRuns"]
    children = [each for run in runs for each in client.list_executions(mapRunArn=run["mapRunArn"])["executions"]]
    given = [client.describe_execution(executionArn=child["executionArn"])["input"] for child in children]
    subjects = [telemetry.subject(json.loads(each)) for each in given]
    assert {(each["job_id"], each["dataset"]) for each in subjects} == {(job.job_id, "orders")}
    assert sorted(each["chunk"] for each in subjects if each["round"] == 1) == list(range(job.chunks.planned))


def metrics_of(pipeline: Pipeline, job: Job) -> dict[str, float]:
    """The last value of each metric in the logs of the job's functions."""
    target = pipeline.stack.target
    found: dict[str, float] = {}
    for function in ("validate-data", "aggregate-data", "store-results", "notify"):
        pages = target.client("logs").get_paginator("filter_log_events")
        for page in pages.paginate(logGroupName=f"/aws/lambda/{target.names.function(function)}"):
            for text in "\n".join(each["message"] for each in page["events"]).splitlines():
                if text.startswith("{") and json.loads(text).get("job_id") == job.job_id:
                    found |= {name: value[0] for name, value in json.loads(text).items() if isinstance(value, list)}
    return found


def test_the_jobs_metrics_stand_in_the_functions_logs(pipeline: Pipeline, job: Job) -> None:
    deadline = time.monotonic() + 20
    while "RowsRead" not in (found := metrics_of(pipeline, job)) and time.monotonic() < deadline:
        time.sleep(0.2)  # the job stands as SUCCEEDED before its end is told and counted
    assert {f"{state}Seconds" for state in metrics.STATES} <= found.keys()
    assert (found["RowsRead"], found["RowsRejected"]) == (5000, REJECTED)
    assert found["RejectedPercent"] == pytest.approx(100 * REJECTED / 5000)


def test_check_gives_what_run_gives(pipeline: Pipeline, folder: Path, tmp_path: Path) -> None:
    (upload,) = plan([SAMPLE])
    job = inprocess.check(upload, tmp_path, CHUNK_SIZE_BYTES * 3, Unwatched())
    assert job.status is Status.SUCCEEDED, job.error
    checked = tmp_path / job.job_id
    assert pq.read_table(checked / "data").equals(pq.read_table(folder / "data"))
    assert documents(checked) == documents(folder)
    assert (checked / "rejects.csv").read_bytes() == (folder / "rejects.csv").read_bytes()
    summaries = [json.loads((place / "summary.json").read_bytes()) for place in (checked, folder)]
    ours = {"job_id": "", "chunks": {}}  # the one is cut into fewer chunks than the other
    assert summaries[0] | ours == summaries[1] | ours
    assert (checked / "contract.json").read_bytes() == (folder / "contract.json").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [job.job_id]
