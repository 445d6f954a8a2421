"""What deploy.py promises before it asks AWS anything, and how it says what it found."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import NoCredentialsError
from moto import mock_aws

import deploy
from ops.cloudformation import stacks
from ops.stage import data, deployment, inspection
from ops.stage.inspection import Inspection

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "deploy.md").read_text()
BUCKET, TABLE = "bucket: sluice-prod-inbox-123456789012-eu-west-1", "table: sluice-prod-jobs"


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """An account in which nothing is."""
    for name, value in {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield monkeypatch


def subcommands() -> dict[str, argparse.ArgumentParser]:
    (action,) = [action for action in deploy.parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(action.choices)


@pytest.mark.parametrize("name", subcommands())
def test_every_command_and_option_is_documented(name: str) -> None:
    assert f"deploy.py {name}" in TEXT
    for action in subcommands()[name]._actions:
        for option in action.option_strings:
            assert option in {"-h", "--help"} or option in TEXT


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required"),
        (["up"], "--stage"),
        (["up", "--stage", "Prod"], "lower-case"),
        (["up", "--stage", "prod", "--chunk-size", "0"], "not a size in bytes such as"),
        (["up", "--stage", "prod", "--chunk-size", "some"], "not a size in bytes such as"),
        (["plan", "--stage", "prod", "--max-concurrency", "many"], "from 1 to 10000"),
        (["plan", "--stage", "prod", "--max-concurrency", "10001"], "from 1 to 10000"),
        (["redrive", "--stage", "prod", "--code", "throttled", "--within", "long"], "a number of hours up to 87,600"),
        (["redrive", "--stage", "prod", "--code", "throttled", "--within", "nan"], "a number of hours up to 87,600"),
        (["redrive", "--stage", "prod", "--code", "throttled", "--within", "1e9"], "a number of hours up to 87,600"),
        (["redrive", "--stage", "prod", "--code", "throttled", "--within", "-1"], "a number of hours up to 87,600"),
        (["status", "--stage", "prod"], "no region"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_exit_status_2_with_a_reason(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(SystemExit) as end:
        deploy.main(arguments)
    assert end.value.code == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_a_chunk_size_is_written_as_for_the_laptop() -> None:
    assert deploy.parser().parse_args(["up", "--stage", "prod", "--chunk-size", "8MiB"]).chunk_size == 8 * 1024 * 1024


def test_nobody_refused_where_there_are_no_credentials(
    account: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def without(*_: object) -> None:
        raise NoCredentialsError

    account.setattr(inspection, "inspect", without)
    assert deploy.main(["status", "--stage", "prod", "--region", "eu-west-1"]) == 1
    said = capsys.readouterr().err
    assert "error: Unable to locate credentials" in said
    assert "refused" not in said


@pytest.mark.parametrize("which", [["orders-0a98506ec5f4f8734f10"], ["--code", "throttled"]], ids=["an id", "a code"])
def test_jobs_of_a_stage_that_is_not_deployed_are_not_refused_one_by_one(
    which: list[str], account: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account.setattr(stacks, "describe", lambda *_: None)
    assert deploy.main(["redrive", *which, "--stage", "prd", "--region", "eu-west-1"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("error: there is no stack sluice-prd-workflow: is the stage deployed?\n")


@pytest.mark.parametrize(
    ("existing", "said"),
    [
        ([], "nothing is deployed\n"),
        ([BUCKET, TABLE], "nothing is deployed: this is the data of an earlier deployment\n"),
        ([BUCKET, "role: sluice-prod-notify"], "this is not a whole deployment: run up, or down\n"),
    ],
    ids=["nothing", "kept data", "a part"],
)
def test_status_tells_kept_data_from_a_part_of_a_deployment(
    existing: list[str], said: str, account: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account.setattr(inspection, "inspect", lambda *_: Inspection("prod", [], existing, None, [], []))
    assert deploy.main(["status", "--stage", "prod", "--region", "eu-west-1"]) == 0
    assert capsys.readouterr().out == "".join(f"{each}\n" for each in existing) + said


@pytest.mark.parametrize(
    ("left", "status", "out"),
    [
        ([], 0, "removed: nothing is left\n"),
        ([BUCKET, TABLE], 0, f"removed, and kept:\n  {BUCKET}\n  {TABLE}\n"),
        (["role: sluice-prod-notify"], 1, "removed\n"),
    ],
    ids=["nothing", "kept data", "forgotten"],
)
def test_down_says_what_is_left(
    left: list[str], status: int, out: str, account: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account.setattr(deployment, "down", lambda *_, **__: left)
    account.setattr(data, "kept", lambda _: [BUCKET, TABLE])
    assert deploy.main(["down", "--stage", "prod", "--region", "eu-west-1", "--yes"]) == status
    captured = capsys.readouterr()
    assert captured.out == out
    assert ("still there" in captured.err) == bool(status)


@pytest.mark.parametrize(("typed", "removed"), [("prod", True), ("yes", False), ("", False)])
def test_down_asks_for_the_stages_name(typed: str, removed: bool, account: pytest.MonkeyPatch) -> None:
    done = []

    def down(*_: object, **__: object) -> list[str]:
        done.append("down")
        return []

    account.setattr(deployment, "down", down)
    account.setattr("sys.stdin.isatty", lambda: True)
    account.setattr("builtins.input", lambda _: typed)
    assert deploy.main(["down", "--stage", "prod", "--region", "eu-west-1"]) == (0 if removed else 1)
    assert bool(done) == removed
