"""What the file is: its encoding and its CSV dialect, given by the contract or found in the object's head."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """The properties of Table Dialect (https://datapackage.org/standard/table-dialect/) that Sluice honours."""

    delimiter: str = ","
    quote_char: str | None = '"'
    double_quote: bool = True
    escape_char: str | None = None
    header: bool = True
    skip_initial_space: bool = False
    comment_char: str | None = None


@dataclass(frozen=True, slots=True)
class Sniffed:
    """What ``sniff`` found out about a file."""

    encoding: str
    bom_bytes: int
    """Length of the byte order mark; the first record starts after it."""
    dialect: Dialect
    confidence: float
    """0 to 1: how sure the detected properties are; 1 where nothing had to be detected."""
    chosen: tuple[str, ...]
    """Names of the properties that were detected rather than given."""
