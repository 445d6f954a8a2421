"""A job among faults, by sample: every fault at every operation. The whole matrix: ``make test-faults``."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from chalicelib.model import Status
from tests.faults import matrix, report, scenarios, world
from tests.faults.catalogue import FAULTS, Deed, Reach
from tests.faults.matrix import GOOD, Outcome
from tests.faults.proxy import Call, Order
from tests.faults.world import EARLIER, World


@pytest.fixture(scope="module")
def here() -> Iterator[World]:
    logging.disable(logging.CRITICAL)  # a hundred jobs log much, and slowly where it is captured
    with world.opened() as opened:
        yield opened
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("scenario", scenarios.ALL, ids=lambda scenario: scenario.name)
def test_without_a_fault_a_job_ends_as_expected_and_always_alike(here: World, scenario: world.Scenario) -> None:
    first, second = here.run(scenario), here.run(scenario)
    assert matrix.plain_status(first) is scenario.expected
    assert first.outputs == second.outputs
    assert first.job == second.job
    assert len(first.messages) == 1
    assert Counter(seen.call for seen in first.seen) == Counter(seen.call for seen in second.seen)
    assert (first.outputs.get(scenario.current) == scenario.before) is (scenario.expected is Status.FAILED)


def test_the_scenarios_take_the_paths_they_are_for(here: World) -> None:
    orders, packed = here.run(scenarios.ORDERS).job, here.run(scenarios.PACKED).job
    assert orders is not None
    assert packed is not None
    assert (orders.rows.rejected, orders.chunks.planned, orders.chunks.repaired) == (2, 2, 1)
    assert (packed.compression, packed.contract, packed.rows.valid) == ("gzip", "inferred", 60)


def test_a_sample_of_the_matrix(here: World) -> None:
    """On the shortest job, and what that does not call on another."""
    both = (scenarios.REFERRING, scenarios.ORDERS)
    plain = {scenario.name: here.run(scenario) for scenario in both}
    short, long = (list(matrix.cases(scenario, plain[scenario.name])) for scenario in both)
    called = {case.order.call.operation for case in short}
    cases = matrix.sample([*short, *(case for case in long if case.order.call.operation not in called)])
    assert {case.order.fault for case in cases} == set(FAULTS)
    assert {case.order.call.operation for case in cases} == set(report.OPERATIONS)
    results = [matrix.run(here, case, plain[case.scenario.name]) for case in cases]
    assert [result for result in results if result.outcome not in GOOD] == []
    assert {result.outcome for result in results} == {Outcome.SUCCEEDED, Outcome.FAILED}


@pytest.mark.parametrize("name", ["outage", "killed each time"])
@pytest.mark.parametrize("operation", ["GetObject", "PutObject"])
def test_a_job_that_is_to_become_current_does(here: World, name: str, operation: str) -> None:
    """Nothing works on ``current.json`` until the execution has ended."""
    plain = here.run(scenarios.ORDERS)
    (fault,) = (fault for fault in FAULTS if fault.name == name)
    order = Order(fault, Call(operation, scenarios.ORDERS.current, 1))
    result = matrix.run(here, matrix.Case(scenarios.ORDERS, order, "store-results"), plain)
    assert (result.outcome, result.wrong) == (Outcome.SUCCEEDED, "")


def test_the_judge_sees_what_is_wrong(here: World) -> None:
    """Half a result, one told twice, a job without an end: no check here may be one that cannot fail."""
    plain = here.run(scenarios.ORDERS)
    assert plain.job is not None
    order = Order(next(fault for fault in FAULTS if fault.reach is Reach.OUTAGE), plain.seen[0].call)
    case = matrix.Case(scenarios.ORDERS, order, "store-results")

    def judged(**changes: object) -> Outcome:
        fields = {name: getattr(plain, name) for name in plain.__dataclass_fields__} | {"hits": 1}
        return matrix.judge(case, world.Ended(**fields | changes), plain)[0]

    assert judged() is Outcome.SUCCEEDED
    key = f"jobs/{plain.job.job_id}/rejects.csv"
    assert judged(outputs=plain.outputs | {key: b"other"}) is Outcome.HALF
    assert judged(outputs=plain.outputs | {"jobs/x/data/part-00009.parquet": b""}) is Outcome.HALF
    assert judged(job=plain.job.with_(rows=plain.job.rows + plain.job.rows)) is Outcome.HALF
    assert judged(job=plain.job.with_(status=Status.STORING)) is Outcome.STUCK
    assert judged(job=None) is Outcome.STUCK
    assert judged(messages=plain.messages * 2) is Outcome.TWICE
    assert judged(messages=[]) is Outcome.HALF
    failed = {"job": plain.job.with_(status=Status.FAILED), "messages": [plain.messages[0] | {"status": "FAILED"}]}
    assert judged(**failed) is Outcome.HALF
    assert judged(**failed, outputs=plain.outputs | {scenarios.ORDERS.current: EARLIER}) is Outcome.FAILED
    case = matrix.Case(scenarios.REFUTED, order, "store-results")  # its dataset has nothing current before
    assert judged(**failed) is Outcome.FAILED
    assert judged(**failed, outputs=plain.outputs | {scenarios.REFUTED.current: b"new"}) is Outcome.HALF


@pytest.mark.parametrize("scenario", [scenarios.REFUTED, scenarios.ORDERS], ids=["first", "not the first"])
def test_a_failed_job_is_clean_where_its_dataset_is_as_it_was(here: World, scenario: world.Scenario) -> None:
    """Also where it had no current job yet, and has none now."""
    plain = here.run(scenario)
    fault = next(fault for fault in FAULTS if fault.reach is Reach.OUTAGE)
    call = next(seen.call for seen in plain.seen if seen.worker == "process-chunk")
    case = matrix.Case(scenario, Order(fault, call), "process-chunk")
    ended = here.run(scenario, case.order)
    assert matrix.judge(case, ended, plain) == (Outcome.FAILED, "")
    current = {scenario.current: plain.outputs[scenario.current]}
    published = replace(ended, outputs=ended.outputs | current)
    assert matrix.judge(case, published, plain)[0] is Outcome.HALF


def test_the_faults_are_what_they_say(here: World) -> None:
    """A lost reply took effect, a reset did not, a duplicate arrived twice more."""
    call = next(seen.call for seen in here.run(scenarios.ORDERS).seen if seen.call.target == "jobs/*/manifest.json")
    versions = {}
    for fault in FAULTS:
        if fault.reach is Reach.REQUEST and fault.deed not in (Deed.SHORT, Deed.CUT, Deed.HIDDEN_ERROR):
            ended = here.run(scenarios.ORDERS, Order(fault, call))
            assert ended.hits == 1
            versions[fault.deed] = world.versions("manifest.json")
    once = dict.fromkeys((Deed.RESET, Deed.THROTTLED, Deed.FAILED, Deed.DAMAGED, Deed.KILLED_BEFORE), 1)
    assert versions == once | {Deed.LOST: 2, Deed.KILLED_AFTER: 2, Deed.DUPLICATE: 3}


def test_the_page_shows_the_whole_matrix_and_nothing_else() -> None:
    text = report.PAGE.read_text(encoding="utf-8")
    shown = text.partition(report.BEGIN)[2].partition(report.END)[0].strip().splitlines()
    told = re.fullmatch(r"([\d,]+) of ([\d,]+) cases were run\.", shown.pop())
    assert shown.pop() == ""
    assert shown[0] == report.table([]).splitlines()[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in shown[2:]]
    assert [row[0] for row in rows] == [*(fault.name for fault in FAULTS), "**all**"]
    numbers = [[int(cell.replace(",", "")) for cell in row[-len(report.TOTALS) :]] for row in rows]
    assert [sum(column) for column in zip(*numbers[:-1], strict=True)] == numbers[-1]
    assert told is not None
    assert int(told[1].replace(",", "")) == numbers[-1][0] <= int(told[2].replace(",", ""))
    assert all(runs > 0 and runs == succeeded + failed and bad == 0 for runs, succeeded, failed, bad in numbers)
    for fault in FAULTS:
        assert f"| {fault.name} | {fault.meaning} |" in text
