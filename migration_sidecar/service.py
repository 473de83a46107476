"""Makes a FastAPI application out of a folder with an alembic.ini; what a service's two-line app.py calls."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, FastAPI

from migration_sidecar import open_files
from migration_sidecar.aborted_requests import AbortedRequests
from migration_sidecar.api import install_error_pages, router
from migration_sidecar.engine import Engine
from migration_sidecar.foreign_requests import LOOPBACK, ForeignRequests
from migration_sidecar.journal_door import router as journal_router
from migration_sidecar.log_lines import begin_logging
from migration_sidecar.settings import Settings, read_settings

log = logging.getLogger(__name__)


def create_app(app_file: str, *, routers: Sequence[APIRouter] = ()) -> FastAPI:
    """`app_file` is the caller's __file__; alembic.ini lies beside it. Settings are read when the server starts."""
    return make_app(Path(app_file).resolve().parent / "alembic.ini", routers=routers)


def make_app(config_file: Path, *, routers: Sequence[APIRouter] = (), settings: Settings | None = None) -> FastAPI:
    """The application for any alembic.ini; `settings` where the caller has them already."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        begin_logging()
        open_files.allow_many()
        open_files.tell_rarely_when_used_up(asyncio.get_running_loop())
        engine = Engine(settings or read_settings(config_file))
        app.state.engine, app.state.database = engine, engine.database
        app.state.allowed_hosts = LOOPBACK | engine.settings.allowed_hosts
        # Nothing here is waited for: the port must open at once, or daprd and live health see a dead service.
        tasks = [asyncio.create_task(_begin(engine))]
        if engine.settings.dapr_http_port is not None:
            tasks.append(asyncio.create_task(engine.relay.run()))
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await engine.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(ForeignRequests, setting="MIGRATION_ALLOWED_HOSTS")
    app.add_middleware(AbortedRequests)
    install_error_pages(app)
    for each in (router, journal_router, *routers):
        app.include_router(each)
    return app


async def _begin(engine: Engine) -> None:
    try:
        await engine.processes.start()
        await engine.startup.run()
        await engine.startup.watch()
    except Exception:
        log.exception("start_up_failed", extra={"service": engine.settings.service})
