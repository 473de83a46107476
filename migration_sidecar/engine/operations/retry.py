"""Retries after the database was unreachable. What the interrupted step did is read, never assumed."""

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

MAX_SECONDS = timedelta(minutes=10)  # then the error is reported; a failover takes seconds, a restart minutes
MAX_ATTEMPTS = 5  # for errors that do not pass by themselves
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0

TOO_MANY_FAILURES = Problem.of(
    "CM-901",
    f"The operation broke off {MAX_ATTEMPTS} times; the log of the service has the reason.",
    next_step="Look at the status of the service and at its log, then migrate again.",
)


def _is_transient(error: Exception) -> bool | float:
    if not isinstance(error, DatabaseUnreachable) or not error.problem.retryable:
        return False
    # Without a free connection: not more than once per second.
    return uniform(1, 3) if error.problem.code == "CM-531" else True


# Only for steps that may be repeated: they read, or write under a unique key.
retry_unreachable_database = stamina.retry(
    on=_is_transient,
    attempts=None,
    timeout=MAX_SECONDS,
    wait_initial=timedelta(milliseconds=200),
    wait_max=timedelta(seconds=5),
)


async def run_until_done(
    drive: Callable[[], Awaitable[None]], give_up: Callable[[Problem], Awaitable[None]], facts: dict[str, str]
) -> None:
    """Calls `drive` until it returns. Waits for an unreachable database; any other error may occur MAX_ATTEMPTS times.

    Then it calls `give_up` with the problem, and retries that in the same way. `facts` are logged with each retry.
    """
    pause, failures = FIRST_PAUSE_SECONDS, 0
    step = drive
    while True:
        try:
            return await step()
        except ProblemError as error:
            problem = error.problem
            log.warning("operation_waits", extra={**facts, "code": problem.code})
        except Exception:
            problem = TOO_MANY_FAILURES
            log.exception("operation_broke_off", extra=facts)
        if not problem.retryable:
            failures += 1
            step = partial(give_up, problem) if failures == MAX_ATTEMPTS else step
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
