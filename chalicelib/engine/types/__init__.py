"""From texts to typed values, by rules that are this project's own (docs/types.md)."""

from __future__ import annotations

from chalicelib.engine.types.reading import STRING_FORMATS, arrow_type, limit, read, reader

__all__ = ["STRING_FORMATS", "arrow_type", "limit", "read", "reader"]
