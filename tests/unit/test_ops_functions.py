"""What Chalice made is recorded, whatever ended it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ops.chalice import chalice_process, chalice_runner, functions, record, removal
from ops.target import Target

MADE = {"name": "notify", "resource_type": "lambda_function", "lambda_arn": "arn:notify"}


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Any:
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    with mock_aws():
        made = Target("test", "us-east-1", None, credentials)
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=made.names.bucket("artifacts"))
        yield made


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, MemoryError])
def test_an_interrupted_runner_writes_down_what_it_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: type[BaseException]
) -> None:
    class Interrupted:
        def deploy(self, *_: Any, **__: Any) -> None:
            raise end

    def deployer(_: Any, __: Any, executor: Any) -> Interrupted:
        executor.resource_values.append(MADE)
        return Interrupted()

    (tmp_path / ".chalice").mkdir()
    (tmp_path / ".chalice" / "config.json").write_text('{"version": "2.0", "app_name": "sluice"}')
    (tmp_path / "app.py").write_text("from chalice import Chalice\napp = Chalice('sluice')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(chalice_runner, "_deployer", deployer)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(end):
        chalice_runner.main(str(tmp_path), "test")
    recorded = json.loads((tmp_path / ".chalice" / "deployed" / "test.json").read_text())
    assert recorded["resources"] == [MADE]


def test_an_interrupted_deployment_is_recorded_for_the_next(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Target, folder: Path, __: Any) -> str:
        deployed = folder / ".chalice" / "deployed"
        deployed.mkdir(parents=True)
        (deployed / "test.json").write_text(json.dumps({"resources": [MADE]}))
        raise KeyboardInterrupt

    monkeypatch.setattr(chalice_process, "run", interrupted)
    monkeypatch.setattr(removal, "delete_apis", lambda *_, **__: None)
    with pytest.raises(KeyboardInterrupt):
        functions.deploy(target, functions.Build(tmp_path, "f"), lambda _: None)
    recorded = record.load(target)
    assert (recorded["fingerprint"], recorded["chalice"]["resources"]) == (None, [MADE])


def test_a_function_that_stands_is_found_by_chalice_invoke_also_where_nothing_was_deployed(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = {"fingerprint": "f", "chalice": {"resources": [MADE]}, "functions": {}}
    target.s3.put_object(Bucket=target.names.bucket("artifacts"), Key=record.RECORD_KEY, Body=json.dumps(document))
    monkeypatch.setattr(record, "drift", lambda *_: [])
    assert not functions.deploy(target, functions.Build(tmp_path, "f"), lambda _: None).changed
    assert json.loads((tmp_path / ".chalice" / "deployed" / "test.json").read_text())["resources"] == [MADE]
