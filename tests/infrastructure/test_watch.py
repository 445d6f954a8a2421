"""What alarms and dashboard watch is what is emitted, and what CloudWatch can do."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

import deploy
from chalicelib import metrics
from ops.chalice import functions
from tests import witness
from tests.infrastructure import documents
from tests.pipeline import contract

ALARMS = documents.resources(documents.WORKFLOW, "AWS::CloudWatch::Alarm")
PARAMETERS = documents.template(documents.WORKFLOW)["Parameters"]
PROPERTIES = [pytest.param(alarm["Properties"], id=name) for name, alarm in ALARMS.items()]

COST = r"^\| ([a-z', ]+) \| (\d+) × ([0-9.]+) \| ([0-9.]+) \|$"
"""A row of the table of costs: what, how many, USD for one, USD a month."""

DAY_SECONDS, HOUR_SECONDS = 86_400, 3_600


class Metric(NamedTuple):
    namespace: str
    name: str
    dimensions: frozenset[str]


# What is emitted.


@pytest.fixture(scope="module")
def emitted() -> dict[Metric, str]:
    """Every metric of a whole job, sweep included, with its unit; as CloudWatch reads it from the log."""
    fields: Any = [{"name": "id", "type": "integer"}]
    with witness.listening() as seen:
        witness.whole_job(seen, b"id\n1\nx\n", contract(*fields))
    return {
        Metric(described["Namespace"], each["Name"], frozenset(dimensions)): each["Unit"]
        for document in seen.metrics
        for described in document["_aws"]["CloudWatchMetrics"]
        for dimensions in described["Dimensions"]
        for each in described["Metrics"]
    }


def test_every_value_and_dimension_stands_in_its_document() -> None:
    """What CloudWatch would leave out without a word:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    with witness.listening() as seen:
        witness.whole_job(seen, b"id\n1\nx\n", None)
    assert seen.metrics
    for document in seen.metrics:
        assert isinstance(document["_aws"]["Timestamp"], int)
        for described in document["_aws"]["CloudWatchMetrics"]:
            assert len(described["Metrics"]) <= 100
            for dimensions in described["Dimensions"]:
                assert all(isinstance(document[name], str) and document[name] for name in dimensions)
            for each in described["Metrics"]:
                assert all(isinstance(value, float) for value in document[each["Name"]])


def test_the_costs_in_the_documentation_are_those_of_what_is_made(emitted: dict[Metric, str]) -> None:
    page = (documents.ROOT / "docs" / "operations.md").read_text()
    told = {what: (int(n), price, cost) for what, n, price, cost in re.findall(COST, page, re.MULTILINE)}
    each_function = len(functions.function_names(documents.NAMES))
    alarms = [each_function if "${Name}" in documents.alarm_name(alarm) else 1 for alarm in ALARMS.values()]
    by_stage = {each for each in emitted if each.dimensions == {"stage"}}
    with witness.listening() as swept:
        metrics.swept("test", 0)
    ((of_the_sweeper,),) = [each["_aws"]["CloudWatchMetrics"] for each in swept.metrics]
    always = len(of_the_sweeper["Metrics"])
    assert {what: n for what, (n, _, _) in told.items()} == {
        "alarms": sum(alarms) - 1,  # that of missing uploads is only where asked for
        "dashboard": len(documents.resources(documents.WORKFLOW, "AWS::CloudWatch::Dashboard")),
        "metrics that the sweeper counts": always,
        "the stage's other metrics, at the most": len(by_stage) - always,
        "each dataset's metrics, at the most": len(emitted) - len(by_stage),
    }
    assert all(float(cost) == pytest.approx(n * float(price)) for n, price, cost in told.values())


# The alarms.


def metric_of(alarm: dict[str, Any]) -> Metric:
    dimensions = frozenset(each["Name"] for each in alarm["Dimensions"])
    return Metric(alarm["Namespace"], alarm["MetricName"], dimensions)


def largest(value: Any) -> int:
    """A number of the template, or the largest that its parameter may have."""
    return int(PARAMETERS[value["Ref"]]["MaxValue"]) if isinstance(value, dict) else int(value)


def test_the_alarms_watch_what_they_should(emitted: dict[Metric, str]) -> None:
    watched = {metric_of(alarm["Properties"]) for alarm in ALARMS.values()}
    machine, function = frozenset({"StateMachineArn"}), frozenset({"FunctionName"})
    of_aws = {
        Metric("AWS/States", "ExecutionsFailed", machine),
        Metric("AWS/States", "ExecutionsTimedOut", machine),
        Metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", frozenset({"QueueName"})),
        Metric("AWS/Lambda", "Errors", function),
        Metric("AWS/Lambda", "Throttles", function),
        Metric("AWS/Lambda", "Invocations", function),
    }
    own = {
        Metric(metrics.NAMESPACE, name, frozenset({"stage"}))
        for name in ("OldestJobSeconds", "RejectedPercent", "UploadsSeen")
    }
    assert watched == of_aws | own
    assert own <= emitted.keys()


