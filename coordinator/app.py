"""Puts the coordinator together; nothing else does, and nothing is connected before the application starts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial

from fastapi import FastAPI

from coordinator import activities
from coordinator.activities import ACTIVITIES, Tools
from coordinator.adapters.audit_client import HttpAudit
from coordinator.adapters.dapr_pubsub import DaprPublisher
from coordinator.adapters.dapr_state import DaprDocuments
from coordinator.adapters.dapr_workflow import DaprWorkflows
from coordinator.adapters.daprd import Sidecar
from coordinator.adapters.service_client import HttpServices
from coordinator.api import audit_proxy, health, journals, migrations, subscriptions
from coordinator.api.http import PROBLEMS, Callers
from coordinator.audit.availability import Standing
from coordinator.audit.drift import Drift
from coordinator.audit.event_spool import Remarks
from coordinator.audit.outbox_relay import Relay
from coordinator.audit.rejection_lookup import Refusals
from coordinator.audit.rejections import Rejections
from coordinator.documents.damaged import Damage
from coordinator.domain.catalog import Catalog, read_catalog
from coordinator.errors import BadCatalog
from coordinator.runs.acceptance import Acceptance
from coordinator.runs.change_notifier import Watchers
from coordinator.runs.intake import Reception
from coordinator.runs.recovery_loop import Sweep
from coordinator.runs.repository import Runs
from coordinator.runs.run_recovery import Caretaker
from coordinator.runs.workflow_progress import Movement
from coordinator.settings import Settings
from coordinator.steps.step_executor import Commander, Limits
from migration_sidecar.contract.host_names import LOOPBACK
from migration_sidecar.http_server import open_file_limit
from migration_sidecar.http_server.client_disconnect import AbortedRequests
from migration_sidecar.http_server.cross_origin import ForeignRequests
from migration_sidecar.http_server.log_format import begin_logging
from migration_sidecar.http_server.openapi import VERSION, serve_document
from migration_sidecar.http_server.problem_response import install_problem_handlers

log = logging.getLogger(__name__)


def create_app() -> FastAPI:
    app = FastAPI(
        title="Migration coordinator",
        version=VERSION,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(ForeignRequests, setting="COORDINATOR_ALLOWED_HOSTS")
    app.add_middleware(AbortedRequests)
    install_problem_handlers(app, PROBLEMS)
    return app


def now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    begin_logging("coordinator", "migration_sidecar")
    open_file_limit.allow_many()
    open_file_limit.tell_rarely_when_used_up(asyncio.get_running_loop())
    settings = Settings()
    app.state.allowed_hosts = LOOPBACK | settings.hosts
    catalog = _catalog(settings)
    async with Sidecar(settings.dapr_http_port, settings.dapr_api_token) as sidecar:
        workflows, sweep = _wire(app, settings, catalog, sidecar)
        if settings.serve_openapi:
            serve_document(app)
        # Neither waits for daprd, which itself waits for this port to open.
        tasks = [asyncio.create_task(workflows.work()), asyncio.create_task(sweep.forever(settings.sweep_every))]
        yield
        for task in tasks:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await workflows.stop()


def _wire(app: FastAPI, settings: Settings, catalog: Catalog, sidecar: Sidecar) -> tuple[DaprWorkflows, Sweep]:
    documents = DaprDocuments(sidecar, settings.state_store)
    publisher = DaprPublisher(sidecar, settings.pubsub, settings.events_topic)
    audit = HttpAudit(sidecar, catalog.fleet.audit)
    messenger = HttpServices(sidecar)
    watchers = Watchers()
    damage = Damage(documents)
    runs = Runs(documents, watchers, damage)
    standing = Standing(audit, now)
    remarks = Remarks(standing, documents, damage)
    rejections = Rejections(remarks, publisher, now)
    drift = Drift(remarks, now)
    tools = Tools(
        runs=runs,
        relay=Relay(standing, publisher, runs.deliveries),
        commander=Commander(messenger, Limits(operation_deadline=settings.operation_deadline)),
        catalog=catalog,
        clock=now,
        drift=drift,
        planning_patience_seconds=settings.planning_patience.total_seconds(),
    )
    workflows = DaprWorkflows(
        settings.dapr_grpc_port,
        {name: partial(activities.visibly, activity, tools=tools) for name, activity in ACTIVITIES.items()},
    )
    reception = Reception(Acceptance(runs, workflows, catalog, now), rejections, now)
    callers = Callers(settings.app_api_token, settings.app_id)
    caretaker = Caretaker(runs, workflows, Movement(tools.activities))
    sweep = Sweep(runs, caretaker, rejections, standing)
    refusals = Refusals(remarks, audit)
    desk = migrations.Desk(reception, runs, watchers, catalog, messenger, callers, drift, standing, refusals)
    app.include_router(migrations.routes(desk))
    app.include_router(audit_proxy.routes(audit))
    app.include_router(journals.routes(catalog, messenger))
    subscriptions.subscribe(app, reception, settings.pubsub)
    app.include_router(
        health.routes(runs=runs, is_worker_connected=lambda: workflows.connected, sweep=sweep, reception=reception)
    )
    return workflows, sweep


def _catalog(settings: Settings) -> Catalog:
    try:
        return read_catalog(settings.catalog.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadCatalog(f"The catalog {settings.catalog.name} cannot be read: {error.strerror}.") from None


app = create_app()
