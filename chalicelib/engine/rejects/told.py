"""The findings on some rejected records, gathered from the checks' columns record by record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chalicelib.engine import arrays
from chalicelib.engine.checks.findings import Findings, Firsts
from chalicelib.engine.records.split import Offsets
from chalicelib.engine.rejects.drafts import Gaps
from chalicelib.engine.rejects.escape import joined, json_texts


@dataclass(frozen=True, slots=True)
class Told:
    reasons: Sequence[tuple[str, str]]
    """Code and field."""
    of_reason: NDArray[np.int64]
    """Each finding's place in ``reasons``; the findings on a record stand side by side, in their order."""
    notes: pa.BinaryArray
    edges: NDArray[np.int32]
    """Where the findings on each record begin, and at last where those on the last one end."""
    places: Offsets
    """The places among the records of those findings that have a gap."""
    firsts: Firsts
    """What belongs into those gaps."""

    @classmethod
    def of(cls, rows: Offsets, findings: Findings) -> Told:
        """``rows``: all rejected rows of the block from the first to the last of them."""
        structure = [
            (row, note) for row, notes in findings.structure.items() if rows[0] <= row <= rows[-1] for note in notes
        ]
        reasons = [(note.code, note.field) for _, note in structure]
        at = [np.searchsorted(rows, np.array([row for row, _ in structure], np.int64))]
        notes = [arrays.binaries([note.note.encode() for _, note in structure])]
        of_reason = [np.arange(len(structure))]
        places = [np.zeros(0, np.int64)]
        firsts = [Firsts(np.zeros(0, np.int32), np.zeros(0, np.int64))]
        for found in findings.checks:
            part = slice(*np.searchsorted(found.rows, (rows[0], rows[-1] + 1)).tolist())
            at.append(np.searchsorted(rows, found.rows[part]))
            notes.append(found.notes[part])
            of_reason.append(np.full(part.stop - part.start, len(reasons)))
            reasons.append((found.code, found.field))
            if found.firsts is not None:
                places.append(at[-1])
                firsts.append(found.firsts[part])
        whole = np.concatenate(at)
        order = np.argsort(whole, kind="stable")
        return cls(
            reasons,
            np.concatenate(of_reason)[order],
            pa.concat_arrays(notes).take(arrays.from_values(order, pa.int64())),
            np.searchsorted(whole[order], np.arange(len(rows) + 1)).astype(np.int32),
            np.concatenate(places),
            Firsts.concat(firsts),
        )

    def csv(self) -> pa.BinaryArray:
        """What stands in each record's cell ``_errors``."""
        heads = [f"{field}: " if field else "" for _, field in self.reasons]
        return self._joined(joined(self._of_reason(heads), self.notes), "; ")

    def json(self) -> pa.BinaryArray:
        """What stands between the brackets of each record's ``errors``."""
        heads = [
            json.dumps({"field": field, "code": code, "note": ""}, ensure_ascii=False).removesuffix('"}')
            for code, field in self.reasons
        ]
        tails = ['"}'] * len(heads)
        return self._joined(joined(self._of_reason(heads), json_texts(self.notes), self._of_reason(tails)), ", ")

    def _of_reason(self, texts: Sequence[str]) -> pa.BinaryArray:
        return arrays.binaries([text.encode() for text in texts]).take(arrays.from_values(self.of_reason, pa.int64()))

    def _joined(self, each: pa.BinaryArray, separator: str) -> pa.BinaryArray:
        edges = arrays.from_values(self.edges, pa.int32())
        return pc.binary_join(pa.ListArray.from_arrays(edges, each), *arrays.binaries([separator.encode()]))

    def gaps(self, chunk: int, numbers: Offsets, lines: Offsets) -> Gaps:
        """For each record its own number and line, and then what its notes refer to."""
        own = np.arange(len(numbers))
        order = np.argsort(np.concatenate((own, own, self.places)), kind="stable")
        chunks = np.concatenate((np.full(2 * len(own), chunk, np.int32), self.firsts.chunks))
        whole = np.concatenate((numbers, lines, self.firsts.records))
        is_line = (order >= len(own)) & (order < 2 * len(own))
        return Gaps(chunks[order], whole[order], is_line)
