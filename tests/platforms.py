"""What only some systems have."""

from __future__ import annotations

import platform
import sys
from typing import Final

import pytest

linux: Final = pytest.mark.skipif(sys.platform != "linux", reason="a fork is safe on Linux alone")
glibc: Final = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="elsewhere nothing is changed")
