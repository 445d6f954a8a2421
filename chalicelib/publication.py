"""How a job becomes current, and how that is finished by another where StoreResults could not.

The outputs of a job are decided by one write to its record: STORING, with the manifest among the outputs
(``Job.is_decided``). Until then the job may fail, and nothing of it is current; from then on it can only succeed
(``transitions.failed`` refuses), and whoever comes to end it does what is left: ``datasets/<dataset>/current.json`` is
switched, then the record becomes SUCCEEDED. So no job is FAILED and current, whichever call was the last that worked.

What is current is told a second time, file by file, in the form that query engines read a table from
(``symlink_key``). It follows ``current.json`` and is made from it, so it may be late, but never of half a job.

Imports nothing heavy: the functions that end a job carry no layer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from chalicelib.errors import Transient
from chalicelib.model import JSON, Failure, Job, Status, second
from chalicelib.parallel import parallel
from chalicelib.ports import Objects, Ports

_REPLACE_ATTEMPTS: Final = 20
"""So many jobs of one dataset may end at once, and none gives up: for each put that fails another's has worked."""
_JSON_TYPE: Final = "application/json"
_TEXT_TYPE: Final = "text/plain; charset=utf-8"


def outputs_prefix(job_id: str) -> str:
    """The folder of a job's outputs in the results bucket."""
    return f"jobs/{job_id}/"


def current_key(dataset: str) -> str:
    """Where in the results bucket a dataset tells which jobs are current."""
    return f"datasets/{dataset}/current.json"


def current_jobs(objects: Objects, bucket: str, dataset: str) -> list[JSON]:
    """A dataset's entries in ``current.json``; none where there is no such object."""
    found = objects.get_with_etag(bucket, current_key(dataset))
    jobs: list[JSON] = json.loads(found[0])["jobs"] if found else []
    return jobs


def symlink_key(dataset: str) -> str:
    """Where in the results bucket the Parquet files of a dataset's current jobs are listed, one URI to a line: what
    Hive's SymlinkTextInputFormat reads, and Athena, Presto and Trino with it. The name is that of S3 Inventory's list
    for Hive: https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html
    """
    return f"datasets/{dataset}/hive/symlink.txt"


def end(ports: Ports, bucket: str, job_id: str, execution: str, error: Failure, at: str) -> Job | None:
    """End a job whose execution cannot: FAILED with ``error``, or SUCCEEDED where its outputs are decided.

    ``bucket``: the results bucket. None where nothing changed: it has ended, or belongs to another execution.
    """
    failed = ports.jobs.fail(job_id, execution, error, at)
    if failed is not None:
        return failed
    job = ports.jobs.get(job_id)
    if job is None or job.execution != execution or not job.is_decided:
        return None
    return finish(ports, bucket, job)


def finish(ports: Ports, bucket: str, job: Job) -> Job:
    """Make a decided job current, and SUCCEEDED. Doing it again changes nothing."""
    assert job.is_decided
    assert job.execution is not None
    manifest = json.loads(ports.objects.get(bucket, f"{outputs_prefix(job.job_id)}manifest.json"))
    _switch(ports.objects, bucket, job, manifest)
    _link(ports.objects, bucket, job.dataset)
    return ports.jobs.advance(job.job_id, job.execution, Status.SUCCEEDED, finished_at=manifest["finished_at"])


def _switch(objects: Objects, bucket: str, job: Job, manifest: JSON) -> None:
    """Make the job current: beside the others of its dataset (``append``) or in their place (``replace``)."""
    folder, mode = outputs_prefix(job.job_id), manifest["mode"]
    entry = {
        "job_id": job.job_id,
        "manifest": f"{folder}manifest.json",
        "data": f"{folder}data/",
        "mode": mode,
        "source": {"key": job.source.key, "sequencer": job.source.sequencer},
        "rows": manifest["ledger"]["delivered"],
        "received_at": job.received_at,
        "finished_at": manifest["finished_at"],
    }

    def switched(before: bytes | None) -> bytes | None:
        jobs = _joined(json.loads(before) if before is not None else {"jobs": []}, entry)
        if jobs is None:
            return None
        return json.dumps({"dataset": job.dataset, "mode": mode, "jobs": jobs}, indent=2).encode()

    _replace(objects, bucket, current_key(job.dataset), _JSON_TYPE, switched)


