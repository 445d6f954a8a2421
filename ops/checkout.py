"""Where the project is on the operator's machine: what is deployed lies there, and what the commands look up."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
