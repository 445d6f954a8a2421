"""Encodings without a mark that a file may be taken for: each tells whether bytes would be plausible text in it.

Any bytes are *some* text in nearly all of them, so plausible means far more than decodable: the characters have to be
those that texts of the encoding's languages consist of, in places where they stand in words. Of encodings that many
texts fit as well as their neighbours (the Cyrillic, Greek, Central European, Korean ones …) none is ever guessed.
"""

from __future__ import annotations

import re
from typing import Final

from chalicelib.frozen import frozen


@frozen
class Candidate:
    """An encoding in which bytes that are no UTF-8 read as text."""

    encoding: str
    confidence: float
    """0 to 1."""
    chance: float
    """In texts of this encoding: most bytes that are valid multi-byte characters of UTF-8 by chance, per byte that is
    not. Above it the file is UTF-8 that was damaged."""


def only(head: bytes) -> Candidate | None:
    """The only encoding in which ``head`` is plausible text; None where there is none, or more than one."""
    found = [name for name, plausible in _PLAUSIBLE.items() if plausible(head)]
    return _CANDIDATES[found[0]] if len(found) == 1 else None


_CANDIDATES: Final = {
    # The letters of Western Europe have the places of other letters elsewhere; two of them in a row are rare.
    "cp1252": Candidate("cp1252", 0.8, 0.02),
    # Kana are unmistakable.
    "cp932": Candidate("cp932", 0.95, 0.5),
    "gb18030": Candidate("gb18030", 0.9, 0.5),
}

_LETTERS: Final = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüœŒ"
"""Of the languages of Western Europe. Left out: ÐÞÝðþý, whose places are Turkish, Czech, Romanian or Baltic letters
elsewhere more often than they are Icelandic, and ŠŽšžŸ, which Central Europe's encoding has in the same places."""
_OUTSIDE_WORDS: Final = "€…†‡‰‹›“”„‚–—•™¡¢£§©«»®°±¶·¼½¾¿×\xa0\xad"
"""Signs that stand between words, or beside a number."""
_BETWEEN_LETTERS: Final = re.compile(rf"[a-z][{_OUTSIDE_WORDS.replace('-', '')}²³¹º¤¥´`¨¸][a-z]")
_WORD_OF_HIGH: Final = re.compile(rf"(?<![A-Za-z{_LETTERS}])[{_LETTERS}]{{3,}}(?![A-Za-z{_LETTERS}])")
_ANY: Final = re.compile(r"[^\x00-\x7f]")


def _western(head: bytes) -> bool:
    try:
        text = head.decode("cp1252")
    except UnicodeDecodeError:
        return False
    used = set(_ANY.findall(text))
    if not used <= set(_LETTERS + _OUTSIDE_WORDS + "’‘ªº²³¹´µ"):
        return False
    letters = [each for each in _ANY.findall(text) if each in _LETTERS]
    # Elsewhere: Hungarian őű are õû, Czech ěů are ìù beside č and ř, which are è and ø, Romanian ă is ã beside î.
    if "õ" in used and not used & set("ãç"):
        return False
    if used & set("ìòù") and used & set("øØ"):
        return False
    if "ã" in used and "î" in used:
        return False
    alone = sum(len(run) for run in _WORD_OF_HIGH.findall(text))
    return bool(letters) and alone <= len(letters) * 0.02 and not _BETWEEN_LETTERS.search(text)


def _japanese(head: bytes) -> bool:
    """Shift-JIS: at least a fifth kana, the rest kanji and punctuation, hardly any half-width katakana."""
    text = _whole_characters(head, "cp932")
    if text is None:
        return False
    high = _ANY.findall(text)
    kana: int = sum("\u3041" <= each <= "\u30fe" for each in high)
    narrow = sum("\uff61" <= each <= "\uff9f" for each in high)
    known = sum(
        "\u3000" <= each <= "\u30fe" or "\u4e00" <= each <= "\u9fff" or "\uff01" <= each <= "\uff5e" for each in high
    )
    return kana * 5 >= len(high) and narrow * 20 <= len(high) and (known + narrow) * 50 >= len(high) * 49


def _chinese(head: bytes) -> bool:
    """GB18030: nearly all hanzi of GB 2312's first level, which is the common ones in the order of pinyin, and spread
    over it: Korean stands in its first two thirds alone, Cyrillic capitals in a block of it.
    """
    if _whole_characters(head, "gb18030") is None:
        return False
    pairs = [(pair[0], pair[1]) for pair in _PAIR.findall(head) if pair[0] not in _SIGNS]
    if len(pairs) < 4:
        return False
    common: int = sum(0xB0 <= lead <= 0xD7 and trail >= 0xA1 for lead, trail in pairs)
    late = sum(0xC9 <= lead <= 0xD7 for lead, _ in pairs)
    low = sum(trail < 0xC0 for _, trail in pairs)
    return common * 100 >= len(pairs) * 95 and late * 10 >= len(pairs) and low * 5 >= len(pairs)


_PAIR: Final = re.compile(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]")
_SIGNS: Final = (0xA1, 0xA3)
"""First bytes of GB 2312's punctuation and full-width ASCII."""


def _whole_characters(head: bytes, codec: str) -> str | None:
    """The head as text, but for a character that its end cuts; None where it has bytes that are no text."""
    for cut in range(4):
        try:
            return head[: len(head) - cut].decode(codec)
        except UnicodeDecodeError as error:
            if error.start < len(head) - 4:
                return None
    return None


_PLAUSIBLE: Final = {"cp1252": _western, "cp932": _japanese, "gb18030": _chinese}
