"""`serve`: the endpoint for a service that is not a FastAPI application, in whatever language it is."""

from __future__ import annotations

from typing import Annotated

import typer

from migration_sidecar.cli.options import Options
from migration_sidecar.errors import ProblemError


def serve(options: Options, port: Annotated[int, typer.Option(help="Port on loopback.")] = 8080) -> None:
    """Give the endpoint to a service that is not a FastAPI application.

    Example: migration-sidecar serve -c backend/alembic.ini --python backend/.venv/bin/python --port 8080
    """
    import uvicorn

    from migration_sidecar.service import make_app

    try:
        settings = options.settings()
    except ProblemError as error:
        raise options.refused(error) from None
    uvicorn.run(make_app(settings.config_file, settings=settings), host="127.0.0.1", port=port, access_log=False)
