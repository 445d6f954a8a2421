"""What CloudWatch counts: a job's records and bytes, the seconds of its states, what is waiting, what comes in.

Metrics leave in CloudWatch's embedded format, as a line of a function's log: no call, no throttle, no permission. Each
is published twice, by ``stage`` and ``dataset`` for whoever looks for the dataset at fault, and by ``stage`` alone for
the alarms: an alarm watches one series and cannot search, so what it watches must exist without the dataset's name.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-search-expressions.html

``infrastructure/workflow.yaml`` watches and draws them by these names and dimensions; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from chalicelib.model import JSON, Job, Status

NAMESPACE: Final = "Sluice"

STATES: Final = ("ValidateData", "ProcessData", "AggregateData", "StoreResults")
"""The states that stand in a job's timeline; each has a metric ``<state>Seconds``."""

Values = Mapping[str, tuple[MetricUnit, float]]


def job_ended(job: Job, stage: str) -> None:
    """A job's end: how it ended, rows, the percentage rejected, bytes, and seconds from its receipt."""
    values: dict[str, tuple[MetricUnit, float]] = {
        "JobsSucceeded": (MetricUnit.Count, int(job.status is Status.SUCCEEDED)),
        "JobsFailed": (MetricUnit.Count, int(job.status is Status.FAILED)),
        "RowsRead": (MetricUnit.Count, job.rows.read),
        "RowsValid": (MetricUnit.Count, job.rows.valid),
        "RowsRejected": (MetricUnit.Count, job.rows.rejected),
        "SourceSize": (MetricUnit.Bytes, job.source.size_bytes),
    }
    if job.rows.read:  # a job that failed before its rows were counted has none, rather than a good one
        values["RejectedPercent"] = (MetricUnit.Percent, 100 * job.rows.rejected / job.rows.read)
    if job.finished_at is not None:
        values["JobSeconds"] = (MetricUnit.Seconds, _seconds(job.received_at, job.finished_at))
    _publish(stage, job.dataset, values, job_id=job.job_id)


def step_ended(stage: str, payload: JSON, result: JSON) -> None:
    """What a step of the workflow adds to its job: the seconds of each state that ended, the rounds of repair.

    ``payload`` and ``result``: the step's own, whose timeline is the one that the job's report shows.
    """
    before: JSON = payload.get("job") or {}
    values: dict[str, tuple[MetricUnit, float]] = {}
    for each in result.get("timeline", [])[len(before.get("timeline", [])) :]:
        values[f"{each['stage']}Seconds"] = (MetricUnit.Seconds, _seconds(each["start"], each["end"]))
    if "repair_rounds" in result:
        values["RepairRounds"] = (MetricUnit.Count, result["repair_rounds"])
    if values:
        _publish(stage, result["dataset"], values, job_id=result["job_id"])


def upload_seen(stage: str, dataset: str, job_id: str) -> None:
    """An upload was registered; told again where S3 tells it again."""
    _publish(stage, dataset, {"UploadsSeen": (MetricUnit.Count, 1)}, job_id=job_id)


def swept(stage: str, oldest_job_seconds: float) -> None:
    """At every sweep: the age of the oldest unfinished job, since it was taken up or received; 0 where there is none.

    No upload is counted, so that ``UploadsSeen`` has a 0 where nothing came: an alarm could not tell "nothing came"
    from "not in operation yet" if both were missing data.
    """
    values: Values = {
        "OldestJobSeconds": (MetricUnit.Seconds, oldest_job_seconds),
        "UploadsSeen": (MetricUnit.Count, 0),
    }
    _publish(stage, None, values)


def _publish(stage: str, dataset: str | None, values: Values, **metadata: str) -> None:
    metrics = EphemeralMetrics(namespace=NAMESPACE)
    metrics.add_dimension("stage", stage)
    if dataset is not None:
        metrics.add_dimensions(stage=stage, dataset=dataset)
    for name, (unit, value) in values.items():
        metrics.add_metric(name, unit, value)
    for key, text in metadata.items():
        metrics.add_metadata(key, text)
    metrics.flush_metrics()


def _seconds(start: str, end: str) -> float:
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())
