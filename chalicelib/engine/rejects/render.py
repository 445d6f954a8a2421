"""Rejected records, some thousands at a time, as what their lines in both outputs are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa

from chalicelib.engine import arrays
from chalicelib.engine.arrays import ArrowArray, Mask
from chalicelib.engine.checks.findings import Findings, Reasons
from chalicelib.engine.checks.formulas import is_rejects
from chalicelib.engine.contract.binding import returning_labels
from chalicelib.engine.contract.schema import RESERVED_LABELS, reserved
from chalicelib.engine.plan import Plan
from chalicelib.engine.records.arrowcsv import read_texts
from chalicelib.engine.records.split import Offsets
from chalicelib.engine.rejects import exact, single
from chalicelib.engine.rejects.alike import alike
from chalicelib.engine.rejects.drafts import Draft, firsts_of
from chalicelib.engine.rejects.escape import constants, csv_cells, joined, json_texts
from chalicelib.engine.rejects.rejected import Rejected, slices
from chalicelib.engine.rejects.told import Told

SLICE_BYTES: Final = 1 << 19
"""Text and notes rendered at a time: enough that the steps' fixed cost is small, and so few that the lines made of them
are still in the processor's cache when they are hashed and written. With eight times as many, a file of which every
second row is bad takes a tenth more time, and 60 MB more memory."""
SLICE_BYTES_PER_CHECK: Final = 4 << 10
"""But each check that finds something takes a slice 20 µs: from 128 checks on slices grow with their number."""

MANY: Final = 64
"""So many records with the same number of cells are written a column at a time: a column takes 50 µs at the least, a
cell by itself 0.8 µs."""


def csv_header(plan: Plan) -> bytes:
    """The first line of ``rejects.csv``, as wide as the file's: a padded row comes back with its padding."""
    return single.csv_line([*RESERVED_LABELS, *returning_labels(plan.labels), *[""] * plan.padding]) + b"\r\n"


