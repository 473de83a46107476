"""Goes on with an accepted operation whatever comes between: nobody else would before the service starts again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.messages import Problem

log = logging.getLogger(__name__)

TIMES = 5  # what breaks off that often for a reason of its own is a person's case
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0

BROKE_OFF = Problem.of(
    "CM-901",
    f"Carrying the operation out broke off {TIMES} times; the log of the service has the reason.",
    next_step="Look at the status of the service and at its log, then migrate again.",
)


async def carry_through(
    operation_id: str, drive: Callable[[], Awaitable[None]], give_up: Callable[[Problem], Awaitable[None]]
) -> None:
    """Drives until it has ended: a database that is away is waited for, anything else is tried five times."""
    pause, broken_off = FIRST_PAUSE_SECONDS, 0
    step = drive
    while True:
        try:
            return await step()
        except ProblemError as error:
            problem = error.problem
            log.warning("operation_waits", extra={"operation": operation_id, "code": problem.code})
        except Exception:
            problem = BROKE_OFF
            log.exception("operation_broke_off", extra={"operation": operation_id})
        if not problem.retryable:
            broken_off += 1
            step = partial(give_up, problem) if broken_off == TIMES else step
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
