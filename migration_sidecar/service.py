"""Creates the FastAPI application of a folder with an alembic.ini. A service's app.py calls it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter, FastAPI

from migration_sidecar.api.app import make_app


def create_app(app_file: str, *, routers: Sequence[APIRouter] = ()) -> FastAPI:
    """`app_file` is the caller's __file__; alembic.ini is in the same folder. Settings are read at server start."""
    return make_app(Path(app_file).resolve().parent / "alembic.ini", routers=routers)