@pytest.mark.parametrize("alarm", PROPERTIES)
def test_an_alarm_watches_a_resource_that_is_there(alarm: dict[str, Any]) -> None:
    (dimension,) = alarm["Dimensions"]
    if dimension["Name"] == "QueueName":
        assert dimension["Value"] == {"Fn::Select": [5, {"Fn::Split": [":", {"Ref": "DeadLetterQueue"}]}]}
        return
    if dimension["Value"] == {"Ref": "Name"}:
        return  # in the loop over the functions
    known = {
        "stage": [documents.NAMES.stage],
        "StateMachineArn": [documents.NAMES.state_machine_arn],
        "FunctionName": functions.function_names(documents.NAMES),
    }
    assert documents.resolve(dimension["Value"]) in known[dimension["Name"]]


@pytest.mark.parametrize("alarm", PROPERTIES)
def test_an_alarm_is_one_that_cloudwatch_accepts(alarm: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html: at most seven days are
    looked back, one where the period is shorter than an hour. And no alarm can search.
    """
    assert "Metrics" not in alarm
    period, window = alarm["Period"], alarm["Period"] * largest(alarm["EvaluationPeriods"])
    assert period in (10, 20, 30) or period % 60 == 0
    assert window <= (7 * DAY_SECONDS if period >= HOUR_SECONDS else DAY_SECONDS)
    assert alarm.get("DatapointsToAlarm", 1) <= largest(alarm["EvaluationPeriods"])
    assert len(alarm["AlarmDescription"]) <= 1_024


@pytest.mark.parametrize("alarm", PROPERTIES)
def test_every_alarm_tells_the_topic_and_says_what_it_means(alarm: dict[str, Any]) -> None:
    assert alarm["AlarmActions"] == [{"Ref": "AlarmsTopic"}]
    assert alarm["AlarmDescription"]


def test_missing_data_is_treated_by_what_it_means() -> None:
    treated = {name: alarm["Properties"]["TreatMissingData"] for name, alarm in ALARMS.items()}
    assert treated.pop("SweepSilentAlarm") == "breaching"  # not invoked is not measured
    assert treated.pop("OldestJobAlarm") == "ignore"  # the last sweep's word stands
    assert set(treated.values()) == {"notBreaching"}


def test_missing_uploads_are_watched_only_where_asked_for() -> None:
    assert PARAMETERS["NoUploadAlarmHours"]["Default"] == 0
    assert ALARMS["NoUploadAlarm"]["Condition"] == "WatchesUploads"
    assert documents.template(documents.WORKFLOW)["Conditions"]["WatchesUploads"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "NoUploadAlarmHours"}, "0"]}]
    }
    alarm = ALARMS["NoUploadAlarm"]["Properties"]
    assert alarm["EvaluationPeriods"] == {"Ref": "NoUploadAlarmHours"}
    assert alarm["Period"] == HOUR_SECONDS


@pytest.mark.parametrize(
    "option, parameter, factor",
    [
        ("--alarm-rejected", "RejectedPercentAlarm", 1),
        ("--alarm-job-age", "JobAgeAlarmSeconds", 60),
        ("--alarm-no-upload", "NoUploadAlarmHours", 1),
    ],
)
def test_the_command_line_takes_what_the_template_takes(
    option: str, parameter: str, factor: int, capsys: pytest.CaptureFixture[str]
) -> None:
    least = PARAMETERS[parameter]["MinValue"] // factor
    most = PARAMETERS[parameter].get("MaxValue", DAY_SECONDS) // factor
    for value in (least, most):
        chosen = deploy._options(deploy.parser().parse_args(["up", "--stage", "test", option, str(value)]))
        assert chosen.alarms.parameters()[parameter] == str(value * factor)
    for value in (least - 1, most + 1):
        with pytest.raises(SystemExit):
            deploy.parser().parse_args(["up", "--stage", "test", option, str(value)])
    assert f"from {least} to {most}" in capsys.readouterr().err
    untouched = deploy._options(deploy.parser().parse_args(["up", "--stage", "test"]))
    assert set(untouched.alarms.parameters().values()) == {None}


# Traces.


def test_functions_and_workflow_are_traced() -> None:
    assert functions.template()["xray"] is True
    machine = documents.resources(documents.WORKFLOW)["Workflow"]["Properties"]
    assert machine["TracingConfiguration"] == {"Enabled": True}
    for policy in documents.policies().values():
        assert any("xray:PutTraceSegments" in documents.listed(each["Action"]) for each in policy["Statement"])


# The dashboard.

BODY = json.loads(
    documents.resolve(documents.resources(documents.WORKFLOW)["Dashboard"]["Properties"]["DashboardBody"])
)
WIDGETS: list[dict[str, Any]] = BODY["widgets"]
GRAPHS = [widget for widget in WIDGETS if widget["type"] == "metric"]

SEARCH = re.compile(
    r"SEARCH\('\{(?P<schema>[^}]+)\} MetricName=\"(?P<name>\w+)\" stage=\"(?P<stage>\w+)\"',"
    r" '(?P<stat>Sum|Maximum)', (?P<period>\d+)\)"
)


def series(widget: dict[str, Any]) -> Iterator[list[Any]]:
    """The metrics of a graph in full: ``"."`` repeats one place of the line above, ``"..."`` all of it."""
    above: list[Any] = []
    for line in widget["properties"]["metrics"]:
        if "expression" in line[0]:
            yield line
            continue
        told = [each for each in line if not isinstance(each, dict)]
        if told == ["..."]:
            told = above
        above = [before if each == "." else each for each, before in itertools.zip_longest(told, above[: len(told)])]
        yield above


def drawn() -> Iterator[tuple[Metric, dict[str, str]]]:
    """Each metric that the dashboard shows, with the values of its dimensions as far as they are given."""
    for widget in GRAPHS:
        for line in series(widget):
            if isinstance(line[0], dict):
                found = SEARCH.fullmatch(line[0]["expression"])
                assert found is not None, line
                namespace, *dimensions = found["schema"].split(",")
                yield Metric(namespace, found["name"], frozenset(dimensions)), {"stage": found["stage"]}
            else:
                yield Metric(line[0], line[1], frozenset(line[2::2])), dict(zip(line[2::2], line[3::2], strict=True))


def test_the_dashboard_shows_what_is_emitted_and_leaves_nothing_out(emitted: dict[Metric, str]) -> None:
    shown = {metric for metric, _ in drawn() if metric.namespace == metrics.NAMESPACE}
    assert shown - emitted.keys() == set()
    assert {metric.name for metric in emitted} - {metric.name for metric in shown} == set()


def test_the_dashboard_shows_this_stage_alone() -> None:
    names = documents.NAMES
    known = {
        "stage": {names.stage},
        "StateMachineArn": {names.state_machine_arn},
        "FunctionName": set(functions.function_names(names)),
        "QueueName": {f"{names.prefix}-dead-letters"},
    }
    for _, dimensions in drawn():
        for name, value in dimensions.items():
            assert value in known[name]


@pytest.mark.parametrize("metric", ["Errors", "Throttles", "Duration"])
def test_the_dashboard_shows_every_function(metric: str) -> None:
    shown = [dimensions["FunctionName"] for found, dimensions in drawn() if found.name == metric]
    assert shown == functions.function_names(documents.NAMES)


def test_the_dashboard_begins_with_every_alarm_of_the_stage() -> None:
    (widget,) = [each for each in WIDGETS if each["type"] == "alarm"]
    of_the_stage = {documents.alarm_name(alarm) for alarm in ALARMS.values()} - {"${Name}-errors", "${Name}-throttles"}
    arns = {documents.NAMES.arn("cloudwatch", f"alarm:{documents.resolve({'Fn::Sub': name})}") for name in of_the_stage}
    assert set(widget["properties"]["alarms"]) == arns
    assert widget["y"] == 0


def test_the_dashboard_is_read_from_top_to_bottom() -> None:
    """No widget covers another, none sticks out, and their order is that of the page."""
    places = [(each["y"], each["x"]) for each in WIDGETS]
    assert places == sorted(places)
    cells = [
        (x, y)
        for each in WIDGETS
        for x in range(each["x"], each["x"] + each["width"])
        for y in range(each["y"], each["y"] + each["height"])
    ]
    assert len(cells) == len(set(cells))
    assert {x for x, _ in cells} == set(range(24))
    assert all(each["properties"]["title"] for each in WIDGETS if each["type"] != "text")


@pytest.mark.parametrize(
    "title, parameter", [("Age of the oldest", "JobAgeAlarmSeconds"), ("Rejected by dataset", "RejectedPercentAlarm")]
)
def test_a_graph_of_an_alarms_metric_shows_its_threshold(title: str, parameter: str) -> None:
    (widget,) = [each for each in GRAPHS if each["properties"]["title"].startswith(title)]
    (line,) = widget["properties"]["annotations"]["horizontal"]
    assert line["value"] == PARAMETERS[parameter]["Default"]
