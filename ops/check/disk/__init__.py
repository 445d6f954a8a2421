"""The ports on a folder of the local disk, for ``local.py check`` and for tests. Never shipped to Lambda.

Objects lie at ``<root>/<bucket>/<key>``, job records at ``<root>/<job_id>.json``. Threads and processes of one machine
may share a root; two machines on a network file system may not (the locks are ``flock``).
"""

from __future__ import annotations

from ops.check.disk.jobs import DiskJobs
from ops.check.disk.objects import DiskObjects
from ops.check.disk.recorded import NoExecutions, RecordedNotice, RecordedNotices

__all__ = ["DiskJobs", "DiskObjects", "NoExecutions", "RecordedNotice", "RecordedNotices"]
