"""The API's token: read decrypted, kept for a minute, never served past its time."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.aws.secrets import CACHED_SECONDS, ApiToken
from chalicelib.errors import Terminal, Transient
from tests.adapters.support import Faulty, client, client_error

NAME = "/sluice/dev/api-token"


@pytest.fixture
def ssm(aws: None) -> Faulty:
    return Faulty(client("ssm"))


def test_a_rotated_token_is_seen_within_a_minute(ssm: Any) -> None:
    ssm.put_parameter(Name=NAME, Value="first", Type="SecureString")
    now = 1000.0
    token = ApiToken(NAME, ssm, monotonic=lambda: now)
    assert token.value() == "first"
    ssm.put_parameter(Name=NAME, Value="second", Type="SecureString", Overwrite=True)
    now += CACHED_SECONDS - 1
    assert token.value() == "first"
    now += 1
    assert token.value() == "second"
    assert [request["WithDecryption"] for request in ssm.sent("get_parameter")] == [True, True]


@pytest.mark.parametrize("value", ["first\n", " first ", "first\r\n"])
def test_a_line_break_that_came_with_the_file_is_no_part_of_the_token(ssm: Any, value: str) -> None:
    """What is presented is stripped, too: a token with white space around it would let nobody in."""
    ssm.put_parameter(Name=NAME, Value=value, Type="SecureString")
    assert ApiToken(NAME, ssm).value() == "first"


def test_a_token_of_white_space_lets_nobody_in(ssm: Any) -> None:
    ssm.put_parameter(Name=NAME, Value=" \n", Type="SecureString")
    with pytest.raises(Terminal, match="secret-not-found"):
        ApiToken(NAME, ssm).value()


def test_an_old_token_is_not_served_when_the_new_one_cannot_be_read(ssm: Any) -> None:
    ssm.put_parameter(Name=NAME, Value="first", Type="SecureString")
    now = 1000.0
    token = ApiToken(NAME, ssm, monotonic=lambda: now)
    token.value()
    now += CACHED_SECONDS
    ssm.fail("get_parameter", client_error("ThrottlingException"), client_error("AccessDeniedException"))
    with pytest.raises(Transient, match="ssm:GetParameter"):
        token.value()
    with pytest.raises(Terminal, match="access-denied"):
        token.value()
    assert token.value() == "first"


def test_a_missing_or_empty_parameter_lets_nobody_in(ssm: Any) -> None:
    with pytest.raises(Terminal, match=f"secret-not-found.*{NAME}"):
        ApiToken(NAME, ssm).value()
    ssm.fail("get_parameter", lambda real: {"Parameter": {"Name": NAME, "Value": ""}})
    with pytest.raises(Terminal, match="secret-not-found"):
        ApiToken(NAME, ssm).value()
