"""Regular expressions in RE2's syntax, checked without RE2.

RE2 (https://github.com/google/re2/wiki/Syntax) runs in time linear in the text, whatever the pattern, so a contract
cannot stall a worker. Its library is not at hand in the small functions that check an uploaded contract. Therefore
``check`` walks the pattern, refuses what RE2 does not know, rewrites what Python's ``re`` does not, and lets
``re.compile`` judge the rest of the syntax. It may refuse a pointless pattern that RE2 takes (``^*``); the reverse
holds only for what is too large for RE2 (``\\pL{1000}``), which ``matching.Expression`` tells.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Final

MAX_REPEAT: Final = 1000
"""RE2's bound on ``{n,m}``, and on the product of nested ones."""
MAX_CHARACTERS: Final = 4096

_CLASSES = "alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word|xdigit"
_CATEGORIES: Final = "Any|C[cfos]?|L[lmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?"
_SCRIPTS: Final = (
    "Arabic|Armenian|Bengali|Bopomofo|Braille|Canadian_Aboriginal|Cherokee|Common|Coptic|Cyrillic|Devanagari|Ethiopic|"
    "Georgian|Greek|Gujarati|Gurmukhi|Han|Hangul|Hebrew|Hiragana|Inherited|Kannada|Katakana|Khmer|Lao|Latin|Malayalam|"
    "Mongolian|Myanmar|Oriya|Runic|Sinhala|Syriac|Tamil|Telugu|Thaana|Thai|Tibetan|Tifinagh|Yi"
)
"""The living scripts of RE2's list; the rest of Unicode's names differ between its versions."""

_SHARED = r"""
      (?P<unicode>    \\ [pP] (?: [A-Z] | \{ \^? [A-Za-z_]+ \} ) )
    | (?P<hex>        \\ x (?: [0-9A-Fa-f]{2} | \{ [0-9A-Fa-f]{1,6} \} ) )
    | (?P<octal>      \\ (?: 0[0-7]{0,2} | [1-7][0-7]{2} ) )
    | (?P<escape>     \\ . )
"""
_INSIDE = re.compile(rf"{_SHARED} | (?P<posix> \[: \^? (?:{_CLASSES}) :\] ) | (?P<end>\]) | (?P<other>.)", re.X | re.S)
_OUTSIDE = re.compile(
    rf"""
      (?P<literal>    \\Q .*? \\E )
    | {_SHARED}
    | (?P<class>      \[ \^? \]? )
    | (?P<lookaround> \( \? <? [=!] )
    | (?P<named>      \( \? P < [A-Za-z_][A-Za-z0-9_]* > )
    | (?P<flags>      \( \? [imsU]* (?: - [imsU]+ )? [:)] )
    | (?P<special>    \( \? .? .? )
    | (?P<open>       \( )
    | (?P<close>      \) )
    | (?P<counted>    \{{ \d+ (?: , \d* )? \}} \?? )
    | (?P<repeat>     [*+?] \?? )
    | (?P<other>      . )
    """,
    re.X | re.S | re.A,
)
_ESCAPES: Final = {"outside": "dDsSwWafnrtvbBAz", "inside": "dDsSwWafnrtv"}


class _Unsupported(Exception):
    """The message says what RE2 does not take."""


def check(pattern: str) -> str:
    """What is wrong with a regular expression, for people; an empty text where RE2 takes it."""
    if len(pattern) > MAX_CHARACTERS:
        return f"has more than {MAX_CHARACTERS} characters"
    try:
        skeleton = _Walk().skeleton(pattern)
        with warnings.catch_warnings():
            # Python warns that "[[" or "--" in a class may mean something else one day; to RE2 they are characters.
            warnings.simplefilter("ignore", FutureWarning)
            re.compile(skeleton)
    except _Unsupported as problem:
        return str(problem)
    except re.error as error:
        return f"is not a regular expression: {error.msg}"
    except (RecursionError, OverflowError):
        return "is not a regular expression: it is nested too deeply or repeats too often"
    return ""


def leaves(pattern: str) -> list[str] | None:
    """The classes, escapes, dots and quoted texts of a pattern that ``check`` takes: whatever it matches is made of
    what these match, and of plain characters. None where a flag may change what a dot matches.
    """
    found: list[str] = []
    begun = ""
    for in_class, kind, text in _tokens(pattern):
        if in_class:
            begun += text
            if kind == "end":
                found.append(begun)
        elif kind == "class":
            begun = text
        elif kind == "flags" and "s" in text:
            return None
        elif kind in ("literal", "unicode", "hex", "octal", "escape") or text in (".", "\n"):
            found.append(text)
    return found


