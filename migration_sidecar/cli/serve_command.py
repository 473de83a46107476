"""`serve`: the endpoint for a service that is not a FastAPI application, in whatever language it is."""

from __future__ import annotations

import uvicorn

from migration_sidecar.api.app import make_app
from migration_sidecar.cli.options import Options
from migration_sidecar.contract.errors import ProblemError


def serve(options: Options, port: int) -> None:
    try:
        settings = options.settings()
    except ProblemError as error:
        raise options.refused(error) from None
    uvicorn.run(make_app(settings.config_file, settings=settings), host="127.0.0.1", port=port, access_log=False)
