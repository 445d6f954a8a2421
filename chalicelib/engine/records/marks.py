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
            self.breaks = bits.places(line_ends & ~self._escaped) + 1
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
        separators = self._separators()
        before = separators if self._escaped is None else separators & ~self._escaped
        after = separators
        if self._grammar.double_quote:  # a closing and an opening quote next to each other stand for a quote
            before, after = before | closing, separators | opening
        starts, ends = bits.later(before, first=True), bits.earlier(after)
        if self._grammar.skip_space:
            starts = bits.spread(starts, bits.later(bits.equal(self._window, SPACE)))
        return opening & ~starts | closing & ~ends

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
        quotes = bits.equal(self._window, self._grammar.quote)
        return quotes if self._escaped is None else quotes & ~self._escaped

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
