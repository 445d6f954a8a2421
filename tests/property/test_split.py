"""Records are found alike by the plain automaton, by the vectorised one and in parallel, for any bytes and any cut."""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.records import automaton, find, lines, speculate, split
from chalicelib.engine.records.automaton import TERMINATOR, Grammar, Shape, count_line_breaks, line_starts
from chalicelib.engine.records.split import Block, blocks
from tests import reference

HOSTILE = b'a,,"""\n\n\r\xc3\xa9\x00;#\\\\  '
texts = st.lists(st.sampled_from([bytes((byte,)) for byte in HOSTILE] + [b'"\n"', b'","', b"\r\n", b'""']), max_size=60)
data = texts.map(b"".join)
long_data = st.builds(bytes.__mul__, data, st.integers(1, 8))
dialects = st.builds(
    Dialect,
    double_quote=st.booleans(),
    quote_char=st.sampled_from(['"', '"', '"', None]),
    escape_char=st.sampled_from([None, None, "\\"]),
    comment_char=st.sampled_from([None, None, "#"]),
    skip_initial_space=st.sampled_from([False, False, True]),
)
grammars = st.builds(Grammar.of, dialects, st.sampled_from([0, 1, 3, 8, 20, 1000]))


@pytest.fixture(
    scope="module",
    params=[(1, 0, 32), (16, 0, 32), (find.PIECE_BYTES, 0, 32), (find.PIECE_BYTES, 0, 1), (find.PIECE_BYTES, 99, 32)],
    ids=["in bytes", "in pieces", "at once", "few quotes side by side", "no lines side by side"],
    autouse=True,
)
def pieces(request: pytest.FixtureRequest) -> Iterator[None]:
    """Records are looked for in so many bytes at a time, what interrupts them in a line of its own or in all lines."""
    piece_bytes, most_alone, quotes_per_line = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(find, "PIECE_BYTES", piece_bytes)
        patch.setattr(find, "_ALONE_SHARE", most_alone)
        patch.setattr(lines, "_QUOTES_PER_LINE", quotes_per_line)
        yield


Found = list[tuple[int, Shape]]


@pytest.fixture(autouse=True, scope="module")
def nothing_ahead() -> Iterator[None]:
    """Of a tape no more than it takes is asked for: else these texts are always whole at hand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "LOOKAHEAD_BYTES", 1)
        patch.setattr(speculate, "LOOKAHEAD_BYTES", 1)
        yield


@dataclass
class Tape:
    """A part of the whole that grows a few bytes at a time, and of which no more is at hand than was asked for."""

    whole: bytes
    start: int
    size: int
    step: int
    base: int = field(init=False)
    data: bytes = b""

    def __post_init__(self) -> None:
        self.base = self.start

    @property
    def at_end(self) -> bool:
        return self.base + len(self.data) >= len(self.whole)

    def reach(self, start: int, end: int) -> bool:
        at_hand = self.base + len(self.data)
        reached = max(at_hand, min(end, self.start + self.size, len(self.whole)))
        if reached > at_hand:
            self.base = min(start, at_hand)
            self.data = self.whole[self.base : reached]
        return reached > at_hand

    def extend(self) -> None:
        assert self.start + self.size < len(self.whole)
        self.size += self.step

    def again(self) -> Tape:
        return Tape(self.whole, self.start, self.size, self.step)


def rows_of(block: Block) -> int:
    """Records that are no blank lines and no comments."""
    first_bytes = [block.data[start] for start in block.starts[:-1].tolist()]
    return sum(byte not in b"\r\n" for byte in first_bytes) - int(np.count_nonzero(block.shapes == Shape.COMMENT))


def run(
    tape: Tape,
    first: int,
    stop: int,
    grammar: Grammar,
    block_bytes: int,
    most_rows: int = sys.maxsize,
    each: Callable[[Block], None] = lambda block: None,
) -> tuple[Found, int]:
    """Records, and where the next one begins, in the object's offsets."""
    found: Found = []
    after = first
    for block in blocks(tape, first, stop, grammar, block_bytes, most_rows):
        shapes = [Shape(shape) for shape in block.shapes.tolist()]
        found += [(int(start) + block.base, shape) for start, shape in zip(block.starts[:-1], shapes, strict=True)]
        each(block)
        assert block.breaks.tolist() == line_starts(block.data, int(block.starts[0]), int(block.starts[-1]))
        assert block.lines_before(np.array([block.count]))[0] == len(block.breaks)
        assert rows_of(block) <= most_rows or len(block.fresh) == 2
        after = block.end
    return found, after


