"""Creates the FastAPI application for one alembic.ini, with its middleware and background tasks."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, FastAPI

from migration_sidecar.api.callers import call_settings, migration_callers, own_signer
from migration_sidecar.api.journal import router as journal_router
from migration_sidecar.api.problems import PROBLEMS
from migration_sidecar.api.readiness import router as readiness_router
from migration_sidecar.api.routes import router
from migration_sidecar.config.settings import Settings, read_settings
from migration_sidecar.contract.host_names import LOOPBACK
from migration_sidecar.engine.engine import Engine
from migration_sidecar.http_server import open_file_limit
from migration_sidecar.http_server.client_disconnect import ClientDisconnectGuard
from migration_sidecar.http_server.cross_origin import CrossOriginGuard
from migration_sidecar.http_server.log_format import configure_logging
from migration_sidecar.http_server.openapi import VERSION, serve_document
from migration_sidecar.http_server.problem_response import install_problem_handlers
from migration_sidecar.http_server.proven_caller import CallPolicy

log = logging.getLogger(__name__)


def make_app(config_file: Path, *, routers: Sequence[APIRouter] = (), settings: Settings | None = None) -> FastAPI:
    """The application for one alembic.ini. If `settings` is None they are read when the server starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        configure_logging("migration_sidecar", "signed_calls", "stamina")
        open_file_limit.raise_open_file_limit()
        open_file_limit.warn_when_exhausted(asyncio.get_running_loop())
        engine = Engine(settings or read_settings(config_file))
        app.state.engine, app.state.database = engine, engine.database
        app.state.allowed_hosts = LOOPBACK | engine.settings.allowed_hosts
        calls = call_settings(os.environ)
        signer = own_signer(calls, engine.settings.service)
        app.state.call_policy = CallPolicy(calls, engine.settings.service)
        app.state.permitted_callers = migration_callers(os.environ)
        app.state.call_policy.log_at_start()
        if engine.settings.serve_openapi:
            serve_document(app)
        # In the background: daprd and live health expect the port to open at once.
        tasks = [asyncio.create_task(_start_up(engine))]
        if engine.settings.dapr_http_port is not None:
            tasks.append(asyncio.create_task(engine.relay.run(signer)))
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await engine.close()

    app = FastAPI(
        title="A service with a migration sidecar",
        version=VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.add_middleware(CrossOriginGuard, setting="MIGRATION_ALLOWED_HOSTS")
    app.add_middleware(ClientDisconnectGuard)
    install_problem_handlers(app, PROBLEMS)
    for each in (router, journal_router, readiness_router, *routers):
        app.include_router(each)
    return app


async def _start_up(engine: Engine) -> None:
    try:
        await engine.forkserver.start()
        await engine.startup.run()
        await engine.startup.watch()
    except Exception:
        log.exception("start_up_failed", extra={"service": engine.settings.service})
