"""docs/polluted-input.md says what Sluice does, and Sluice does it however a file is cut."""

from __future__ import annotations

import pytest

from chalicelib.model import Status
from tests import polluted
from tests.polluted import CASES, Case

EVERY = [case for cases in CASES.values() for case in cases]


def test_the_page_says_what_is_done() -> None:
    assert polluted.PAGE.read_text() == polluted.page(), "write it anew: python -m tests.polluted"


@pytest.mark.parametrize("case", EVERY, ids=lambda case: case.pollution)
@pytest.mark.parametrize("has_contract", [True, False], ids=["contract", "draft"])
def test_nothing_is_lost_however_a_file_is_cut(case: Case, has_contract: bool) -> None:
    whole = polluted.run(case, has_contract)
    cut = polluted.run(case, has_contract, max(16, len(case.body) // 200))
    assert cut.job.rows == whole.job.rows
    assert cut.job.rows.balances
    assert cut.job.error == whole.job.error
    if whole.job.error is None:
        assert whole.job.status is Status.SUCCEEDED
        assert cut.table.to_pylist() == whole.table.to_pylist()
        assert cut.body("rejects.jsonl") == whole.body("rejects.jsonl")
        assert cut.body("rejects.csv") == whole.body("rejects.csv")
    else:
        assert whole.job.error.code != "internal-error"
        assert whole.job.error.message
