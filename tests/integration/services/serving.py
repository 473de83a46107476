"""The audit's service in a thread of its own, as its own coordinator for the command line."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import APIRouter

from migration_sidecar.api.app import make_app
from migration_sidecar.config.settings import read_settings
from services.cas_service.api.events import router
from services.cas_service.api.evidence import router as evidence
from tests.integration.databases import Database
from tests.integration.services.fleet import BY_FOLDER


@contextmanager
def serving(audit: Database, coordinator: APIRouter | None = None) -> Iterator[str]:
    """Its URL; what a coordinator answers besides comes from the other router."""
    environment = {"DATABASE_URL": audit.url, "MIGRATE_ON_STARTUP": "off"}
    settings = read_settings(BY_FOLDER["cas_service"].path / "alembic.ini", environment)
    app = make_app(settings.config_file, routers=[router, evidence], settings=settings)
    if coordinator is not None:
        app.router.routes[:0] = coordinator.routes  # first: GET /migrations of a service is another one
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def wait_for(what: Callable[[], Any]) -> Any:
    give_up = time.monotonic() + 60
    while not (found := what()):
        assert time.monotonic() < give_up
        time.sleep(0.05)
    return found