@given(
    long_data,
    grammars,
    st.integers(1, 40) | st.integers(60, 400),
    st.just(sys.maxsize) | st.integers(1, 5),
    st.integers(0, 60),
    st.integers(1, 9),
)
@example(b'"aa\\\r\nb"\n', Grammar.of(Dialect(escape_char="\\"), 1), 100, sys.maxsize, 60, 9)
@example(b'"aa\r', Grammar.of(Dialect(), 1), 100, sys.maxsize, 60, 9)
@example(b'"a"b,1\n"cc\ndd\n"a"b,2\n"cc\ndd\n"a"b,3\n1\n', Grammar.of(Dialect(), 3), 100, sys.maxsize, 60, 9)
@example(b'"a"b,1\n"cc\ndd\n"a"b,2\n"cc\ndd\n"a"b,3\n1\n', Grammar.of(Dialect(), 3), 100, 2, 60, 9)
def test_vectorised_equals_plain(
    whole: bytes, grammar: Grammar, block_bytes: int, most_rows: int, at_hand: int, step: int
) -> None:
    found, after = run(Tape(whole, 0, at_hand, step), 0, len(whole), grammar, block_bytes, most_rows)
    assert found == reference.records(whole, 0, grammar)
    assert after == len(whole)


@given(data, grammars, st.integers(1, 40), st.integers(1, 30), st.integers(1, 7))
@example(b'"a"a,a",\r"a,"\n,,",\n"a\n\n,a\r""\n,,a\n', Grammar.of(Dialect(), 1), 10, 10, 1)
@example(b'1,"\n2,fake,row\n",x\n3,y\n', Grammar.of(Dialect(), 1000), 100, 5, 1)
@example(b'1,5" pipe\n2,6" pipe\n3,"x\n"\n', Grammar.of(Dialect(), 1000), 100, 4, 1)
@example(b'"a","b"\n"c","d"\n"e","f"\n', Grammar.of(Dialect(), 1000), 100, 4, 1)
@example(b'"a\n","b\n"\n"c\n","d\n"\n', Grammar.of(Dialect(), 2), 100, 3, 1)
def test_chained_ranges_equal_one(whole: bytes, grammar: Grammar, block_bytes: int, size: int, step: int) -> None:
    """Each range guesses alone; the continuations, chained, give every range's true first record; wrong guesses are
    done once more, and all together give what one read of the whole gives.
    """
    found: Found = []
    first = 0
    for start in range(0, len(whole), size):
        end = min(start + size, len(whole))
        if start == 0:
            mine, first = run(Tape(whole, 0, end, step), 0, end, grammar, block_bytes)
            found += mine
            continue
        tape = Tape(whole, start - 1, end - start + 1, step)
        guess = speculate.guess(tape, start, end, grammar)
        following = speculate.Following(tape, guess, end, grammar)
        guessed: Found = []
        after = 0
        if guess.first_record is not None:
            guessed, after = run(tape, guess.first_record, end, grammar, block_bytes, each=following.add)
        told = following.continuations(after)
        if first >= end:
            continue
        again = Tape(whole, first, end - first, step)
        true, true_after = run(again, first, end, grammar, block_bytes)
        if guess.first_record == first:
            assert guessed == true
        known = speculate.next_record(told, first)
        assert known is None or known == true_after
        found += true
        first = true_after
    assert found == reference.records(whole, 0, grammar)
    assert first == len(whole)


def told(whole: bytes, start: int, end: int, grammar: Grammar) -> tuple[int | None, speculate.Continuations]:
    """The guess of a range's first record, and what its worker tells of every state."""
    tape = Tape(whole, start - 1, end - start + 1, 1)
    guess = speculate.guess(tape, start, end, grammar)
    following = speculate.Following(tape, guess, end, grammar)
    after = 0
    if guess.first_record is not None:
        _, after = run(tape, guess.first_record, end, grammar, 100, each=following.add)
    return guess.first_record, following.continuations(after)


closed = st.lists(
    st.lists(
        st.sampled_from(
            [
                b"a",
                b"",
                b'"a"',
                b'"a\nb"',
                b'"a\r\nb"',
                b'"a""b"',
                b'"a"b',
                b' "a\nb"',
                b"\\,",
                b'"a\\"\nb"',
                b'"\\""',
                b"#",
            ]
        ),
        min_size=1,
        max_size=3,
    ).map(b",".join),
    min_size=1,
    max_size=8,
)


