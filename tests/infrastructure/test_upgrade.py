"""A stage that an earlier commit deployed, brought up to the present code: its jobs, data and choices stay."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ops.emulation.emulator import Emulator
from ops.stage import deployment
from ops.stage.deployment import Options
from ops.target import Target
from tests.infrastructure import jobs
from tests.infrastructure.documents import ROOT

pytestmark = pytest.mark.e2e

MOST_COMMITS = 20
"""How many earlier commits are looked at for one that is whole."""
IMPORT_ALL = """
import importlib, pkgutil, app, deploy, chalicelib, ops
for package in (chalicelib, ops):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
"""
CONTRACT = {
    "name": "trades",
    "schema": {"fields": [{"name": "a", "type": "integer"}, {"name": "b", "type": "integer"}]},
    "sluice": {"tolerance": {"maxRejectedRatio": 0.5}},
}


def ignore(_: str) -> None:
    return None


def earlier_code(folder: Path) -> Path:
    """The tree of the newest commit before this one that is whole: all of its modules can be imported.

    A commit that forgot a file could never be deployed, so nobody's stage comes from it, and that it cannot be deployed
    here says nothing of the present code. Without an earlier commit (a shallow checkout, a folder that is none) it is
    this very tree. Each is another folder than the one that then goes on, as another machine's would be.
    """
    commits = earlier_commits()
    for commit in commits:
        tree = folder / commit
        unpack(commit, tree)
        if is_whole(tree):
            return tree
    assert not commits, "none of the earlier commits is whole"
    return copied(folder)


def earlier_commits() -> list[str]:
    """Those that this one came out of, newest first; of a merge, the line that was merged into."""
    command = ["git", "rev-list", "--first-parent", "--skip=1", f"--max-count={MOST_COMMITS}", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.split()


def unpack(commit: str, folder: Path) -> None:
    done = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")


def is_whole(folder: Path) -> bool:
    command, environment = [sys.executable, "-c", IMPORT_ALL], {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    return done.returncode == 0


def copied(folder: Path) -> Path:
    ignored = shutil.ignore_patterns(".*cache", "__pycache__", ".venv", ".git", ".sluice", ".build", "out")
    return Path(shutil.copytree(ROOT, folder / "copied", ignore=ignored))


def test_a_tree_that_lacks_a_module_is_not_whole(tmp_path: Path) -> None:
    tree = copied(tmp_path)
    (tree / "chalicelib" / "model.py").unlink()
    assert not is_whole(tree)


def deploy(folder: Path, emulator: Emulator, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "deploy.py", *arguments, "--stage", "upgraded", "--json"],
        cwd=folder,
        env={**os.environ, **emulator.environment, "AWS_SESSION_TOKEN": "", "PYTHONPATH": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def objects(target: Target) -> set[tuple[str, str, str]]:
    """Bucket, key and version of everything in the inbox and the results, but for work/."""
    return {
        (bucket, each["Key"], each["VersionId"])
        for bucket in (target.names.bucket("inbox"), target.names.bucket("results"))
        for page in target.s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
        for each in page.get("Versions", [])
        if not each["Key"].startswith("work/")
    }


def test_an_upgrade_keeps_jobs_data_and_choices(tmp_path: Path) -> None:
    before = earlier_code(tmp_path / "earlier")
    with Emulator() as emulator:
        target = emulator.target("upgraded")
        first = deploy(before, emulator, "up", "--chunk-size", "4096", "--max-concurrency", "3")
        target.s3.put_object(
            Bucket=first["inbox_bucket"], Key="contracts/trades.json", Body=json.dumps(CONTRACT).encode()
        )
        job = jobs.process(target, "trades/a.csv", b"a,b\n1,2\nx,4\n")
        held, token = objects(target), deployment.api_token(target)

        deployment.up(target, Options(), ignore)
        found = deployment.find(target)
        assert found is not None
        assert found.api_url == first["api_url"]
        assert deployment.api_token(target) == token
        assert jobs.port(target).get(job.job_id) == job
        assert objects(target) == held
        configuration = target.lambda_.get_function_configuration(FunctionName=target.names.function("process-chunk"))
        assert configuration["Environment"]["Variables"]["SLUICE_CHUNK_SIZE_BYTES"] == "4096"

        later = jobs.process(target, "trades/b.csv", b"a,b\n5,6\n")  # by the present code, under the kept contract
        assert (later.rows.valid, later.rows.rejected) == (1, 0)
        assert objects(target) > held
        assert deployment.plan(target, Options(), ignore) == []
        assert deployment.up(target, Options(), ignore).changes == ()
