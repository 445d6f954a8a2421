"""What is told of rows that are not as records should be: each kind of fault is a check of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib import errors
from chalicelib.engine import arrays
from chalicelib.engine.checks.findings import Found, digits, notes_on, same_note
from chalicelib.engine.records.automaton import Shape
from chalicelib.engine.records.lenient import Layout
from chalicelib.engine.records.ragged import Ragged
from chalicelib.engine.records.spoilt import Spoilt
from chalicelib.engine.records.structure import Structure

_CODES: Final = {
    Shape.TEXT_AFTER_QUOTE: "text-after-quote",
    Shape.UNCLOSED_QUOTE: "unclosed-quote",
    Shape.DANGLING_ESCAPE: "dangling-escape",
}


def faults(structure: Structure) -> Iterator[Found]:
    """The findings, kind by kind, in the order in which a row's are told; some without any."""
    if not len(structure.faulty):
        return
    layout = structure.layout
    for shape, rows in structure.shapes.items():
        code = _CODES[shape]
        yield Found(code, "", rows, same_note(errors.FINDINGS[code], len(rows)))
    limit = str(layout.limit)
    sizes = notes_on("record-too-long", digits(structure.sizes), "size_bytes", limit_bytes=limit)
    yield Found("record-too-long", "", structure.long, sizes)
    bad, nuls = structure.bad, structure.nuls
    yield Found("encoding-error", "", bad.at, notes_on("encoding-error", _bytes(bad), "byte", encoding=layout.encoding))
    yield Found("nul-byte", "", nuls.at, notes_on("nul-byte", _bytes(nuls), "byte"))
    for column, rows in structure.unmended.items():
        note = same_note(errors.FINDINGS["replacement-character"], len(rows))
        yield Found("replacement-character", layout.labels[column], rows, note)
    yield from _missing(structure.ragged, layout)
    yield _extra(structure.ragged, layout.width)


def _bytes(spoilt: Spoilt) -> pa.StringArray:
    """The first byte of each row, and how many more there are."""
    more = pc.binary_join_element_wise(digits(spoilt.firsts), *_MORE[:1], digits(spoilt.counts - 1), *_MORE[1:])
    return pc.if_else(arrays.booleans(spoilt.counts > 1), more, digits(spoilt.firsts))


_MORE: Final = arrays.strings([" (and ", " more)", ""])


def _missing(ragged: Ragged, layout: Layout) -> Iterator[Found]:
    for column in range(int(ragged.cells.min(initial=layout.width)), layout.width):
        label = layout.labels[column]
        note = errors.FINDINGS["missing-cell"].format(field=label, position=column + 1)
        rows = np.sort(ragged.lacking(column))
        yield Found("missing-cell", label, rows, same_note(note, len(rows)))


def _extra(ragged: Ragged, width: int) -> Found:
    """Of each row all cells beyond the layout's, one after the other: there may be a million."""
    first = np.searchsorted(ragged.cells, width, "right")
    order = np.argsort(ragged.rows[first:])
    counts = ragged.cells[first:][order] - width
    before = np.cumsum(counts) - counts
    positions = np.arange(counts.sum()) - np.repeat(before, counts) + (width + 1)
    rows = np.repeat(ragged.rows[first:][order], counts)
    return Found("extra-cell", "", rows, notes_on("extra-cell", digits(positions), "position"))
