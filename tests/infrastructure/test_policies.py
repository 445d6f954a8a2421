"""One policy per function, each action on exact resources; derived from the code where it can be."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from typing import Any

import pytest

from app import app
from ops.chalice import dead_letters, functions
from tests.infrastructure import documents

CONFIGURED: dict[str, dict[str, Any]] = functions.template()["lambda_functions"]
POLICIES = documents.policies()

WITHOUT_RESOURCES = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
"""Actions that know no resource-level permissions; nothing else may be allowed on ``*``.
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html"""


def declared_functions() -> set[str]:
    """Every function that ``app.py`` makes Chalice deploy, by Chalice's name."""
    pure = {function.name for function in app.pure_lambda_functions}
    events = {source.name for source in app.event_sources}
    authorizers = {handler.name for handler in app.builtin_auth_handlers}
    return pure | events | authorizers | {"api_handler"}


def test_every_function_is_configured_and_every_configuration_has_a_function() -> None:
    assert set(CONFIGURED) == declared_functions()
    tracked = {path.stem for path in (documents.ROOT / ".chalice" / "policies").iterdir()}
    assert tracked == declared_functions()


@pytest.mark.parametrize("name", sorted(CONFIGURED))
def test_a_function_has_memory_timeout_and_its_own_policy(name: str) -> None:
    assert 128 <= CONFIGURED[name]["lambda_memory_size"] <= 10_240
    assert 1 <= CONFIGURED[name]["lambda_timeout"] <= 900
    assert CONFIGURED[name]["iam_policy_file"] == f"policies/{name}.json"