def _tokens(pattern: str) -> Iterator[tuple[bool, str, str]]:
    """The parts of a pattern in order: whether it stands inside a class, its kind (a group's name above), its text."""
    in_class, position = False, 0
    while position < len(pattern):
        token = (_INSIDE if in_class else _OUTSIDE).match(pattern, position)
        assert token is not None, "the last alternative takes any character"
        kind, position = token.lastgroup or "", token.end()
        yield in_class, kind, token.group()
        in_class = kind != "end" if in_class else kind == "class"


class _Walk:
    """One pass over a pattern."""

    def __init__(self) -> None:
        self._products = [1]
        """Per open group the largest product of counted repeats inside it."""
        self._item = 1
        """The product inside the last item."""
        self._repeatable = False
        """Whether a repeat may follow the last item."""

    def skeleton(self, pattern: str) -> str:
        """The pattern with RE2's own notations replaced by ones of the same shape that Python's ``re`` knows."""
        parts: list[str] = []
        for in_class, kind, text in _tokens(pattern):
            if in_class:
                parts.append(_inside(kind, text))
            elif kind in ("counted", "repeat"):
                self._repeat(kind, text)
                parts.append(text)
            else:
                self._item_of(kind, text)
                parts.append(_outside(kind, text))
        return "".join(parts)

    def _repeat(self, kind: str, text: str) -> None:
        if not self._repeatable:
            raise _Unsupported(f"is not a regular expression: nothing that {text} could repeat")
        if kind == "counted":
            counts = [int(digits) for digits in re.findall(r"\d+", text)]
            self._item *= max(1, *counts)
        if self._item > MAX_REPEAT:
            raise _Unsupported(f"repeats more than {MAX_REPEAT} times, which RE2 does not support")
        self._products[-1] = max(self._products[-1], self._item)
        self._repeatable = False

    def _item_of(self, kind: str, text: str) -> None:
        opens = kind in ("open", "named") or (kind == "flags" and text.endswith(":"))
        self._item, self._repeatable = 1, not opens and kind != "flags" and text not in ("|", "^")
        if opens:
            self._products.append(1)
        elif kind == "close" and len(self._products) > 1:
            self._item = self._products.pop()
            self._products[-1] = max(self._products[-1], self._item)


def _outside(kind: str, text: str) -> str:
    match kind:
        case "literal":
            return re.escape(text[2:-2])
        case "class":
            return text.replace("]", "\\]")
        case "lookaround":
            raise _Unsupported(f"uses look-around, {text}, which RE2 does not support")
        case "special":
            name = "a back-reference" if text == "(?P=" else "a group"
            raise _Unsupported(f"uses {name} that starts with {text}, which RE2 does not support")
        case "flags":
            if text in ("(?:", "(?)"):
                return text
            return "(?:" if text.endswith(":") else ""
        case "other":
            # "{" without a count is a character to RE2, but "{,2}" is a repeat to Python.
            return "\\{" if text == "{" else text
        case _:
            return _shared(kind, text, "outside")


def _inside(kind: str, text: str) -> str:
    if kind == "posix":
        return r"\w"
    if kind == "other":
        return "\\[" if text == "[" else text
    return _shared(kind, text, "inside")


def _shared(kind: str, text: str, where: str) -> str:
    match kind:
        case "unicode":
            name = text[2:].strip("{}").removeprefix("^")
            if not re.fullmatch(f"{_CATEGORIES}|{_SCRIPTS}", name):
                raise _Unsupported(f"uses {text}, which is no class of characters that RE2 knows")
            return r"\w"
        case "hex":
            return _character(int(text[2:].strip("{}"), 16), text)
        case "octal":
            return _character(int(text[1:], 8), text)
        case "escape" if text[1] in "123456789":
            raise _Unsupported(f"uses a back-reference, {text}, which RE2 does not support")
        case "escape" if text == "\\z" and where == "outside":
            return "(?!.)"
        case "escape" if not text[1].isascii() or (text[1].isalnum() and text[1] not in _ESCAPES[where]):
            place = " in [ ]" if where == "inside" else ""
            raise _Unsupported(f"uses {text}, which RE2 does not support{place}")
        case _:
            return text


def _character(code: int, text: str) -> str:
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise _Unsupported(f"uses {text}, which is no character")
    return f"\\U{code:08x}"
