"""What in the text around a bare number may be its sign, or more of it. The rule is written out in docs/types.md.

Table Schema's ``bareNumber: false`` (https://datapackage.org/standard/table-schema/#integer) lets text lead and trail a
number, and says nothing of signs in other scripts or of accountants' marks: to drop one is to change the value, and
nobody sees it. So what may be a sign makes the cell an error, as does a digit that no type reads. One expression serves
the contract's limits and the columns: it means the same in RE2 and in Python's ``re``.
"""

from __future__ import annotations

import re
from typing import Final

from chalicelib.engine.contract.fields import Field

DASHES: Final = (
    "\u058a\u05be\u1400\u1806\u2010\u2011\u2012\u2013\u2014\u2015\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u2e5d\u301c\u3030\u30a0"
    "\ufe31\ufe32\ufe58\ufe63\uff0d\U00010d6e\U00010ead"
)
"""Unicode's dash punctuation (Pd, as of Unicode 16; Python's and RE2's tables are of different years) beyond ASCII."""
MINUSES: Final = "\xad\xaf\u02d7\u2043\u2052\u208b\u2212\u2238\u2296\u229f\u2500\u2501\u2796\u2a2a"
"""Minus signs of other categories, and what stands in their place: the soft hyphen, the line of a drawn box."""
PLUSES: Final = "\xb1\u02d6\u207a\u208a\u2213\u2214\u2295\u229e\u2795\ufb29\ufe62\uff0b"
NEGATIVES: Final = "\u25b2\u25b3\u25bc\u25bd\u2193\u8ca0\u8d1f"
"""▲ and △ are a minus in Japanese accounts (and ▼, ▽, ↓ mean down); 負 and 负 say negative."""
SUPERSCRIPT_MINUS: Final = "\u207b"
OPENING: Final = "([{\u207d\u208d\u2768\u276a\u27ee\u2985\u2e28\ufd3f\ufe59\uff08\uff3b\uff5f"
CLOSING: Final = ")]}\u207e\u208e\u2769\u276b\u27ef\u2986\u2e29\ufd3e\ufe5a\uff09\uff3d\uff60"
WORDS: Final = (
    *("cr", "dr", "credit", "debit", "soll", "minus", "moins", "meno", "menos", "минус"),
    *("neg", "negative", "negativ", "négatif", "negativo"),
)
LONG_SOUND: Final = "\u30fc\uff70"
"""Kana's, which stands for a minus where no kana is before it: ー5, but コーヒー5."""
_KANA: Final = "\u3041-\u30ff\uff66-\uff9f"

_ZEROS: Final = (
    "\u0660\u06f0\u07c0\u0966\u09e6\u0a66\u0ae6\u0b66\u0be6\u0c66\u0ce6\u0d66\u0de6\u0e50\u0ed0\u0f20\u1040\u1090\u17e0\u1810"
    "\u1946\u19d0\u1a80\u1a90\u1b50\u1bb0\u1c40\u1c50\ua620\ua8d0\ua900\ua9d0\ua9f0\uaa50\uabf0\uff10"
)
"""The zeros of Unicode's decimal digits (Nd) in the scripts of living languages, beyond ASCII; nine follow on each."""
OTHER_DIGITS: Final = "".join(f"{zero}-{chr(ord(zero) + 9)}" for zero in _ZEROS) + "\xbc-\xbe\u2150-\u215e"
"""As ranges of a class; with ¼, ½ and the like. The digits of an exponent are not among them: 5 m²."""

_LETTERS: Final = "A-Za-z\xaa\xb5\xba\xc0-\xd6\xd8-\xf6\xf8-\u024f\u0370-\u052f"
"""Latin, Greek and Cyrillic."""
_EXPONENTS: Final = "\xb9\xb2\xb3\u2070\u2074-\u2079"


def doubtful(field: Field) -> str | None:
    """An expression that is found in a text whose number may have another sign than its own ``-`` or ``+``; None where
    there is no text around the field's numbers.
    """
    if field.bare_number:
        return None
    own = field.decimal_char + (field.group_char or "")

    def any_of(characters: str, *, but: bool = False) -> str:
        kept = "".join(re.escape(each) for each in characters if each not in own)
        return f"[{'^' if but else ''}{kept}]"

    before, after = f"(?:^|[^{_LETTERS}])", f"(?:$|[^{_LETTERS}])"
    sign = any_of(DASHES + MINUSES + PLUSES + NEGATIVES)
    words = "|".join("".join(f"[{letter.upper()}{letter}]" for letter in word) for word in WORDS)
    digits = "0123456789"
    return "|".join(
        (
            # Between two letters it joins the parts of a word: km–h.
            f"{before}{sign}",
            f"{sign}{after}",
            # In a unit it has its letter and its exponent: m s⁻¹.
            f"{before}{SUPERSCRIPT_MINUS}",
            f"{SUPERSCRIPT_MINUS}(?:$|[^{_EXPONENTS}])",
            # A bracket that opens before the number and closes after it, or nowhere. "<5" alone is less than five.
            any_of(OPENING) + any_of(OPENING + CLOSING + digits, but=True) + "*[0-9]",
            "[0-9]" + any_of(OPENING + CLOSING + "<>\uff1c\uff1e" + digits, but=True) + f"*{any_of(CLOSING + '>＞')}",
            f"{before}(?:{words}){after}",
            f"(?:^|[^{_KANA}]){any_of(LONG_SOUND)}",
            "マイナス",
        )
    )
