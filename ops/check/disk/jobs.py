"""``ports.Jobs`` on a folder: one JSON file per record, written under a lock that threads and processes share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from chalicelib import paging, transitions
from chalicelib.errors import Terminal
from chalicelib.model import Job, Status
from chalicelib.ports import Page
from ops.check.disk.files import disk_errors, fill, locked, temporary


class DiskJobs(transitions.Writer):
    """Job records under ``root``, which is made at the first write."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).absolute()

    def get(self, job_id: str) -> Job | None:
        return self._read(self._path(job_id)) if transitions.JOB_ID.fullmatch(job_id) else None

    def list(
        self, *, dataset: str | None = None, status: Status | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page:
        paging.checked_limit(limit)
        listing = paging.Listing(dataset, status)
        jobs = sorted(filter(listing.shows, self._all()), key=paging.age, reverse=True)
        if cursor is not None:
            position = paging.decode(listing, cursor)
            jobs = [job for job in jobs if paging.age(job) < (position.received_at, position.job_id)]
        page = tuple(jobs[:limit])
        return Page(page, paging.encode(listing, paging.position_of(page[-1])) if len(jobs) > limit else None)

    def unfinished(self, received_before: str) -> Iterator[Job]:
        open_jobs = (job for job in self._all() if not job.status.is_final and job.received_at < received_before)
        yield from sorted(open_jobs, key=paging.age)

    def _apply(self, job_id: str, step: transitions.Step) -> Job | None:
        path = self._path(job_id)
        with locked(self.root):
            current = self._read(path)
            job = step(current)
            if job is not None and job != current:
                with temporary(self.root) as draft, disk_errors(str(path)):
                    fill(draft, [json.dumps(job.to_json(), ensure_ascii=False, indent=1).encode()])
                    draft.replace(path)
        return job

    def _path(self, job_id: str) -> Path:
        return self.root / f"{job_id}.json"

    def _read(self, path: Path) -> Job | None:
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return Job.from_json(json.loads(text))
        except (ValueError, KeyError, TypeError) as error:
            raise Terminal("damaged-record", f"{path} is not a job record") from error

    def _all(self) -> Iterator[Job]:
        for path in self.root.glob("*.json"):
            job = self._read(path)
            if job is not None:
                yield job
