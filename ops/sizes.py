"""Sizes as people type them on a command line."""

from __future__ import annotations

import argparse

_UNITS = {"KiB": 1024, "MiB": 1024 * 1024}


def size(text: str) -> int:
    """Bytes: digits, or digits with KiB or MiB. Errors: ``argparse.ArgumentTypeError``, also for none at all."""
    unit = text[-3:] if text[-3:] in _UNITS else ""
    digits = text.removesuffix(unit)
    if not (digits.isascii() and digits.isdigit() and int(digits)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size in bytes such as 4000000, 512KiB or 8MiB")
    return int(digits) * _UNITS.get(unit, 1)
