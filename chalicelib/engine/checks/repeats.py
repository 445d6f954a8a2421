"""Repeated keys in one chunk: the first record of the file that has a key keeps it, each later one has a finding.

Which of a chunk's records repeat an earlier chunk's key it is told, once all chunks have reported theirs (see
``uniqueness``); its own repeats it finds itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from chalicelib.engine.checks.check import Checked
from chalicelib.engine.checks.findings import Firsts
from chalicelib.engine.checks.uniqueness import Key, Occurrences, null_keys
from chalicelib.engine.records.split import Offsets

Repeats = Mapping[int, list[tuple[int, int, int]]]
"""Record of a chunk (from 1) → (position of the key, chunk and record in it that hold the key first)."""


def settle(
    keys: Sequence[Key], blocks: Sequence[tuple[Checked, Offsets]], told: Repeats, *, chunk: int, records: int
) -> list[bytes]:
    """Note the records that repeat a key among their block's findings, and report the other keys for the file: one
    ``Occurrences.dump`` for each of ``keys``; none where there is no block.

    ``blocks``: all of the chunk ``chunk``, which has ``records`` records; each block with the number in the chunk (from
    1) of every row's record.
    """
    return (
        [_settled(key, position, blocks, told, chunk, records) for position, key in enumerate(keys)] if blocks else []
    )


def _settled(
    key: Key, position: int, blocks: Sequence[tuple[Checked, Offsets]], told: Repeats, chunk: int, records: int
) -> bytes:
    if key.code == "primary-key":
        for checked, _ in blocks:
            checked.findings.add(key.absent(null_keys(key, checked.table)))
    every = Occurrences.concat([Occurrences.of(key, checked.table, numbers) for checked, numbers in blocks])
    known = _told_firsts(position, told, records)
    _add_own_firsts(known, every, chunk)
    for checked, numbers in blocks:
        rows = np.flatnonzero(known.chunks[numbers] >= 0)
        checked.findings.add(key.repeated(rows, known[numbers[rows]]))
    return every.without(known.chunks[every.records] >= 0).dump()


def _told_firsts(position: int, told: Repeats, records: int) -> Firsts:
    """For each record of the chunk by its number where its key stands in an earlier chunk; chunk -1 where in none."""
    known = Firsts(np.full(records + 1, -1, np.int32), np.zeros(records + 1, np.int64))
    for record, found in told.items():
        for of_key, chunk, first in found:
            if of_key == position:
                known.chunks[record], known.records[record] = chunk, first
    return known


def _add_own_firsts(known: Firsts, every: Occurrences, chunk: int) -> None:
    """Likewise where its key stands before in this chunk; what the record there repeats itself, this one does too."""
    later, first_of = (every.records[places] for places in every.repeats())
    told = known.chunks[first_of] >= 0
    known.chunks[later] = np.where(told, known.chunks[first_of], chunk)
    known.records[later] = np.where(told, known.records[first_of], first_of)
