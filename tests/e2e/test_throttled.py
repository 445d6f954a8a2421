"""An account that has no function free for a chunk: the chunk is postponed, and its file is processed all the same."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from chalicelib.model import Source, Status
from tests.e2e.conftest import Pipeline

POSTPONED_SECONDS = 60.0


@contextmanager
def no_function_free(pipeline: Pipeline) -> Iterator[None]:
    """Lambda refuses to run process-chunk, and nobody waits long to ask again."""
    target = pipeline.stack.target
    client, function = target.lambda_, target.names.function("process-chunk")
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    _scale_waits(pipeline, 0.002)
    try:
        yield
    finally:
        client.delete_function_concurrency(FunctionName=function)
        _scale_waits(pipeline, 1)


def _scale_waits(pipeline: Pipeline, factor: float) -> None:
    endpoint = pipeline.stack.target.endpoint_url
    assert endpoint is not None
    body = json.dumps({"stepfunctions._SFN_WAIT_SCALE": factor}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{endpoint}/_ministack/config", body)) as reply:
        assert json.load(reply)["applied"]


def test_chunks_that_find_no_free_function_are_done_once_there_is_one(pipeline: Pipeline) -> None:
    rows = b"".join(b"%06d,%090d\n" % (number, number) for number in range(2_500))
    with no_function_free(pipeline):
        source = pipeline.upload("incoming/throttled/a.csv", b"id,text\n" + rows)
        _wait_until_postponed(pipeline, source)
    (job,) = pipeline.finish(source)
    assert job.status is Status.SUCCEEDED, job.error
    assert (job.rows.read, job.rows.valid) == (2_500, 2_500)
    assert job.chunks.planned > 1


def _wait_until_postponed(pipeline: Pipeline, source: Source) -> None:
    deadline = time.monotonic() + POSTPONED_SECONDS
    while not any("/postponed-" in key for key in pipeline.results(f"work/{source.job_id}/")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
