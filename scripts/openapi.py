"""Writes docs/openapi/: the documents that the applications serve at /openapi.json when this is switched on.

`.venv/bin/python -m scripts.openapi`
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from coordinator import app as coordinator
from coordinator.adapters.daprd import DaprHttpClient
from coordinator.domain.catalog_file import read_catalog
from coordinator.settings import Settings
from migration_sidecar.api.app import make_app
from migration_sidecar.http_server.openapi import document
from services.cas_service.api.events import router
from services.cas_service.api.evidence import router as evidence

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "openapi"


async def whole_coordinator() -> FastAPI:
    """With all its routes and no connection; its parts ask for the loop that they are to run in."""
    app = coordinator.create_app()
    coordinator._wire(app, Settings(), read_catalog((ROOT / "fleet.toml").read_text()), DaprHttpClient(3500))
    return app


def documents() -> dict[str, dict[str, Any]]:
    """By the name of the file."""
    services = ROOT / "services"
    return {
        "coordinator": document(asyncio.run(whole_coordinator())),
        "service": document(make_app(services / "task_service" / "alembic.ini")),
        "cas-audit": document(make_app(services / "cas_service" / "alembic.ini", routers=[router, evidence])),
    }


def text_of(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, content in documents().items():
        (FOLDER / f"{name}.json").write_text(text_of(content), encoding="utf-8")


if __name__ == "__main__":
    write()
