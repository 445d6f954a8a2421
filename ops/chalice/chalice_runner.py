"""Chalice's own deployer, run in a process of its own by ``chalice_process.py``.

``app.py`` reads its settings when it is imported, and Chalice imports it: so the process has exactly the stage's
environment, and nothing of it leaks into the operator's process, where other stages (or tests) may follow.

Usage: ``python -m ops.chalice.chalice_runner PROJECT STAGE``. Progress goes to standard output, a line each; what
stands at the end, also after a failure, is in PROJECT/.chalice/deployed/STAGE.json.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from chalice.awsclient import AWSClientError
from chalice.cli.factory import CLIFactory
from chalice.config import Config
from chalice.deploy.appgraph import ApplicationGraphBuilder, ChaliceBuildError, DependencyBuilder
from chalice.deploy.deployer import (
    ChaliceDeploymentError,
    Deployer,
    ResultsRecorder,
    create_build_stage,
)
from chalice.deploy.executor import Executor
from chalice.deploy.planner import PlanStage, RemoteState
from chalice.deploy.swagger import TemplatedSwaggerGenerator
from chalice.deploy.sweeper import ResourceSweeper
from chalice.utils import UI, OSUtils

from ops.chalice.chalice_client import EmulatedStageClient, StageClient
from ops.packages.wheels import RUNTIME


class StageConfig(Config):
    """Chalice's configuration with the runtime pinned; the functions' package and layer hold wheels for that one."""

    @property
    def lambda_python_version(self) -> str:
        return RUNTIME


def main(project: str, stage: str) -> int:
    warnings.filterwarnings("ignore", message="You are currently running python", category=UserWarning)
    factory = CLIFactory(project, environ=os.environ)
    made = factory.create_config_obj(stage)
    config = StageConfig(
        chalice_stage=stage,
        user_provided_params=made._user_provided_params,
        config_from_disk=made.config_from_disk,
        default_params=made._default_params,
    )
    session = factory.create_botocore_session()
    client_class = EmulatedStageClient if "AWS_ENDPOINT_URL" in os.environ else StageClient
    client = client_class(session, stage)
    executor = Executor(client, UI())
    deployer = _deployer(config, client, executor)
    ended = False
    try:
        deployer.deploy(config, chalice_stage_name=stage)
        ended = True
    except (ChaliceDeploymentError, ChaliceBuildError, AWSClientError, ClientError, BotoCoreError) as error:
        print(str(error), file=sys.stderr)
        return 1
    finally:  # whatever ended it, an interruption included
        if not ended:
            _record_what_stands(Path(project), stage, executor.resource_values)
    return 0


def _deployer(config: Config, client: StageClient, executor: Executor) -> Deployer:
    """Chalice's default deployer, with our client."""
    osutils = OSUtils()
    return Deployer(
        application_builder=ApplicationGraphBuilder(),
        deps_builder=DependencyBuilder(),
        build_stage=create_build_stage(osutils, UI(), TemplatedSwaggerGenerator(), config),
        plan_stage=PlanStage(
            osutils=osutils, remote_state=RemoteState(client, config.deployed_resources(config.chalice_stage))
        ),
        sweeper=ResourceSweeper(),
        executor=executor,
        recorder=ResultsRecorder(osutils=osutils),
    )


def _record_what_stands(project: Path, stage: str, made: list[dict[str, Any]]) -> None:
    """Chalice records nothing when it fails midway; then the next attempt would make a second API."""
    record = project / ".chalice" / "deployed" / f"{stage}.json"
    before = json.loads(record.read_text())["resources"] if record.exists() else []
    merged = {resource["name"]: resource for resource in [*before, *made]}
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps({"resources": list(merged.values()), "schema_version": "2.0", "backend": "api"}))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
