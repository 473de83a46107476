"""Repeats what a database that is away has interrupted, instead of guessing what became of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from random import uniform

import stamina

from migration_sidecar.contract.errors import DatabaseUnreachable, ProblemError
from migration_sidecar.contract.messages import Problem

log = logging.getLogger(__name__)

MAX_SECONDS = timedelta(minutes=10)  # then a person is told; a failover takes seconds, a restart minutes
MAX_ATTEMPTS = 5  # what breaks off that often for a reason of its own is a person's case
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0

GAVE_UP = Problem.of(
    "CM-901",
    f"The operation broke off {MAX_ATTEMPTS} times; the log of the service has the reason.",
    next_step="Look at the status of the service and at its log, then migrate again.",
)


def _passes(error: Exception) -> bool | float:
    if not isinstance(error, DatabaseUnreachable) or not error.problem.retryable:
        return False
    # A server without a free connection is not asked more than once in a second.
    return uniform(1, 3) if error.problem.code == "CM-531" else True


# For steps that may be repeated: they read, or write under a key.
retry_unreachable_database = stamina.retry(
    on=_passes,
    attempts=None,
    timeout=MAX_SECONDS,
    wait_initial=timedelta(milliseconds=200),
    wait_max=timedelta(seconds=5),
)


async def run_until_done(
    drive: Callable[[], Awaitable[None]], give_up: Callable[[Problem], Awaitable[None]], facts: dict[str, str]
) -> None:
    """Drives until it has ended: a database that is away is waited for, anything else is tried five times.

    Then `give_up` is told why, and repeated in the same way. `facts` are logged with each repeat.
    """
    pause, broken_off = FIRST_PAUSE_SECONDS, 0
    step = drive
    while True:
        try:
            return await step()
        except ProblemError as error:
            problem = error.problem
            log.warning("operation_waits", extra={**facts, "code": problem.code})
        except Exception:
            problem = GAVE_UP
            log.exception("operation_broke_off", extra=facts)
        if not problem.retryable:
            broken_off += 1
            step = partial(give_up, problem) if broken_off == MAX_ATTEMPTS else step
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
