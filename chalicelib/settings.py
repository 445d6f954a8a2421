"""The environment, read once, and every limit of the pipeline with its unit and its source."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from chalicelib.frozen import frozen

KIB: Final = 1024
MIB: Final = 1024 * KIB

STATE_PAYLOAD_LIMIT_BYTES: Final = 256 * KIB
"""Largest input or output of a Step Functions state.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""

DEFAULT_CHUNK_SIZE_BYTES: Final = 32 * MIB
"""Range that one Lambda invocation processes: large enough to hide its start, small enough for its memory."""

HEAD_SIZE_BYTES: Final = 1 * MIB
"""How much of an object's head is read to find its encoding, dialect and header."""

TEXT_LIMIT_BYTES: Final = 32 * 1024 * MIB
"""Most that a compressed file may unpack to. One function call does it: at 50 MB/s (unpacked, decoded, written to S3)
Lambda's 15 minutes are enough for 40 GiB.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

EXPANSION_LIMIT_RATIO: Final = 250
"""Most bytes that a byte of a compressed file may unpack to, on average. CSV packs to a tenth, a table that hardly ever
changes to a hundredth; a bomb of zeros to a thousandth (gzip) or far less (zstd, bzip2)."""

EXPANSION_FREE_BYTES: Final = 64 * MIB
"""Up to this size the ratio does not matter: so little costs next to nothing to unpack."""

REWRITE_PIECE_BYTES: Final = 1 * MIB
"""How much of a file that has to be rewritten as UTF-8 is read and decoded at a time."""

RECORD_LIMIT_BYTES: Final = 1 * MIB
"""Longest record that is delivered; a longer one is rejected (``record-too-long``)."""

BLOCK_SIZE_BYTES: Final = 12 * MIB
"""How much of a chunk is parsed and checked at a time, the bound on memory: a third of a chunk of 32 MiB. At a quarter
of it, what a block costs beyond its rows (a call of the transform above all) makes a whole run 1 to 2 % slower, at an
eighth 8 %."""

PARTS_AHEAD: Final = 2
"""How many parts of its chunk a worker asks S3 for before it needs them. With one it would be idle while S3 gets ready
to answer: tens of milliseconds, and a part takes about a hundred."""

MAX_CHUNKS: Final = 10_000
"""A Distributed Map runs at most 10,000 children at once; a larger file gets larger chunks."""

REFERENCE_KEYS_LIMIT: Final = 2_000_000
"""Most distinct keys that a contract's foreign keys may refer to: every worker holds them all beside its chunk, a short
one with its index in some 50 bytes."""

REFERENCE_SIZE_BYTES: Final = 128 * MIB
"""Most bytes of all those keys, as Arrow holds them: long texts, of which few would fill a worker's memory."""


@frozen
class Settings:
    """Where the pipeline's resources are."""

    stage: str
    inbox_bucket: str
    results_bucket: str
    jobs_table: str
    notices_topic_arn: str
    state_machine_arn: str
    api_token_parameter: str
    """Name of the SSM SecureString that holds the API's bearer token."""
    chunk_size_bytes: int
    stuck_after_minutes: int
    """The sweeper starts an upload, or reports a job, that has been unfinished for this long."""
    parts_ahead: int = PARTS_AHEAD
    """0 where reading takes no time to begin."""
    workers: int = 1
    """How many work on a file's chunks side by side, or 1 where nobody knows. A plan has as many chunks for each."""


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from ``SLUICE_*`` variables. The defaults name the resources that ``deploy.py`` makes for stage ``dev``,
    so that ``chalice local`` and the test client import ``app.py`` without any set-up.
    """
    env = os.environ if environment is None else environment
    stage = env.get("SLUICE_STAGE", "dev")
    return Settings(
        stage=stage,
        inbox_bucket=env.get("SLUICE_INBOX_BUCKET", f"sluice-{stage}-inbox"),
        results_bucket=env.get("SLUICE_RESULTS_BUCKET", f"sluice-{stage}-results"),
        jobs_table=env.get("SLUICE_JOBS_TABLE", f"sluice-{stage}-jobs"),
        notices_topic_arn=env.get(
            "SLUICE_NOTICES_TOPIC_ARN", f"arn:aws:sns:us-east-1:000000000000:sluice-{stage}-notices"
        ),
        state_machine_arn=env.get(
            "SLUICE_STATE_MACHINE_ARN", f"arn:aws:states:us-east-1:000000000000:stateMachine:sluice-{stage}"
        ),
        api_token_parameter=env.get("SLUICE_API_TOKEN_PARAMETER", f"/sluice/{stage}/api-token"),
        chunk_size_bytes=int(env.get("SLUICE_CHUNK_SIZE_BYTES", DEFAULT_CHUNK_SIZE_BYTES)),
        stuck_after_minutes=int(env.get("SLUICE_STUCK_AFTER_MINUTES", 30)),
    )
