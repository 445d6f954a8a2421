"""Names, and what a child process gets to see."""

from __future__ import annotations

import pytest

from chalicelib.settings import from_environment
from ops.target import Names, OperatorError, Target

LONGEST = Names("a" * 16, "123456789012", "ap-southeast-1")


@pytest.mark.parametrize("stage", ["", "Prod", "my-stage", "1st", "a" * 17, "prod ", "../x"])
def test_a_bad_stage_is_told_before_anything_is_asked(stage: str) -> None:
    with pytest.raises(OperatorError, match="lower-case"):
        _ = Target(stage, "us-east-1", "http://127.0.0.1:1").names


@pytest.mark.parametrize("purpose", ["inbox", "results", "artifacts"])
def test_the_longest_bucket_name_fits(purpose: str) -> None:
    assert len(LONGEST.bucket(purpose)) <= 63


@pytest.mark.parametrize("function", ["on-execution-status", "aggregate-data", "api_handler"])
def test_the_longest_function_and_role_names_fit(function: str) -> None:
    assert len(LONGEST.function(function)) <= 64
    assert len(LONGEST.role(function)) <= 64


def test_the_environment_is_what_the_settings_read() -> None:
    settings = from_environment(LONGEST.environment(1_000))
    assert settings.stage == LONGEST.stage
    assert settings.inbox_bucket == LONGEST.bucket("inbox")
    assert settings.results_bucket == LONGEST.bucket("results")
    assert settings.jobs_table == LONGEST.jobs_table
    assert settings.notices_topic_arn == LONGEST.notices_topic_arn
    assert settings.state_machine_arn == LONGEST.state_machine_arn
    assert settings.api_token_parameter == LONGEST.token_parameter
    assert settings.chunk_size_bytes == 1_000


def test_nothing_of_a_real_account_reaches_the_emulator() -> None:
    target = Target("local", "us-east-1", "http://127.0.0.1:1", {"AWS_ACCESS_KEY_ID": "fake"})
    inherited = {"AWS_PROFILE": "work", "AWS_SESSION_TOKEN": "real", "AWS_ACCESS_KEY_ID": "real", "HOME": "/home/x"}
    assert target.process_environment(inherited) == {
        "AWS_ACCESS_KEY_ID": "fake",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "HOME": "/home/x",
    }


def test_on_aws_the_operators_own_chain_serves() -> None:
    environment = Target("prod", "eu-central-1").process_environment({"AWS_PROFILE": "work"})
    assert environment == {"AWS_PROFILE": "work", "AWS_DEFAULT_REGION": "eu-central-1", "AWS_REGION": "eu-central-1"}


def test_what_has_an_address_of_its_own_is_the_emulator() -> None:
    assert Target("prod", "eu-central-1", "http://127.0.0.1:4566").is_emulated
    assert not Target("prod", "eu-central-1").is_emulated