def test_the_api_answers_within_api_gateways_limit() -> None:
    limit = 29  # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
    assert CONFIGURED["api_handler"]["lambda_timeout"] <= limit


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_resources_are_exact(name: str) -> None:
    for statement in POLICIES[name]["Statement"]:
        assert statement["Effect"] == "Allow"
        assert re.fullmatch(r"[A-Za-z0-9]+", statement["Sid"])
        for action in statement["Action"]:
            assert "*" not in action
            for resource in statement["Resource"]:
                if resource == "*":
                    assert action in WITHOUT_RESOURCES
                else:
                    assert resource.startswith("arn:aws:")
                    assert documents.NAMES.prefix in resource or documents.NAMES.token_parameter in resource
                    assert "${" not in resource


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_function_writes_its_own_log_only(name: str) -> None:
    logs = [
        each for each in POLICIES[name]["Statement"] if any(action.startswith("logs:") for action in each["Action"])
    ]
    group = f"/aws/lambda/{documents.NAMES.function(name)}"
    assert [each["Resource"] for each in logs] == [[documents.NAMES.arn("logs", f"log-group:{group}:*")]]
    assert "logs:CreateLogGroup" not in logs[0]["Action"]  # else a late line would bring a deleted group back


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_policy_fits_into_a_role(name: str) -> None:
    """10,240 characters without white space: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
    assert len(json.dumps(POLICIES[name], separators=(",", ":"))) < 10_240


def test_what_the_adapters_call_is_allowed_somewhere_and_nothing_else_is() -> None:
    """The adapters name the IAM action of every call that they make (``aws_errors("s3:GetObject", …)``)."""
    allowed = {action for policy in POLICIES.values() for each in policy["Statement"] for action in each["Action"]}
    everyones = {"logs:CreateLogStream", "logs:PutLogEvents"} | WITHOUT_RESOURCES
    everyones |= {"sqs:SendMessage"}  # by Lambda itself, on the function's behalf: see ops/chalice/dead_letters.py
    # A read that names a version asks for this one: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    assert allowed - everyones - {"s3:GetObjectVersion"} == actions_in_the_code()


def actions_in_the_code() -> set[str]:
    actions: set[str] = set()
    for path in sorted((documents.ROOT / "chalicelib" / "aws").glob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            named = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "aws_errors"
            if named and isinstance(call, ast.Call) and isinstance(call.args[0], ast.Constant):
                actions |= set(str(call.args[0].value).split(", "))
    return actions


SWITCHING = {"s3:GetObject", "s3:PutObject", "s3:ListBucket"}
"""What finishing a job takes whose outputs are decided (``publication.py``)."""


@pytest.mark.parametrize(
    ("name", "actions"),
    [
        ("notify", {"dynamodb:GetItem", "sns:Publish"}),
        ("record-failure", {"dynamodb:GetItem", "dynamodb:UpdateItem", *SWITCHING}),
        ("on-upload", {"dynamodb:GetItem", "dynamodb:UpdateItem", "sqs:SendMessage"}),
        ("authorize", {"ssm:GetParameter"}),
        (
            "api_handler",
            {
                "dynamodb:GetItem",
                "dynamodb:Query",
                "dynamodb:UpdateItem",
                "states:DescribeMapRun",
                "states:ListMapRuns",
                "states:StartExecution",
            },
        ),
    ],
)
def test_the_small_functions_may_do_little(name: str, actions: set[str]) -> None:
    own = {action for each in POLICIES[name]["Statement"] for action in each["Action"]}
    assert own - {"logs:CreateLogStream", "logs:PutLogEvents"} - WITHOUT_RESOURCES == actions


def test_the_handlers_whose_failed_events_are_kept_may_put_them_into_the_queue_and_nobody_else_may() -> None:
    senders = {
        (name, resource)
        for name, policy in POLICIES.items()
        for each in policy["Statement"]
        if "sqs:SendMessage" in each["Action"]
        for resource in each["Resource"]
    }
    assert senders == {(name, documents.NAMES.dead_letters_arn) for name in dead_letters.HANDLERS}


def test_only_outputs_of_jobs_can_be_deleted_and_only_by_store_results() -> None:
    deletable = {
        (name, resource)
        for name, policy in POLICIES.items()
        for each in policy["Statement"]
        if any("Delete" in action for action in each["Action"])
        for resource in each["Resource"]
    }
    assert deletable == {("store-results", f"arn:aws:s3:::{documents.NAMES.bucket('results')}/jobs/*")}


@pytest.mark.parametrize("name", sorted(set(POLICIES) - {"store-results"}))
def test_only_store_results_writes_outputs(name: str) -> None:
    """Others write intermediate results; and those that end a job finish one that StoreResults had decided."""
    writable = [
        resource
        for each in POLICIES[name]["Statement"]
        if "s3:PutObject" in each["Action"]
        for resource in each["Resource"]
    ]
    ends_jobs = name in ("record-failure", "on-execution-status", "sweep")
    allowed = ("/datasets/*/current.json", "/datasets/*/hive/symlink.txt") if ends_jobs else ("/work/*",)
    assert all(resource.endswith(allowed) for resource in writable)


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_no_function_writes_to_the_inbox(name: str) -> None:
    """A result never triggers a job."""
    for each in POLICIES[name]["Statement"]:
        if any(re.match(r"s3:(Put|Delete|Abort)", action) for action in each["Action"]):
            assert all(documents.NAMES.bucket("inbox") not in resource for resource in each["Resource"])


LAYERED = {name for name, settings in CONFIGURED.items() if "layers" in settings}

NO_LAYER = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("numpy", "pandas", "pyarrow"):
            raise ModuleNotFoundError(f"{name} is in the layer", name=name)

sys.meta_path.insert(0, Absent())
import app
from chalicelib import api, failure, notify, sweeper, triggers
from chalicelib.engine import contract
contract.parse(b'{"name": "x", "path": "x.csv", "schema": {"fields": [{"name": "a", "type": "integer"}]}}')
"""


def test_functions_without_the_layer_need_nothing_of_it() -> None:
    assert {"validate-data", "process-chunk", "aggregate-data", "store-results"} == LAYERED
    done = subprocess.run(
        [sys.executable, "-c", NO_LAYER], cwd=documents.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
