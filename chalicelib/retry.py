"""A failed job is done again: the same upload, under a new execution, for the next attempt.

What the attempts before have written and what would come out the same is not done again; that, ValidateData finds out
(``stages.workspace``). The contract that applies is the one that stands now.

Step Functions' own RedriveExecution is no way to do this. It goes on at the state that failed, with the plan that was
made then, though a job that failed is mostly retried because its contract, its transform or the deployment was put
right; it takes no execution older than 14 days, and none that was refused before its first state. The job's record also
could not tell the redriven execution's writes from late ones of its first run: an attempt with an execution of its own
is told apart by its ARN.
https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html
"""

from __future__ import annotations

from chalicelib.errors import Terminal
from chalicelib.model import Job, Status
from chalicelib.ports import Executions, Jobs


def retry(jobs: Jobs, executions: Executions, job_id: str, at: str) -> Job:
    """Give a FAILED job to a new execution, start that, and return the job: RECEIVED, its ``attempt`` one more.

    The record moves first, on the condition that the attempt is still the one that failed: of two who retry at once,
    both start the same execution, by the same name. Should the start fail, asking again goes on with it, and so does
    the sweeper.

    Errors: ``Terminal("job-not-found")``, ``Terminal("job-not-failed")``; what the ports raise.
    """
    job = jobs.get(job_id)
    if job is None:
        raise Terminal("job-not-found", "there is no job of this id")
    if job.status is Status.FAILED:
        attempt = job.attempt + 1
        job = jobs.retry(job_id, attempt, executions.arn(job_id, attempt), at) or _gone_on(jobs, job_id)
    if job.status is not Status.RECEIVED or job.execution is None:
        raise Terminal("job-not-failed", f"the job is {job.status}: only a FAILED one can be retried")
    executions.start(job.source, job.attempt)
    return job


def _gone_on(jobs: Jobs, job_id: str) -> Job:
    """The job as another retry has left it, between this one's reading and writing."""
    job = jobs.get(job_id)
    if job is None:
        raise Terminal("job-not-found", "there is no job of this id")
    return job
