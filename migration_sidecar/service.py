"""Makes a FastAPI application out of a folder with an alembic.ini; what a service's two-line app.py calls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter, FastAPI

from migration_sidecar.api.app import make_app


def create_app(app_file: str, *, routers: Sequence[APIRouter] = ()) -> FastAPI:
    """`app_file` is the caller's __file__; alembic.ini lies beside it. Settings are read when the server starts."""
    return make_app(Path(app_file).resolve().parent / "alembic.ini", routers=routers)