@given(closed, st.sampled_from([b"\n", b"\r\n", b"\r"]), dialects, st.integers(1, 40), st.integers(1, 9))
@example([b' "a\nb"', b"c"], b"\n", Dialect(skip_initial_space=True), 40, 1)
@example([b'"a\\"\nb"', b'\\\\,"x\ny"', b'\\,"b', b'"a\\\\""b\nc"', b"d"], b"\n", Dialect(escape_char="\\"), 40, 1)
@example([b'"a\nb",c', b"d"], b"\r\n", Dialect(), 40, 1)
@example([b"a,#", b'#b,"c', b"d"], b"\n", Dialect(comment_char="#"), 40, 1)
def test_a_wrong_guess_still_tells_where_the_next_range_begins(
    rows: list[bytes], line_break: bytes, dialect: Dialect, size: int, step: int
) -> None:
    """No range has to be read again to know that, as long as no quote is unclosed."""
    whole, grammar = line_break.join(rows) + line_break, Grammar.of(dialect, 1000)
    records = reference.records(whole, 0, grammar)
    assume(all(shape is not Shape.UNCLOSED_QUOTE for _, shape in records))
    starts = [*(start for start, _ in records), len(whole)]
    for start in range(step, len(whole), step):
        end = min(start + size, len(whole))
        first, after = (starts[bisect_left(starts, edge)] for edge in (start, end))
        if first < end:
            _, continuations = told(whole, start, end, grammar)
            assert speculate.next_record(continuations, first) == after


@given(st.lists(st.sampled_from([b"a", b'"a\nb"', b'"a,b"', b'"a""b"', b'"a"']), min_size=1, max_size=30), st.data())
def test_where_quotes_are_telling_the_guess_is_right(cells: list[bytes], data: Any) -> None:
    """Else every chunk of such a file would be done twice."""
    whole = b"".join(cell + b",x\n" for cell in cells) + b'"a"\n'
    start = data.draw(st.integers(1, len(whole) - len(b'"a"\n')))
    starts = [at for at, _ in reference.records(whole, 0, Grammar.of(Dialect(), 1000))]
    first, _ = told(whole, start, len(whole), Grammar.of(Dialect(), 1000))
    assert first == starts[bisect_left(starts, start)]


@given(st.integers(1, 400), st.integers(2, 12), st.integers(50, 100), st.data())
def test_blocks_are_few_and_none_is_a_rest(records: int, length: int, fit: int, data: Any) -> None:
    whole = (b"x" * (length - 1) + b"\n") * (records + 1)
    stop = (records - 1) * length + data.draw(st.integers(1, length))  # within the last record, as a chunk mostly ends
    block_bytes = fit * length
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "LOOKAHEAD_BYTES", length)
        found = list(blocks(Tape(whole, 0, len(whole), 1), 0, stop, Grammar.of(Dialect(), 1000), block_bytes))
    sizes = [int(block.starts[-1] - block.starts[0]) for block in found]
    assert sum(sizes) == records * length
    most = block_bytes * 9 // 8
    assert len(sizes) == -(-stop // most)
    assert max(sizes) <= most * 5 // 4 + length
    assert max(sizes) - min(sizes) <= len(sizes) * length


@given(data)
def test_lines_are_counted_and_found(whole: bytes) -> None:
    starts = line_starts(whole, 0, len(whole))
    assert len(starts) == count_line_breaks(whole, 0, len(whole))
    for offset in range(len(whole)):
        before = whole[:offset]
        half = before.endswith(b"\r") and whole[offset : offset + 1] == b"\n"
        assert bisect_right(starts, offset) == count_line_breaks(before, 0, offset) - half


@given(st.lists(st.lists(st.text("ab,\"\n\r'é", max_size=6), min_size=2, max_size=3), max_size=8), st.integers(1, 50))
def test_written_by_a_csv_writer_is_read_whole(rows: list[list[str]], block_bytes: int) -> None:
    quoted = "".join(
        ",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\r\n" for row in rows
    ).encode()  # fmt: skip
    found, _ = run(Tape(quoted, 0, len(quoted), 1), 0, len(quoted), Grammar.of(Dialect(), 1000), block_bytes)
    assert len(found) == len(rows)
    assert {shape for _, shape in found} <= {Shape.REGULAR}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b'"a",b' * 400, id="cells before the limit"),
        pytest.param(b'"' + b'""' * 1000 + b'",b', id="doubled quotes"),
        pytest.param(b'"' + b"x" * 9000 + b'",' + b'"a",' * 400, id="cells beyond the limit"),
    ],
)
def test_a_long_line_is_not_read_anew_for_every_quote_in_it(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting:
        read = 0

        def search(self, data: bytes, start: int, end: int | None = None) -> Any:
            found = TERMINATOR.search(data, start, len(data) if end is None else end)
            stop = found.end() if found else min(len(data), len(data) if end is None else end)
            Counting.read += max(stop - start, 0)
            return found

    monkeypatch.setattr(automaton, "TERMINATOR", Counting())
    monkeypatch.setattr(automaton, "_FIRST_STEP_BYTES", 16)
    data = b"x," + text + b"y" * 20_000
    assert automaton.scan_record(data, 0, Grammar.of(Dialect(), 5000), True) == (len(data), Shape.REGULAR)
    assert Counting.read <= 3 * len(data)
