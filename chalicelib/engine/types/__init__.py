"""From texts to typed values, by rules that are this project's own (docs/types.md)."""

from __future__ import annotations

from chalicelib.engine.types.reading import arrow_type, limit, read

__all__ = ["arrow_type", "limit", "read"]
