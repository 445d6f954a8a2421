"""A stage as ``status`` shows it: every resource with its state and drift, where to reach it, the last jobs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from chalicelib.frozen import frozen
from chalicelib.model import Job
from ops import ports
from ops.chalice import record
from ops.cloudformation import drift, stacks
from ops.cloudformation.drift import NOT_CHECKED, Drift
from ops.packages import layer
from ops.stage import deployment, leftovers, mail
from ops.stage.deployment import Deployed
from ops.target import Target, Tell

JOBS_SHOWN: Final = 10
GONE: Final = "DELETED"


@frozen
class Resource:
    part: str
    """The stack's name, ``functions`` or ``layer``."""
    name: str
    """Logical in a stack, else Chalice's."""
    kind: str
    """CloudFormation's resource type, also for what Chalice made."""
    id: str
    state: str
    drift: Drift


@dataclass(frozen=True)
class Inspection:
    stage: str
    resources: list[Resource]
    existing: list[str]
    """Everything that is found under the stage's names and tag, as ``leftovers`` tells it."""
    deployed: Deployed | None
    """None where the stage is not whole."""
    jobs: list[Job]
    """The last ones, newest first."""
    notes: list[str] = field(default_factory=list)
    """What could not be found out, and why."""

    def to_json(self) -> dict[str, Any]:
        document = asdict(self)
        document["deployed"] = self.deployed.to_json() if self.deployed else None
        document["jobs"] = [job.to_json() for job in self.jobs]
        return document


def inspect(target: Target, tell: Tell) -> Inspection:
    """Look at everything, change nothing. CloudFormation's drift detection takes about half a minute on AWS."""
    names, notes = target.names, []
    resources: list[Resource] = []
    for stack in (names.foundation_stack, names.workflow_stack):
        tell(f"drift of {stack}")
        found, why_not = drift.detect(target, stack) if stacks.describe(target, stack) else ({}, "")
        resources += [
            Resource(stack, name, kind, physical, state, found.get(name, Drift(NOT_CHECKED)))
            for name, kind, physical, state in stacks.resources(target, stack)
        ]
        if why_not:
            notes.append(f"drift of {stack} is not known: {why_not}")
    if stacks.describe(target, names.foundation_stack):
        notes += mail.not_mailed(target)
    tell("functions")
    resources += _functions(target)
    resources += _layers(target)
    unchecked = sum(resource.drift.state == NOT_CHECKED for resource in resources)
    if unchecked:
        notes.append(f"{unchecked} resources are of kinds whose drift this endpoint cannot detect")
    tell("jobs")
    existing = leftovers.find(target)
    return Inspection(names.stage, resources, existing, deployment.find(target), _jobs(target, existing), notes)


def _functions(target: Target) -> Iterator[Resource]:
    """What Chalice made, against how it was set up when it was deployed last."""
    recorded = record.load(target)
    differences: dict[str, list[str]] = {}
    for each in record.drift(target, recorded):
        differences.setdefault(each.function, []).append(f"{each.setting}: {each.before} → {each.after}")
    chalice = recorded.get("chalice", {})
    for name, arn in record.functions(chalice).items():
        state = _function_state(target, arn)
        changed = Drift("MODIFIED", tuple(differences[name])) if name in differences else Drift("IN_SYNC")
        yield Resource(
            "functions", name, "AWS::Lambda::Function", arn, state, changed if state != GONE else Drift(GONE)
        )
    api = record.resource(chalice, "rest_api")
    if api is not None:
        gone = "REST API" in differences
        state, changed = (GONE, Drift(GONE)) if gone else ("AVAILABLE", Drift(NOT_CHECKED))
        yield Resource("functions", "rest_api", "AWS::ApiGateway::RestApi", api["rest_api_id"], state, changed)
    for part in ("inbox", "functions"):
        for difference in differences.get(part, []):
            yield Resource("functions", part, "deployment", "", "INCOMPLETE", Drift("MODIFIED", (difference,)))


def _function_state(target: Target, arn: str) -> str:
    try:
        found = target.lambda_.get_function_configuration(FunctionName=arn)
    except target.lambda_.exceptions.ResourceNotFoundException:
        return GONE
    if found.get("LastUpdateStatus", "Successful") != "Successful":
        return f"{found['State']}, update {found['LastUpdateStatus']}"
    return found["State"]


def _layers(target: Target) -> Iterator[Resource]:
    """A version of a layer cannot be changed: there is no drift."""
    for version in layer.versions(target):
        arn = version["LayerVersionArn"]
        yield Resource("layer", target.names.layer, "AWS::Lambda::LayerVersion", arn, "AVAILABLE", Drift("IN_SYNC"))


def _jobs(target: Target, existing: list[str]) -> list[Job]:
    if f"table: {target.names.jobs_table}" not in existing:
        return []
    return list(ports.jobs(target).list(limit=JOBS_SHOWN).jobs)
