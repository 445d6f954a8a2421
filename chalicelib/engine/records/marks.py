"""The line breaks and quotes of a window, and which of the breaks end a record.

A place is inside a cell where an odd number of quotes is before it, as long as those are well formed. All of this is
worked out on bits, 64 bytes at a time, so that a quote at every sixth byte costs no more than one here and there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chalicelib.engine import bits
from chalicelib.engine.bits import Offsets, Words
from chalicelib.engine.records.automaton import CR, LF, SPACE, Grammar
from chalicelib.engine.records.lines import Lines, Quotes

_NONE: Offsets = np.empty(0, np.int64)


class Marks:
    """Line breaks and quotes of one window, and where counting quotes stops being enough."""

    def __init__(self, data: bytes, base: int, end: int, grammar: Grammar, at_end: bool) -> None:
        self._data, self._base, self._end = data, base, end
        self._window = np.frombuffer(data, np.uint8, end - base, base)
        self._grammar = grammar
        self._after: int | None = data[end] if end < len(data) else None
        self._at_end = at_end
        self._escaped = self._find_escaped() if self._holds(grammar.escape) else None
        self._feeds = bits.equal(self._window, LF)
        self._returns = bits.equal(self._window, CR) if self._holds(CR) else None
        line_ends = self._find_line_ends()
        self.breaks = self.physical = bits.places(line_ends) + 1
        """Offset after each line break, relative to ``base``, like all offsets here; ``physical``: and of those that
        are escaped.
        """
        if self._escaped is not None:
            self.breaks = bits.places(self._not_escaped(line_ends)) + 1
        self._quotes = self._find_quotes() if self._holds(grammar.quote) else None
        self._odd = None if self._quotes is None else bits.parities(self._quotes)
        self._odd_breaks = None if self._odd is None else bits.at(self._odd, self.breaks - 1)
        self._comments = self._find_comments() if self._holds(grammar.comment) else None
        self._interruptions: dict[bool, Offsets] = {}

    def record_ends(self, start: int) -> tuple[Offsets, bool]:
        """Ends of the well-formed records from the record start ``start`` on, and whether something else follows."""
        odd = self._odd is not None and start > 0 and bool(bits.at(self._odd, np.array([start - 1]))[0])
        if odd not in self._interruptions:  # rarely are both asked for
            self._interruptions[odd] = self._find_interruptions(odd)
        interruptions = self._interruptions[odd]
        following = int(np.searchsorted(interruptions, start))
        interrupted = following < len(interruptions)
        first = int(np.searchsorted(self.breaks, start, "right"))
        last = int(np.searchsorted(self.breaks, interruptions[following], "right")) if interrupted else None
        ends = self.breaks[first:last]
        return ends if self._odd_breaks is None else ends[self._odd_breaks[first:last] == odd], interrupted

    @property
    def size(self) -> int:
        """How many line breaks and quotes there are."""
        return len(self.breaks) + (0 if self._quotes is None else bits.count(self._quotes))

    def lines(self) -> Lines:
        """The lines, but for what the window's end cuts, each judged as the record that it may be."""
        comments = np.zeros(len(self.breaks), np.bool_)
        if self._comments is not None:
            comments = self._window[np.append(0, self.breaks)[:-1]] == self._grammar.comment
        quotes = None
        if self._quotes is not None:
            places, separators = bits.places(self._quotes), self._separators()
            starts, ends = self._cell_starts(self._not_escaped(separators)), bits.earlier(separators)
            quotes = Quotes(places, bits.at(starts, places), bits.at(ends, places), self._grammar.double_quote)
        folded = np.diff(np.searchsorted(self.physical, self.breaks, "right"), prepend=0) > 1
        return Lines.of(self.breaks, self._grammar.limit, quotes, comments, folded)

    def _find_interruptions(self, odd: bool) -> Offsets:
        """Quotes that are not well formed, and comments, where counting quotes begins after an odd or even number."""
        found = self._comments
        if self._quotes is not None and self._odd is not None:
            inside = ~self._odd if odd else self._odd
            malformed = self._malformed(self._quotes & inside, self._quotes & ~inside)
            found = malformed if found is None else malformed | found & ~inside
        return _NONE if found is None else bits.places(found)

    def _malformed(self, opening: Words, closing: Words) -> Words:
        """The opening quotes that are not at the start of a cell, and the closing ones that are not at its end."""
        after = self._separators()
        before = self._not_escaped(after)
        if self._grammar.double_quote:  # a closing and an opening quote next to each other stand for a quote
            before, after = before | closing, after | opening
        return opening & ~self._cell_starts(before) | closing & ~bits.earlier(after)

    def _cell_starts(self, before: Words) -> Words:
        """Where a cell may begin that has one of the bytes ``before`` it."""
        starts = bits.later(before, first=True)
        return bits.spread(starts, bits.later(bits.equal(self._window, SPACE))) if self._grammar.skip_space else starts

    def _separators(self) -> Words:
        """What may stand before and after a cell, the end of the object too."""
        found = self._feeds | bits.equal(self._window, self._grammar.delimiter)
        if self._returns is not None:
            found |= self._returns
        ends_cell = self._at_end if self._after is None else self._grammar.is_separator(self._after)
        return bits.marked(found, len(self._window)) if ends_cell else found

    def _find_line_ends(self) -> Words:
        """The last byte of each LF, CR LF and lone CR. A CR that may be half of a CR LF is left out."""
        if self._returns is None:
            return self._feeds
        may_be_feed = not self._at_end if self._after is None else self._after == LF
        feeds = bits.marked(self._feeds, len(self._window)) if may_be_feed else self._feeds
        return self._feeds | self._returns & ~bits.earlier(feeds)

    def _find_quotes(self) -> Words:
        return self._not_escaped(bits.equal(self._window, self._grammar.quote))

    def _not_escaped(self, found: Words) -> Words:
        return found if self._escaped is None else found & ~self._escaped

    def _find_comments(self) -> Words:
        """Comment characters at the start of a line."""
        breaks = self._feeds if self._returns is None else self._feeds | self._returns
        return bits.equal(self._window, self._grammar.comment) & bits.later(breaks, first=True)

    def _find_escaped(self) -> Words:
        """Which bytes an escape character makes literal: in a run of escapes every second one is itself escaped."""
        escapes = np.flatnonzero(self._window == self._grammar.escape)
        first_of_run = np.diff(escapes, prepend=-2) != 1
        run_start = np.maximum.accumulate(np.where(first_of_run, np.arange(len(escapes)), 0))
        targets = escapes[(np.arange(len(escapes)) - run_start) % 2 == 0] + 1
        escaped: NDArray[np.bool_] = np.zeros(len(self._window), np.bool_)
        escaped[targets[targets < len(escaped)]] = True
        return bits.packed(escaped)

    def _holds(self, byte: int) -> bool:
        return byte >= 0 and self._data.find(bytes((byte,)), self._base, self._end) >= 0
