"""A job's report, for people."""

from __future__ import annotations

from chalicelib.engine.report.page import render

__all__ = ["render"]
