"""A person is told what takes so long."""

from __future__ import annotations

import asyncio

from migration_sidecar.cli.output import remarks
from migration_sidecar.engine.engine import Engine

SILENT_SECONDS = 3.0


async def tell_what_is_waited_for(engine: Engine) -> None:
    while engine.loading.seconds < SILENT_SECONDS:
        await asyncio.sleep(0.5)
    limit = engine.settings.loading_seconds
    told = f"Waiting for env.py and the revision files, and all that they import; {limit:.0f} s at most."
    remarks.print(told, soft_wrap=True)
