"""Sluice on a laptop: the whole pipeline with no AWS account and no Docker.

    python local.py run FILE…       in an AWS emulator, deployed by the same code as on AWS
    python local.py check FILE…     the same steps in this process, without the emulator
    python local.py infer FILE      a draft contract, on standard output
    python local.py serve           the emulator with the pipeline and its API, until Ctrl-C

Exit status: 0 every job succeeded (rejected rows within the tolerance included), 1 a job failed, 2 usage.
"""

from __future__ import annotations

from ops import allocator, requirement

if __name__ == "__main__":
    requirement.explain()  # first: an old Python lacks what the allocator needs
    allocator.tune()

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from chalicelib.errors import SluiceError
from chalicelib.model import Job, Status
from ops import process
from ops.interrupts import terminated_as_interrupted
from ops.jobs import uploads
from ops.sizes import size

_PLAIN_WIDTH = 110
"""Columns of what is printed where there is no terminal to ask: paths are not broken, logs stay readable."""

SUCCEEDED, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def parser() -> argparse.ArgumentParser:
    """The command line; ``docs/laptop.md`` is tested against it."""
    root = argparse.ArgumentParser(prog="local.py", description="Run Sluice on this machine.")
    commands = root.add_subparsers(dest="command", required=True, metavar="run|check|infer|serve")

    run = commands.add_parser("run", help="run files through the whole pipeline in an AWS emulator")
    check = commands.add_parser("check", help="run files through the same steps in this process, without the emulator")
    for command in (run, check):
        command.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a CSV file")
        command.add_argument("--contract", type=Path, metavar="C", help="contract (default: contracts/<dataset>.json)")
        command.add_argument("--dataset", metavar="D", help="dataset (default: from the contract's or the file's name)")
        command.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="default: out/")
        command.add_argument("--chunk-size", type=size, metavar="BYTES", help="such as 4000000, 512KiB or 8MiB")
        command.add_argument("--json", action="store_true", help="print the job records as JSON, and nothing else")
    run.add_argument("--serve", action="store_true", help="afterwards keep the pipeline up until Ctrl-C")

    infer = commands.add_parser("infer", help="print a draft contract for a file")
    infer.add_argument("files", nargs=1, type=Path, metavar="FILE", help="a CSV file")

    serve = commands.add_parser("serve", help="keep the pipeline and its API up until Ctrl-C")
    serve.add_argument("--chunk-size", type=size, metavar="BYTES", help="such as 4000000, 512KiB or 8MiB")
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = parser().parse_args(arguments)
    try:
        with terminated_as_interrupted():
            return _COMMANDS[options.command](options)
    except uploads.UsageError as error:
        print(f"local.py {options.command}: {error}", file=sys.stderr)
        return USAGE
    except SluiceError as error:
        print(f"local.py {options.command}: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:  # a folder that cannot be written, most of all
        print(f"local.py {options.command}: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    planned = uploads.plan(options.files, options.contract, options.dataset)
    uploads.make_folder(options.out)  # before the emulator's start, not at the end of the work
    from ops.emulation import laptop

    with laptop.started(options.chunk_size) as stack:
        jobs = laptop.run(stack, planned, options.out)
        _print(jobs, planned, as_json=options.json)
        if options.serve:
            print(laptop.instructions(stack), file=sys.stderr if options.json else sys.stdout, flush=True)
            laptop.wait(stack)
    return _status(jobs)


def _check(options: argparse.Namespace) -> int:
    planned = uploads.plan(options.files, options.contract, options.dataset)
    with process.importing():
        from ops.check import inprocess
        from ops.jobs import progress

    # Standard output is the answer: what a transform prints goes beside it.
    with progress.view() as view, contextlib.redirect_stdout(sys.stderr):
        jobs = [inprocess.check(upload, options.out, options.chunk_size, view) for upload in planned]
    _print(jobs, planned, as_json=options.json)
    return _status(jobs)


def _infer(options: argparse.Namespace) -> int:
    (planned,) = uploads.plan(options.files, contracts=())
    with process.importing():
        from ops.check import hints, inprocess, misfits

    draft = inprocess.infer(planned)
    print(json.dumps(draft.contract, indent=2, ensure_ascii=False))
    name = str(planned.path)
    for line in misfits.told(name, draft.plan, draft.rows, draft.reasons) + hints.told(name, draft.plan, draft.surveys):
        print(line, file=sys.stderr)
    return SUCCEEDED


def _serve(options: argparse.Namespace) -> int:
    from ops.emulation import laptop

    with laptop.started(options.chunk_size) as stack:
        print(laptop.instructions(stack), flush=True)
        laptop.wait(stack)
    return SUCCEEDED


_COMMANDS = {"run": _run, "check": _check, "infer": _infer, "serve": _serve}


def _print(jobs: Sequence[Job], planned: Sequence[uploads.Upload], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([job.to_json() for job in jobs], indent=2, ensure_ascii=False), flush=True)
        return
    from rich.console import Console

    from ops.jobs import table

    table.show(jobs, planned, Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH))


def _status(jobs: Sequence[Job]) -> int:
    return SUCCEEDED if all(job.status is Status.SUCCEEDED for job in jobs) else FAILED


if __name__ == "__main__":
    process.leave(main())
