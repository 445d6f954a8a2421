"""The findings on some rejected records, gathered from the checks' columns record by record."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chalicelib.engine import arrays
from chalicelib.engine.checks.findings import Findings, Firsts
from chalicelib.engine.checks.formulas import neutralise_column
from chalicelib.engine.records.split import Offsets
from chalicelib.engine.rejects.escape import QUOTED, csv_escaped, encoded, joined, json_texts, quoted
from chalicelib.engine.rejects.rejected import Places
from chalicelib.frozen import frozen


@frozen
class Reason:
    """What the findings of one check have in common."""

    code: str
    field: str
    before: str
    """What their notes say before the cell that each shows."""
    after: str

    @property
    def csv(self) -> tuple[str, str]:
        """What stands around the cell in ``_errors``, not escaped."""
        return (f"{self.field}: " if self.field else "") + self.before, self.after

    @property
    def json(self) -> tuple[str, str]:
        """What stands around the cell in ``errors``."""
        head = json.dumps({"field": self.field, "code": self.code, "note": self.before}, ensure_ascii=False)
        return head.removesuffix('"}'), json.dumps(self.after, ensure_ascii=False)[1:] + "}"


@frozen
class Told:
    """The findings on a record stand side by side, in their order."""

    reasons: Sequence[Reason]
    of_reason: Offsets
    """Each finding's place in ``reasons``."""
    cells: pa.BinaryArray
    """What each shows."""
    edges: NDArray[np.int32]
    """Where the findings on each record begin, and at last where those on the last one end."""
    firsts: Firsts
    """What belongs into their gaps."""
    first_edges: NDArray[np.int32]
    """Likewise among ``firsts``."""

    @classmethod
    def of(cls, blocks: Sequence[tuple[Offsets, Findings]]) -> Told:
        """For each block rejected rows, all from the first to the last of them, and the block's findings."""
        gathered = _Gathered()
        for rows, findings in blocks:
            gathered.add(rows, findings)
        return gathered.told()

    def csv(self) -> pa.BinaryArray:
        """What is each record's cell ``_errors``."""
        around = [reason.csv for reason in self.reasons]
        special = np.array([any(letter in QUOTED for letter in "".join(texts)) for texts in around])[self.of_reason]
        if not special.all():
            special |= arrays.holding(self.cells, QUOTED.encode())
        escaped = [(before.replace('"', '""'), after.replace('"', '""')) for before, after in around]
        texts = self._by_record(self._around(csv_escaped(self.cells), escaped), "; ")
        return quoted(neutralise_column(texts), np.logical_or.reduceat(special, self.edges[:-1]))

    def json(self) -> pa.BinaryArray:
        """What stands between the brackets of each record's ``errors``."""
        return self._by_record(self._around(json_texts(self.cells), [reason.json for reason in self.reasons]), ", ")

    def _around(self, cells: pa.BinaryArray, texts: Sequence[tuple[str, str]]) -> pa.BinaryArray:
        of_reason = arrays.from_values(self.of_reason, pa.int64())
        before, after = (encoded(each).take(of_reason) for each in zip(*texts, strict=True))
        return joined(before, cells, after)

    def _by_record(self, each: pa.BinaryArray, separator: str) -> pa.BinaryArray:
        if len(each) == len(self.edges) - 1:
            return each
        lists = pa.ListArray.from_arrays(arrays.from_values(self.edges, pa.int32()), each)
        return pc.binary_join(lists, *encoded([separator]))


class _Gathered:
    def __init__(self) -> None:
        self._count = 0
        self._reasons: list[Reason] = []
        self._at: list[Offsets] = []
        """The place among the records of each finding, check by check."""
        self._cells: list[pa.BinaryArray] = []
        self._of_reason: list[Offsets] = []
        self._firsts_at = [np.zeros(0, np.int64)]
        self._firsts = [Firsts(np.zeros(0, np.int32), np.zeros(0, np.int64))]

    def add(self, rows: Offsets, findings: Findings) -> None:
        first, last = int(rows[0]), int(rows[-1])
        places, before = Places(rows), self._count
        self._count += len(rows)
        for found in findings.checks:
            part = slice(*np.searchsorted(found.rows, (first, last + 1)).tolist())
            if part.start == part.stop:
                continue
            at = places.of(found.rows[part]) + before
            self._at.append(at)
            self._cells.append(found.notes.cells[part])
            self._of_reason.append(np.full(len(at), len(self._reasons)))
            self._reasons.append(Reason(found.code, found.field, found.notes.before, found.notes.after))
            if found.firsts is not None:
                self._firsts_at.append(at)
                self._firsts.append(found.firsts[part])

    def told(self) -> Told:
        at, firsts_at = np.concatenate(self._at), np.concatenate(self._firsts_at)
        order = np.argsort(at, kind="stable")
        return Told(
            self._reasons,
            np.concatenate(self._of_reason)[order],
            pa.concat_arrays(self._cells).take(arrays.from_values(order, pa.int64())),
            self._edges(at),
            Firsts.concat(self._firsts)[np.argsort(firsts_at, kind="stable")],
            self._edges(firsts_at),
        )

    def _edges(self, places: Offsets) -> NDArray[np.int32]:
        edges = np.zeros(self._count + 1, np.int32)
        np.cumsum(np.bincount(places, minlength=self._count), out=edges[1:])
        return edges
