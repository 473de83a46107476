"""A person is told what takes so long."""

from __future__ import annotations

import asyncio

from migration_sidecar.cli.output import remarks
from migration_sidecar.engine import Engine

SILENT_SECONDS = 3.0


async def tell_what_is_waited_for(engine: Engine) -> None:
    while engine.loading.seconds < SILENT_SECONDS:
        await asyncio.sleep(0.5)
    limit = engine.settings.loading_seconds
    remarks.print(f"Waiting for env.py, all that it imports, and the revision files; ended after {limit:.0f} s.")
