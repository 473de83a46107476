"""Creates the objects of the coordinator and connects them. No connection is opened before the application starts."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial

from fastapi import FastAPI

from coordinator.adapters.audit_client import HttpAudit
from coordinator.adapters.dapr_pubsub import DaprPublisher
from coordinator.adapters.dapr_state import DaprDocuments
from coordinator.adapters.dapr_workflow import DaprWorkflows
from coordinator.adapters.daprd import DaprHttpClient
from coordinator.adapters.oidc_tokens import OidcTokens
from coordinator.adapters.operator_keys import OperatorKeys
from coordinator.adapters.parted_documents import PartedDocuments
from coordinator.adapters.service_client import HttpServices
from coordinator.adapters.signed_documents import SignedDocuments
from coordinator.api import (
    acknowledgements,
    audit_proxy,
    command_events,
    commands,
    dead_letters,
    fleet,
    health,
    journals,
    migrations,
    subscriptions,
)
from coordinator.api.http import PROBLEMS
from coordinator.api.requesters import CallRequesters, EventRequesters
from coordinator.audit.acknowledgements import GapAcknowledgement
from coordinator.audit.availability import MonitoredAuditTrail
from coordinator.audit.dead_letters import DeadLetters
from coordinator.audit.drift import DriftRecorder
from coordinator.audit.event_spool import AuditSpool
from coordinator.audit.outbox_relay import OutboxRelay
from coordinator.audit.rejection_lookup import RejectionLookup
from coordinator.audit.rejections import Rejections
from coordinator.documents.damaged import DamagedDocuments
from coordinator.domain.catalog import Catalog
from coordinator.domain.catalog_file import read_catalog
from coordinator.domain.permissions import Permissions
from coordinator.driver import activities
from coordinator.driver.activities import ACTIVITIES, ActivityDependencies
from coordinator.driver.assembly import build_run_driver
from coordinator.errors import BadCatalog
from coordinator.ports import DocumentStore
from coordinator.runs.acceptance import Acceptance
from coordinator.runs.change_notifier import ChangeNotifier
from coordinator.runs.intake import RequestIntake
from coordinator.runs.recovery_loop import RecoveryLoop
from coordinator.runs.repository import RunRepository
from coordinator.runs.resubmission import Resubmission
from coordinator.runs.run_recovery import RunRecovery
from coordinator.runs.steering import Steering
from coordinator.runs.workflow_progress import RunningActivities, WorkflowProgress
from coordinator.settings import Settings
from coordinator.steps.step_executor import Limits, StepExecutor
from migration_sidecar.contract.host_names import LOOPBACK
from migration_sidecar.http_server import open_file_limit
from migration_sidecar.http_server.client_disconnect import ClientDisconnectGuard
from migration_sidecar.http_server.cross_origin import CrossOriginGuard
from migration_sidecar.http_server.log_format import configure_logging
from migration_sidecar.http_server.openapi import VERSION, serve_document
from migration_sidecar.http_server.own_sidecar import OwnSidecarGuard
from migration_sidecar.http_server.problem_response import install_problem_handlers
from signed_calls.keys import PublicKeys
from signed_calls.settings import KEY_FILE, read_call_settings
from signed_calls.signer import Signer

log = logging.getLogger(__name__)


def create_app() -> FastAPI:
    """The application without its routes; `_lifespan` adds them when the server starts."""
    app = FastAPI(
        title="Migration coordinator",
        version=VERSION,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(OwnSidecarGuard, environment=os.environ)
    app.add_middleware(CrossOriginGuard, setting="COORDINATOR_ALLOWED_HOSTS")
    app.add_middleware(ClientDisconnectGuard)
    install_problem_handlers(app, PROBLEMS)
    return app


def now() -> datetime:
    """The current time, aware and in UTC."""
    return datetime.now(UTC)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    configure_logging("coordinator", "migration_sidecar", "signed_calls")
    open_file_limit.raise_open_file_limit()
    open_file_limit.warn_when_exhausted(asyncio.get_running_loop())
    settings = Settings()
    app.state.allowed_hosts = LOOPBACK | settings.hosts
    catalog = _catalog(settings)
    async with DaprHttpClient(settings.dapr_http_port, settings.dapr_api_token, _signer(settings)) as daprd:
        workflows, recovery_loop = _wire(app, settings, catalog, daprd)
        if settings.serve_openapi:
            serve_document(app)
        # Neither waits for daprd, which itself waits for this port to open.
        tasks = [asyncio.create_task(workflows.work()), asyncio.create_task(recovery_loop.run(settings.sweep_every))]
        yield
        for task in tasks:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await workflows.stop()


def _wire(
    app: FastAPI, settings: Settings, catalog: Catalog, daprd: DaprHttpClient
) -> tuple[DaprWorkflows, RecoveryLoop]:
    documents = PartedDocuments(_documents(settings, daprd))
    publisher = DaprPublisher(daprd, settings.pubsub, settings.events_topic)
    audit = HttpAudit(daprd, catalog.fleet.audit)
    messenger = HttpServices(daprd)
    change_notifier = ChangeNotifier()
    damaged_documents = DamagedDocuments(documents)
    runs = RunRepository(documents, change_notifier, damaged_documents)
    audit_trail = MonitoredAuditTrail(audit, now)
    spool = AuditSpool(audit_trail, documents, damaged_documents)
    rejections = Rejections(spool, publisher, now)
    letters = DeadLetters(documents, damaged_documents)
    drift_recorder = DriftRecorder(spool, now)
    running_activities = RunningActivities()
    workflows = DaprWorkflows(settings.dapr_grpc_port)
    relay = OutboxRelay(audit_trail, publisher, runs.deliveries)
    driver = build_run_driver(
        runs=runs,
        change_notifier=change_notifier,
        relay=relay,
        executor=StepExecutor(messenger, Limits(operation_deadline=settings.operation_deadline)),
        messenger=messenger,
        scheduler=workflows,
        catalog=catalog,
        drift_recorder=drift_recorder,
        clock=now,
        planning_patience_seconds=settings.planning_patience.total_seconds(),
    )
    dependencies = ActivityDependencies(runs, driver, running_activities)
    workflows.activities = {
        name: partial(activities.report_unexpected_errors, activity, dependencies=dependencies)
        for name, activity in ACTIVITIES.items()
    }
    permissions = Permissions(catalog.operators)
    acceptance = Acceptance(runs, workflows, catalog, now)
    intake = RequestIntake(acceptance, rejections, now, permissions)
    steering = Steering(runs, acceptance, permissions, catalog, now)
    call_requesters, event_requesters, command_requesters = _requesters(settings, catalog, permissions)
    if call_requesters.tokens is not None:
        app.state.more_challenges = (f'Bearer realm="{settings.app_id}"',)
    run_recovery = RunRecovery(runs, workflows, WorkflowProgress(running_activities))
    recovery_loop = RecoveryLoop(runs, run_recovery, rejections, audit_trail)
    rejection_lookup = RejectionLookup(spool, audit, letters)
    api_dependencies = migrations.ApiDependencies(
        intake, runs, change_notifier, catalog, messenger, call_requesters, rejection_lookup
    )
    app.include_router(migrations.routes(api_dependencies))
    app.include_router(commands.routes(steering, intake, call_requesters))
    app.include_router(
        fleet.routes(
            catalog=catalog,
            messenger=messenger,
            drift_recorder=drift_recorder,
            audit_trail=audit_trail,
            requesters=call_requesters,
        )
    )
    resubmission = Resubmission(letters, intake, spool)
    app.include_router(dead_letters.routes(dead_letters.DeadLetterDependencies(letters, resubmission, call_requesters)))
    app.include_router(audit_proxy.routes(audit, call_requesters))
    acknowledgement = GapAcknowledgement(audit, catalog.fleet.audit, spool, now, permissions)
    app.include_router(acknowledgements.routes(acknowledgement, intake, call_requesters))
    app.include_router(journals.routes(catalog, messenger, call_requesters))
    topics = subscriptions.subscribe(app, subscriptions.EventDoor(intake, event_requesters, letters), settings.pubsub)
    command_events.subscribe(topics, command_events.CommandDoor(steering, intake, command_requesters), settings.pubsub)
    app.include_router(
        health.routes(
            runs=runs, is_worker_connected=lambda: workflows.connected, recovery_loop=recovery_loop, intake=intake
        )
    )
    return workflows, recovery_loop


def _documents(settings: Settings, daprd: DaprHttpClient) -> DocumentStore:
    """Dapr state; what is written is signed where there is a key to sign with and a place to find it again."""
    calls, documents = read_call_settings(os.environ), DaprDocuments(daprd, settings.state_store)
    signer = calls.signer(settings.app_id)
    if signer is None or calls.keys is None:
        return documents
    are_accepted = settings.unsigned_runs == "accept"
    return SignedDocuments(documents, signer, PublicKeys(calls.keys), settings.app_id, unsigned_are_ours=are_accepted)


def _requesters(
    settings: Settings, catalog: Catalog, permissions: Permissions
) -> tuple[CallRequesters, EventRequesters, EventRequesters]:
    """How those who call and publish are known. Raises BadCallSettings."""
    calls, app_id = read_call_settings(os.environ), settings.app_id
    keys = OperatorKeys(catalog.operators, None if calls.keys is None else PublicKeys(calls.keys))
    tokens = None if catalog.oidc is None else OidcTokens.of(catalog.oidc, settings.catalog.parent)
    call_requesters = CallRequesters.of(calls, app_id, keys, permissions, tokens)
    call_requesters.policy.log_at_start()
    unsigned = catalog.fleet.events == "trusted-broker"
    events = EventRequesters.of(calls, app_id, keys, subscriptions.TOPIC, unsigned_are_taken=unsigned)
    # A broker that is trusted with requests is not trusted with commands: they are for operators who are proven.
    commands = EventRequesters.of(calls, app_id, keys, command_events.TOPIC, unsigned_are_taken=False)
    return call_requesters, events, commands


def _signer(settings: Settings) -> Signer | None:
    """Signs what the coordinator asks of services and audit. Raises BadCallSettings or BadKey, which name the place."""
    calls = read_call_settings(os.environ)
    signer = calls.signer(settings.app_id)
    if signer is not None:
        log.info("calls_are_signed", extra={"key_id": signer.key_id})
    elif calls.required:
        log.warning("calls_are_not_signed", extra={"setting": KEY_FILE})
    return signer


def _catalog(settings: Settings) -> Catalog:
    try:
        return read_catalog(settings.catalog.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadCatalog(f"The catalog {settings.catalog.name} cannot be read: {error.strerror}.") from None


app = create_app()
