"""Whatever an object is called, what comes of it stays under its own prefixes, and both announcements name one job."""

from __future__ import annotations

import json
import posixpath
import re
from typing import Any
from urllib.parse import quote_plus

from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib import publication, triggers
from chalicelib.model import NO_DATASET, Source, dataset_of, execution_name, is_dataset, source_from_event
from chalicelib.transitions import JOB_ID
from tests import pipeline
from tests.fakes import MemoryPorts
from tests.pipeline import INBOX, RESULTS, contract

KEY_LIMIT_BYTES = 1024
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""
LONGEST = "incoming/things/" + "x" * (KEY_LIMIT_BYTES - len("incoming/things/"))

parts = st.sampled_from(
    ["..", ".", "", "%2F", "%2e%2e", "things", "..things", "things..", "a\\b", " ", "~", "\0", "$(x)"]
)
segments = parts | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
keys = (
    st.tuples(st.sampled_from(["incoming/", "incoming/things/", ""]), st.lists(segments, min_size=1, max_size=6))
    .map(lambda given: given[0] + "/".join(given[1]))
    .filter(lambda key: 0 < len(key.encode()) <= KEY_LIMIT_BYTES and not key.endswith("/"))
)
ODD = [
    "incoming/../../x",
    "incoming//a.csv",
    "incoming/things/../a",
    "incoming/things%2Fa.csv",
    "incoming/a/../b/c",
    LONGEST,
]


def odd(test: Any) -> Any:
    for key in ODD:
        test = example(key)(test)
    return test


@odd
@given(keys)
def test_names_made_of_a_key_are_names(key: str) -> None:
    source = Source(INBOX, key, "v1", 10, "e1")
    assert JOB_ID.fullmatch(source.job_id)
    assert re.fullmatch(r"[a-z0-9-]{1,80}", execution_name(source.job_id, 10_000))
    dataset = dataset_of(key)
    assert dataset == NO_DATASET or (is_dataset(dataset) and key.startswith(f"incoming/{dataset}/"))


@odd
@given(keys)
def test_both_announcements_of_an_upload_name_one_job(key: str) -> None:
    """S3's notification has the key encoded, EventBridge's event has it as it is."""
    record = {"s3": {"bucket": {"name": INBOX}, "object": {"key": quote_plus(key, safe="/"), "versionId": "v1"}}}
    event = {"detail": {"bucket": {"name": INBOX}, "object": {"key": key, "version-id": "v1"}}}
    assert triggers.source_from_notification(record).job_id == source_from_event(event).job_id


@odd
@given(keys)
def test_everything_that_a_job_writes_stays_under_its_prefixes(key: str) -> None:
    ports = MemoryPorts()
    thing = contract(
        {"name": "id", "type": "integer"}, {"name": "to", "type": "string"}, sluice={"partitionBy": ["to"]}
    )
    body = b'id,to\n1,../../../etc\n2,..\n3,/\n4,"a//b"\n5,%2F%2e%2e\n6,.\nx,y\n'
    outcome = pipeline.run(body, thing, ports=ports, key=key)
    dataset, job_id = dataset_of(key), outcome.job.job_id
    allowed = (f"jobs/{job_id}/", f"work/{job_id}/", publication.current_key(dataset), publication.symlink_key(dataset))
    written = [stored.key for stored in ports.objects.list(RESULTS, "")]
    for each in written:
        assert each.startswith(allowed)
        assert posixpath.normpath(each) == each
        assert len(each.encode()) <= KEY_LIMIT_BYTES
    # Nothing is written into the inbox: the upload and the contract are all that is there.
    assert {stored.key for stored in ports.objects.list(INBOX, "")} == {key, f"contracts/{dataset}.json"}
    if dataset == NO_DATASET:
        assert outcome.job.error is not None
        assert outcome.job.error.code == "no-dataset"
        assert written == []
    else:
        assert outcome.job.rows.valid == 6
        assert json.loads(ports.objects.get(RESULTS, allowed[2]))["jobs"][0]["job_id"] == job_id