def _link(objects: Objects, bucket: str, dataset: str) -> None:
    """List the files of the dataset's current jobs.

    Errors: ``Transient("precondition-failed")`` where others were faster each time.
    """
    jobs: list[JSON] = []

    def linked(before: bytes | None) -> bytes | None:
        nonlocal jobs
        # Read after the list itself: whoever put that since, for a later state of this, makes the put fail.
        jobs = current_jobs(objects, bucket, dataset)
        after = _list(objects, bucket, jobs, before or b"")
        return None if after == before else after

    for _ in range(_REPLACE_ATTEMPTS):
        _replace(objects, bucket, symlink_key(dataset), _TEXT_TYPE, linked)
        # But not where the list was put as it had been read, after another, or deleted: that ETag stands again.
        if current_jobs(objects, bucket, dataset) == jobs:
            return
    raise Transient("precondition-failed", f"other jobs of {dataset} became current each time")


def _list(objects: Objects, bucket: str, jobs: list[JSON], before: bytes) -> bytes:
    """The URIs of the jobs' files, job by job. Those of a job that is listed already are taken from there, for a
    manifest of each of thousands of jobs would be read for one more. A file without a row is left out: it may lack the
    columns that only a transform knows.
    """
    listed: dict[str, list[str]] = {}
    for uri in before.decode().splitlines():
        folder, slash, _ = uri.partition("/data/")
        listed.setdefault(folder + slash, []).append(uri)

    def files(job: JSON) -> list[str]:
        folder = f"s3://{bucket}/{job['data']}"
        if not job["rows"] or folder in listed:
            return listed.get(folder, [])
        found = objects.get_with_etag(bucket, job["manifest"])
        if found is None:
            return []  # somebody has removed the job's outputs since
        outputs = json.loads(found[0])["outputs"]
        return [f"s3://{bucket}/{each['key']}" for each in outputs if each["name"] == "data" and each["rows"]]

    return "".join(f"{uri}\n" for uris in parallel(objects, files, jobs) for uri in uris).encode()


def _replace(
    objects: Objects, bucket: str, key: str, content_type: str, change: Callable[[bytes | None], bytes | None]
) -> None:
    """Put an object anew, as ``change`` makes it of what stands there (None: nothing); None leaves that. Of two that do
    so at the same time one does it once more.

    Errors: ``Transient("precondition-failed")`` where others were faster each time.
    """
    for attempt in range(1, _REPLACE_ATTEMPTS + 1):
        found = objects.get_with_etag(bucket, key)
        body = change(found[0] if found else None)
        if body is None:
            return
        try:
            objects.put(bucket, key, body, content_type, if_match=found[1] if found else "")
            return
        except Transient as error:
            if error.code != "precondition-failed" or attempt == _REPLACE_ATTEMPTS:
                raise


def _joined(current: JSON, entry: JSON) -> list[JSON] | None:
    """A dataset's jobs with one more, as if each had ended before the next was uploaded; None where nothing changes.

    Jobs end in any order, their events came in any, and the contract's mode may have been changed in between: whatever
    was uploaded before a job that replaces is replaced by it, and whatever came after it stands beside it.
    """
    # An entry of an earlier version has no mode: that of the whole is its own, as long as nothing else was put there.
    jobs = [{"mode": current["mode"], **each} for each in current["jobs"]]
    if any(each["job_id"] == entry["job_id"] for each in jobs):
        return None
    later = [each for each in jobs if _is_later(each, entry)]
    if any(each["mode"] == "replace" for each in later):
        return None
    return [*jobs, entry] if entry["mode"] == "append" else [entry, *later]


def _is_later(one: JSON, other: JSON) -> bool:
    """Whether one entry's upload came after the other's. Where both are of one key, S3 itself tells: when the events
    arrived does not. The shorter sequencer is padded on the right:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    Of different keys the times are compared that the events say; when they came, or were taken up, does not count
    (``transitions.registered``, ``claimed``). Within a second none is later: of an upload of which only EventBridge has
    told there is no more than that.
    """
    source, others = one.get("source", {}), other["source"]
    if source.get("key") == others["key"] and source["sequencer"] and others["sequencer"]:
        width = max(len(source["sequencer"]), len(others["sequencer"]))
        return bool(source["sequencer"].ljust(width, "0") > others["sequencer"].ljust(width, "0"))
    return second(one["received_at"]) > second(other["received_at"])
