"""What a person is told who starts a command with a Python that has not what it needs.

Nothing is imported here that Python has not imported as it began: see ``ops.allocator``. Python 3.8 can read it.
"""

from __future__ import annotations

import sys

MODULES = frozenset(
    {
        "aws_lambda_powertools",
        "boto3",
        "botocore",
        "cfnlint",
        "chalice",
        "ministack",
        "numpy",
        "pandas",
        "pyarrow",
        "rich",
        "urllib3",
    }
)
"""The third-party modules that the commands import, by the names that stand in an ``import``."""

_OLDEST = (3, 11)
_USAGE = 2


def explain() -> None:
    """A Python that is too old ends the program with a line and status 2; from now on so does one of ``MODULES`` that
    is not installed. Any other module that is missing is a fault of the program, and keeps its traceback.
    """
    version = sys.version_info[:2]
    if version < _OLDEST:
        _end("Python 3.11, 3.12 or 3.13 is needed, this is {}.{}".format(*version))
    sys.excepthook = _explained


def _explained(kind: type[BaseException], error: BaseException, _: object) -> None:
    if not isinstance(error, ModuleNotFoundError) or error.name not in MODULES:
        sys.__excepthook__(kind, error, error.__traceback__)
        return
    _end(f"{sys.executable} has no module {error.name}")


def _end(why: str) -> None:
    program = sys.argv[0].rpartition("/")[2]
    print(f"{program}: {why}: `make install`, then `.venv/bin/python {program} …`", file=sys.stderr)
    raise SystemExit(_USAGE)  # which Python heeds in an excepthook, too
