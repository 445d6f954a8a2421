"""Well-formed records to columns of text, by Arrow's CSV reader."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from chalicelib.engine import coding
from chalicelib.engine.arrays import ArrowArray
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.records import spoilt
from chalicelib.engine.records.automaton import CR
from chalicelib.engine.records.lenient import Layout
from chalicelib.engine.records.split import Block, Offsets

Miscounted = dict[int, Offsets]
"""Number of cells → the rows (from 0, blank ones not counted) that have so many, and not as many as expected."""


PIECE_BYTES: Final = 1 << 20
"""What Arrow's reader copies of so many bytes, twice for each cell, stays in the processor's cache: of long texts a
fifth of its time."""
PIECE_BYTES_PER_COLUMN: Final = 8 << 10
"""But each piece takes it up to 10 µs a column: from 128 columns on pieces grow with their number."""


def piece_size(block: Block, layout: Layout) -> int | None:
    """How many bytes of a block to read at a time, no less than any record has. None: all at once.

    So it must be where there is a CR, for at an edge the reader loses the LF of a quoted CR LF (GH-51368); or the
    mark of a spoilt byte, a NUL, behind which it may miss a quote there (GH-50481); and so it is with escapes.
    """
    edges = int(block.starts[0]), int(block.starts[-1])
    if layout.dialect.escape_char or any(block.data.find(byte, *edges) >= 0 for byte in (CR, spoilt.MARK)):
        return None
    longest = int(np.diff(block.starts).max(initial=0))
    return max(PIECE_BYTES, PIECE_BYTES_PER_COLUMN * layout.width, longest)


def read_texts(
    buffer: pa.Buffer,
    dialect: Dialect,
    width: int,
    coded: Collection[int] = frozenset(),
    wanted: int | None = None,
    piece_bytes: int | None = None,
) -> tuple[list[ArrowArray], Miscounted]:
    """The columns of the records with ``width`` cells, of which the first ``wanted`` are; and which rows are left out.

    ``coded``: the columns to read as codes. ``piece_bytes``: see ``piece_size``; None reads all at once.
    """
    names = [str(position) for position in range(width)]
    miscounted: dict[int, list[int]] = {}

    def skip(row: pacsv.InvalidRow) -> str:
        miscounted.setdefault(row.actual_columns, []).append(row.number - 1)
        return "skip"

    if _is_blank(buffer):
        return [pa.nulls(0, pa.string()) for _ in names[:wanted]], {}
    table = pacsv.read_csv(
        buffer,
        read_options=pacsv.ReadOptions(
            use_threads=False, block_size=piece_bytes or buffer.size + 1, column_names=names
        ),
        parse_options=pacsv.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char=dialect.quote_char or False,
            double_quote=dialect.double_quote,
            escape_char=dialect.escape_char or False,
            newlines_in_values=dialect.quote_char is not None,
            ignore_empty_lines=True,
            invalid_row_handler=skip,
        ),
        convert_options=pacsv.ConvertOptions(
            include_columns=names[:wanted],
            column_types={
                name: coding.CODED_TEXT if place in coded else pa.string() for place, name in enumerate(names)
            },
            strings_can_be_null=False,
            check_utf8=False,
        ),
    )
    # A copy, of what there is: the reader's own buffers have room for more, which 200 columns would hold twice over.
    columns = trimmed([column.combine_chunks() for column in table.columns], dialect)
    return columns, {cells: np.array(rows, np.int64) for cells, rows in miscounted.items()}


def trimmed(columns: list[ArrowArray], dialect: Dialect) -> list[ArrowArray]:
    """The columns without the spaces that the dialect skips."""
    if not dialect.skip_initial_space:
        return columns
    return [coding.mapped(column, lambda texts: pc.ascii_ltrim(texts, characters=" ")) for column in columns]


def _is_blank(buffer: pa.Buffer) -> bool:
    text = memoryview(buffer)
    return not bytes(text[:64]).strip(b"\r\n") and not bytes(text).strip(b"\r\n")
