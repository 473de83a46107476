"""Runs the command `serve`: the HTTP endpoint for a service that is no FastAPI application."""

from __future__ import annotations

import os

import uvicorn

from migration_sidecar.api.app import make_app
from migration_sidecar.cli.options import Options
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.http_server.bounded_connections import BoundedHttp


def serve(options: Options, port: int) -> None:
    """Serves on loopback until it is interrupted."""
    try:
        settings = options.settings()
    except ProblemError as error:
        raise options.refused(error) from None
    app = make_app(settings.config_file, settings=settings)
    env_file = os.environ.get("UVICORN_ENV_FILE")  # as the command uvicorn reads it
    uvicorn.run(app, host="127.0.0.1", port=port, access_log=False, http=BoundedHttp, env_file=env_file)
