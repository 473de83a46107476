"""Tells a person in a terminal why a command takes long."""

from __future__ import annotations

import asyncio

from migration_sidecar.cli.output import remarks
from migration_sidecar.engine.engine import Engine

SILENT_SECONDS = 3.0


async def tell_what_is_waited_for(engine: Engine) -> None:
    """Prints one line on stderr if loading takes longer than SILENT_SECONDS. `Options.ask` cancels it at the end."""
    while engine.loading.seconds < SILENT_SECONDS:
        await asyncio.sleep(0.5)
    limit = engine.settings.loading_seconds
    notice = f"Waiting for env.py and the revision files, and all that they import; {limit:.0f} s at most."
    remarks.print(notice, soft_wrap=True)
