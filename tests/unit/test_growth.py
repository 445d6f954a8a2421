"""Twice as much of what is bad takes about twice as long, not four times: one bad line must not hang a worker."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chalicelib import steps
from chalicelib.engine import plan, worker
from chalicelib.engine.checks import findings
from chalicelib.engine.checks.findings import EXAMPLES, GAP, Base, Example, Reasons
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.records import arrowcsv, find, split, unquoted
from chalicelib.engine.records.chunk import Origin
from chalicelib.engine.records.lenient import Layout
from chalicelib.engine.records.parse import Parsed, parse
from chalicelib.engine.records.split import Block
from chalicelib.engine.rejects.render import Renderer
from tests import pipeline
from tests.costs import assert_ratio_below
from tests.pipeline import contract

MOST_GROWTH = 3
PLAIN: list[dict[str, Any]] = [{"name": "a", "type": "string"}, {"name": "b", "type": "string"}]


def too_many_cells(size: int) -> bytes:
    return b"a,b\n" + b"," * size + b"\n"


def undecodable(size: int) -> bytes:
    return b"a,b\n" + b"\x81,2\n" * size


def comments(size: int) -> bytes:
    return b"a,b\n1,2\n" + b"#\n" * size


def comments_and_an_escape(size: int) -> bytes:
    return b"a,b\n1,\\2\n" + b"#\n" * size


@pytest.mark.parametrize(
    ("body", "size", "described"),
    [
        (too_many_cells, 8_000, {}),
        (undecodable, 4_000, {"encoding": "windows-1252"}),
        (comments, 40_000, {"dialect": {"delimiter": ",", "header": True, "commentChar": "#"}}),
        (
            comments_and_an_escape,
            100_000,
            {"dialect": {"delimiter": ",", "header": True, "commentChar": "#", "escapeChar": "\\"}},
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_time_grows_with_what_is_bad(body: Callable[[int], bytes], size: int, described: dict[str, Any]) -> None:
    whole = contract(*PLAIN, **described)
    assert_ratio_below(MOST_GROWTH, body(2 * size), body(size), whole)


CLEAN = b"5 inches,to and fro\n"


@pytest.mark.parametrize(
    "row",
    [
        b'5" disk,to and fro\n',
        b'"5" disk",to and fro\n',
        b'"5 inches,to and fro\n',
        b'"5" disk\nand,"more",to and fro\n',
        b'"5\ninches","to" and fro\n',
        b"#5 inches,to and fro\n",
    ],
    ids=["quotes in cells", "text after quotes", "unclosed quotes", "cells too many", "line breaks, too", "comments"],
)
def test_no_quote_makes_a_row_many_times_as_dear(row: bytes) -> None:
    """These rows are all alike, which the clean ones gain from most: rejecting them takes 5 to 16 times as long. One by
    one they took 45 to 130 times as long.
    """
    described = contract(*PLAIN, dialect={"delimiter": ",", "header": True, "commentChar": "#"})
    assert_ratio_below(25, b"a,b\n" + row * 40_000, b"a,b\n" + CLEAN * 40_000, described)


def test_stray_quotes_make_no_long_line_of_quotes_dear() -> None:
    """A few such lines are not gone through quote by quote side by side, as the short ones before them are."""
    stray, size = b'5" disk,to and fro\n' * 4_000, 50_000
    quotes, letters = (b'"%b",x\n' % (text * size) * 9 for text in (b'""', b"aa"))
    assert_ratio_below(15, b"a,b\n" + stray + quotes, b"a,b\n" + stray + letters, contract(*PLAIN))


def test_of_a_record_with_many_notes_few_are_kept() -> None:
    reasons = Reasons()
    for number in range(2000):
        reasons.add("extra-cell", "", 1, [Example(7, 8, f"{number:04}")])
    ((_, _, count, examples),) = reasons.to_json()
    assert count == 2000
    assert [note for _, _, note, _ in examples] == [f"{number:04}" for number in range(EXAMPLES)]


def test_a_note_with_a_gap_is_in_its_place_once_it_is_filled() -> None:
    assert EXAMPLES == 5
    reasons = Reasons()
    told = [Example(2, 2, note) for note in ("9 a", "9 b", "9 c", "9 d", "9 e", "9 f")]
    gaping = [Example(2, 2, f"{GAP} is first", (0, number)) for number in (1, 90)]
    for each in (*told, *gaping):
        reasons.add("unique-error", "a", 1, [each])
    merged = findings.Reasons()
    merged.merge(reasons.to_json(), 0, {0: Base(0, 0)})
    ((found,),) = ([each["examples"] for each in merged.ranked()],)
    assert [each["note"] for each in found] == ["1 is first", "9 a", "9 b", "9 c", "9 d"]


def test_no_block_is_held_while_the_next_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    gone: list[weakref.ref[Any]] = []
    found, parsed = find.find, worker._parsed

    def find_one(*given: Any) -> Any:
        assert [held() for held in gone] == [None] * len(gone)
        return found(*given)

    def parse_one(block: split.Block, *given: Any) -> Any:
        owner = block.starts if block.starts.base is None else block.starts.base  # a view of it would hold it too
        gone.append(weakref.ref(owner))
        return parsed(block, *given)

    monkeypatch.setattr(split, "find", find_one)
    monkeypatch.setattr(worker, "_parsed", parse_one)
    monkeypatch.setattr(steps, "BLOCK_SIZE_BYTES", 100)
    assert pipeline.run(b"a,b\n" + b"1,2\n" * 200, contract(*PLAIN)).job.rows.valid == 200
    assert len(gone) >= 8


@pytest.mark.parametrize("body", [b"1\n", b'"\n"\n', b'"\n\n', b"\n#\n1\n"], ids=repr)
@pytest.mark.parametrize("columns", [1, 20])
def test_no_block_has_more_rows_than_its_columns_let_it(
    body: bytes, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of short ones, for a row takes memory for each column, also for those that it lacks."""
    most = 50
    blocks = _blocks_of(body * 1000, columns, most, monkeypatch)
    rows = [block.count - parsed.blank for block, parsed in blocks]
    assert max(rows) <= most
    assert len(rows) < 3 * (sum(rows) // most + 1)


@pytest.mark.parametrize("body", [b"\n", b"#\n", b"\r\n"], ids=repr)
def test_lines_that_are_no_rows_make_few_blocks_but_none_too_large(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block takes its time for each column; but a line takes memory, too, be it blank."""
    monkeypatch.setattr(find, "MOST_LINES", 400)
    blocks = _blocks_of(body * 2000, 20, 50, monkeypatch)
    lines = [len(block.breaks) for block, _ in blocks]
    assert max(lines) <= 400
    assert len(lines) <= 6


def _blocks_of(
    body: bytes, columns: int, most_rows: int, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[Block, Parsed]]:
    blocks, parsed = list[tuple[Block, Parsed]](), worker._parsed

    def parse_one(block: Block, *given: Any) -> Any:
        found = parsed(block, *given)
        blocks.append((block, found))
        return found

    monkeypatch.setattr(worker, "_parsed", parse_one)
    monkeypatch.setattr(plan, "_BLOCK_CELLS", most_rows * (columns + plan._CELLS_BESIDES))
    names = [f"c{number}" for number in range(columns)]
    described = contract(*({"name": name, "type": "string"} for name in names), dialect={"commentChar": "#"})
    pipeline.run(",".join(names).encode() + b"\n" + body, described)
    return blocks


@pytest.mark.parametrize("most", [10, 100, 1000])
def test_long_lines_among_short_ones_are_not_looked_through_again_and_again(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block of few long lines does not make the next be looked for as far where it has many short ones."""
    looked, found = list[int](), find._find_at_once

    def find_one(data: bytes, base: int, end: int, *given: Any) -> Any:
        looked.append(end - base)
        return found(data, base, end, *given)

    monkeypatch.setattr(find, "_find_at_once", find_one)
    monkeypatch.setattr(plan, "_BLOCK_CELLS", most * (2 + plan._CELLS_BESIDES))
    stretch = b"".join((b"x" * (50 * most) + b",\n") * 2 + b"1,\n" * (2 * most) for _ in range(max(4000 // most, 8)))
    assert pipeline.run(b"a,b\n" + stretch, contract(*PLAIN)).job.rows.read > 0
    assert sum(looked) < 6 * len(stretch)


def test_blocks_of_few_lines_are_looked_for_in_few_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under many columns a block has a few thousand lines, of which a piece may have millions."""
    looked, found = list[int](), find._find_at_once

    def find_one(data: bytes, base: int, end: int, *given: Any) -> Any:
        looked.append(end - base)
        return found(data, base, end, *given)

    monkeypatch.setattr(find, "_find_at_once", find_one)
    monkeypatch.setattr(plan, "_BLOCK_CELLS", 100 * (2 + plan._CELLS_BESIDES))
    body = b"a,b\n" + b"1,2\n" * 20_000
    assert pipeline.run(body, contract(*PLAIN)).job.rows.valid == 20_000
    assert len(looked) >= 200
    assert sum(looked) < 5 * len(body)


def test_of_many_columns_that_are_wrong_slices_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each check takes each slice its time, however few of the slice's findings are its own."""
    slices = list[int]()
    rendered = Renderer._render

    def render_one(renderer: Renderer) -> None:
        slices.append(renderer._held_bytes)
        rendered(renderer)

    monkeypatch.setattr(Renderer, "_render", render_one)
    columns = 1000
    names = [f"c{number}" for number in range(columns)]
    row = ",".join(["x"] * columns).encode() + b"\n"
    described = contract(*({"name": name, "type": "integer"} for name in names))
    pipeline.run(",".join(names).encode() + b"\n" + row * 300, described)
    assert len(slices) >= 2
    assert min(slices[:-1]) >= 4096 * columns


def test_many_quoted_columns_take_as_long_in_pieces_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    columns, records = 4_000, 600
    record = b",".join([b'"1"'] * columns) + b"\n"
    starts = np.arange(records + 1) * len(record)
    block = Block(0, record * records, starts, np.zeros(len(starts) - 1, np.uint8), starts, starts[1:])
    layout = Layout(tuple(map(str, range(columns))), Dialect(), "utf-8", len(record))

    def seconds() -> float:
        before = time.process_time()
        parse(block, Origin(0, None), layout)
        return time.process_time() - before

    in_pieces = min(seconds() for _ in range(3))
    monkeypatch.setattr(arrowcsv, "PIECE_BYTES", len(block.data) + 1)
    assert in_pieces < 2 * max(seconds() for _ in range(3))


@pytest.mark.parametrize("rows_per_text", [1, 8])
def test_time_does_not_grow_with_the_texts_that_a_codebook_does_not_know(
    rows_per_text: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column that looks at first as if it had few of them."""
    monkeypatch.setattr(unquoted, "_PIECE_RECORDS", 512)

    def body(rows: int) -> bytes:
        return b"a,b\n" + b"1,2\n" * 1024 + b"".join(b"%d,2\n" % (row // rows_per_text) for row in range(rows))

    assert_ratio_below(MOST_GROWTH, body(80_000), body(40_000), contract(*PLAIN))
