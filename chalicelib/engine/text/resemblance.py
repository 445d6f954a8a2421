"""Encodings in which the bytes of a file that was read as UTF-8, and is not, would be plausible text: to be named in a
message, to somebody who can ask what the file is in. Nothing is read with them on this evidence alone.

Where ``candidates`` finds the one encoding, it is named alone. Else a language's alphabet has to explain every letter,
in words that are written as words are: in one script, and with no capital behind a small letter.
"""

from __future__ import annotations

import re
from typing import Final

from chalicelib.engine.text import candidates
from chalicelib.frozen import frozen

_SAMPLE_BYTES: Final = 16 << 10
_CHARACTERS_BYTES: Final = 16
"""Of an encoding with characters of two bytes, at the least."""
_WORD: Final = re.compile(r"[^\W\d_]+")
_SIGNS: Final = frozenset("\xa0\xad€…†‡‰‹›“”„‚‘’–—•™¡¢£§©«»®°±¶·¿×№`´")
_ODD_SHARE: Final = 0.05
"""Words that are not as words are, at the most: names such as McÉwan, and cells that are cut."""


@frozen
class _Language:
    """The letters beyond ASCII of one language, or of some that are written alike."""

    encodings: tuple[str, ...]
    letters: str
    """Small ones, but for what has none."""
    common: str = ""
    """Most letters of any text are among these."""
    latin: bool = True
    """Whether its words have ASCII letters, too."""


_CENTRAL: Final = ("cp1250", "iso8859-2", "cp852")
_BALTIC: Final = ("cp1257", "iso8859-13", "iso8859-4")
_LANGUAGES: Final = (
    _Language(_CENTRAL, "ąćęłńóśźż"),
    _Language(_CENTRAL, "áäčďéěíĺľňóôŕřšťúůýž"),
    _Language(_CENTRAL, "áéíóöőúüű"),
    _Language((*_CENTRAL, "iso8859-16"), "ăâîşţșț"),
    _Language(_CENTRAL, "čćđšž"),
    _Language(("cp1254", "iso8859-9"), "çğıİöşüâîû"),
    _Language(_BALTIC, "ąčęėįšųūž"),
    _Language(_BALTIC, "āčēģīķļņšūž"),
    _Language(("mac-roman", "cp850", "cp437"), "àáâãäåæçèéêëìíîïñòóôõöøùúûüßœÿ"),
    _Language(
        ("cp1251", "koi8-r", "koi8-u", "cp866", "iso8859-5", "cp855"),
        "абвгдежзийклмнопрстуфхцчшщъыьэюяёіїєґўјљњћђџѓќѕ",
        "оеаинтсрвлкмді",
        latin=False,
    ),
    _Language(("cp1253", "iso8859-7"), "αβγδεζηθικλμνξοπρςστυφχψωάέήίόύώϊϋΐΰ", "αοιετνσηρπκςλυμ", latin=False),
    _Language(("cp1255", "iso8859-8"), "אבגדהוזחטיךכלםמןנסעףפץצקרשת", "יוהלארמתבש", latin=False),
    _Language(("cp1256", "iso8859-6"), "ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىي", "اليمونرتبع", latin=False),
)
_COMMON_SHARE: Final = 0.6
_NEARLY_AS_WELL: Final = 0.9


def resembled(head: bytes) -> tuple[str, ...]:
    """``head``: a file's first bytes, which are not all UTF-8. The encodings' names; none where nothing can be said."""
    sample = _strange(head)
    found = candidates.only(sample)
    if found is not None and _is_sound(found.encoding, sample):
        return (found.encoding,)
    fits = [(each, name, _fit(each, name, sample)) for each in _LANGUAGES for name in each.encodings]
    # Letters of which none are common fit wholly or not at all: they say nothing against other scripts.
    best = max(fit for language, _, fit in fits if language.common)
    least = max(best * _NEARLY_AS_WELL, _COMMON_SHARE)
    return tuple(dict.fromkeys(name for language, name, fit in fits if fit >= (least if language.common else 1)))


def _is_sound(encoding: str, sample: bytes) -> bool:
    """Whether a candidate stands where there is less evidence than detection wants. What is left of a character of
    UTF-8 that was cut is a capital in the midst of a word (pÃn), and a few bytes may be Japanese by chance.
    """
    if encoding == "cp1252":
        return _are_words(sample.decode("cp1252"), latin=True)
    return sum(byte >= 0x80 for byte in sample) >= _CHARACTERS_BYTES


def _strange(head: bytes) -> bytes:
    """The lines that are not UTF-8: what others have tells nothing."""
    lines = head.splitlines()
    if len(lines) > 1 and not head.endswith((b"\n", b"\r")):
        lines.pop()  # it may be cut
    sample, size = [], 0
    for line in lines:
        try:
            line.decode()
        except UnicodeDecodeError:
            sample.append(line)
            size += len(line)
            if size >= _SAMPLE_BYTES:
                break
    return b"\n".join(sample)[:_SAMPLE_BYTES]


def _fit(language: _Language, encoding: str, sample: bytes) -> float:
    """How well the sample is text of the language in the encoding: 0 (not at all) to 1."""
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    high = [each for each in text if each >= "\x80"]
    letters = [each for each in high if each in language.letters or each.lower() in language.letters]
    if not letters or not _SIGNS.issuperset(set(high) - set(letters)) or not _are_words(text, language.latin):
        return 0.0
    return sum(each.lower() in language.common for each in letters) / len(letters) if language.common else 1.0


def _are_words(text: str, latin: bool) -> bool:
    """Whether the words that have letters beyond ASCII are small, capital, or small behind a capital; in a Latin script
    not of such letters alone, in another of nothing else. No sign stands within one.
    """
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    odd = sum(not (word.islower() or word.isupper() or word[1:].islower()) for word in words if word.lower() != word)
    if latin:
        odd += sum(len(word) > 2 and all(each >= "\x80" for each in word) for word in words)
    else:
        odd += sum(any(each < "\x80" for each in word) for word in words)
    odd += len(re.findall(r"[^\W\d_][^\w\s\x00-\x7f’‘\xad–—·][^\W\d_]", text))
    return odd <= len(words) * _ODD_SHARE