class Renderer:
    """Drafts a chunk's parts of ``rejects.csv`` and ``rejects.jsonl``, and counts the reasons."""

    def __init__(self, plan: Plan) -> None:
        self._layout, self._original = plan.layout, plan.text.original
        self._is_rejects = is_rejects(plan.labels)
        self._added = reserved(plan.labels)
        self._draft = Draft()
        self._held: list[tuple[Rejected, Findings]] = []
        """Not rendered yet: a few records of each block take as long as many of one."""
        self._held_bytes = 0
        self.reasons = Reasons()

    def add(self, rejected: Rejected, findings: Findings) -> None:
        """The next block's records."""
        slice_bytes = max(SLICE_BYTES, SLICE_BYTES_PER_CHECK * len(findings.checks))
        for part, size_bytes in slices(rejected, findings, slice_bytes):
            self._held.append((part, findings))
            self._held_bytes += size_bytes
            if self._held_bytes >= slice_bytes:
                self._render()

    def finish(self) -> bytes:
        """The draft, empty where nothing was rejected."""
        if self._held:
            self._render()
        return self._draft.finish()

    def _render(self) -> None:
        told = Told.of([(part.rows, findings) for part, findings in self._held])
        records = Rejected.concat([part for part, _ in self._held])
        self._held, self._held_bytes = [], 0
        firsts = firsts_of(told.firsts.chunks, told.firsts.records, told.first_edges)
        numbers = (records.numbers, records.lines, records.byte_offsets)
        self._draft.add(numbers, [told.csv(), told.json(), firsts, *self._texts(records)])

    def _texts(self, records: Rejected) -> tuple[ArrowArray, ArrowArray, ArrowArray]:
        """The columns ``text``, ``tail_csv`` and ``tail_json``."""
        is_alike = self._alike(records)
        if is_alike.all():
            nothing = pa.nulls(len(records), pa.binary())
            return records.texts, nothing, nothing
        others = records.filter(~is_alike)
        tails = (self._csv_tails(others), self._json_tails(others))
        if others is records:
            return pa.nulls(len(records), pa.binary()), *tails
        return _only(records.texts, is_alike), *(_spread(each, ~is_alike) for each in tails)

    def _alike(self, records: Rejected) -> Mask:
        """Which records stand in both outputs as in the file."""
        return self._stand_as_they_are(records, (records.cells > 0) & records.is_text)

    def _stand_as_they_are(self, records: Rejected, asked_for: Mask) -> Mask:
        """Which of those that are asked for are ``alike``."""
        dialect = self._layout.dialect
        rewritten = self._is_rejects or self._original.variants
        if dialect.delimiter != "," or dialect.skip_initial_space or rewritten:
            return np.zeros(len(records), np.bool_)
        if asked_for.all():
            return alike(records.texts, dialect)
        found = asked_for.copy()
        found[asked_for] = alike(records.filter(asked_for).texts, dialect)
        return found

    def _csv_tails(self, records: Rejected) -> pa.BinaryArray:
        dialect = self._layout.dialect
        records = _readable(records)
        as_shown = self._stand_as_they_are(records, (records.cells > 0) & ~records.is_text)
        by_itself = self._holding_escapes(records) | self._is_rejects
        numbers, place, sizes = np.unique(
            np.where(by_itself | as_shown, 0, records.cells), return_inverse=True, return_counts=True
        )
        together = (numbers > 0) & (sizes >= MANY)
        tails = [(np.flatnonzero(as_shown), joined(_COMMA, records.filter(as_shown).texts))]
        for group in np.flatnonzero(together).tolist():
            of_these = place == group
            lines = joined(records.filter(of_these).texts, _LF)
            columns, _ = read_texts(pa.py_buffer(arrays.text_bytes(lines)), dialect, int(numbers[group]))
            written = (csv_cells(arrays.retyped(column, pa.binary())) for column in columns)
            tails.append((np.flatnonzero(of_these), joined(_NOTHING, *written, by=_COMMA)))
        alone = ~(together[place] | as_shown)
        late = [single.csv_tail(text, dialect, self._added, self._is_rejects) for text in records.each(alone)]
        return _merged([*tails, (np.flatnonzero(alone), arrays.binaries(late))])

    def _json_tails(self, records: Rejected) -> pa.BinaryArray:
        # Of a record without cells it is not known whether its bytes are characters.
        alone = (records.cells == 0) | bool(self._original.variants)
        usual, spoilt = ~alone & records.is_text, ~alone & ~records.is_text
        late = [single.json_tail(text, self._original) for text in records.each(alone)]
        shown = joined(_RAW, json_texts(records.filter(usual).texts))
        coded = joined(_RAW_BASE64, exact.base64(exact.originals(records.filter(spoilt).texts, self._original)))
        each = [(usual, shown), (spoilt, coded), (alone, arrays.binaries(late))]
        return _merged([(np.flatnonzero(chosen), tails) for chosen, tails in each])

    def _holding_escapes(self, records: Rejected) -> Mask:
        escape = self._layout.dialect.escape_char
        if escape is None:
            return np.zeros(len(records), np.bool_)
        return arrays.holding(records.texts, escape.encode())


_NOTHING, _COMMA, _LF, _RAW, _RAW_BASE64 = constants("", ",", "\n", '], "raw": "', '], "raw_base64": "')


def _readable(records: Rejected) -> Rejected:
    """The records as people see them."""
    is_text = records.is_text
    if is_text.all():
        return records
    shown = exact.readable(records.filter(~is_text).texts)
    texts = [(np.flatnonzero(is_text), records.filter(is_text).texts), (np.flatnonzero(~is_text), shown)]
    return replace(records, texts=_merged(texts))


def _only(texts: pa.BinaryArray, chosen: Mask) -> pa.BinaryArray:
    """The chosen texts, and nulls for the others."""
    return texts.take(arrays.from_values(np.arange(len(texts)), pa.int64(), chosen))


def _spread(texts: pa.BinaryArray, chosen: Mask) -> pa.BinaryArray:
    """The texts at the chosen places, and nulls between them."""
    return texts.take(arrays.from_values(np.cumsum(chosen) - 1, pa.int64(), chosen))


def _merged(parts: Sequence[tuple[Offsets, pa.BinaryArray]]) -> pa.BinaryArray:
    """One array of several, each with the places of its entries in it."""
    given = [(places, texts) for places, texts in parts if len(places)]
    if len(given) == 1:
        return given[0][1]
    return pa.concat_arrays([texts for _, texts in given]).take(arrays.in_order([places for places, _ in given]))
