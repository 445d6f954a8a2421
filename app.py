"""The map of the system: every Lambda function, event handler, schedule and route, a few lines each.

There is no logic here. A workflow function calls the step of the same name in ``chalicelib/steps.py``, an event handler
its function in ``triggers.py`` or ``sweeper.py``, and the REST API is the blueprint of ``api.py``. The ports (S3,
DynamoDB, Step Functions, SNS) are made by ``wiring.py`` when a handler first needs one.

Importing this module imports neither pandas, pyarrow nor numpy: the functions that answer the API and the events carry
no dependency layer and start fast. Therefore ``steps`` is imported by the workflow functions alone, when they run.
"""

from __future__ import annotations

from chalice.app import AuthRequest, AuthResponse, Chalice, Rate

from chalicelib import api, failure, handlers, notify, sweeper, triggers
from chalicelib.model import CONTRACTS_PREFIX, INCOMING_PREFIX, JSON
from chalicelib.ports import Ports
from chalicelib.settings import Settings, from_environment

SETTINGS = from_environment()

app = Chalice(app_name="sluice", configure_logs=False)  # telemetry.py formats the logger of this name


# The workflow: one function per state of statemachine.json, in the order in which they run.


@app.lambda_function(name="validate-data")
@handlers.step
def validate_data(ports: Ports, settings: Settings, payload: JSON) -> JSON:
    """ValidateData: claim the job, read the contract, find the file's form, plan the chunks."""
    from chalicelib import steps

    return steps.validate_data(ports, settings, payload)


@app.lambda_function(name="process-chunk")
@handlers.step
def process_chunk(ports: Ports, settings: Settings, payload: JSON) -> JSON:
    """ProcessChunk, the child of the Distributed Map: one byte range in, partial results out."""
    from chalicelib import steps

    return steps.process_chunk(ports, settings, payload)


@app.lambda_function(name="aggregate-data")
@handlers.step
def aggregate_data(ports: Ports, settings: Settings, payload: JSON) -> JSON:
    """AggregateData: reconcile the ledger and merge the partial results, or ask for one more round."""
    from chalicelib import steps

    return steps.aggregate_data(ports, settings, payload)


@app.lambda_function(name="store-results")
@handlers.step
def store_results(ports: Ports, settings: Settings, payload: JSON) -> JSON:
    """StoreResults: publish the outputs, the manifest last, then switch the dataset's ``current.json``."""
    from chalicelib import steps

    return steps.store_results(ports, settings, payload)


@app.lambda_function(name="record-failure")
@handlers.step
def record_failure(ports: Ports, settings: Settings, payload: JSON) -> JSON:
    """RecordFailure: what the workflow caught is written to the job."""
    return failure.record_failure(ports, settings, payload)


@app.lambda_function(name="notify")
@handlers.step
def notify_end(ports: Ports, settings: Settings, payload: JSON) -> JSON:
    """NotifySuccess and NotifyFailure: tell people and machines how a job ended."""
    return notify.notify(ports, settings, payload)


# What happens outside the workflow.


@app.on_s3_event(bucket=SETTINGS.inbox_bucket, prefix=INCOMING_PREFIX, name="on-upload")
@handlers.trigger
def on_upload(ports: Ports, settings: Settings, document: JSON) -> JSON:
    """An upload under ``incoming/``: its job is registered as RECEIVED (EventBridge starts the workflow)."""
    return triggers.upload_seen(ports, settings, document)


@app.on_s3_event(bucket=SETTINGS.inbox_bucket, prefix=CONTRACTS_PREFIX, suffix=".json", name="on-contract")
@handlers.trigger
def on_contract(ports: Ports, settings: Settings, document: JSON) -> JSON:
    """An upload under ``contracts/``: the contract is checked, and a fault in it told at once."""
    return triggers.contract_uploaded(ports, settings, document)


@app.on_cw_event(triggers.execution_ended_badly(SETTINGS.state_machine_arn), name="on-execution-status")
@handlers.trigger
def on_execution_status(ports: Ports, settings: Settings, document: JSON) -> JSON:
    """A run that failed, timed out or was aborted: its job is marked FAILED, if its own catch did not do it."""
    return triggers.execution_status_changed(ports, settings, document)


@app.schedule(Rate(sweeper.INTERVAL_MINUTES, unit=Rate.MINUTES), name="sweep")
@handlers.trigger
def sweep(ports: Ports, settings: Settings, document: JSON) -> JSON:
    """Every few minutes: start what never started, end what died, report what is stuck."""
    return sweeper.sweep(ports, settings, document)


# The REST API.


@handlers.authorizer(app, name="authorize", ttl_seconds=api.AUTHORIZATION_TTL_SECONDS)
def authorize(request: AuthRequest) -> AuthResponse:
    """Let in whoever presents the API's bearer token."""
    return api.authorize(request)


app.register_blueprint(api.blueprint(authorize))
